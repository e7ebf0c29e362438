//! What `/observe/observables` says when OTX answers: documents, their fields, order and number, and what is asked of OTX
//! for them. Every answer is checked against the schema and for its canonical form.
#![expect(clippy::expect_used, clippy::panic, reason = "a failed step is a failed test")]

use std::process::ExitCode;

use libtest_mimic::Trial;
use serde_json::{Value, json};
use tests::fake_otx::{FakeOtx, Fault, KEY, Key, Route, Rule, SECOND_KEY};
use tests::relay::{Builder, TestRelay, WEB};
use tests::reply::{docs, errors, pulses};
use tests::trial::{run, slug, trial};
use tests::world::{dataset, domain, ipv4, pulse, row};
use threatrelay::demo::upstream::{HashGroup, IndicatorType, Pulse, Row};

fn main() -> ExitCode {
    let mut trials = Vec::new();
    trials.extend(documents());
    trials.extend(pulse_fields());
    trials.extend(row_fields());
    trials.extend(selection());
    trials.extend(spellings());
    trials.extend(not_asked());
    trials.extend(targets());
    trials.extend(sharing());
    run(trials)
}

const WHEN: &str = "2026-01-01T08:00:00";

async fn world(pulses: Vec<Pulse>) -> (FakeOtx, TestRelay) {
    let fake = FakeOtx::with(dataset(pulses)).await.expect("a fake OTX");
    let relay = TestRelay::before(&fake).await;
    (fake, relay)
}

/// One pulse, `p1`, with one row.
async fn one(row: Row) -> (FakeOtx, TestRelay) {
    world(vec![pulse("p1", vec![row])]).await
}

const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";
const SHA1: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
const SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Every type that is asked: the observable, and the row of it that OTX has.
const TYPES: [(&str, &str, IndicatorType, &str); 7] = [
    ("domain", "evil.example", IndicatorType::Domain, "evil.example"),
    ("ip", "203.0.113.7", IndicatorType::Ipv4, "203.0.113.7"),
    ("ipv6", "2001:db8::66", IndicatorType::Ipv6, "2001:db8:0:0:0:0:0:66"),
    ("url", "http://evil.example/a?b=c", IndicatorType::Url, "http://evil.example/a?b=c"),
    ("md5", MD5, IndicatorType::Md5, MD5),
    ("sha1", SHA1, IndicatorType::Sha1, SHA1),
    ("sha256", SHA256, IndicatorType::Sha256, SHA256),
];

fn documents() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (kind, value, indicator, listed) in TYPES {
        trials.push(trial(format!("documents_of_one_match_by_{kind}_are_the_originals"), move || async move {
            let mut row = row(indicator, listed, WHEN);
            row.expiration = Some("2026-12-31T00:00:00".to_owned());
            let (_fake, relay) = one(row).await;
            let body = relay.observe(&[(kind, value)]).await;
            let sighting = docs(&body, "sightings")[0]["id"].clone();
            let relationship = docs(&body, "relationships")[0]["id"].clone();
            let indicator = "transient:indicator-89705643-91cc-5de2-87fc-3fb94942babb";
            let expected = json!({"data": {
                "indicators": {"count": 1, "docs": [{
                    "confidence": "High", "external_ids": ["p1"], "id": indicator, "producer": "rose",
                    "schema_version": "1.0.17", "short_description": "What p1 says.", "source": "AlienVault OTX",
                    "source_uri": format!("{WEB}/pulse/p1"), "tags": ["c2", "Botnet"], "title": "Pulse p1",
                    "tlp": "green", "type": "indicator",
                    "valid_time": {"end_time": "2026-12-31T00:00:00Z", "start_time": "2026-01-01T08:00:00Z"},
                }]},
                "relationships": {"count": 1, "docs": [{
                    "id": relationship, "relationship_type": "member-of", "schema_version": "1.0.17",
                    "source_ref": sighting, "target_ref": indicator, "type": "relationship",
                }]},
                "sightings": {"count": 1, "docs": [{
                    "confidence": "High", "count": 1, "description": "What p1 says.", "external_ids": ["p1"],
                    "id": sighting, "internal": false, "observables": [{"type": kind, "value": value}],
                    "observed_time": {"end_time": "2026-01-01T08:00:00Z", "start_time": "2026-01-01T08:00:00Z"},
                    "schema_version": "1.0.17", "source": "AlienVault OTX", "source_uri": format!("{WEB}/pulse/p1"),
                    "title": "Pulse p1", "tlp": "green", "type": "sighting",
                }]},
            }});
            assert_eq!(body, expected);
        }));
    }
    for (id, uuid) in [
        ("q1w2e3r4t5y6", "8aaf75fe-7be6-57c4-89b7-39bd717e84f6"),
        ("5a0aa2535fe42a0173031e7c", "96fef1e2-2c92-5363-bbf4-e382bbfe183f"),
        ("p1", "89705643-91cc-5de2-87fc-3fb94942babb"),
    ] {
        trials.push(trial(format!("indicator_id_of_pulse_{id}_is_the_originals"), move || async move {
            let (_fake, relay) = world(vec![pulse(id, vec![domain("evil.example", WHEN)])]).await;
            let body = relay.observe(&[("domain", "evil.example")]).await;
            assert_eq!(docs(&body, "indicators")[0]["id"], format!("transient:indicator-{uuid}"));
        }));
    }
    trials.push(trial("asking_twice_gives_the_same_bytes", || async {
        let (fake, relay) = one(domain("evil.example", WHEN)).await;
        let first = relay.observe(&[("domain", "evil.example")]).await;
        let other = TestRelay::before(&fake).await;
        assert_eq!(other.observe(&[("domain", "evil.example")]).await, first);
    }));
    trials
}

