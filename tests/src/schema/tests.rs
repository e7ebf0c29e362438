#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use super::*;

const SIGHTING: &str = "transient:sighting-11111111-1111-4111-8111-111111111111";
const INDICATOR: &str = "transient:indicator-22222222-2222-5222-8222-222222222222";

/// A right answer: one match.
fn answer() -> Value {
    json!({"data": {
        "indicators": {"count": 1, "docs": [{
            "confidence": "High", "external_ids": ["p1"], "id": INDICATOR, "producer": "rose",
            "schema_version": "1.0.17", "short_description": "", "source": "AlienVault OTX",
            "source_uri": "https://otx.example/pulse/p1", "tags": ["a"], "title": "t", "tlp": "green",
            "type": "indicator", "valid_time": {"start_time": "2026-01-01T00:00:00Z"},
        }]},
        "relationships": {"count": 1, "docs": [{
            "id": "transient:relationship-33333333-3333-4333-8333-333333333333", "relationship_type": "member-of",
            "schema_version": "1.0.17", "source_ref": SIGHTING, "target_ref": INDICATOR, "type": "relationship",
        }]},
        "sightings": {"count": 1, "docs": [{
            "confidence": "High", "count": 1, "description": "", "external_ids": ["p1"], "id": SIGHTING,
            "internal": false, "observables": [{"type": "ip", "value": "192.0.2.1"}],
            "observed_time": {"end_time": "2026-01-01T00:00:00Z", "start_time": "2026-01-01T00:00:00Z"},
            "schema_version": "1.0.17", "source": "AlienVault OTX", "source_uri": "https://otx.example/pulse/p1",
            "title": "t", "tlp": "green", "type": "sighting",
        }]},
    }})
}

fn bytes(value: &Value) -> Vec<u8> {
    format!("{value}\n").into_bytes()
}

#[test]
fn a_right_answer_passes() {
    assert_eq!(check(Answer::Observe, &bytes(&answer())), Ok(answer()));
    for (kind, value) in [
        (Answer::Observe, json!({"data": {}})),
        (Answer::Observe, json!({"errors": [{"code": "oops", "message": "m", "type": "fatal"}]})),
        (Answer::Refer, json!({"data": []})),
        (Answer::Health, json!({"data": {"status": "ok"}})),
        (Answer::Version, json!({"version": "2.0.4"})),
        (Answer::Watchdog, json!({"data": "x"})),
        (Answer::HttpError, json!({"code": 404, "message": "m", "reason": "r"})),
    ] {
        assert_eq!(check(kind, &bytes(&value)), Ok(value), "{kind:?}");
    }
}

#[test]
fn every_defect_of_a_bundle_is_found() {
    let indicator = "/data/indicators/docs/0";
    let sighting = "/data/sightings/docs/0";
    let relationship = "/data/relationships/docs/0";
    let cases: &[(&str, &str, &str, Value)] = &[
        ("an unknown key in a document", indicator, "verdict", json!(1)),
        ("an unknown kind of document", "/data", "attack-patterns", json!({"count": 0, "docs": []})),
        ("a third key in the envelope", "", "warnings", json!([])),
        ("a wrong count", "/data/indicators", "count", json!(2)),
        ("a colour in upper case", indicator, "tlp", json!("GREEN")),
        ("a title that is null", indicator, "title", Value::Null),
        ("a title of 1025 letters", indicator, "title", json!("t".repeat(1025))),
        ("a title of 1026 UTF-16 units", indicator, "title", json!("😀".repeat(513))),
        ("a tag of 1025 letters", indicator, "tags", json!(["t".repeat(1025)])),
        ("tags that are one string", indicator, "tags", json!("a")),
        ("a short_description of 2049 letters", indicator, "short_description", json!("d".repeat(2049))),
        ("a description of 5001 letters", sighting, "description", json!("d".repeat(5001))),
        ("a time without a zone", indicator, "valid_time", json!({"start_time": "2026-01-01T00:00:00"})),
        ("a date without a time", indicator, "valid_time", json!({"start_time": "2026-01-01Z"})),
        ("a time with two zones", indicator, "valid_time", json!({"start_time": "2026-01-01T00:00:00ZZ"})),
        ("a thirteenth month", indicator, "valid_time", json!({"start_time": "2026-13-01T00:00:00Z"})),
        ("a time before 1970", indicator, "valid_time", json!({"start_time": "1969-12-31T23:59:59Z"})),
        ("a time after 2525", indicator, "valid_time", json!({"start_time": "2525-01-01T00:00:01Z"})),
        (
            "an end before the start",
            indicator,
            "valid_time",
            json!({"start_time": "2026-01-02T00:00:00Z", "end_time": "2026-01-01T00:00:00Z"}),
        ),
        ("a source_uri that is none", indicator, "source_uri", json!("/pulse/p1")),
        ("an id without its type", sighting, "id", json!("transient:11111111-1111-4111-8111-111111111111")),
        ("an id of another type", sighting, "id", json!(INDICATOR)),
        ("a reference to nothing", relationship, "target_ref", json!(SIGHTING.replace("sighting", "indicator"))),
        ("a member-of turned round", relationship, "source_ref", json!(INDICATOR)),
        ("a relationship of no known type", relationship, "relationship_type", json!("likes")),
        ("an observable of no known type", sighting, "observables", json!([{"type": "IP", "value": "x"}])),
        ("a count below zero", sighting, "count", json!(-1)),
        ("an error of no known code", "", "errors", json!([{"code": "eh", "message": "m", "type": "fatal"}])),
        ("an error of no known type", "", "errors", json!([{"code": "oops", "message": "m", "type": "info"}])),
        (
            "an error with a fourth key",
            "",
            "errors",
            json!([{"code": "oops", "message": "m", "type": "fatal", "trace": "x"}]),
        ),
        ("an empty list of errors", "", "errors", json!([])),
    ];
    for (what, place, key, wrong) in cases {
        let mut value = answer();
        value.pointer_mut(place).unwrap()[*key] = wrong.clone();
        assert!(check(Answer::Observe, &bytes(&value)).is_err(), "{what} passed");
    }
}

#[test]
fn every_required_key_is_missed() {
    for (kind, keys) in [
        ("indicators", &["id", "type", "schema_version", "valid_time", "producer"][..]),
        ("sightings", &["id", "type", "schema_version", "observed_time", "confidence", "count"]),
        ("relationships", &["id", "type", "schema_version", "relationship_type", "source_ref", "target_ref"]),
    ] {
        for key in keys {
            let mut value = answer();
            value["data"][kind]["docs"][0].as_object_mut().unwrap().remove(*key);
            assert!(check(Answer::Observe, &bytes(&value)).is_err(), "{kind} without {key} passed");
        }
    }
}

#[test]
fn the_same_document_twice_is_found() {
    let mut value = answer();
    let again = value["data"]["sightings"]["docs"][0].clone();
    value["data"]["sightings"] = json!({"count": 2, "docs": [again.clone(), again]});
    assert!(check(Answer::Observe, &bytes(&value)).is_err());
}

#[test]
fn two_documents_with_one_id_are_found() {
    let mut value = answer();
    let (one, mut other) =
        (value["data"]["indicators"]["docs"][0].clone(), answer()["data"]["indicators"]["docs"][0].take());
    other["title"] = json!("another");
    value["data"]["indicators"] = json!({"count": 2, "docs": [one, other]});
    let problems = check(Answer::Observe, &bytes(&value)).unwrap_err();
    assert!(problems.iter().any(|problem| problem.contains("stands twice")), "{problems:?}");
}
