#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use serde_json::{Value, json};

use super::*;
use crate::mapping::fixture::{lookup, lookup_in, moment, pulse};
use crate::mapping::{Answers, Telling};
use crate::observable::ObservableType;
use crate::otx::pulse::{Attack, MalwareFamily, Reception, Threat};
use crate::otx::types::{General, Validation};

const TRUSTED: &[String] = &[];

fn told(lookups: &[Lookup], limit: usize) -> Value {
    let now = moment("2024-03-10T11:12:13");
    let web = "https://otx.example/".parse().unwrap();
    let telling = Telling { limit, web: &web, answers: Answers::Rich { now, trusted_authors: TRUSTED } };
    serde_json::to_value(crate::mapping::bundle(lookups, &telling)).unwrap()
}

/// A pulse with something in every field.
fn full() -> Pulse {
    Pulse {
        modified: Some("2024-03-01T10:00:00.123000".into()),
        description: Some("\nFirst line.\nSecond line.".into()),
        indicator_types: vec!["domain".into(), "IPv4".into(), "hostname".into(), "CVE".into()],
        public: true,
        threat: Threat {
            references: vec![
                "HTTPS://Blog.example/a b".into(),
                "a talk".into(),
                "a talk".into(),
                "ftp://x.example/".into(),
                "http://a/%%30".into(),
            ],
            adversary: Some("Paper Lantern".into()),
            malware: vec![MalwareFamily { name: "Slate".into(), target: Some("/malware/Slate".into()) }],
            attacks: vec![
                Attack { id: "T1566.001".into(), name: Some("Spearphishing Attachment".into()) },
                Attack { id: "T1566".into(), name: None },
                Attack { id: "phishing".into(), name: None },
            ],
            countries: vec!["Chile".into()],
            industries: vec!["Finance".into()],
        },
        reception: Reception { upvotes: 3, ..Reception::default() },
        ..pulse("p1")
    }
}

fn documents<'a>(bundle: &'a Value, kind: &str) -> &'a [Value] {
    bundle[kind]["docs"].as_array().map_or(&[], Vec::as_slice)
}

/// Relationships as source type, bond and target type.
fn bonds(bundle: &Value) -> Vec<String> {
    let kind = |reference: &Value| {
        let text = reference.as_str().unwrap();
        text["transient:".len()..text.len() - 37].to_owned()
    };
    let all = documents(bundle, "relationships").iter();
    all.map(|it| {
        format!(
            "{} {} {}",
            kind(&it["source_ref"]),
            it["relationship_type"].as_str().unwrap(),
            kind(&it["target_ref"])
        )
    })
    .collect()
}

#[test]
fn an_indicator_tells_all_that_its_pulse_says() {
    let bundle = told(&[lookup("192.0.2.1", vec![full()], &[("2024-01-02T03:04:05", None)])], 100);
    let indicator = &documents(&bundle, "indicators")[0];
    assert_eq!(
        *indicator,
        json!({
            "confidence": "Medium",
            "description": "First line.\nSecond line.",
            "external_ids": ["p1"],
            "external_references": [
                {"external_id": "p1", "source_name": "AlienVault OTX", "url": "https://otx.example/pulse/p1"},
                {"source_name": "blog.example", "url": "https://blog.example/a%20b"},
                {"description": "a talk", "source_name": "AlienVault OTX"},
                {"description": "ftp://x.example/", "source_name": "AlienVault OTX"},
                {"description": "http://a/%%30", "source_name": "AlienVault OTX"},
            ],
            "id": "transient:indicator-89705643-91cc-5de2-87fc-3fb94942babb",
            "indicator_type": ["Domain Watchlist", "IP Watchlist"],
            "producer": "rose", "schema_version": "1.0.17", "short_description": "First line.",
            "source": "AlienVault OTX", "source_uri": "https://otx.example/pulse/p1",
            "tags": ["c2", "targeted-country:Chile", "industry:Finance"],
            "timestamp": "2024-03-01T10:00:00Z", "title": "Campaign", "tlp": "green", "type": "indicator",
            "valid_time": {"end_time": "2024-03-31T10:00:00Z", "start_time": "2024-01-02T03:04:05Z"},
        })
    );
}