/// A change of every pulse in OTX's answer, and what a document then says at a place (`Null`: nothing).
fn field(
    name: &str,
    change: impl Fn(&mut Value) + Clone + Send + Sync + 'static,
    kind: &'static str,
    place: &'static str,
    expected: Value,
) -> Trial {
    trial(slug(&format!("field {name}")), move || async move {
        let (fake, relay) = one(domain("evil.example", WHEN)).await;
        fake.add(Rule::on(Route::General, Fault::in_pulses(change)));
        let body = relay.observe(&[("domain", "evil.example")]).await;
        assert_eq!(errors(&body), [], "{body}");
        let document = docs(&body, kind).first().cloned().unwrap_or_default();
        assert_eq!(document.pointer(place).cloned().unwrap_or_default(), expected, "{document}");
    })
}

fn set(key: &'static str, value: Value) -> impl Fn(&mut Value) + Clone {
    move |pulse| pulse[key] = value.clone()
}

fn unset(key: &'static str) -> impl Fn(&mut Value) + Clone {
    move |pulse| {
        pulse.as_object_mut().map(|pulse| pulse.remove(key));
    }
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn pulse_fields() -> Vec<Trial> {
    let (sightings, indicators) = ("sightings", "indicators");
    let texts = "line one\nline two\r\n\ttabbed \u{201c}quoted\u{201d} \u{1f600}";
    let mut trials = vec![
        field("an empty description is empty", set("description", json!("")), sightings, "/description", json!("")),
        field(
            "an empty description is an empty short one",
            set("description", json!("")),
            indicators,
            "/short_description",
            json!(""),
        ),
        field("a null description is empty", set("description", Value::Null), sightings, "/description", json!("")),
        field("a missing description is empty", unset("description"), indicators, "/short_description", json!("")),
        field("an indicator has no description", set("x", json!(1)), indicators, "/description", Value::Null),
        field("texts stay as they are", set("description", json!(texts)), sightings, "/description", json!(texts)),
        field(
            "a description is cut to 5000",
            set("description", json!("d".repeat(6000))),
            sightings,
            "/description",
            json!("d".repeat(5000)),
        ),
        field(
            "a short description is cut to 2048",
            set("description", json!("d".repeat(6000))),
            indicators,
            "/short_description",
            json!("d".repeat(2048)),
        ),
        field("a null name is no title", set("name", Value::Null), sightings, "/title", Value::Null),
        field("a missing name is no title", unset("name"), indicators, "/title", Value::Null),
        field("tabs stay in a name", set("name", json!("a\tb ")), indicators, "/title", json!("a\tb ")),
        field("null bytes leave a name", set("name", json!("a\u{0}b")), indicators, "/title", json!("ab")),
        field(
            "a name is cut to 1024 units",
            set("name", json!("\u{1f600}".repeat(600))),
            sightings,
            "/title",
            json!("\u{1f600}".repeat(512)),
        ),
        field("null tags are none", set("tags", Value::Null), indicators, "/tags", json!([])),
        field("missing tags are none", unset("tags"), indicators, "/tags", json!([])),
        field("tags that are a text are none", set("tags", json!("c2")), indicators, "/tags", json!([])),
        field(
            "tags keep order case and repetition",
            set("tags", json!(["b", "A", "b", ""])),
            indicators,
            "/tags",
            json!(["b", "A", "b", ""]),
        ),
        field(
            "a long tag is cut to 1024",
            set("tags", json!(["t".repeat(2000)])),
            indicators,
            "/tags",
            json!(["t".repeat(1024)]),
        ),
        field("a null author is OTX", set("author", Value::Null), indicators, "/producer", json!("AlienVault OTX")),
        field(
            "a nameless author is OTX",
            set("author", json!({"username": null})),
            indicators,
            "/producer",
            json!("AlienVault OTX"),
        ),
        field("public may be true", set("public", json!(true)), indicators, "/external_ids/0", json!("p1")),
        field("counts may be missing", unset("indicator_type_counts"), indicators, "/external_ids/0", json!("p1")),
        field("the number may be missing", unset("indicator_count"), indicators, "/external_ids/0", json!("p1")),
        field(
            "the number may be text",
            set("indicator_count", json!("1")),
            indicators,
            "/external_ids/0",
            json!("p1"),
        ),
        field("activity may be missing", unset("related_indicator_is_active"), sightings, "/count", json!(1)),
        field("activity may be true", set("related_indicator_is_active", json!(true)), sightings, "/count", json!(1)),
        field("new keys do no harm", set("brand_new", json!({"a": [1]})), sightings, "/count", json!(1)),
    ];
    for (name, tlp, expected) in [
        ("null", Value::Null, Value::Null),
        ("empty", json!(""), Value::Null),
        ("GREEN", json!("GREEN"), json!("green")),
        ("Amber", json!("Amber"), json!("amber")),
        ("clear", json!("clear"), json!("white")),
        ("amber+strict", json!("amber+strict"), json!("amber")),
        ("red", json!("red"), json!("red")),
        ("unheard of", json!("ultraviolet"), Value::Null),
        ("a number", json!(5), Value::Null),
    ] {
        for kind in [sightings, indicators] {
            let title = format!("tlp {name} in {kind}");
            trials.push(field(&title, set("TLP", tlp.clone()), kind, "/tlp", expected.clone()));
        }
    }
    trials.push(trial("field_a_pulse_id_is_escaped_in_links", || async {
        let (fake, relay) = one(domain("evil.example", WHEN)).await;
        fake.add(Rule::on(Route::General, Fault::in_pulses(set("id", json!("../p 1?")))));
        fake.edit(|content| "../p 1?".clone_into(&mut content.pulses[0].id));
        let body = relay.observe(&[("domain", "evil.example")]).await;
        let expected = format!("{WEB}/pulse/%2E%2E%2Fp%201%3F");
        assert_eq!(docs(&body, "sightings")[0]["source_uri"], expected);
        assert!(fake.calls().iter().all(|call| call.target.starts_with("/api/v1/")), "{:?}", fake.calls());
    }));
    for (name, description) in [("a number", json!(5)), ("a list", json!(["a"])), ("an object", json!({"a": 1}))] {
        trials.push(trial(slug(&format!("field description may be {name}")), move || async move {
            let (fake, relay) = one(domain("evil.example", WHEN)).await;
            fake.add(Rule::on(Route::General, Fault::in_pulses(set("description", description))));
            let body = relay.observe(&[("domain", "evil.example")]).await;
            assert_eq!((docs(&body, "sightings").len(), errors(&body).len()), (1, 0), "{body}");
        }));
    }
    trials
}

/// A change of the row, and the times that the documents then have.
fn times(
    name: &str,
    change: impl Fn(&mut Value) + Clone + Send + Sync + 'static,
    start: &'static str,
    end: Option<&'static str>,
) -> Trial {
    trial(slug(&format!("times {name}")), move || async move {
        let (fake, relay) = one(domain("evil.example", WHEN)).await;
        fake.add(Rule::on(Route::Listing, Fault::in_rows(change.clone())));
        fake.add(Rule::on(Route::Detail, Fault::in_rows(change)));
        let body = relay.observe(&[("domain", "evil.example")]).await;
        assert_eq!(errors(&body), [], "{body}");
        let mut valid = json!({"start_time": start});
        if let Some(end) = end {
            valid["end_time"] = end.into();
        }
        assert_eq!(docs(&body, "indicators")[0]["valid_time"], valid);
        assert_eq!(docs(&body, "sightings")[0]["observed_time"], json!({"start_time": start, "end_time": start}));
    })
}

fn row_fields() -> Vec<Trial> {
    let plain = "2026-01-01T08:00:00Z";
    vec![
        times("without expiration have no end", set("expiration", Value::Null), plain, None),
        times("without the key expiration have no end", unset("expiration"), plain, None),
        times("with an empty expiration have no end", set("expiration", json!("")), plain, None),
        times(
            "with a midnight expiration end then",
            set("expiration", json!("2026-02-01T00:00:00")),
            plain,
            Some("2026-02-01T00:00:00Z"),
        ),
        times(
            "with a date as expiration end at its midnight",
            set("expiration", json!("2030-01-01")),
            plain,
            Some("2030-01-01T00:00:00Z"),
        ),
        times(
            "that would end before they start end then",
            set("expiration", json!("2025-01-01T00:00:00")),
            plain,
            Some(plain),
        ),
        times("with nonsense as expiration have no end", set("expiration", json!("soon")), plain, None),
        times("that name their zone name it once", set("created", json!("2026-01-01T08:00:00Z")), plain, None),
        times("with an offset are in UTC", set("created", json!("2026-01-01T10:00:00+02:00")), plain, None),
        times("with a fraction are whole seconds", set("created", json!("2026-01-01T08:00:00.987654")), plain, None),
        times(
            "without a readable creation are the pulses",
            set("created", json!("once")),
            "2026-01-01T00:00:00Z",
            None,
        ),
        times("with a null creation are the pulses", set("created", Value::Null), "2026-01-01T00:00:00Z", None),
        times("of a row without activity are the same", unset("is_active"), plain, None),
        times("of a row without id are found by value", unset("id"), plain, None),
        times("of a row with a text as id are found by value", set("id", json!("x")), plain, None),
        times("of a row with strange types are the same", set("title", json!([5])), plain, None),
    ]
}

fn selection() -> Vec<Trial> {
    let day = |day: u32| format!("2026-01-{day:02}T00:00:00");
    vec![
        trial("newest_rows_come_first_in_all_three_lists", move || async move {
            let row = |on| vec![domain("evil.example", &day(on))];
            let (_fake, relay) =
                world(vec![pulse("a", row(3)), pulse("b", row(9)), pulse("c", row(1)), pulse("d", row(5))]).await;
            let body = relay.observe(&[("domain", "evil.example")]).await;
            assert_eq!(pulses(&body, "sightings"), ["b", "d", "a", "c"]);
            assert_eq!(pulses(&body, "indicators"), ["b", "d", "a", "c"]);
            let (sightings, indicators) = (docs(&body, "sightings"), docs(&body, "indicators"));
            for (index, relationship) in docs(&body, "relationships").iter().enumerate() {
                assert_eq!(relationship["source_ref"], sightings[index]["id"]);
                assert_eq!(relationship["target_ref"], indicators[index]["id"]);
            }
        }),
        trial("rows_of_one_time_keep_the_order_of_their_pulses", || async {
            let row = || vec![domain("evil.example", WHEN)];
            let (_fake, relay) = world(vec![pulse("z", row()), pulse("a", row()), pulse("m", row())]).await;
            let body = relay.observe(&[("domain", "evil.example")]).await;
            assert_eq!(pulses(&body, "sightings"), ["z", "a", "m"]);
        }),
        trial("the_limit_keeps_the_newest_of_each_observable", move || async move {
            let rows = |on| vec![domain("evil.example", &day(on)), ipv4("203.0.113.7", &day(10 - on))];
            let (_fake, relay) = world(vec![pulse("a", rows(3)), pulse("b", rows(9)), pulse("c", rows(1))]).await;
            let limit = json!({"CTR_ENTITIES_LIMIT": 1});
            let body = relay.observe_with(&limit, &[("ip", "203.0.113.7"), ("domain", "evil.example")]).await;
            assert_eq!(pulses(&body, "sightings"), ["c", "b"]);
        }),
        trial("observables_come_in_their_order", || async {
            let rows = vec![domain("evil.example", WHEN), ipv4("203.0.113.7", WHEN)];
            let (_fake, relay) = world(vec![pulse("a", rows)]).await;
            let asked = [("ip", "203.0.113.7"), ("domain", "unknown.example"), ("domain", "evil.example")];
            let body = relay.observe(&asked).await;
            let values: Vec<&Value> =
                docs(&body, "sightings").iter().map(|sighting| &sighting["observables"][0]["value"]).collect();
            assert_eq!(values, ["203.0.113.7", "evil.example"]);
        }),
        trial("a_pulse_whose_counts_lack_the_type_is_not_listed", || async {
            let (fake, relay) = one(domain("evil.example", WHEN)).await;
            fake.add(Rule::on(Route::General, Fault::in_pulses(set("indicator_type_counts", json!({"IPv4": 3})))));
            assert_eq!(relay.observe(&[("domain", "evil.example")]).await, json!({"data": {}}));
            assert_eq!(fake.count(Route::Listing) + fake.count(Route::Detail), 0);
        }),
        trial("a_pulse_in_which_the_indicator_is_inactive_is_not_listed", || async {
            let mut inactive = domain("evil.example", WHEN);
            inactive.is_active = false;
            let (fake, relay) = world(vec![pulse("p", vec![inactive, domain("other.example", WHEN)])]).await;
            assert_eq!(relay.observe(&[("domain", "evil.example")]).await, json!({"data": {}}));
            assert_eq!(fake.count(Route::Listing) + fake.count(Route::Detail), 0);
        }),
        trial("a_pulse_whose_listing_lacks_the_indicator_says_nothing", || async {
            let (fake, relay) = one(domain("evil.example", WHEN)).await;
            fake.add(Rule::on(Route::Listing, Fault::rewrite(|body| body["results"] = json!([]))));
            assert_eq!(relay.observe(&[("domain", "evil.example")]).await, json!({"data": {}}));
        }),
        trial("fifty_pulses_bring_a_warning_that_there_may_be_more", || async {
            let row = || vec![domain("evil.example", WHEN)];
            let (_fake, relay) = world((0..60).map(|index| pulse(&format!("p{index}"), row())).collect()).await;
            let body = relay.observe(&[("domain", "evil.example")]).await;
            assert_eq!(docs(&body, "sightings").len(), 50);
            let entries = errors(&body);
            assert_eq!(entries.len(), 1, "{entries:?}");
            assert_eq!((entries[0].0.as_str(), entries[0].1.as_str()), ("too-many-messages-warning", "warning"));
            assert!(entries[0].2.contains("evil.example"), "{entries:?}");
        }),
        trial("forty_nine_pulses_bring_none", || async {
            let row = || vec![domain("evil.example", WHEN)];
            let (_fake, relay) = world((0..49).map(|index| pulse(&format!("p{index}"), row())).collect()).await;
            let body = relay.observe(&[("domain", "evil.example")]).await;
            assert_eq!((docs(&body, "sightings").len(), errors(&body).len()), (49, 0));
        }),
        trial("a_match_deep_in_a_long_listing_is_found", || async {
            use tests::fake_otx::scale::Scale;
            let scale = Scale { pulses: 2, rows: 25_000, observables: 1, depth: 24_990 };
            let fake = FakeOtx::with(scale.dataset()).await.expect("a fake OTX");
            let relay = TestRelay::before(&fake).await;
            let body = relay.observe(&[("domain", &Scale::observable(0))]).await;
            assert_eq!((docs(&body, "sightings").len(), errors(&body)), (2, Vec::new()));
            assert_eq!(fake.count(Route::Listing), 6, "three pages a pulse");
        }),
    ]
}

/// Observables in a spelling that is not OTX's: what is asked and found, and told in the caller's own spelling.
fn spellings() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, kind, value, indicator, listed) in [
        ("a name in large letters", "domain", "EVIL.Example", IndicatorType::Domain, "evil.example"),
        ("a name that OTX has in large letters", "domain", "evil.example", IndicatorType::Domain, "EVIL.example"),
        ("an international name", "domain", "b\u{fc}cher.example", IndicatorType::Domain, "xn--bcher-kva.example"),
        ("a host name", "domain", "www.evil.example", IndicatorType::Hostname, "www.evil.example"),
        ("a host name in large letters", "domain", "WWW.Evil.example", IndicatorType::Hostname, "www.evil.example"),
        ("a short IPv6 address", "ipv6", "2001:DB8:0:0::66", IndicatorType::Ipv6, "2001:db8:0:0:0:0:0:66"),
        (
            "a padded IPv6 address",
            "ipv6",
            "2001:0db8:0000:0000:0000:0000:0000:0066",
            IndicatorType::Ipv6,
            "2001:db8:0:0:0:0:0:66",
        ),
        ("an MD5 in large letters", "md5", "D41D8CD98F00B204E9800998ECF8427E", IndicatorType::Md5, MD5),
        ("a SHA1 in large letters", "sha1", "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709", IndicatorType::Sha1, SHA1),
        (
            "a URL with scheme and host in large letters",
            "url",
            "HTTP://Evil.example/Path",
            IndicatorType::Url,
            "http://evil.example/Path",
        ),
        (
            "a URL that is not ASCII",
            "url",
            "http://evil.example/a%20b?q=\u{e9}",
            IndicatorType::Url,
            "http://evil.example/a%20b?q=\u{e9}",
        ),
    ] {
        trials.push(trial(slug(&format!("spelling of {name} is found")), move || async move {
            let (_fake, relay) = one(row(indicator, listed, WHEN)).await;
            let body = relay.observe(&[(kind, value)]).await;
            assert_eq!(docs(&body, "sightings").len(), 1, "{body}");
            assert_eq!(docs(&body, "sightings")[0]["observables"], json!([{"type": kind, "value": value}]));
        }));
    }
    trials.push(trial("spelling_two_forms_of_one_indicator_are_two_sightings_of_one_pulse", || async {
        let (fake, relay) = one(domain("evil.example", WHEN)).await;
        let body = relay.observe(&[("domain", "evil.example"), ("domain", "EVIL.example")]).await;
        assert_eq!((docs(&body, "sightings").len(), docs(&body, "indicators").len()), (2, 1));
        assert_eq!(fake.count(Route::General), 1);
    }));
    for (name, base, held) in [
        ("the_same", IndicatorType::Md5, vec![IndicatorType::Md5]),
        ("another", IndicatorType::Sha1, vec![IndicatorType::Md5, IndicatorType::Sha1, IndicatorType::Sha256]),
        ("the_base_alone", IndicatorType::Sha1, vec![IndicatorType::Sha1]),
        ("a_third", IndicatorType::Sha1, vec![IndicatorType::Sha256]),
    ] {
        trials.push(trial(
            format!("a_file_is_found_in_a_pulse_that_holds_{name}_of_its_hashes"),
            move || async move {
                let value = |kind: IndicatorType| match kind {
                    IndicatorType::Md5 => MD5,
                    IndicatorType::Sha1 => SHA1,
                    _ => SHA256,
                };
                let rows = held.iter().map(|&kind| row(kind, value(kind), WHEN)).collect();
                let (fake, relay) = world(vec![pulse("p1", rows)]).await;
                let hashes = [MD5, SHA1, SHA256].map(str::to_owned);
                fake.edit(|content| {
                    let [md5, sha1, sha256] = hashes;
                    content.files.push(HashGroup { md5, sha1, sha256, base });
                });
                let body = relay.observe(&[("md5", MD5)]).await;
                assert_eq!(pulses(&body, "sightings"), ["p1"], "{body}");
            },
        ));
    }
    trials
}

