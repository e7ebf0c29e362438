//! The schema of the relay chart's values, made from the type `ThreatRelay`: a section of the resource is a section of
//! the values, with the same names, bounds, defaults and texts. What only a chart has is added from a file.
//!
//! A section that a resource may leave out is always there as values, with its defaults; it counts from the moment when
//! its required value is set, and until then nothing else of it may be.

use serde_json::{Map, Value, json};

use crate::custom_resource::merge;

/// Values of the chart alone, and what differs of the resource's.
const OWN: &str = include_str!("../xtask/relay_values.json");

/// Fields of the resource that are no values: what the operator does, and the image, which a chart names by its parts.
const NOT_VALUES: [&[&str]; 3] = [&["suspend"], &["image"], &["credentials", "mode"]];

/// Where the resource's words speak of the operator.
const WORDS: [(&str, &str); 7] = [
    (" Its host needs the operator's leave.", ""),
    (" Hosts other than OTX's need the operator's leave.", ""),
    (", monitoring and the operator to probes and metrics", " and monitoring to probes and metrics"),
    (", beside the relay's own and the operator's", ", beside the relay's own"),
    ("Secret in this namespace", "Secret in the release's namespace"),
    (" Not allowed beside `replicas`.", ""),
    (" A change rolls the pods.", " Pods read them at their start."),
];

/// The schema, from the parsed definition of the type.
///
/// # Errors
/// When [`OWN`] is not JSON.
pub fn schema(definition: &Value) -> Result<Value, serde_json::Error> {
    let mut spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone();
    for path in NOT_VALUES {
        remove(&mut spec, path);
    }
    let mut schema = json!({"properties": group(&spec)["properties"]});
    merge(&mut schema, &serde_json::from_str(OWN)?);
    Ok(schema)
}

fn remove(schema: &mut Value, path: &[&str]) {
    if let Some((name, below)) = path.split_first() {
        let properties = schema["properties"].as_object_mut();
        match properties {
            Some(properties) if below.is_empty() => drop(properties.remove(*name)),
            Some(properties) => remove(&mut properties[*name], below),
            None => {}
        }
    }
}

/// A group of values: closed, and with what is required only once it is used.
fn group(schema: &Value) -> Value {
    let mut made = plain(schema);
    let properties = schema["properties"].as_object().cloned().unwrap_or_default();
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut values = Map::new();
    let mut needs = Map::new();
    for (name, property) in &properties {
        let value = if property["properties"].is_object() { group(property) } else { single(property) };
        let others: Vec<_> = required.iter().filter(|other| *other != name).collect();
        let is_said = value["properties"].is_null() && value["default"].is_null();
        if is_said && !others.is_empty() {
            needs.insert(name.clone(), json!(others));
        }
        values.insert(name.clone(), value);
    }
    made["properties"] = Value::Object(values);
    made["additionalProperties"] = false.into();
    if let Some(made) = made.as_object_mut() {
        made.remove("default");
        if !needs.is_empty() {
            made.insert("dependencies".to_owned(), needs.into());
        }
    }
    made
}

/// A value that is set as a whole. Objects in a list are closed and need what the resource's need.
fn single(schema: &Value) -> Value {
    let mut made = plain(schema);
    if let Some(properties) = schema["properties"].as_object() {
        made["properties"] = properties.iter().map(|(name, property)| (name.clone(), single(property))).collect();
        made["additionalProperties"] = false.into();
        if schema["required"].is_array() {
            made["required"] = schema["required"].clone();
        }
    }
    if schema["items"].is_object() {
        made["items"] = single(&schema["items"]);
    }
    made
}

/// What validators of values know of a schema, with its text in one line.
fn plain(schema: &Value) -> Value {
    let kept = |name: &str| !name.starts_with("x-") && !["format", "required", "properties", "items"].contains(&name);
    let mut made: Map<String, Value> = schema
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, value)| kept(name) && !value.is_null())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if let Some(text) = schema["description"].as_str() {
        made.insert("description".to_owned(), in_one_line(text).into());
    }
    for bound in ["minimum", "maximum"] {
        if let Some(number) = schema[bound].as_f64() {
            #[expect(clippy::cast_possible_truncation, reason = "bounds are whole numbers")]
            made.insert(bound.to_owned(), json!(number as i64));
        }
    }
    Value::Object(made)
}

/// The meaning and the example; the default has a place of its own.
fn in_one_line(text: &str) -> String {
    let (meaning, facts) = text.split_once("\n\n").unwrap_or((text, ""));
    let example = facts.split_once("Example: ").map(|(_, example)| format!(" Example: {example}"));
    let line = format!("{meaning}{}", example.unwrap_or_default());
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    WORDS.iter().fold(line, |line, (theirs, ours)| line.replace(theirs, ours))
}
