//! Changes of single fields, by the type that the schema gives them: each word of an enum, both edges of a number, other
//! units and lengths of text, items and entries that come, go and change places. What comes out may be against a rule of
//! the schema; [`operation`](super::operation) sorts that out.

use serde_json::{Value, json};

use super::fields::{Base, Field, get};

/// More pods than this are the node's matter, not the operator's, and take minutes.
const PODS: i64 = 12;
/// The longest text that is made of a pattern.
const LONG: u64 = 253;

/// What becomes of a field, in a word, and its value then; none takes it away.
pub(super) type Change = (String, Option<Value>);

/// The changes of a field.
#[must_use]
pub(super) fn changes(field: &Field, schema: &Value) -> Vec<Change> {
    let base = field.base.spec();
    let now = get(&base, field.path).cloned().unwrap_or_default();
    let mut changes = vec![("other".to_owned(), Some(field.other.clone())), ("removed".to_owned(), None)];
    let words = schema["enum"].as_array().into_iter().flatten();
    changes.extend(words.map(|word| (format!("to-{}", word.as_str().unwrap_or_default()), Some(word.clone()))));
    changes.extend(schema.get("default").map(|default| ("default".to_owned(), Some(default.clone()))));
    let more = match schema["type"].as_str().unwrap_or_default() {
        "boolean" => vec![of("on", true), of("off", false)],
        "integer" => of_number(field.path, schema, &now),
        "string" => of_text(field.path, schema, &now),
        "array" => of_list(schema, &now, &field.other),
        _ => of_map(schema, &now),
    };
    changes.extend(more);
    changes
}

fn of(name: &str, value: impl Into<Value>) -> Change {
    (name.to_owned(), Some(value.into()))
}

fn of_number(path: &str, schema: &Value, now: &Value) -> Vec<Change> {
    let (least, most) = (schema["minimum"].as_f64().unwrap_or(0.0), schema["maximum"].as_f64().unwrap_or(0.0));
    #[expect(clippy::cast_possible_truncation, reason = "bounds of whole numbers")]
    let (least, most) = (least as i64, most as i64);
    let most = if path.ends_with("eplicas") { most.min(PODS) } else { most };
    let now = now.as_i64().unwrap_or(least);
    vec![of("least", least), of("most", most), of("one-more", now + 1), of("one-less", now - 1), of("twice", now * 2)]
}

fn of_text(path: &str, schema: &Value, now: &Value) -> Vec<Change> {
    if schema.get("enum").is_some() {
        return Vec::new();
    }
    if path.ends_with("ecretRef.name") {
        return ["otx", "otx-teams", "valkey", "collector"].map(|name| of(&format!("to-{name}"), name)).into();
    }
    if path.ends_with("ecretRef.key") {
        return ["spare", "own", "a", "password"].map(|key| of(&format!("to-{key}"), key)).into();
    }
    if path.contains("configMapRef") || path.ends_with("priorityClassName") {
        // There are two of each, and `other` is the second.
        return Vec::new();
    }
    let pattern = schema["pattern"].as_str().unwrap_or_default();
    if pattern.contains("(ms|s|m|h)") {
        return of_time(schema, now);
    }
    if pattern.contains("m?$") {
        return ["1m", "999m", "1000m", "4", "64"].map(|amount| of(&format!("of-{amount}"), amount)).into();
    }
    if pattern.contains("Ki|Mi") {
        return ["1Mi", "72Mi", "73728Ki", "90M", "2Gi"].map(|amount| of(&format!("of-{amount}"), amount)).into();
    }
    if let Some((scheme, _)) = pattern.split_once("s?://") {
        return of_url(scheme.trim_start_matches('^'));
    }
    if path.ends_with("sampleRatio") {
        return vec![of("all", "1"), of("least", "0.000001")];
    }
    if path == "log.level" {
        return vec![of("by-module", "info,hyper=warn"), of("off", "off")];
    }
    let longest = schema["maxLength"].as_u64().unwrap_or(0).min(LONG);
    let is_name = pattern.starts_with("^[a-z0-9]") || pattern.starts_with("^[A-Za-z0-9");
    if !is_name || pattern.contains("sha256") {
        return Vec::new();
    }
    vec![of("shortest", "x"), of("longest", text(longest, pattern.contains(r"(\.")))]
}