/// Observables that OTX cannot know, or that are not told to it.
fn not_asked() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (kind, value) in [
        ("email", "someone@evil.example"),
        ("hostname", "www.evil.example"),
        ("IP", "203.0.113.7"),
        ("Domain", "evil.example"),
        ("file_name", "evil.exe"),
        ("ip", "10.0.0.1"),
        ("ip", "127.0.0.1"),
        ("ip", "192.168.1.1"),
        ("ip", "169.254.169.254"),
        ("ip", "not an address"),
        ("ip", "2001:db8::66"),
        ("ip", "."),
        ("ip", ".."),
        ("ipv6", "::1"),
        ("ipv6", "fe80::1"),
        ("ipv6", "fd00::1"),
        ("ipv6", "203.0.113.7"),
        ("domain", "localhost"),
        ("domain", "co.uk"),
        ("domain", "."),
        ("domain", ".."),
        ("domain", "../../user/me"),
        ("domain", "a b.example"),
        ("domain", "printer.local"),
        ("md5", "d41d8cd98f00b204"),
        ("sha1", MD5),
        ("sha256", "nope"),
        ("url", "evil.example/path"),
        ("url", "http://10.0.0.1/"),
        ("url", "javascript:alert(1)"),
    ] {
        trials.push(trial(slug(&format!("not asked {kind} {}", value.replace('.', " dot "))), move || async move {
            let fake = FakeOtx::start().await.expect("a fake OTX");
            let relay = TestRelay::before(&fake).await;
            assert_eq!(relay.observe(&[(kind, value)]).await, json!({"data": {}}));
            assert_eq!(fake.total(), 0, "{:?}", fake.calls());
        }));
    }
    trials
}

