//! Whether a live object already holds what would be applied, so that nothing is written at rest.
//!
//! The object's `managedFields` say which fields this operator's last apply set. The live object agrees when exactly
//! those fields are wanted now and each has the wanted value: what others set beside them does not matter, and a field
//! that is no longer wanted is seen, because it still stands in the list. Pure; unreadable `managedFields` never agree.

use serde_json::{Map, Value};

use super::amounts::canonical;
use super::managed::applied_fields;

/// Whether applying `desired` as `manager` would change nothing in `live`.
#[must_use]
pub fn agrees(desired: &Value, live: &Value, manager: &str) -> bool {
    let Some(owned) = applied_fields(live, manager) else { return false };
    let (Some(desired), Some(live)) = (desired.as_object(), live.as_object()) else { return false };
    object(&owned, &body(desired), live, false)
}

/// An object without what names it: `managedFields` never list that.
fn body(desired: &Map<String, Value>) -> Map<String, Value> {
    let mut body = desired.clone();
    for name in ["apiVersion", "kind", "status"] {
        body.remove(name);
    }
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        for name in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
            metadata.remove(name);
        }
    }
    body
}

fn object(
    owned: &Map<String, Value>,
    desired: &Map<String, Value>,
    live: &Map<String, Value>,
    quantity: bool,
) -> bool {
    let is_still_wanted =
        |key: &String| key == "." || key.strip_prefix("f:").is_some_and(|name| !missing(desired.get(name)));
    owned.keys().all(is_still_wanted)
        && desired.iter().filter(|(_, value)| !value.is_null()).all(|(name, value)| {
            let quantity = quantity || holds_quantities(name);
            match (owned.get(&format!("f:{name}")).and_then(Value::as_object), live.get(name)) {
                (Some(owned), Some(live)) => node(owned, value, live, quantity),
                // The server leaves empty lists and maps out.
                _ => is_empty(value),
            }
        })
}

fn node(owned: &Map<String, Value>, desired: &Value, live: &Value, quantity: bool) -> bool {
    match (desired, live) {
        _ if owned.is_empty() => same(desired, live, quantity),
        (Value::Object(desired), Value::Object(live)) => object(owned, desired, live, quantity),
        (Value::Array(desired), Value::Array(live)) => list(owned, desired, live, quantity),
        _ => false,
    }
}

/// A list that has an entry for each of its items: `k:` for items told apart by some of their fields, `v:` for plain ones.
fn list(owned: &Map<String, Value>, desired: &[Value], live: &[Value], quantity: bool) -> bool {
    let entries: Vec<_> = owned.iter().filter(|(key, _)| *key != ".").collect();
    entries.len() == desired.len()
        && entries.into_iter().all(|(key, owned)| {
            let Some(owned) = owned.as_object() else { return false };
            match key.split_at_checked(2) {
                Some(("v:", plain)) => {
                    let plain: Value = serde_json::from_str(plain).unwrap_or_default();
                    desired.contains(&plain) && live.contains(&plain)
                }
                Some(("k:", fields)) => {
                    let fields: Map<String, Value> = serde_json::from_str(fields).unwrap_or_default();
                    // A field that tells items apart may be one that the server fills in.
                    let is_wanted = |item: &&Value| {
                        fields.iter().all(|(name, value)| item.get(name).is_none_or(|found| found == value))
                    };
                    let is_live = |item: &&Value| fields.iter().all(|(name, value)| item.get(name) == Some(value));
                    match (desired.iter().find(is_wanted), live.iter().find(is_live)) {
                        (Some(desired), Some(live)) => node(&asked(owned, desired, &fields), desired, live, quantity),
                        _ => false,
                    }
                }
                _ => false,
            }
        })
}

/// What an item was applied with, without the fields that only tell it apart and that the server filled in.
fn asked(owned: &Map<String, Value>, desired: &Value, fields: &Map<String, Value>) -> Map<String, Value> {
    let mut asked = owned.clone();
    asked.retain(|key, _| {
        let name = key.strip_prefix("f:").unwrap_or_default();
        !fields.contains_key(name) || desired.get(name).is_some()
    });
    asked
}

