//! The operations: where each begins, and what the spec is then. Only what the schema and the operator take, and what
//! changes the spec, is one; each has a name of its own, by which it is run again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use jsonschema::Validator;
use serde_json::Value;
use threatrelay_operator::observed::{Content, Observed};
use threatrelay_operator::validate::validate;

use super::fields::{Base, Field, get, leaves, remove, schema, set, table};
use super::generate::{changes, sections};
use super::semantic;
use crate::custom_resource::{merge, observed, policy, resource};

/// One change of a spec.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Its name: field or matter, then what becomes of it.
    pub name: String,
    /// From what.
    pub base: Base,
    /// The field that is changed, where it is one.
    pub field: Option<Arc<Field>>,
    /// What is done to the spec.
    pub change: Change,
    /// The spec then.
    pub after: Value,
}

/// What is done to a spec.
#[derive(Clone, Debug)]
pub enum Change {
    /// The field at a path gets a value.
    Set(String, Value),
    /// The field at a path is taken away.
    Remove(String),
    /// This is merged over it.
    Merge(Value),
}

impl Change {
    /// Does it, and takes along what a rule ties to it: seconds of a toleration belong to one effect alone.
    pub fn make(&self, spec: &mut Value) {
        match self {
            Self::Set(path, value) => set(spec, path, value.clone()),
            Self::Remove(path) => remove(spec, path),
            Self::Merge(more) => merge(spec, more),
        }
        if get(spec, "scheduling.tolerations[].effect").is_some_and(|effect| effect != "NoExecute") {
            remove(spec, "scheduling.tolerations[].tolerationSeconds");
        }
    }
}

impl Operation {
    fn new(name: String, base: Base, field: Option<Arc<Field>>, change: Change) -> Self {
        let mut after = base.spec();
        change.make(&mut after);
        Self { name, base, field, change, after }
    }
}

/// All of them, in a stated order.
#[must_use]
pub fn all() -> Vec<Operation> {
    let mut all = of_fields();
    for base in [Base::Full, Base::Fixed] {
        all.extend(sections(base, &schema()).into_iter().map(|path| {
            let name = format!("{path}/left-out-of-{base:?}").to_lowercase();
            Operation::new(name, base, None, Change::Remove(path))
        }));
    }
    let meaning = semantic::table().into_iter();
    all.extend(meaning.map(|(name, base, more)| Operation::new(name.to_owned(), base, None, Change::Merge(more))));
    let mut seen = BTreeSet::new();
    all.retain(|operation| {
        let is_new = seen.insert((operation.base, operation.after.to_string()));
        is_new && operation.after != operation.base.spec() && is_taken(&operation.after)
    });
    all
}

/// Those of single fields, valid or not.
fn of_fields() -> Vec<Operation> {
    let leaves = leaves();
    let of_field = |field: Field| {
        let field = Arc::new(field);
        let changes = leaves.get(field.path).map(|schema| changes(&field, schema)).unwrap_or_default();
        changes.into_iter().map(move |(what, value)| {
            let path = field.path.to_owned();
            let change = value.map_or_else(|| Change::Remove(path.clone()), |value| Change::Set(path.clone(), value));
            Operation::new(format!("{path}/{what}"), field.base, Some(Arc::clone(&field)), change)
        })
    };
    table().into_iter().flat_map(of_field).collect()
}

/// Whether the API server and the operator take a spec, as all that it names is there.
#[must_use]
pub fn is_taken(spec: &Value) -> bool {
    static SCHEMA: LazyLock<Option<Validator>> = LazyLock::new(|| jsonschema::validator_for(&schema()).ok());
    let is_valid = SCHEMA.as_ref().is_some_and(|schema| schema.is_valid(spec));
    let relay = resource(spec).ok().filter(|relay| is_valid && relay.validate_cel().is_ok());
    relay.is_some_and(|relay| {
        let judged = validate(&relay, world(), &policy());
        judged.is_ok_and(|validated| validated.findings.is_empty())
    })
}

/// What a namespace holds beside the resource: all that operations refer to.
#[must_use]
pub fn world() -> &'static Observed {
    static WORLD: LazyLock<Observed> = LazyLock::new(|| {
        let mut world = observed();
        for keys in world.secrets.values_mut().flatten() {
            keys.insert("api-key".to_owned(), Content::from(b"key-by-default".to_vec()));
        }
        for texts in world.config_maps.values_mut().flatten() {
            let first: BTreeMap<_, _> = texts.clone();
            texts.extend(first.into_values().next().map(|text| ("ca.crt".to_owned(), text)));
        }
        world
    });
    &WORLD
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::custom_resource::objects;
    use crate::operations::fields::{children, differences};

    /// Digests that follow what they are of.
    const HASHES: [&str; 2] = [
        "/Deployment/spec/template/metadata/annotations/threatrelay.dev~1settings-hash",
        "/Secret/metadata/annotations/threatrelay.dev~1keys-hash",
    ];

    #[test]
    fn there_are_many_operations_and_each_has_a_name_of_its_own() {
        let all = all();
        let names: BTreeSet<_> = all.iter().map(|operation| &operation.name).collect();
        assert!(all.len() >= 300 && names.len() == all.len(), "{} operations, {} names", all.len(), names.len());
        let fields: BTreeSet<_> = all.iter().filter_map(|operation| Some(operation.field.as_ref()?.path)).collect();
        let missing: Vec<_> = leaves().into_keys().filter(|path| !fields.contains(&**path)).collect();
        assert_eq!(missing, [""; 0], "fields without an operation");
    }

    /// What a field decides only at one of its values.
    const AT_AN_EDGE: [(&str, &str); 3] = [
        ("replicas", "/PodDisruptionBudget"),
        ("autoscaling.minReplicas", "/PodDisruptionBudget"),
        ("auth.jwks", "/settings/auth/jwksFile"),
    ];

    #[test]
    fn an_operation_on_a_field_changes_what_the_field_is_for() {
        let mut problems = Vec::new();
        for operation in all() {
            let Some(field) = &operation.field else { continue };
            let of = |spec: &Value| objects(spec, world()).map(|objects| children(&objects)).unwrap_or_default();
            let mut found = BTreeSet::new();
            differences(&of(&operation.base.spec()), &of(&operation.after), "", &mut found);
            found.retain(|place| !HASHES.contains(&&**place) && !AT_AN_EDGE.contains(&(field.path, place)));
            let same = |spec: &Value| resource(spec).ok().map(|relay| relay.spec);
            let says_the_same = same(&operation.base.spec()) == same(&operation.after);
            let places = field.places();
            if found.is_empty() != (says_the_same || places.is_empty()) {
                problems.push(format!("{} changes {found:?}", operation.name));
            }
            let is_mapped = |place: &String| {
                places.iter().any(|mapped| {
                    // The rules of a NetworkPolicy are sorted: another host may come to another place among them.
                    let list = mapped.split_once("egress/").map(|(before, _)| before);
                    let section = list.or_else(|| Some(mapped.rsplit_once('/')?.0)).unwrap_or_default();
                    place.starts_with(section) || mapped.starts_with(&**place)
                })
            };
            let others = found.iter().filter(|place| !is_mapped(place));
            problems.extend(others.map(|other| format!("{} changes {other}, not {places:?}", operation.name)));
        }
        assert_eq!(problems, [""; 0]);
    }
}
