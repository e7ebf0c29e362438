//! How many pods to apply where an autoscaler decides. Decided here alone, of the live Deployment as it was read just
//! before the write: the apply names that version, so what a scaler writes in between is a conflict, and a new decision.

use serde_json::{Value, json};

use super::managed;
use crate::client::MANAGER;

/// What is wanted of a Deployment whose replicas an autoscaler decides.
///
/// `desired` has no number yet. A field that was ours and is no longer applied would be *removed*, and the API
/// server would put 1 in its place: so the live value is applied on, until the autoscaler has written the field itself
/// and thereby holds it. A Deployment that is new, or at 0 (where an autoscaler rests), starts at `least`.
pub(super) fn keep(desired: &mut Value, live: Option<&Value>, least: i64) {
    let count = live.and_then(|live| live["spec"]["replicas"].as_i64()).unwrap_or(0);
    let is_held = live.is_some_and(|live| managed::others_hold(live, MANAGER, &["spec", "replicas"]));
    if count == 0 {
        desired["spec"]["replicas"] = least.into();
    } else if !is_held {
        desired["spec"]["replicas"] = json!(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(replicas: i64, ours: bool, scaled: bool) -> Value {
        let fields = json!({"f:spec": {"f:replicas": {}}});
        let mut managed = Vec::new();
        if ours {
            managed.push(json!({"manager": MANAGER, "operation": "Apply", "fieldsV1": fields}));
        }
        if scaled {
            managed.push(json!({
                "manager": "kube-controller-manager", "operation": "Update", "subresource": "scale", "fieldsV1": fields,
            }));
        }
        json!({"metadata": {"managedFields": managed}, "spec": {"replicas": replicas}})
    }

    #[test]
    fn replicas_pass_to_an_autoscaler_without_a_jump() {
        for (case, live, expected) in [
            ("a new Deployment starts at the least", None, json!(2)),
            ("ours alone: the live value stays", Some(deployment(5, true, false)), json!(5)),
            ("nobody's: the live value stays", Some(deployment(5, false, false)), json!(5)),
            ("the autoscaler holds it: let go", Some(deployment(7, false, true)), Value::Null),
            ("both hold it: let go", Some(deployment(7, true, true)), Value::Null),
            ("at rest: start at the least", Some(deployment(0, true, false)), json!(2)),
            ("at rest, scaled by hand: start at the least", Some(deployment(0, false, true)), json!(2)),
        ] {
            let mut desired = json!({"spec": {"template": {}}});
            keep(&mut desired, live.as_ref(), 2);
            let found = desired["spec"].get("replicas").cloned();
            assert_eq!(found, (!expected.is_null()).then_some(expected), "{case}");
        }
    }
}
