//! What two runs may differ in. Everything else must be equal: labels, annotations, owners, finalizers, data of Secrets,
//! reasons, messages. Each mask says why it is one.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use threatrelay_operator::client::MANAGER;

use super::history::Key;

/// A value that is not compared.
pub struct Mask {
    /// Kinds that it holds for; the empty text is all.
    pub kind: &'static str,
    /// Path of names; `*` is every item.
    pub path: &'static [&'static str],
    /// Why two good runs differ in it.
    pub why: &'static str,
}

const fn mask(kind: &'static str, path: &'static [&'static str], why: &'static str) -> Mask {
    Mask { kind, path, why }
}

/// All of them.
pub const MASKS: &[Mask] = &[
    mask("", &["metadata", "uid"], "drawn by the API server"),
    mask("", &["metadata", "resourceVersion"], "counts the writes of the whole plane"),
    mask("", &["metadata", "generation"], "counts changes; what was decided on it is in observedGeneration"),
    mask("", &["metadata", "creationTimestamp"], "a time"),
    mask("", &["metadata", "managedFields", "*", "time"], "a time"),
    mask("Service", &["spec", "clusterIP"], "drawn by the API server"),
    mask("Service", &["spec", "clusterIPs"], "drawn by the API server"),
    mask("ThreatRelay", &["metadata", "deletionTimestamp"], "a time"),
    mask("ThreatRelay", &["status", "conditions", "*", "lastTransitionTime"], "a time"),
    mask("ThreatRelay", &["status", "conditions", "*", "observedGeneration"], "compared with the generation instead"),
    mask("ThreatRelay", &["status", "observedGeneration"], "compared with the generation instead"),
    mask("Deployment", &["status", "observedGeneration"], "counts changes"),
    mask("Deployment", &["status", "conditions"], "the Deployment controller's words on its way; the counts stay"),
    mask("PodDisruptionBudget", &["status"], "the disruption controller's own pace"),
    mask("HorizontalPodAutoscaler", &["status"], "the autoscaler's looks, every few seconds"),
];

/// Beside them, what two ways to one spec may differ in.
pub const OF_WAYS: &[Mask] =
    &[mask("Deployment", &["metadata", "annotations", "deployment.kubernetes.io/revision"], "counts the rollouts")];

/// Beside these, what is an autoscaler's to decide: without metrics it keeps the number of pods within its bounds, so the
/// number is where it came from, and the field is held by whoever wrote it last.
pub const OF_AUTOSCALERS: &[Mask] = &[
    mask("Deployment", &["spec", "replicas"], "the autoscaler's number"),
    mask("Deployment", &["metadata", "managedFields", "*", "fieldsV1", "f:spec", "f:replicas"], "whose number it is"),
    mask("Deployment", &["status"], "counts of that number"),
    mask("ThreatRelay", &["status", "replicas"], "that number"),
    mask("ThreatRelay", &["status", "readyReplicas"], "that number"),
    mask("ThreatRelay", &["status", "readiness"], "that number in words"),
    mask("ThreatRelay", &["status", "conditions", "*", "message"], "that number in words"),
];

/// Objects that Kubernetes puts into every namespace.
const NOT_OURS: [(&str, &str); 2] = [("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")];

/// The objects of a namespace without what is masked, as text for people to compare.
pub type State = BTreeMap<String, Value>;

/// What there is in `objects`, comparable with another run's.
#[must_use]
pub fn state(objects: &BTreeMap<Key, Arc<Value>>, namespace: &str) -> State {
    let owner = objects.iter().find(|(key, _)| key.0 == "ThreatRelay");
    let owner = owner.and_then(|(_, object)| object["metadata"]["uid"].as_str()).unwrap_or("none");
    let ours = objects.iter().filter(|((kind, name), _)| !NOT_OURS.contains(&(kind, name)));
    ours.map(|((kind, name), object)| {
        let mut object = (**object).clone();
        keep_our_fields(&mut object);
        for mask in MASKS.iter().filter(|mask| mask.kind.is_empty() || mask.kind == kind) {
            remove(&mut object, mask.path);
        }
        rename(&mut object, &[(namespace, "NAMESPACE"), (owner, "OWNER")]);
        (format!("{kind}/{name}"), object)
    })
    .collect()
}

/// A state without what these masks cover too.
#[must_use]
pub fn without(mut state: State, masks: &[Mask]) -> State {
    for (name, object) in &mut state {
        let kind = name.split('/').next().unwrap_or_default();
        masks.iter().filter(|mask| mask.kind == kind).for_each(|mask| remove(object, mask.path));
    }
    state
}

/// Of the records of who set what, only the operator's: others write when they come to it.
fn keep_our_fields(object: &mut Value) {
    if let Some(entries) = object["metadata"]["managedFields"].as_array_mut() {
        entries.retain(|entry| entry["manager"] == MANAGER);
        entries.sort_by_key(|entry| entry["subresource"].to_string());
    }
}

fn remove(value: &mut Value, path: &[&str]) {
    match (path, value) {
        ([last], Value::Object(fields)) => drop(fields.remove(*last)),
        (["*", rest @ ..], Value::Array(items)) => items.iter_mut().for_each(|item| remove(item, rest)),
        ([first, rest @ ..], Value::Object(fields)) => {
            if let Some(inner) = fields.get_mut(*first) {
                remove(inner, rest);
            }
        }
        _ => {}
    }
}

/// Names that are drawn anew for each run, in values and in the names of fields.
fn rename(value: &mut Value, names: &[(&str, &str)]) {
    let renamed = |text: &str| names.iter().fold(text.to_owned(), |text, (drawn, word)| text.replace(drawn, word));
    match value {
        Value::String(text) => *text = renamed(text),
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, names)),
        Value::Object(fields) => {
            fields.values_mut().for_each(|field| rename(field, names));
            *fields = std::mem::take(fields).into_iter().map(|(name, field)| (renamed(&name), field)).collect();
        }
        _ => {}
    }
}