#[test]
fn a_pulse_indicates_what_it_names_and_a_part_belongs_to_its_technique() {
    let bundle = told(&[lookup("192.0.2.1", vec![full()], &[("2024-01-02T03:04:05", None)])], 100);
    assert_eq!(
        bonds(&bundle),
        [
            "sighting member-of indicator",
            "indicator indicates actor",
            "indicator indicates malware",
            "indicator indicates attack-pattern",
            "indicator indicates attack-pattern",
            "judgement based-on indicator",
            "attack-pattern subtechnique-of attack-pattern",
        ]
    );
    let (actor, malware) = (&documents(&bundle, "actors")[0], &documents(&bundle, "malwares")[0]);
    assert_eq!((&actor["title"], &actor["tlp"]), (&json!("Paper Lantern"), &json!("green")));
    assert_eq!(malware["external_references"][0]["url"], "https://otx.example/malware/Slate");
    let patterns = documents(&bundle, "attack_patterns");
    assert_eq!(patterns[0]["title"], "T1566.001 Spearphishing Attachment");
    assert_eq!(patterns[0]["external_ids"], json!(["ATT&CK-T1566.001"]));
    assert_eq!(patterns[0]["external_references"][0]["url"], "https://attack.mitre.org/techniques/T1566/001/");
    let levels: Vec<_> = patterns.iter().map(|pattern| &pattern["abstraction_level"]).collect();
    assert_eq!(levels, ["standard", "meta"]);
}

#[test]
fn what_several_pulses_name_is_one_document_in_the_least_restricted_colour_from_the_first_time() {
    let other = Pulse { id: "p2".into(), tlp: Some("white".into()), ..full() };
    let spelled = Threat { adversary: Some("PAPER  lantern".into()), ..full().threat };
    let pulses = vec![full(), Pulse { threat: spelled, ..other }];
    let times = [("2024-02-01T00:00:00", None), ("2024-01-01T00:00:00", None)];
    let bundle = told(&[lookup("192.0.2.1", pulses, &times)], 100);
    let [actor] = documents(&bundle, "actors") else { unreachable!("{}", bundle["actors"]) };
    assert_eq!(
        (&actor["tlp"], &actor["valid_time"]["start_time"]),
        (&json!("white"), &json!("2024-01-01T00:00:00Z"))
    );
    assert_eq!((documents(&bundle, "malwares").len(), documents(&bundle, "attack_patterns").len()), (1, 2));
    let indicates = bonds(&bundle).into_iter().filter(|bond| bond.contains("indicates")).count();
    assert_eq!(indicates, 8);
}

#[test]
fn what_is_said_of_a_file_holds_for_ever_and_of_a_place_for_a_month() {
    let end = |kind| {
        let mut lookup = lookup("x", vec![pulse("p")], &[("2024-03-05T00:00:00", None)]);
        lookup.observable.kind = kind;
        told(&[lookup], 100)["indicators"]["docs"][0]["valid_time"]["end_time"].clone()
    };
    assert_eq!(end(ObservableType::Sha256), "2525-01-01T00:00:00Z");
    assert_eq!(end(ObservableType::Url), "2024-04-04T00:00:00Z");
    let dated = told(&[lookup("x", vec![pulse("p")], &[("2024-03-05", Some("2024-03-09"))])], 100);
    assert_eq!(dated["indicators"]["docs"][0]["valid_time"]["end_time"], "2024-03-09T00:00:00Z");
}

