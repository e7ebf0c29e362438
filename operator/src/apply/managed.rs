//! Who set which fields of a live object, by its `managedFields`. An object without them, or with unreadable ones, was
//! set by nobody.

use serde_json::{Map, Value};

/// The fields of the last apply by `manager`, as `FieldsV1`.
pub(super) fn applied_fields(live: &Value, manager: &str) -> Option<Map<String, Value>> {
    entries(live).find(|entry| is_apply_of(entry, manager))?["fieldsV1"].as_object().cloned()
}

/// Whether others than `manager`, or it otherwise than by an apply, hold the field at `path` of names.
pub(super) fn others_hold(live: &Value, manager: &str, path: &[&str]) -> bool {
    entries(live).filter(|entry| !is_apply_of(entry, manager)).any(|entry| {
        let found = path.iter().try_fold(&entry["fieldsV1"], |node, name| node.get(format!("f:{name}")));
        found.is_some()
    })
}

fn entries(live: &Value) -> impl Iterator<Item = &Value> {
    live.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten()
}

fn is_apply_of(entry: &Value, manager: &str) -> bool {
    entry["manager"] == manager && entry["operation"] == "Apply" && entry.get("subresource").is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_is_held_by_whoever_set_it_other_than_by_our_apply() {
        let held = |entry: Value| {
            let mut entry = entry;
            entry["fieldsV1"] = json!({"f:spec": {"f:a": {}}});
            let live = json!({"metadata": {"managedFields": [entry]}});
            assert!(!others_hold(&live, "us", &["spec", "absent"]));
            (applied_fields(&live, "us").is_some(), others_hold(&live, "us", &["spec", "a"]))
        };
        assert_eq!(held(json!({"manager": "us", "operation": "Apply"})), (true, false));
        assert_eq!(held(json!({"manager": "us", "operation": "Apply", "subresource": "scale"})), (false, true));
        assert_eq!(held(json!({"manager": "us", "operation": "Update"})), (false, true));
        assert_eq!(held(json!({"manager": "other", "operation": "Apply"})), (false, true));
    }
}