/// The first differences of two states, a line each.
#[must_use]
pub fn differences(expected: &State, found: &State) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, wanted) in expected {
        match found.get(name) {
            None => lines.push(format!("{name} is missing")),
            Some(there) => compare(name, wanted, there, &mut lines),
        }
    }
    lines.extend(found.keys().filter(|name| !expected.contains_key(*name)).map(|name| format!("{name} is too much")));
    lines
}

fn compare(at: &str, expected: &Value, found: &Value, lines: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(wanted), Value::Object(there)) => {
            for (name, value) in wanted {
                compare(&format!("{at}.{name}"), value, there.get(name).unwrap_or(&Value::Null), lines);
            }
            for (name, value) in there.iter().filter(|(name, _)| !wanted.contains_key(*name)) {
                lines.push(format!("{at}.{name}: expected nothing, found {value}"));
            }
        }
        (Value::Array(wanted), Value::Array(there)) if wanted.len() == there.len() => {
            for (index, (wanted, there)) in wanted.iter().zip(there).enumerate() {
                compare(&format!("{at}[{index}]"), wanted, there, lines);
            }
        }
        _ if expected == found => {}
        _ => lines.push(format!("{at}: expected {expected}, found {found}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn there_are_few_masks_and_each_has_a_reason() {
        let all: Vec<_> = [MASKS, OF_WAYS, OF_AUTOSCALERS].into_iter().flatten().collect();
        assert!(all.len() <= 25 && all.iter().all(|mask| !mask.why.is_empty()), "{}", all.len());
    }

    #[test]
    fn runs_that_differ_in_what_is_drawn_are_equal_and_others_are_not() {
        let run = |namespace: &str, uid: &str, owner: &str, label: &str| {
            let relay = json!({"metadata": {"uid": owner, "name": "r"}});
            let service = json!({
                "metadata": {
                    "uid": uid, "labels": {"a": label}, "ownerReferences": [{"uid": owner}],
                    "managedFields": [{"manager": "threatrelay-operator", "time": uid}, {"manager": "other", "x": uid}],
                },
                "spec": {"clusterIP": uid, "url": format!("http://r.{namespace}.svc")},
            });
            let key = |kind: &str| (kind.to_owned(), "r".to_owned());
            let objects = [(key("ThreatRelay"), relay), (key("Service"), service)];
            state(&objects.into_iter().map(|(key, value)| (key, Arc::new(value))).collect(), namespace)
        };
        let one = run("one", "u1", "o1", "x");
        assert_eq!(differences(&one, &run("two", "u2", "o2", "x")), Vec::<String>::new());
        let lines = differences(&one, &run("two", "u2", "o2", "y"));
        assert_eq!(lines, ["Service/r.metadata.labels.a: expected \"x\", found \"y\""]);
        assert_eq!(differences(&one, &State::new()), ["Service/r is missing", "ThreatRelay/r is missing"]);
        assert_eq!(differences(&State::new(), &one), ["Service/r is too much", "ThreatRelay/r is too much"]);
    }
}
