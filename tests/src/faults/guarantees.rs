//! What the operator promises of every single write, whatever it was decided on, read off the wire:
//!
//! - G1 what it creates has exactly one controller, a `ThreatRelay` of the namespace by its uid;
//! - G2 what it changes is named by uid and resource version, and is controlled by the `ThreatRelay` for which it acts;
//! - G3 what it deletes is named by uid and resource version too;
//! - G4 it writes no finalizer;
//! - G5 only the holder of the lease writes (seen where there is a lease: the runs with two operators);
//! - G6 it does only what its role allows, and writes in no other way than these;
//! - G7 it writes nothing for a `ThreatRelay` that was being deleted when it was read.

use std::collections::HashMap;

use serde_json::Value;

use super::fault::Fault;
use super::oracles::Finding;
use super::run::Record;
use crate::faultproxy::call::{Class, Verb};
use crate::faultproxy::trace::Entry;

/// The resource version that stands for "there is no object yet".
const NO_OBJECT: &str = "1";

/// Writes of who has lost the lease that are let pass: one may be under way when it is lost.
const STALE_WRITES: usize = 1;

/// The promises that a run broke.
#[must_use]
pub fn broken(record: &Record) -> Vec<Finding> {
    let known = Known::of(record);
    // An API server that has just started knows no roles for a moment.
    let may_be_refused = matches!(record.fault, Some(Fault::Withdrawn | Fault::Refused(_) | Fault::Servers(_)));
    let mut findings = Vec::new();
    for trace in [&record.trace, &record.second] {
        let mut read = 0;
        for entry in trace {
            if entry.call.verb == Verb::Get && entry.call.resource == "threatrelays" {
                read = revision(entry).unwrap_or_default();
            }
            if entry.status == Some(403) && !entry.struck && !may_be_refused {
                findings.push(finding("G6", entry, "is refused for want of a right"));
            }
            if entry.call.class() == Class::Write {
                let of_deleted = known.of_deleted(entry, read);
                let of_write = of_write(entry, &known).into_iter().chain(of_deleted);
                findings.extend(of_write.map(|(rule, what)| finding(rule, entry, what)));
            }
        }
    }
    findings.extend(beside_the_holder([&record.trace, &record.second]));
    findings
}

fn revision(entry: &Entry) -> Option<u64> {
    entry.resource_version.as_ref()?.parse().ok()
}

/// Writes of the one of two operators that did not hold the lease at their revision.
fn beside_the_holder(traces: [&[Entry]; 2]) -> Vec<Finding> {
    let done = |entry: &Entry| entry.status.is_some_and(|status| status < 300) && entry.call.class() == Class::Write;
    let all = traces.into_iter().enumerate();
    let done: Vec<_> =
        all.flat_map(|(who, trace)| trace.iter().filter(|entry| done(entry)).map(move |e| (who, e))).collect();
    let is_lease = |entry: &Entry| entry.call.resource == "leases";
    let mut held: Vec<_> =
        done.iter().filter(|(_, entry)| is_lease(entry)).filter_map(|(who, e)| Some((revision(e)?, *who))).collect();
    held.sort_unstable();
    let stale = done.iter().filter(|(who, entry)| {
        let is_about_relays = !is_lease(entry) && entry.call.resource != "events";
        let holder = revision(entry).and_then(|at| held.iter().rev().find(|(since, _)| *since <= at));
        is_about_relays && holder.is_some_and(|(_, holder)| holder != who)
    });
    let findings: Vec<_> = stale.map(|(_, entry)| finding("G5", entry, "is of who has lost the lease")).collect();
    if findings.len() > STALE_WRITES { findings } else { Vec::new() }
}

fn finding(rule: &'static str, entry: &Entry, what: &str) -> Finding {
    let call = &entry.call;
    let dot = if call.subresource.is_empty() { "" } else { "." };
    let what = format!(
        "request {}, {:?} {}{dot}{} {:?}: {what}",
        entry.number, call.verb, call.resource, call.subresource, call.name
    );
    Finding { rule, what }
}

/// What the history knows of objects by their uid.
struct Known<'a> {
    relays: Vec<&'a str>,
    /// The controllers that each object has had.
    controllers: HashMap<&'a str, Vec<&'a str>>,
    /// The revisions from which on relays were being deleted.
    deleted: HashMap<&'a str, u64>,
}

impl<'a> Known<'a> {
    fn of(record: &'a Record) -> Self {
        let mut known = Self { relays: Vec::new(), controllers: HashMap::new(), deleted: HashMap::new() };
        for seen in &record.chronicle.seen {
            if seen.key.0 == "ThreatRelay" {
                known.relays.push(seen.meta("uid"));
                if !seen.meta("deletionTimestamp").is_empty() {
                    let since = known.deleted.entry(seen.meta("uid")).or_insert(seen.revision);
                    *since = seen.revision.min(*since);
                }
            }
            known.controllers.entry(seen.meta("uid")).or_default().extend(controllers(&seen.object));
        }
        known
    }

    /// What is written for a relay that was read at revision `read`.
    fn of_deleted(&self, entry: &Entry, read: u64) -> Option<(&'static str, &'static str)> {
        let body: Value = serde_json::from_slice(&entry.body).unwrap_or_default();
        let owners = controllers(&body);
        let is_deleted = |owner: &&str| self.deleted.get(owner).is_some_and(|since| read >= *since);
        owners.iter().any(is_deleted).then_some(("G7", "it is for a ThreatRelay that was seen being deleted"))
    }
}

fn controllers(object: &Value) -> Vec<&str> {
    let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    owners.filter(|owner| owner["controller"] == true).filter_map(|owner| owner["uid"].as_str()).collect()
}

