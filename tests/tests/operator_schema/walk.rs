//! A walk over the schema: what must hold of every field.

use serde_json::Value;

use super::definition;

/// Every field of the spec by its path, with whether it is required.
fn fields() -> Vec<(String, Value, bool)> {
    let mut fields = Vec::new();
    let schema = &definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    collect("spec", &schema["properties"]["spec"], &mut fields);
    collect("status", &schema["properties"]["status"], &mut fields);
    fields
}

fn collect(path: &str, schema: &Value, fields: &mut Vec<(String, Value, bool)>) {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        fields.push((path.clone(), field.clone(), required.contains(&Value::from(name.as_str()))));
        collect(&path, field, fields);
        collect(&format!("{path}[]"), &field["items"], fields);
    }
}

/// A field that holds a value itself, not a section.
fn is_leaf(field: &Value) -> bool {
    field["type"] != "object" || field.get("additionalProperties").is_some()
}

/// The text between backticks after `Example:`.
fn example(description: &str) -> Option<&str> {
    description.split_once("Example: `")?.1.split_once('`').map(|(example, _)| example)
}

#[test]
fn every_field_says_what_it_is() {
    for (path, field, _) in fields() {
        let description = field["description"].as_str().unwrap_or_default();
        assert!(description.contains('.'), "{path} has no sentence: {description:?}");
    }
}

#[test]
fn every_field_that_may_be_left_out_says_what_holds_then() {
    for (path, field, required) in fields().into_iter().filter(|(path, ..)| path.starts_with("spec.")) {
        let says = field["description"].as_str().unwrap_or_default().contains("Default: ");
        let is_section = !is_leaf(&field) && field.get("default").is_some();
        assert!(required || says || is_section, "{path} says no default");
    }
}

#[test]
fn every_value_has_an_example_that_the_schema_takes() {
    for (path, field, _) in
        fields().into_iter().filter(|(path, field, _)| path.starts_with("spec.") && is_leaf(field))
    {
        let text = example(field["description"].as_str().unwrap_or_default());
        let text = text.unwrap_or_else(|| panic!("{path} has no example"));
        let value = if field["type"] == "string" {
            Value::from(text)
        } else {
            serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{path}: {text}: {error}"))
        };
        let valid = jsonschema::validator_for(&field).unwrap().validate(&value);
        assert!(valid.is_ok(), "{path}: the example {text} is refused: {:?}", valid.err());
        assert_ne!(field.get("default"), Some(&value), "{path}: the example is the default");
    }
}

#[test]
fn every_list_text_map_and_number_has_an_upper_bound() {
    fn check(path: &str, field: &Value) {
        let bound = match field["type"].as_str() {
            Some("string") if field.get("enum").is_some() => None,
            Some("string") => Some("maxLength"),
            Some("array") => Some("maxItems"),
            Some("object") if field.get("additionalProperties").is_some() => Some("maxProperties"),
            Some("integer") if path.starts_with("spec.") => Some("maximum"),
            _ => None,
        };
        if let Some(bound) = bound {
            assert!(field.get(bound).is_some(), "{path} has no {bound}");
        }
        for inner in ["items", "additionalProperties"] {
            if let Some(field) = field.get(inner) {
                check(&format!("{path}[]"), field);
            }
        }
    }
    for (path, field, _) in fields() {
        check(&path, &field);
    }
}

#[test]
fn no_field_of_the_spec_may_be_null_or_of_any_shape() {
    for (path, field, _) in fields() {
        assert!(field.get("nullable").is_none(), "{path} may be null");
        assert!(field["type"].is_string(), "{path} has no type: {field}");
        assert!(field.get("x-kubernetes-preserve-unknown-fields").is_none(), "{path} takes anything");
        assert!(!field["format"].as_str().unwrap_or_default().starts_with("uint"), "{path}: unknown format");
    }
}

#[test]
fn no_field_opens_what_only_the_author_of_a_pod_may_do() {
    let forbidden = [
        "volumes",
        "volumeMounts",
        "env",
        "envFrom",
        "serviceAccountName",
        "template",
        "containers",
        "initContainers",
        "command",
        "args",
        "hostNetwork",
        "hostPID",
        "privileged",
        "capabilities",
        "imagePullSecrets",
    ];
    for (path, ..) in fields() {
        let name = path.rsplit('.').next().unwrap_or_default();
        assert!(!forbidden.contains(&name), "{path}");
    }
}

#[test]
fn every_rule_has_a_message() {
    fn check(path: &str, schema: &Value) {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            assert!(rule["message"].as_str().is_some_and(|text| text.len() > 15), "{path}: {rule}");
        }
    }
    for (path, field, _) in fields() {
        check(&path, &field);
    }
}

#[test]
fn the_definition_is_small_enough_for_every_way_of_applying_it() {
    let bytes = definition().to_string().len();
    assert!(bytes < 60_000, "{bytes} bytes");
}

#[test]
fn names_columns_and_subresources_are_as_documented() {
    let definition = definition();
    let version = &definition["spec"]["versions"][0];
    let columns = |wide: bool| -> Vec<&str> {
        let columns = version["additionalPrinterColumns"].as_array().unwrap().iter();
        let of_width = columns.filter(|column| (column["priority"] == 1) == wide);
        of_width.filter_map(|column| column["name"].as_str()).collect()
    };
    assert_eq!(columns(false), ["Ready", "Reason", "Replicas", "URL", "OTX", "Age"]);
    assert_eq!(columns(true), ["Version", "Keys", "Last check", "Message"]);
    assert_eq!(definition["spec"]["names"]["shortNames"], serde_json::json!(["trelay", "trly"]));
    assert_eq!(definition["spec"]["names"]["categories"], serde_json::json!(["threatrelay"]));
    assert_eq!(version["selectableFields"][0]["jsonPath"], ".spec.auth.mode");
    assert_eq!(version["subresources"]["scale"]["labelSelectorPath"], ".status.selector");
}