/// The request target of an observable's first call.
fn targets() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (kind, value, target) in [
        ("ip", "203.0.113.7", "IPv4/203.0.113.7"),
        ("ipv6", "2001:db8::66", "IPv6/2001:db8::66"),
        ("domain", "evil.example", "domain/evil.example"),
        ("domain", "www.evil.example", "hostname/www.evil.example"),
        ("md5", MD5, "file/d41d8cd98f00b204e9800998ecf8427e"),
        ("sha1", SHA1, "file/da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("sha256", SHA256, "file/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("url", "http://a.example/c d?e=f&g=%20#h", "url/http:%2F%2Fa.example%2Fc%20d%3Fe%3Df%26g%3D%2520%23h"),
        ("url", "http://a.example/%41", "url/http:%2F%2Fa.example%2F%2541"),
        ("url", "http://u@a.example/~-._@:", "url/http:%2F%2Fu@a.example%2F~-._@:"),
        ("url", "http://a.example/../../x", "url/http:%2F%2Fa.example%2F..%2F..%2Fx"),
        ("url", "http://a.example/\u{e9}\r\nX: y", "url/http:%2F%2Fa.example%2F%C3%A9%0D%0AX:%20y"),
    ] {
        let name = slug(&format!("target of {kind} {target}")).chars().take(70).collect::<String>();
        trials.push(trial(name, move || async move {
            let fake = FakeOtx::start().await.expect("a fake OTX");
            let relay = TestRelay::before(&fake).await;
            let body = relay.observe(&[(kind, value)]).await;
            let calls = fake.calls();
            assert_eq!(calls[0].target, format!("/api/v1/indicators/{target}/general"), "{body}");
        }));
    }
    trials.push(trial("target_of_a_page_has_the_originals_query", || async {
        let (fake, relay) = one(domain("evil.example", WHEN)).await;
        relay.observe(&[("domain", "evil.example")]).await;
        let listing = fake.calls().into_iter().find(|call| call.route == Route::Listing).map(|call| call.target);
        assert_eq!(listing.as_deref(), Some("/api/v1/pulses/p1/indicators?sort=-created&limit=10000&page=1"));
    }));
    trials.push(trial("target_of_health_is_the_account", || async {
        let fake = FakeOtx::start().await.expect("a fake OTX");
        let relay = TestRelay::before(&fake).await;
        assert_eq!(relay.health().await["data"]["status"], "ok");
        let targets: Vec<String> = fake.calls().into_iter().map(|call| call.target).collect();
        assert_eq!(targets, ["/api/v1/user/me"]);
    }));
    trials.push(trial("calls_carry_the_callers_key_and_a_user_agent", || async {
        let (fake, relay) = one(domain("evil.example", WHEN)).await;
        relay.observe_with(&json!({"key": SECOND_KEY}), &[("domain", "evil.example")]).await;
        for call in fake.calls() {
            assert_eq!((call.method.as_str(), &call.key), ("GET", &Key::Of("second".to_owned())));
            let agent = call.headers.iter().find(|(name, _)| name == "user-agent").map(|(_, value)| value.as_str());
            assert!(agent.is_some_and(|agent| !agent.is_empty()), "{call:?}");
            assert!(!call.headers.iter().any(|(name, _)| name == "authorization"), "{call:?}");
        }
    }));
    trials
}

