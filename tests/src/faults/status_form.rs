//! The form that every status that was ever stored has: no claim about a generation that is not there yet, none that
//! goes back, times that move only with what they are the time of, words and lengths that programs can rely on.

use std::collections::HashMap;

use serde_json::Value;

use super::fault::Fault;
use super::history::Seen;
use super::oracles::Finding;
use super::run::Record;
use super::turmoil::Edit;

/// What each step of the status says wrong.
#[must_use]
pub fn broken(record: &Record) -> Vec<Finding> {
    let is_edited = record.fault == Some(Fault::Edited(Edit::Status));
    let is_whole = !record.chronicle.has_gaps && !is_edited;
    let mut findings = Vec::new();
    let mut before: HashMap<&str, &Value> = HashMap::new();
    for seen in record.chronicle.seen.iter().filter(|seen| seen.key.0 == "ThreatRelay" && !seen.is_gone) {
        let now = &*seen.object;
        let was = before.get(seen.meta("uid")).filter(|_| is_whole);
        let problems = of_state(now).into_iter().chain(was.and_then(|was| of_step(was, now)));
        findings.extend(problems.map(|what| finding(seen, &what)));
        before.insert(seen.meta("uid"), now);
    }
    findings
}

fn finding(seen: &Seen, what: &str) -> Finding {
    Finding { rule: "O6", what: format!("status at revision {}: {what}", seen.revision) }
}

fn conditions(relay: &Value) -> impl Iterator<Item = &Value> {
    relay["status"]["conditions"].as_array().into_iter().flatten()
}

fn of_state(relay: &Value) -> Option<String> {
    let number = |value: &Value| value.as_i64().unwrap_or_default();
    if number(&relay["status"]["observedGeneration"]) > number(&relay["metadata"]["generation"]) {
        return Some("observedGeneration is ahead of the generation".to_owned());
    }
    conditions(relay).find_map(|condition| {
        let said = |field: &str| condition[field].as_str().unwrap_or_default();
        let is_word = |text: &str| {
            text.starts_with(|first: char| first.is_ascii_uppercase())
                && text.chars().all(|c| c.is_ascii_alphanumeric())
        };
        let is_good = is_word(said("type"))
            && is_word(said("reason"))
            && ["True", "False", "Unknown"].contains(&said("status"))
            && said("message").len() <= 1024;
        (!is_good).then(|| format!("{condition} has not the form of a condition"))
    })
}

fn of_step(was: &Value, now: &Value) -> Option<String> {
    let observed = |relay: &Value| relay["status"]["observedGeneration"].as_i64().unwrap_or_default();
    if observed(now) < observed(was) {
        return Some("observedGeneration goes back".to_owned());
    }
    conditions(now).find_map(|condition| {
        let same = conditions(was).find(|former| former["type"] == condition["type"])?;
        let has_moved = same["lastTransitionTime"] != condition["lastTransitionTime"];
        let has_changed = same["status"] != condition["status"];
        (has_moved && !has_changed).then(|| format!("the time of {} moves without its status", condition["type"]))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn relay(observed: i64, status: &str, time: &str, reason: &str) -> Value {
        json!({"metadata": {"generation": 2}, "status": {"observedGeneration": observed, "conditions": [
            {"type": "Ready", "status": status, "reason": reason, "message": "", "lastTransitionTime": time},
        ]}})
    }

    #[test]
    fn each_fault_of_form_is_seen() {
        let good = relay(1, "True", "1", "Reconciled");
        assert_eq!(of_state(&good), None);
        assert_eq!(of_step(&good, &relay(2, "False", "2", "Progressing")), None);
        assert!(of_state(&relay(3, "True", "1", "Reconciled")).is_some());
        assert!(of_state(&relay(1, "Yes", "1", "Reconciled")).is_some());
        assert!(of_state(&relay(1, "True", "1", "not ready")).is_some());
        assert!(of_step(&relay(2, "True", "1", "R"), &good).is_some());
        assert!(of_step(&good, &relay(1, "True", "2", "Reconciled")).is_some());
    }
}
