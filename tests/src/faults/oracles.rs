//! What must hold of a disturbed run, beside an undisturbed one:
//!
//! - O1 every step ends in the same state, and so do all objects, but for what is masked;
//! - O2 every object was created and deleted as often;
//! - O3 every write keeps the guarantees ([`guarantees`](super::guarantees));
//! - O4 then nothing is written any more;
//! - O5 nothing panicked, nothing was logged as an error, and no key is where none belongs;
//! - O6 the status was true whenever it said that all is ready, and kept its form ([`status_form`](super::status_form));
//! - O7 all that within the time that a run has.
//!
//! O4 and O7 are part of the wait for O1: a state counts only when writing has ended, and only in time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::fault::Fault;
use super::guarantees;
use super::history::{Key, Seen};
use super::masks::{State, differences, state};
use super::reference::Reference;
use super::run::Record;
use super::status_form;
use super::turmoil::Edit;

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `O1`, `G3`, …
    pub rule: &'static str,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}

/// Everything that a run broke.
#[must_use]
pub fn judge(reference: &Reference, record: &Record) -> Vec<Finding> {
    let finding = |rule| move |what| Finding { rule, what };
    let mut findings = Vec::new();
    for (end, step) in record.ends.iter().zip(&reference.workload.steps) {
        let lines = end.unsettled.iter().flatten().map(|line| format!("step {}: {line}", step.name));
        findings.extend(lines.map(finding("O1")));
    }
    let is_counted = !matches!(record.fault, Some(Fault::Edited(Edit::Removal)));
    if findings.is_empty() && is_counted {
        let counts = record.chronicle.counts();
        let is_deleted = reference.counts.iter().any(|(key, (_, gone))| key.0 == "ThreatRelay" && *gone > 0);
        for (key, expected) in &reference.counts {
            let found = counts.get(key).copied().unwrap_or_default();
            // A reconcile that began before the resource was deleted may make a child once more, for the garbage
            // collector to take: then only what is left counts.
            let (made, gone) = found;
            let is_left_over = is_deleted && made - gone == expected.0 - expected.1;
            if found != *expected && !is_left_over {
                let what = format!("{}/{} was created and deleted {found:?} times, not {expected:?}", key.0, key.1);
                findings.push(finding("O2")(what));
            }
        }
        let others = counts.keys().filter(|key| !reference.counts.contains_key(*key));
        findings.extend(others.map(|key| format!("{}/{} was made", key.0, key.1)).map(finding("O2")));
    }
    findings.extend(on_the_way(reference, record));
    findings
}

/// What must hold of any run, the undisturbed ones included.
#[must_use]
pub fn on_the_way(reference: &Reference, record: &Record) -> Vec<Finding> {
    let mut findings = guarantees::broken(record);
    findings.extend(logged(&record.log));
    findings.extend(spilled(record));
    findings.extend(record.unseen.clone());
    findings.extend(status_form::broken(record));
    // What others edit is not what the operator said, and of what was missed nothing can be said.
    if !record.chronicle.has_gaps && !matches!(record.fault, Some(Fault::Edited(_))) {
        findings.extend(dishonest(reference, record));
    }
    findings
}

fn logged(log: &str) -> Vec<Finding> {
    let is_bad = |line: &&str| line.contains("ERROR") || line.contains("panicked");
    log.lines().filter(is_bad).map(|line| Finding { rule: "O5", what: line.to_owned() }).collect()
}

/// Keys of users, which begin so in every workload, plain and as Secrets hold them.
const KEYS: [&str; 2] = ["key-one", "key-two"];
const ENCODED_KEYS: [&str; 2] = ["a2V5LW9uZQ", "a2V5LXR3bw"];

fn spilled(record: &Record) -> Vec<Finding> {
    let holds = |text: &str| KEYS.iter().chain(&ENCODED_KEYS).any(|key| text.contains(key));
    let mut findings = Vec::new();
    if holds(&record.log) {
        findings.push(Finding { rule: "O5", what: "a key is in the log".to_owned() });
    }
    for entry in record.trace.iter().filter(|entry| entry.call.resource != "secrets") {
        if holds(&String::from_utf8_lossy(&entry.body)) {
            findings.push(Finding { rule: "O5", what: format!("a key is in a write of {}", entry.call.resource) });
        }
    }
    findings
}

/// Writes of a status that says that all is ready as the resource is now, although it was not.
fn dishonest(reference: &Reference, record: &Record) -> Vec<Finding> {
    let claims = record.chronicle.seen.iter().filter(|seen| seen.key.0 == "ThreatRelay" && claims_ready(seen));
    let claims = claims.filter_map(|seen| {
        let children = |mut state: State| {
            state.retain(|name, _| !name.starts_with("ThreatRelay/"));
            state
        };
        let generation = seen.object["metadata"]["generation"].as_i64().unwrap_or_default();
        let good: Vec<State> = reference.good.get(&generation)?.iter().cloned().map(children).collect();
        let mut then = record.chronicle.at(seen.revision);
        if let Some(text) = unobserved(&then) {
            let what = format!("Ready=True at revision {} although {text}", seen.revision);
            return Some(Finding { rule: "O6", what });
        }
        then.retain(|key, object| {
            // What is on its way out with its former owner is not this one's.
            let owners = object["metadata"]["ownerReferences"].as_array();
            key.0 == "ThreatRelay"
                || owners.is_none_or(|all| all.iter().any(|owner| owner["uid"] == seen.meta("uid")))
        });
        let then = children(state(&then, &record.namespace));
        let closest = good.iter().map(|good| differences(good, &then)).min_by_key(Vec::len)?;
        let first = closest.first()?;
        Some(Finding {
            rule: "O6",
            what: format!("Ready=True at revision {} although {first} ({} in all)", seen.revision, closest.len()),
        })
    });
    claims.collect()
}

/// A Deployment about whose latest change its controller has said nothing yet, so that nobody can know that it is ready.
fn unobserved(objects: &BTreeMap<Key, Arc<Value>>) -> Option<String> {
    let number = |value: &Value| value.as_i64().unwrap_or_default();
    let deployments = objects.iter().filter(|(key, _)| key.0 == "Deployment").map(|(_, deployment)| deployment);
    deployments.into_iter().find_map(|deployment| {
        let (wanted, seen) = (&deployment["metadata"]["generation"], &deployment["status"]["observedGeneration"]);
        (number(seen) < number(wanted)).then(|| format!("the Deployment's generation {wanted} was not looked at yet"))
    })
}

fn claims_ready(seen: &Seen) -> bool {
    let status = &seen.object["status"];
    let is_current = status["observedGeneration"] == seen.object["metadata"]["generation"];
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    let is_ready = conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    !seen.is_gone && is_current && is_ready && seen.meta("deletionTimestamp").is_empty()
}
