//! What a relay may answer, as a JSON Schema and the checks a schema cannot express.
//!
//! A body goes in; it comes out parsed, or as the list of everything that is wrong with it. The schema is written by
//! hand from CTIM's field tables and shares nothing with the relay's own types.

use std::collections::HashSet;
use std::sync::LazyLock;

use jiff::Timestamp;
use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

use crate::canonical::canonical_json;

/// The kinds of answers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// `/observe/observables` (and `/deliberate/observables`).
    Observe,
    /// `/refer/observables`.
    Refer,
    /// `/health`.
    Health,
    /// `/version`.
    Version,
    /// `/watchdog`.
    Watchdog,
    /// A status other than 200.
    HttpError,
}

/// Checks the form of a body, and for [`Answer::Observe`] the documents in it.
///
/// # Errors
/// Everything that is wrong, each with its place.
pub fn check(answer: Answer, body: &[u8]) -> Result<Value, Vec<String>> {
    let value = canonical_json(body).map_err(|problem| vec![problem])?;
    let mut problems: Vec<String> = validator(answer)
        .iter_errors(&value)
        .map(|error| {
            let place = error.instance_path().to_string();
            format!("{place}: {error}")
        })
        .collect();
    if answer == Answer::Observe {
        problems.extend(inconsistencies(&value["data"]));
    }
    if problems.is_empty() { Ok(value) } else { Err(problems) }
}

static SCHEMA: LazyLock<Result<Value, serde_json::Error>> =
    LazyLock::new(|| serde_json::from_str(include_str!("relay.schema.json")));

#[expect(clippy::expect_used, reason = "the schema is checked in; a test that cannot read it cannot go on")]
fn validator(answer: Answer) -> &'static Validator {
    fn build(name: &str) -> Validator {
        let schema = SCHEMA.as_ref().expect("relay.schema.json is JSON");
        let root = json!({"$ref": format!("#/$defs/{name}"), "$defs": schema["$defs"]});
        jsonschema::options()
            .with_draft(Draft::Draft202012)
            .should_validate_formats(true)
            .build(&root)
            .expect("relay.schema.json is a JSON Schema")
    }
    static OBSERVE: LazyLock<Validator> = LazyLock::new(|| build("observe"));
    static REFER: LazyLock<Validator> = LazyLock::new(|| build("refer"));
    static HEALTH: LazyLock<Validator> = LazyLock::new(|| build("health"));
    static VERSION: LazyLock<Validator> = LazyLock::new(|| build("version"));
    static WATCHDOG: LazyLock<Validator> = LazyLock::new(|| build("watchdog"));
    static HTTP_ERROR: LazyLock<Validator> = LazyLock::new(|| build("http_error"));
    match answer {
        Answer::Observe => &OBSERVE,
        Answer::Refer => &REFER,
        Answer::Health => &HEALTH,
        Answer::Version => &VERSION,
        Answer::Watchdog => &WATCHDOG,
        Answer::HttpError => &HTTP_ERROR,
    }
}

/// What makes well-formed documents contradict each other or CTIM.
fn inconsistencies(bundle: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let mut ids = HashSet::new();
    let kinds = bundle.as_object().into_iter().flatten();
    let documents: Vec<(&String, &Value)> = kinds
        .clone()
        .flat_map(|(kind, documents)| docs(documents).iter().map(move |document| (kind, document)))
        .collect();
    for (kind, list) in kinds {
        if list["count"] != docs(list).len() {
            problems.push(format!("{kind}: count {} beside {} docs", list["count"], docs(list).len()));
        }
    }
    for (kind, document) in &documents {
        let id = document["id"].as_str().unwrap_or_default();
        if !id.is_empty() && !ids.insert(id) {
            problems.push(format!("{kind}: {id} stands twice"));
        }
        problems.extend(span_problems(document).into_iter().map(|problem| format!("{kind} {id}: {problem}")));
        problems.extend(length_problems(document).into_iter().map(|problem| format!("{kind} {id}: {problem}")));
        if let Some(problem) = disposition_problem(document) {
            problems.push(format!("{kind} {id}: {problem}"));
        }
    }
    for (kind, document) in &documents {
        for reference in ["source_ref", "target_ref", "judgement_id"] {
            let Some(target) = document[reference].as_str() else { continue };
            if !ids.contains(target) {
                problems.push(format!("{kind}: {reference} {target} is in no document"));
            }
        }
        if document["relationship_type"] == "member-of" && !is_member_of(document) {
            problems.push(format!("{kind}: member-of must lead from a sighting to an indicator"));
        }
    }
    problems
}

fn docs(documents: &Value) -> &[Value] {
    documents["docs"].as_array().map_or(&[], Vec::as_slice)
}

fn is_member_of(relationship: &Value) -> bool {
    let starts = |key: &str, with: &str| relationship[key].as_str().is_some_and(|id| id.starts_with(with));
    starts("source_ref", "transient:sighting-") && starts("target_ref", "transient:indicator-")
}

fn span_problems(document: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    for span in ["observed_time", "valid_time"] {
        let time = |end: &str| document[span][end].as_str().and_then(|time| time.parse::<Timestamp>().ok());
        let last: Timestamp = "2525-01-01T00:00:00Z".parse().unwrap_or(Timestamp::MAX);
        let (start, end) = (time("start_time"), time("end_time"));
        if let (Some(start), Some(end)) = (start, end)
            && end < start
        {
            problems.push(format!("{span} ends before it starts"));
        }
        if [start, end].into_iter().flatten().any(|time| time < Timestamp::UNIX_EPOCH || time > last) {
            problems.push(format!("{span} is not within 1970 to 2525-01-01"));
        }
    }
    problems
}

/// CTIM counts UTF-16 units; a schema counts code points.
fn length_problems(document: &Value) -> Vec<String> {
    let texts = [("title", 1024), ("producer", 1024), ("short_description", 2048), ("description", 5000)];
    let too_long = |text: &Value, most: usize| text.as_str().is_some_and(|text| text.encode_utf16().count() > most);
    let mut problems: Vec<String> = texts
        .into_iter()
        .filter(|&(field, most)| too_long(&document[field], most))
        .map(|(field, most)| format!("{field} has more than {most} UTF-16 units"))
        .collect();
    if document["tags"].as_array().is_some_and(|tags| tags.iter().any(|tag| too_long(tag, 1024))) {
        problems.push("a tag has more than 1024 UTF-16 units".to_owned());
    }
    problems
}

fn disposition_problem(document: &Value) -> Option<String> {
    let name = document["disposition_name"].as_str()?;
    let names = ["Clean", "Malicious", "Suspicious", "Common", "Unknown"];
    let number = names.iter().position(|known| *known == name)? + 1;
    (document["disposition"] != number).then(|| format!("disposition {} is not {name}", document["disposition"]))
}

#[cfg(test)]
mod tests;
