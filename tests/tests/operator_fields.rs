//! What each field of the spec is for: change it, and exactly the named fields of the children change. A field of the
//! schema that is not in the table is an error, so the table is complete.
#![expect(clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::custom_resource::{full, merge, objects, observed};
use tests::operations::fields::{children, differences, leaves, set, table};
use threatrelay_operator::observed::Observed;

fn of(spec: &Value, observed: &Observed) -> Value {
    children(&objects(spec, observed).unwrap_or_else(|refused| panic!("{spec}: {refused}")))
}

/// Whether a digest changed, and its removal from what changed.
fn took(found: &mut BTreeSet<String>, hash: &str) -> bool {
    found.remove(hash)
}

#[test]
fn a_changed_field_changes_what_it_is_for_and_nothing_else() {
    let observed = observed();
    for field in table() {
        let (path, base, expected) = (field.path, field.base, field.places());
        let before = base.spec();
        let mut after = before.clone();
        set(&mut after, path, field.other);
        assert_ne!(before, after, "{path} is not changed");
        let mut found = BTreeSet::new();
        differences(&of(&before, &observed), &of(&after, &observed), "", &mut found);
        let settings_hash =
            took(&mut found, "/Deployment/spec/template/metadata/annotations/threatrelay.dev~1settings-hash");
        let keys_hash = took(&mut found, "/Secret/metadata/annotations/threatrelay.dev~1keys-hash");
        assert_eq!(found, expected, "{path} from {base:?}");
        let touches = |start: &str| found.iter().any(|place| place.starts_with(start));
        assert_eq!(settings_hash, touches("/settings"), "{path}: the pods are rolled exactly for other settings");
        assert_eq!(keys_hash, touches("/Secret/data"), "{path}: the digest of the keys");
    }
}

#[test]
fn every_field_of_the_schema_is_in_the_table() {
    let leaves: BTreeSet<String> = leaves().into_keys().collect();
    let rows = table();
    assert_eq!(leaves, rows.iter().map(|row| row.path.to_owned()).collect());
    assert_eq!(leaves.len(), rows.len(), "a field has two rows");
}

#[test]
fn a_section_that_is_left_out_leaves_its_objects_out() {
    let observed = observed();
    for (section, gone) in [
        ("ingress", &["/Ingress"][..]),
        ("gateway", &["/HTTPRoute"]),
        ("monitoring", &["/ServiceMonitor"]),
        ("autoscaling", &["/HorizontalPodAutoscaler", "/Deployment/spec/replicas"]),
    ] {
        let mut spec = full();
        merge(&mut spec, &json!({section: null}));
        let mut found = BTreeSet::new();
        differences(&of(&full(), &observed), &of(&spec, &observed), "", &mut found);
        assert_eq!(found, gone.iter().map(|place| (*place).to_owned()).collect(), "{section}");
    }
}