/// What is asked once for many.
fn sharing() -> Vec<Trial> {
    vec![
        trial("a_repeated_observable_is_one_sighting_and_one_call", || async {
            let (fake, relay) = one(domain("evil.example", WHEN)).await;
            let body = relay.observe(&[("domain", "evil.example"); 5]).await;
            assert_eq!((docs(&body, "sightings").len(), fake.count(Route::General)), (1, 1));
        }),
        trial("a_pulse_of_two_observables_is_one_indicator_for_as_long_as_either_holds", || async {
            let (mut first, mut second) =
                (domain("evil.example", "2026-01-03T00:00:00"), ipv4("203.0.113.7", "2026-01-01T00:00:00"));
            first.expiration = Some("2026-05-01T00:00:00".to_owned());
            second.expiration = Some("2026-03-01T00:00:00".to_owned());
            let (fake, relay) = world(vec![pulse("p1", vec![first, second])]).await;
            let body = relay.observe(&[("domain", "evil.example"), ("ip", "203.0.113.7")]).await;
            assert_eq!((docs(&body, "sightings").len(), docs(&body, "relationships").len()), (2, 2));
            let [indicator] = docs(&body, "indicators") else { panic!("{body}") };
            assert_eq!(
                indicator["valid_time"],
                json!({"start_time": "2026-01-01T00:00:00Z", "end_time": "2026-05-01T00:00:00Z"})
            );
            assert_eq!(fake.count(Route::Listing) + fake.count(Route::Detail), 1);
        }),
        trial("fifty_observables_of_ten_pulses_are_sixty_calls", || async {
            use tests::fake_otx::scale::Scale;
            let scale = Scale { pulses: 10, rows: 200, observables: 50, depth: 20 };
            let fake = FakeOtx::with(scale.dataset()).await.expect("a fake OTX");
            let relay = TestRelay::before(&fake).await;
            let values: Vec<String> = (0..50).map(Scale::observable).collect();
            let asked: Vec<(&str, &str)> = values.iter().map(|value| ("domain", value.as_str())).collect();
            let body = relay.observe(&asked).await;
            assert_eq!((docs(&body, "sightings").len(), docs(&body, "indicators").len()), (500, 10));
            assert_eq!((fake.count(Route::General), fake.total()), (50, 60));
        }),
        trial("the_same_question_again_is_no_call", || async {
            let (fake, relay) = one(domain("evil.example", WHEN)).await;
            let first = relay.observe(&[("domain", "evil.example")]).await;
            fake.forget_calls();
            assert_eq!(relay.observe(&[("domain", "evil.example")]).await, first);
            assert_eq!(fake.total(), 0);
        }),
        trial("nothing_known_is_remembered_too", || async {
            let (fake, relay) = one(domain("evil.example", WHEN)).await;
            relay.observe(&[("domain", "unknown.example")]).await;
            fake.forget_calls();
            assert_eq!(relay.observe(&[("domain", "unknown.example")]).await, json!({"data": {}}));
            assert_eq!(fake.total(), 0);
        }),
        trial("without_a_cache_every_request_asks", || async {
            let fake = FakeOtx::with(dataset(vec![pulse("p1", vec![domain("evil.example", WHEN)])])).await;
            let fake = fake.expect("a fake OTX");
            let relay = Builder::new(&fake.url()).set("THREATRELAY_CACHE_ENABLED", "false").start().await;
            for _ in 0..2 {
                let body = relay.observe(&[("domain", "evil.example")]).await;
                assert_eq!(docs(&body, "sightings").len(), 1);
            }
            assert_eq!(fake.count(Route::General), 2);
        }),
        trial("requests_at_the_same_time_share_their_calls", || async {
            let (fake, relay) = one(domain("evil.example", WHEN)).await;
            fake.set_round_trip(std::time::Duration::from_millis(100));
            let ask = || relay.observe(&[("domain", "evil.example")]);
            let (a, b, c, d) = tokio::join!(ask(), ask(), ask(), ask());
            assert!(a == b && b == c && c == d);
            assert_eq!((fake.count(Route::General), fake.count(Route::Listing)), (1, 1));
        }),
        trial("a_private_pulse_is_told_to_its_owner_alone", || async {
            let mut private = pulse("secret", vec![domain("evil.example", WHEN)]);
            private.visible_to = Some("first".to_owned());
            let (_fake, relay) = world(vec![private]).await;
            let owner = relay.observe_with(&json!({"key": KEY}), &[("domain", "evil.example")]).await;
            assert_eq!(pulses(&owner, "sightings"), ["secret"]);
            let other = relay.observe_with(&json!({"key": SECOND_KEY}), &[("domain", "evil.example")]).await;
            assert_eq!(other, json!({"data": {}}));
        }),
        trial("limits_of_two_tenants_do_not_mix", || async {
            let row = || vec![domain("evil.example", WHEN)];
            let (_fake, relay) = world((0..20).map(|index| pulse(&format!("p{index}"), row())).collect()).await;
            let ask = |limit: u32, key: &'static str| {
                let relay = &relay;
                async move {
                    let changes = json!({"CTR_ENTITIES_LIMIT": limit, "key": key});
                    let body = relay.observe_with(&changes, &[("domain", "evil.example")]).await;
                    assert_eq!(docs(&body, "sightings").len(), usize::try_from(limit).unwrap_or(0).min(20));
                }
            };
            for _ in 0..10 {
                tokio::join!(ask(1, KEY), ask(1000, SECOND_KEY), ask(3, KEY), ask(7, SECOND_KEY));
            }
        }),
    ]
}
