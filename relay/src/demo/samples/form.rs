//! What a captured body is, told by its keys, and the rows that can be got out of it.

use serde_json::{Map, Value, json};

/// The forms that are served.
pub(super) enum Form {
    General { indicator: String, answer_type: String, pulses: usize },
    Pulse { id: String },
    Listing,
    Search,
    Account,
    Errors,
}

/// The form of a body, or `None`.
pub(super) fn of(content: &Value) -> Option<Form> {
    let text = |key: &str| content[key].as_str().map(str::to_owned);
    if let Some(entries) = content.as_array() {
        return entries.iter().all(|entry| entry["status"].is_u64()).then_some(Form::Errors);
    }
    if let Some(pulses) = content["pulse_info"]["pulses"].as_array() {
        let (indicator, answer_type) = (text("indicator")?, text("type")?);
        let active = pulses.iter().filter(|pulse| pulse["related_indicator_is_active"] != 0).count();
        return Some(Form::General { indicator, answer_type, pulses: active });
    }
    if content["indicators"].is_array() {
        return text("id").map(|id| Form::Pulse { id });
    }
    if content["results"].is_array() {
        return Some(if content["exact_match"].is_string() { Form::Search } else { Form::Listing });
    }
    (content["username"].is_string() && content["user_id"].is_u64()).then_some(Form::Account)
}

/// The rows of a listing, by the pulse they are of.
pub(super) fn listed_rows(content: &Value) -> Vec<(String, Vec<Value>)> {
    let mut by_pulse: Vec<(String, Vec<Value>)> = Vec::new();
    for row in content["results"].as_array().into_iter().flatten() {
        let id = row["pulse_key"].as_str().unwrap_or_default();
        match by_pulse.iter_mut().find(|(known, _)| known == id) {
            Some((_, rows)) => rows.push(row.clone()),
            None => by_pulse.push((id.to_owned(), vec![row.clone()])),
        }
    }
    by_pulse
}

/// The rows of a pulse given whole, as a listing has them.
pub(super) fn detail_rows(id: &str, content: &Value) -> Vec<Value> {
    let rows = content["indicators"].as_array().into_iter().flatten().filter_map(Value::as_object);
    rows.map(|row| listed(id, row.clone())).collect()
}

/// The row that an answer about an indicator implies for one of its pulses: added when the pulse was made.
pub(super) fn derived_row(id: &str, pulse: &Value, general: &Value) -> Value {
    let created = pulse["created"].as_str().map(|time| time.get(..19).unwrap_or(time));
    let mut row = Map::new();
    row.insert("id".into(), general["base_indicator"]["id"].clone());
    row.insert("indicator".into(), general["indicator"].clone());
    row.insert("type".into(), general["type_title"].clone());
    row.insert("created".into(), json!(created));
    row.insert("content".into(), json!(""));
    row.insert("title".into(), json!(""));
    row.insert("description".into(), json!(""));
    row.insert("expiration".into(), Value::Null);
    row.insert("is_active".into(), pulse["related_indicator_is_active"].clone());
    row.insert("derived".into(), json!(true));
    listed(id, row)
}

/// The bodies of captured refusals by status, as far as they were captured to the letter.
pub(super) fn error_bodies(content: &Value) -> impl Iterator<Item = (u16, Value)> + '_ {
    content.as_array().into_iter().flatten().filter_map(|entry| {
        let status = entry["status"].as_u64().and_then(|status| u16::try_from(status).ok())?;
        let detail = entry["body"]["detail"].as_str()?;
        (!detail.starts_with('<')).then(|| (status, entry["body"].clone()))
    })
}

fn listed(id: &str, mut row: Map<String, Value>) -> Value {
    let slug = match row.get("type").and_then(Value::as_str).unwrap_or_default() {
        hash if hash.starts_with("FileHash") => "file",
        "URL" => "url",
        "CVE" => "cve",
        other => other,
    };
    let slug = slug.to_owned();
    row.insert("slug".into(), slug.into());
    row.insert("pulse_key".into(), id.into());
    row.insert("false_positive".into(), json!({"assessment": null, "assessment_date": null, "report_date": null}));
    row.into()
}