/// A name of just this length, of labels where it may have several.
fn text(length: u64, has_labels: bool) -> String {
    let is_dot = |at: u64| has_labels && at % 64 == 63 && at + 1 < length;
    (0..length).map(|at| if is_dot(at) { '.' } else { 'a' }).collect()
}

fn of_time(schema: &Value, now: &Value) -> Vec<Change> {
    // The longest stands in the rule's message: `at most 300s`.
    let rules = schema["x-kubernetes-validations"].to_string();
    let longest = rules.split("at most ").nth(1).and_then(|rest| rest.split(['s', ',']).next()).unwrap_or("1");
    let mut changes = vec![of("shortest", "1ms"), of("longest", format!("{longest}s")), of("none", "0s")];
    let now = now.as_str().unwrap_or_default();
    let unit = now.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let number: u64 = now.trim_end_matches(unit).parse().unwrap_or(0);
    let finer = match unit {
        "s" => format!("{}ms", number * 1000),
        "m" => format!("{}s", number * 60),
        "h" => format!("{}m", number * 60),
        _ => return changes,
    };
    changes.push(of("in-finer-unit", finer));
    changes
}

fn of_url(scheme: &str) -> Vec<Change> {
    vec![
        of("at-a-port", format!("{scheme}://other.example:8443")),
        of("with-tls", format!("{scheme}s://other.example")),
        of("at-an-address", format!("{scheme}://192.0.2.77:8080")),
        of("at-an-address-of-6", format!("{scheme}://[2001:db8::7]:8080")),
    ]
}

fn of_list(schema: &Value, now: &Value, other: &Value) -> Vec<Change> {
    let items = |list: &Value| list.as_array().cloned().unwrap_or_default();
    let (now, other) = (items(now), items(other));
    let both = [now, other.clone()].concat();
    let turned: Vec<_> = both.iter().rev().cloned().collect();
    let mut changes = vec![of("emptied", json!([])), of("one-more", both), of("turned-around", turned)];
    let most = usize::try_from(schema["maxItems"].as_u64().unwrap_or(0)).unwrap_or(0);
    if let Some(first) = other.first().and_then(Value::as_str) {
        // Another number or letter at the start makes another host, origin or block of each.
        let nth = |at: usize| match first.split_once("//") {
            Some((start, host)) => format!("{start}//n{at}.{host}"),
            None if first.contains('/') => format!("203.0.113.{at}/32"),
            None => format!("n{at}.{first}"),
        };
        changes.push(of("filled", (0..most).map(nth).collect::<Vec<_>>()));
    }
    changes
}

fn of_map(schema: &Value, now: &Value) -> Vec<Change> {
    let mut more = now.clone();
    more["example.net/more"] = "x".into();
    let mut blank = now.clone();
    for value in blank.as_object_mut().into_iter().flat_map(|entries| entries.values_mut()) {
        *value = "".into();
    }
    let most = schema["maxProperties"].as_u64().unwrap_or(0);
    let filled: serde_json::Map<_, _> = (0..most).map(|at| (format!("example.net/n{at}"), json!("x"))).collect();
    vec![of("emptied", json!({})), of("one-more", more), of("blank", blank), of("filled", filled)]
}

/// Sections of the spec that are there and can be left out, by path.
#[must_use]
pub(super) fn sections(base: Base, schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect("", &base.spec(), schema, &mut found);
    found
}

fn collect(path: &str, spec: &Value, schema: &Value, found: &mut Vec<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let Some(there) = spec.get(name).filter(|_| field.get("properties").is_some()) else { continue };
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        collect(&path, there, field, found);
        found.push(path);
    }
}