#[test]
fn what_otx_notes_stands_in_the_sighting_and_in_the_judgement() {
    let note = Validation { source: "whitelist".into(), message: Some("Whitelisted IP".into()) };
    let general = General {
        pulses: vec![pulse("p")],
        validation: vec![note],
        false_positives: vec!["accepted".into()],
        ..General::default()
    };
    let bundle = told(&[lookup_in("192.0.2.1", general, &[("2024-01-02T03:04:05", None)])], 100);
    assert_eq!(
        documents(&bundle, "sightings")[0]["description"],
        "AlienVault OTX notes on it: whitelist (Whitelisted IP); a report that it is no threat: accepted.\n\nWords"
    );
    let judgement = &documents(&bundle, "judgements")[0];
    assert_eq!((&judgement["disposition"], &judgement["disposition_name"]), (&json!(1), &json!("Clean")));
    assert_eq!(judgement["reason"], "Clean: OTX clears it: whitelist (Whitelisted IP). Active in 1 of 1 pulse.");
    assert_eq!(documents(&bundle, "verdicts")[0]["judgement_id"], judgement["id"]);
}

#[test]
fn an_observable_in_no_pulse_that_otx_notes_something_on_has_a_judgement_alone() {
    let note = Validation { source: "whitelist".into(), message: None };
    let general = General { validation: vec![note], ..General::default() };
    let bundle = told(&[lookup_in("192.0.2.1", general, &[])], 100);
    let kinds: Vec<_> = bundle.as_object().unwrap().keys().collect();
    assert_eq!(kinds, ["judgements", "verdicts"]);
    assert_eq!(
        documents(&bundle, "verdicts")[0]["valid_time"],
        json!({"start_time": "2024-03-10T00:00:00Z", "end_time": "2024-04-09T00:00:00Z"})
    );
}

#[test]
fn nothing_known_is_an_empty_bundle() {
    assert_eq!(told(&[lookup("192.0.2.1", Vec::new(), &[])], 100), json!({}));
}

#[test]
fn a_judgement_leads_only_to_indicators_that_are_shown() {
    let backed = |id: &str| Pulse { id: id.into(), ..full() };
    let times = [("2024-01-01", None), ("2024-01-02", None), ("2024-01-03", None)];
    let bundle = told(&[lookup("192.0.2.1", vec![backed("a"), backed("b"), backed("c")], &times)], 2);
    let based: Vec<_> = bonds(&bundle).into_iter().filter(|bond| bond.contains("based-on")).collect();
    assert_eq!(based.len(), 2);
    assert!(documents(&bundle, "judgements")[0]["reason"].as_str().unwrap().contains("of 3 pulses"));
}

#[test]
fn a_judgement_is_as_restricted_as_what_it_rests_on() {
    let red = Pulse { id: "r".into(), tlp: Some("red".into()), ..full() };
    let bundle = told(&[lookup("192.0.2.1", vec![full(), red], &[("2024-01-01", None), ("2024-01-02", None)])], 100);
    assert_eq!(documents(&bundle, "judgements")[0]["tlp"], "red");
}

#[test]
fn a_verdict_without_its_judgement_names_none() {
    let now = moment("2024-03-10T11:12:13");
    let web = "https://otx.example/".parse().unwrap();
    let telling = Telling { limit: 100, web: &web, answers: Answers::Rich { now, trusted_authors: TRUSTED } };
    let lookups = [lookup("192.0.2.1", vec![full()], &[("2024-01-02T03:04:05", None)])];
    let bundle = serde_json::to_value(crate::mapping::verdicts(&lookups, &telling)).unwrap();
    assert_eq!(
        bundle,
        json!({"verdicts": {"count": 1, "docs": [{
            "disposition": 3, "disposition_name": "Suspicious", "observable": {"type": "ip", "value": "192.0.2.1"},
            "type": "verdict", "valid_time": {"start_time": "2024-03-10T00:00:00Z", "end_time": "2024-04-09T00:00:00Z"},
        }]}})
    );
    let parity = Telling { answers: Answers::Parity, ..telling };
    assert!(crate::mapping::verdicts(&lookups, &parity).is_empty());
}