/// Whether a value that is set as a whole is the wanted one. What it holds beside is left of a former apply, as whoever else
/// had set it would hold all of it: the builders write out the server's defaults within such values.
fn same(desired: &Value, live: &Value, quantity: bool) -> bool {
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) => {
            let is_wanted = |(name, value): (&String, &Value)| is_empty(value) || !missing(desired.get(name));
            live.iter().all(is_wanted)
                && desired.iter().filter(|(_, value)| !value.is_null()).all(|(name, value)| match live.get(name) {
                    Some(live) => same(value, live, quantity || holds_quantities(name)),
                    None => is_empty(value),
                })
        }
        (Value::Array(desired), Value::Array(live)) => {
            desired.len() == live.len()
                && desired.iter().zip(live).all(|(desired, live)| same(desired, live, quantity))
        }
        _ if quantity => canonical(desired) == canonical(live),
        _ => desired == live,
    }
}

fn missing(value: Option<&Value>) -> bool {
    value.is_none_or(Value::is_null)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// Fields below which amounts stand: the server writes `1000m` as `1`.
fn holds_quantities(name: &str) -> bool {
    matches!(name, "limits" | "requests" | "averageValue" | "sizeLimit")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MANAGER: &str = "us";

    /// A live object whose `spec` is `spec` and of which we set `owned`.
    fn live(owned: &Value, spec: &Value) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Thing",
            "metadata": {"name": "n", "uid": "u", "resourceVersion": "7", "managedFields": [
                {"manager": "other", "operation": "Update", "fieldsV1": {"f:spec": {"f:theirs": {}}}},
                {"manager": "us", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {}}},
                {"manager": "us", "operation": "Apply", "fieldsV1": {"f:spec": owned}},
            ]},
            "spec": spec,
        })
    }

    fn desired(spec: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "n", "namespace": "s"}, "spec": spec})
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table of cases")]
    fn an_object_agrees_when_our_fields_are_as_wanted() {
        let ports = json!({"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}, "f:protocol": {}}});
        let items = json!({"k:{\"name\":\"a\"}": {".": {}, "f:name": {}, "f:x": {}}});
        let cases = [
            ("equal", json!({"f:a": {}}), json!({"a": 1}), json!({"a": 1}), true),
            ("a field of ours was changed", json!({"f:a": {}}), json!({"a": 1}), json!({"a": 2}), false),
            ("a field of ours was taken away", json!({"f:a": {}}), json!({"a": 1}), json!({}), false),
            ("others add fields", json!({"f:a": {}}), json!({"a": 1}), json!({"a": 1, "theirs": 1}), true),
            ("a field is new", json!({"f:a": {}}), json!({"a": 1, "b": 1}), json!({"a": 1}), false),
            (
                "a field is new and others set it so",
                json!({"f:a": {}}),
                json!({"a": 1, "b": 1}),
                json!({"a": 1, "b": 1}),
                false,
            ),
            (
                "a field is no longer wanted",
                json!({"f:a": {}, "f:b": {}}),
                json!({"a": 1}),
                json!({"a": 1, "b": 1}),
                false,
            ),
            ("a null is not wanted", json!({"f:a": {}}), json!({"a": 1, "b": null}), json!({"a": 1}), true),
            (
                "an empty list is left out by the server",
                json!({"f:a": {}, "f:b": {}}),
                json!({"a": 1, "b": []}),
                json!({"a": 1}),
                true,
            ),
            (
                "within a map",
                json!({"f:m": {"f:a": {}}}),
                json!({"m": {"a": 1}}),
                json!({"m": {"a": 1, "z": 2}}),
                true,
            ),
            ("a deep change", json!({"f:m": {"f:a": {}}}), json!({"m": {"a": 1}}), json!({"m": {"a": 9}}), false),
            (
                "an atomic list with what is no longer wanted in an item",
                json!({"f:l": {}}),
                json!({"l": [{"a": 1}]}),
                json!({"l": [{"a": 1, "d": 0}]}),
                false,
            ),
            (
                "an atomic map with an entry that is no longer wanted",
                json!({"f:m": {}}),
                json!({"m": {"a": "1"}}),
                json!({"m": {"a": "1", "b": "2"}}),
                false,
            ),
            (
                "what the server leaves out of an atomic list",
                json!({"f:l": {}}),
                json!({"l": [{"a": 1, "b": [], "c": null}]}),
                json!({"l": [{"a": 1, "d": {}}]}),
                true,
            ),
            ("an atomic list that grew", json!({"f:l": {}}), json!({"l": [1]}), json!({"l": [1, 2]}), false),
            (
                "items by key, others among them",
                json!({"f:l": items}),
                json!({"l": [{"name": "a", "x": 1}]}),
                json!({"l": [{"name": "b", "x": 5}, {"name": "a", "x": 1, "d": 2}]}),
                true,
            ),
            (
                "an item of ours was taken away",
                json!({"f:l": items}),
                json!({"l": [{"name": "a", "x": 1}]}),
                json!({"l": [{"name": "b", "x": 1}]}),
                false,
            ),
            (
                "an item is no longer wanted",
                json!({"f:l": items}),
                json!({"l": []}),
                json!({"l": [{"name": "a", "x": 1}]}),
                false,
            ),
            (
                "an item is new",
                json!({"f:l": items}),
                json!({"l": [{"name": "a", "x": 1}, {"name": "c"}]}),
                json!({"l": [{"name": "a", "x": 1}, {"name": "c"}]}),
                false,
            ),
            (
                "an item set as a whole, with what is no longer wanted",
                json!({"f:l": {"k:{\"name\":\"a\"}": {}}}),
                json!({"l": [{"name": "a", "x": 1}]}),
                json!({"l": [{"name": "a", "x": 1, "d": 2}]}),
                false,
            ),
            (
                "an item set as a whole and changed",
                json!({"f:l": {"k:{\"name\":\"a\"}": {}}}),
                json!({"l": [{"name": "a", "x": 1}]}),
                json!({"l": [{"name": "a", "x": 2}]}),
                false,
            ),
            (
                "a field of an item is no longer wanted",
                json!({"f:l": items}),
                json!({"l": [{"name": "a"}]}),
                json!({"l": [{"name": "a", "x": 1}]}),
                false,
            ),
            (
                "a key that the server fills in",
                json!({"f:p": ports}),
                json!({"p": [{"port": 80}]}),
                json!({"p": [{"port": 80, "protocol": "TCP", "targetPort": 80}]}),
                true,
            ),
            ("plain items", json!({"f:l": {"v:\"x\"": {}}}), json!({"l": ["x"]}), json!({"l": ["y", "x"]}), true),
            (
                "a plain item of ours was taken away",
                json!({"f:l": {"v:\"x\"": {}}}),
                json!({"l": ["x"]}),
                json!({"l": ["y"]}),
                false,
            ),
            (
                "an empty text that the server leaves out of an atomic list",
                json!({"f:l": {}}),
                json!({"l": [{"a": 1, "t": ""}]}),
                json!({"l": [{"a": 1}]}),
                true,
            ),
            (
                "an amount in other words within an atomic list",
                json!({"f:l": {}}),
                json!({"l": [{"limits": {"cpu": "1000m"}}]}),
                json!({"l": [{"limits": {"cpu": "1"}}]}),
                true,
            ),
            (
                "an amount that is a number",
                json!({"f:limits": {"f:cpu": {}}}),
                json!({"limits": {"cpu": 1}}),
                json!({"limits": {"cpu": "1"}}),
                true,
            ),
            (
                "an amount in other words",
                json!({"f:limits": {"f:cpu": {}}}),
                json!({"limits": {"cpu": "1000m"}}),
                json!({"limits": {"cpu": "1"}}),
                true,
            ),
            (
                "another amount",
                json!({"f:limits": {"f:cpu": {}}}),
                json!({"limits": {"cpu": "1000m"}}),
                json!({"limits": {"cpu": "2"}}),
                false,
            ),
            (
                "words that only look like amounts",
                json!({"f:a": {}}),
                json!({"a": "1000m"}),
                json!({"a": "1"}),
                false,
            ),
        ];
        for (case, owned, wanted, found, expected) in cases {
            assert_eq!(agrees(&desired(&wanted), &live(&owned, &found), MANAGER), expected, "{case}");
        }
    }

    #[test]
    fn without_a_record_of_our_apply_nothing_agrees() {
        let mut live = live(&json!({"f:a": {}}), &json!({"a": 1}));
        live["metadata"]["managedFields"] = json!([]);
        assert!(!agrees(&desired(&json!({"a": 1})), &live, MANAGER));
    }
}