fn of_write(entry: &Entry, known: &Known<'_>) -> Option<(&'static str, &'static str)> {
    let body: Value = serde_json::from_slice(&entry.body).unwrap_or_default();
    let meta = &body["metadata"];
    let said = |field: &str| meta[field].as_str().unwrap_or_default();
    if !meta["finalizers"].is_null() {
        return Some(("G4", "a finalizer is written"));
    }
    match (entry.call.verb, &*entry.call.resource) {
        // Told, not owned.
        (Verb::Create | Verb::Patch, "events") | (Verb::Create | Verb::Update | Verb::Patch, "leases") => None,
        (Verb::Apply, "threatrelays") => {
            let is_status = entry.call.subresource == "status";
            let is_named = known.relays.contains(&said("uid")) && !said("resourceVersion").is_empty();
            match (is_status, is_named) {
                (true, true) => None,
                (true, false) => Some(("G2", "a status of no resource version of this object")),
                (false, _) => Some(("G6", "the resource itself is written")),
            }
        }
        (Verb::Apply, _) => {
            let owners = controllers(&body);
            let is_owned = owners.len() == 1 && owners.iter().all(|owner| known.relays.contains(owner));
            if !is_owned {
                return Some(("G1", "it has not exactly one controller that is a ThreatRelay of here"));
            }
            if said("resourceVersion") == NO_OBJECT {
                return None;
            }
            let held = known.controllers.get(said("uid"));
            match held {
                _ if said("resourceVersion").is_empty() => Some(("G2", "it names no resource version")),
                Some(held) if owners.iter().all(|owner| held.contains(owner)) => None,
                _ => Some(("G2", "the object that it names is not of the same controller")),
            }
        }
        (Verb::Delete, _) => {
            let is_named = ["uid", "resourceVersion"].iter().all(|field| body["preconditions"][field].is_string());
            (!is_named).then_some(("G3", "it does not name uid and resource version"))
        }
        _ => Some(("G6", "no write of this kind is promised")),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;
    use crate::faultproxy::call::Call;

    fn entry(verb: Verb, resource: &str, body: &Value) -> Entry {
        let call = Call {
            verb,
            group: String::new(),
            version: "v1".to_owned(),
            resource: resource.to_owned(),
            namespace: "n".to_owned(),
            name: "r".to_owned(),
            subresource: if resource == "threatrelays" { "status".to_owned() } else { String::new() },
            manager: String::new(),
            dry_run: false,
        };
        let body = Bytes::from(body.to_string());
        Entry { number: 1, call, status: Some(200), resource_version: None, struck: false, body }
    }

    #[test]
    fn each_promise_is_seen_when_it_is_broken() {
        let known = Known {
            relays: vec!["cr"],
            controllers: HashMap::from([("mine", vec!["cr"]), ("theirs", vec![])]),
            deleted: HashMap::from([("cr", 9)]),
        };
        let child = |uid: &str, version: &str, owners: Value| json!({"metadata": {"uid": uid, "resourceVersion": version, "ownerReferences": owners}});
        let ours = || json!([{"uid": "cr", "controller": true}]);
        let preconditions = |value: Value| json!({"preconditions": value});
        for (case, verb, resource, body, expected) in [
            ("a create", Verb::Apply, "services", child("", "1", ours()), None),
            ("without owner", Verb::Apply, "services", child("", "1", json!([])), Some("G1")),
            (
                "of another",
                Verb::Apply,
                "services",
                child("", "1", json!([{"uid": "x", "controller": true}])),
                Some("G1"),
            ),
            ("a change", Verb::Apply, "services", child("mine", "7", ours()), None),
            ("at no version", Verb::Apply, "services", child("mine", "", ours()), Some("G2")),
            ("of what is not ours", Verb::Apply, "services", child("theirs", "7", ours()), Some("G2")),
            ("a delete", Verb::Delete, "services", preconditions(json!({"uid": "u", "resourceVersion": "3"})), None),
            ("by name", Verb::Delete, "services", Value::Null, Some("G3")),
            ("by uid alone", Verb::Delete, "services", preconditions(json!({"uid": "u"})), Some("G3")),
            ("a finalizer", Verb::Apply, "services", json!({"metadata": {"finalizers": ["f"]}}), Some("G4")),
            (
                "a status",
                Verb::Apply,
                "threatrelays",
                json!({"metadata": {"uid": "cr", "resourceVersion": "2"}}),
                None,
            ),
            ("of nothing", Verb::Apply, "threatrelays", json!({"metadata": {"uid": "cr"}}), Some("G2")),
            ("a PUT", Verb::Update, "services", child("mine", "7", ours()), Some("G6")),
            ("an event", Verb::Create, "events", json!({}), None),
        ] {
            let found = of_write(&entry(verb, resource, &body), &known).map(|(rule, _)| rule);
            assert_eq!(found, expected, "{case}");
        }
        let made = entry(Verb::Apply, "services", &child("", "1", ours()));
        assert_eq!([8, 9].map(|read| known.of_deleted(&made, read).is_some()), [false, true]);
    }

    #[test]
    fn of_two_who_writes_without_the_lease_is_seen() {
        let at = |resource: &str, revision: u32| {
            let resource_version = Some(revision.to_string());
            Entry { resource_version, ..entry(Verb::Update, resource, &json!({})) }
        };
        let second = [at("leases", 20), at("services", 21)];
        let writes = |revisions: &[u32]| {
            let own = revisions.iter().map(|revision| at("services", *revision));
            let first: Vec<_> = [at("leases", 10)].into_iter().chain(own).collect();
            beside_the_holder([&first, &second]).len()
        };
        assert_eq!((writes(&[11, 19]), writes(&[19, 22]), writes(&[22, 23])), (0, 0, 2));
    }
}
