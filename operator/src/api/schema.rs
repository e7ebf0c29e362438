//! Schemas of the texts and maps that several fields share. Each has an upper bound, which also bounds the cost of the
//! rules, and says in a pattern or a rule what the relay or Kubernetes would refuse later.

use std::fmt::Write;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value;

/// A Kubernetes object name: a DNS-1123 subdomain.
pub(super) fn object_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string", "minLength": 1, "maxLength": 253,
        "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    })
}

/// A DNS-1123 label: the name of a namespace or of a listener.
pub(super) fn label(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string", "minLength": 1, "maxLength": 63, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    })
}

/// A key of a Secret or `ConfigMap`.
pub(super) fn data_key(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string", "minLength": 1, "maxLength": 253, "pattern": r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$",
    })
}

/// A DNS name without wildcard.
pub(super) fn host(generate: &mut SchemaGenerator) -> Schema {
    object_name(generate)
}

/// A positive length of time of at most `MAX` seconds.
pub(super) fn duration<const MAX: u64>(_: &mut SchemaGenerator) -> Schema {
    let message = format!("must be positive and at most {MAX}s, such as 50ms, 25s, 5m or 1h");
    spans(&format!("duration(self) > duration('0s') && duration(self) <= duration('{MAX}s')"), &message)
}

/// A length of time of at most `MAX` seconds, or none.
pub(super) fn duration_or_zero<const MAX: u64>(_: &mut SchemaGenerator) -> Schema {
    let message = format!("must be at most {MAX}s, such as 0s, 50ms, 25s or 5m");
    spans(&format!("duration(self) <= duration('{MAX}s')"), &message)
}

fn spans(rule: &str, message: &str) -> Schema {
    json_schema!({
        "type": "string", "minLength": 2, "maxLength": 16, "pattern": "^[0-9]{1,7}(ms|s|m|h)$",
        "x-kubernetes-validations": [{"rule": rule, "message": message}],
    })
}

/// Origin and path of a web server.
pub(super) fn web_url(_: &mut SchemaGenerator) -> Schema {
    url("https?")
}

/// Address of a Valkey or Redis server.
pub(super) fn redis_url(_: &mut SchemaGenerator) -> Schema {
    url("rediss?")
}

/// No credentials, query or fragment, as the relay demands.
fn url(scheme: &str) -> Schema {
    let host = r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(:[1-9][0-9]{0,4})?";
    json_schema!({
        "type": "string", "minLength": 8, "maxLength": 512,
        "pattern": format!("^{scheme}://{host}(/[A-Za-z0-9._~%/-]*)?$"),
    })
}

/// Processor time: cores or thousandths of them.
pub(super) fn cpu(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": 8, "pattern": "^[1-9][0-9]{0,6}m?$"})
}

/// Memory: bytes with a binary or decimal suffix.
pub(super) fn memory(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 2, "maxLength": 8, "pattern": "^[1-9][0-9]{0,5}(Ki|Mi|Gi|k|M|G)$"})
}

/// Labels, as metadata or as what a selector asks for.
pub(super) fn labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "maxProperties": 16,
        "additionalProperties": {
            "type": "string", "maxLength": 63, "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
        },
        "x-kubernetes-validations": [{
            "rule": r"self.all(key, key.size() <= 317 && key.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",
            "message": "keys must be label keys: an optional DNS name and '/', then at most 63 letters, digits, '-', '_' or '.'",
        }],
    })
}

/// Takes `null` out of a schema. Optional fields are left out, never null: a null would be stored, and applied by
/// whoever applies the object.
pub(super) fn without_null(schema: &mut Schema) {
    if let Some(object) = schema.as_object_mut() {
        object.values_mut().for_each(strip);
    }
}

fn strip(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(strip),
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(words)) = object.get_mut("enum") {
                words.retain(|word| !word.is_null());
            }
            if let Some(Value::Array(branches)) = object.get_mut("anyOf") {
                branches.retain(|branch| branch.get("type").is_none_or(|name| name != "null"));
                if let [Value::Object(only)] = branches.as_slice() {
                    let only = only.clone();
                    object.remove("anyOf");
                    for (key, value) in only {
                        object.entry(key).or_insert(value);
                    }
                }
            }
            object.values_mut().for_each(strip);
        }
        _ => {}
    }
}

/// Writes defaults and bounds of values into their descriptions, before the example: `kubectl explain` shows no more
/// than the description.
pub(super) fn with_facts_in_words(schema: &mut Schema) {
    if let Some(object) = schema.as_object_mut() {
        object.values_mut().for_each(describe);
    }
}

fn describe(value: &mut Value) {
    let Value::Object(object) = value else { return };
    object.values_mut().for_each(describe);
    let mut facts = String::new();
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if let Some(default) = object.get("default") {
        let _infallible = write!(facts, "Default: `{}`. ", shown(default));
    }
    let bound = |name: &str| object.get(name).and_then(Value::as_f64);
    if let (Some(least), Some(most)) = (bound("minimum"), bound("maximum")) {
        let _infallible = write!(facts, "From {least} to {most}. ");
    }
    if let Some(Value::String(text)) = object.get_mut("description")
        && let Some((meaning, example)) = text.clone().split_once("Example: `")
        && !meaning.contains(&facts)
    {
        *text = format!("{meaning}{facts}Example: `{example}");
    }
}
