//! Rich answers over HTTP: every document is valid whatever authors wrote, the same question has the same answer, and it
//! costs no call more than an answer as the original gave it.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use tests::fake_otx::{FakeOtx, Fault, Route, Rule};
use tests::relay::{Builder, TestRelay};
use tests::reply::{docs, errors, pulses};
use tests::world::{dataset, domain, ipv4, pulse};
use threatrelay::demo::upstream::{AttackId, Author, MalwareFamily, Pulse};

const WHEN: &str = "2026-01-01T08:00:00";
/// What the bundled upstream knows, and what OTX only notes something on.
const KNOWN: [(&str, &str); 8] = [
    ("ip", "203.0.113.7"),
    ("ip", "192.0.2.1"),
    ("ipv6", "2001:db8::66"),
    ("domain", "evil.example"),
    ("domain", "example.com"),
    ("domain", "benign-cdn.example"),
    ("url", "http://evil.example/login.php?id=1"),
    ("md5", "5162fd5d109bc811b90e8dfc2d59e6cc"),
];
const KINDS: [&str; 8] =
    ["actors", "attack_patterns", "indicators", "judgements", "malwares", "relationships", "sightings", "verdicts"];

async fn bundled() -> (FakeOtx, TestRelay) {
    let fake = FakeOtx::start().await.unwrap();
    let relay = Builder::new(&fake.url()).rich().start().await;
    (fake, relay)
}

/// The same, with passive DNS.
async fn resolving() -> (FakeOtx, TestRelay) {
    let fake = FakeOtx::start().await.unwrap();
    let relay = Builder::new(&fake.url()).rich().set("THREATRELAY_OTX_PASSIVE_DNS", "3").start().await;
    (fake, relay)
}

async fn before(pulses: Vec<Pulse>) -> (FakeOtx, TestRelay) {
    let fake = FakeOtx::with(dataset(pulses)).await.unwrap();
    let relay = Builder::new(&fake.url()).rich().start().await;
    (fake, relay)
}

#[tokio::test]
async fn every_kind_of_document_is_there_and_valid() {
    let (_fake, relay) = bundled().await;
    let body = relay.observe(&KNOWN).await;
    for kind in KINDS {
        assert!(!docs(&body, kind).is_empty(), "no {kind} in {body}");
    }
    assert_eq!(body["data"].as_object().unwrap().len(), KINDS.len());
    assert_eq!(errors(&body), []);
}

#[tokio::test]
async fn the_same_question_has_the_same_answer_from_every_relay() {
    let (_fake, one) = bundled().await;
    let (_other_fake, other) = bundled().await;
    let answers = [one.observe(&KNOWN).await, one.observe(&KNOWN).await, other.observe(&KNOWN).await];
    assert_eq!(answers[0], answers[1]);
    // The origins of links are the same for all test relays.
    assert_eq!(answers[0], answers[2]);
}

#[tokio::test]
async fn a_rich_answer_costs_the_calls_of_a_plain_one() {
    let calls = |fake: &FakeOtx| fake.calls().into_iter().map(|call| call.target).collect::<BTreeSet<_>>();
    let (fake, rich) = bundled().await;
    let _ = rich.observe(&KNOWN).await;
    let plain_fake = FakeOtx::start().await.unwrap();
    let plain = TestRelay::before(&plain_fake).await;
    let _ = plain.observe(&KNOWN).await;
    assert_eq!(calls(&fake), calls(&plain_fake));
    assert_eq!(fake.total(), plain_fake.total());
}

/// A row of `docs/ctim-mapping.md`: kind of document, field, sample, and whether every such document has just that.
struct Row(String, String, Value, bool);

/// Its rows.
fn mapping_rows() -> Vec<Row> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/ctim-mapping.md")).unwrap();
    let mut kind = String::new();
    let mut rows = Vec::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("In `") {
            rest.split('`').next().unwrap().clone_into(&mut kind);
        } else if let Some(row) = line.strip_prefix("| `").filter(|_| !kind.is_empty()) {
            let (field, rest) = row.split_once("` | ").unwrap();
            let (from, sample) = rest.rsplit_once(" | `").unwrap();
            let sample = serde_json::from_str(sample.strip_suffix("` |").unwrap()).unwrap();
            let is_constant = ["constant", "1", "false", "as the original"].contains(&from);
            rows.push(Row(kind.clone(), field.to_owned(), sample, is_constant));
        }
    }
    rows
}

#[tokio::test]
async fn every_field_of_every_document_has_its_row_with_a_sample_that_is_true() {
    let (_fake, relay) = resolving().await;
    let body = relay.observe(&KNOWN).await;
    let rows = mapping_rows();
    for kind in KINDS {
        for document in docs(&body, kind) {
            for field in document.as_object().unwrap().keys() {
                let is_row = |row: &&Row| row.0 == kind && row.1 == *field;
                assert_eq!(rows.iter().filter(is_row).count(), 1, "rows of {field} of {kind}");
            }
        }
    }
    assert!(rows.iter().filter(|row| row.3).count() > 20);
    for Row(kind, field, sample, is_constant) in &rows {
        let changes_daily = field == "valid_time" && matches!(kind.as_str(), "judgements" | "verdicts");
        let is_sample = |document: &Value| document[field] == *sample || changes_daily && document[field].is_object();
        assert!(docs(&body, kind).iter().any(is_sample), "{field} of {kind} is nowhere {sample}");
        if *is_constant {
            assert!(docs(&body, kind).iter().all(is_sample), "{field} of {kind} is not always {sample}");
        }
    }
}

#[tokio::test]
async fn passive_dns_is_told_if_asked_and_as_much_of_it_as_is_asked() {
    let told = |body: &Value| {
        let with_relations = |document: &&Value| document.get("relations").is_some();
        docs(body, "sightings").iter().filter(with_relations).cloned().collect::<Vec<_>>()
    };
    let (fake, plain) = bundled().await;
    assert_eq!(told(&plain.observe(&KNOWN).await), Vec::<Value>::new());
    assert_eq!(fake.count(Route::PassiveDns), 0);

    let (fake, relay) = resolving().await;
    let body =
        relay.observe(&[("domain", "evil.example"), ("ip", "203.0.113.7"), ("domain", "nobody.example")]).await;
    assert_eq!(errors(&body), []);
    let [name, address] = &told(&body)[..] else { unreachable!("{body}") };
    let ends = |sighting: &Value| {
        let relations = sighting["relations"].as_array().unwrap().iter();
        relations
            .map(|it| {
                format!("{} {} {}", it["source"]["value"], it["relation"], it["related"]["value"]).replace('"', "")
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(
        ends(name),
        [
            "evil.example Resolved_To 203.0.113.7",
            "login.evil.example Resolved_To 203.0.113.7",
            "evil.example Resolved_To 2001:db8::66"
        ]
    );
    assert_eq!(ends(address), ["evil.example Resolved_To 203.0.113.7", "login.evil.example Resolved_To 203.0.113.7"]);
    assert_eq!(name["observed_time"]["start_time"], "2026-09-10T21:04:11Z");
    assert_eq!(name["observed_time"]["end_time"], "2026-11-20T03:12:55Z");
    let bound = docs(&body, "relationships").iter().any(|bond| bond["source_ref"] == name["id"]);
    assert!(!bound, "what resolved is no match of a pulse");
    assert_eq!(fake.count(Route::PassiveDns), 3);
}

#[tokio::test]
async fn passive_dns_that_cannot_be_asked_is_said_and_the_rest_told() {
    let (fake, relay) = resolving().await;
    fake.add(Rule::on(Route::PassiveDns, Fault::status(500)));
    let body = relay.observe(&[("domain", "evil.example")]).await;
    assert!(!docs(&body, "sightings").is_empty() && !docs(&body, "verdicts").is_empty(), "{body}");
    let errors = errors(&body);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].2.contains("passive DNS of domain \"evil.example\""), "{errors:?}");
}

/// A rich answer says all that a plain one says, in the same documents.
#[tokio::test]
async fn a_rich_answer_holds_the_sightings_and_indicators_of_a_plain_one() {
    let (fake, rich) = bundled().await;
    let plain = TestRelay::before(&fake).await;
    let (rich, plain) = (rich.observe(&KNOWN).await, plain.observe(&KNOWN).await);
    for (kind, told_otherwise) in [
        ("sightings", &["confidence", "description", "title"][..]),
        ("indicators", &["confidence", "short_description", "tags", "title", "valid_time"]),
    ] {
        assert_eq!(docs(&rich, kind).len(), docs(&plain, kind).len());
        for (rich, plain) in docs(&rich, kind).iter().zip(docs(&plain, kind)) {
            for (field, value) in plain.as_object().unwrap() {
                if !told_otherwise.contains(&field.as_str()) {
                    assert_eq!(&rich[field], value, "{field} of {}", plain["id"]);
                }
            }
        }
    }
}

/// Texts that authors could write, in every field of a pulse.
fn hostile_texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " ",
        "\0",
        " \0 ",
        "a\0b\u{1}\u{7f}\u{ad}",
        "\u{202e}evil\u{2066}",
        "<script>alert(1)</script> [x](javascript:alert(1))",
        "javascript:alert(1)",
        "http://",
        "http://[::1",
        "https://user:pw@host.example:99999/",
        "https://b\u{fc}cher.example/\u{fc}?q=\u{1f600}#\u{fc}",
        "data:text/html,x",
        "T1566.001",
        "T1059\n",
        "../../../etc/passwd",
        "{\"type\":\"indicator\"}",
        "\\u0000\u{fffd}\u{feff}",
    ]
    .map(str::to_owned)
    .into();
    texts.push("\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} ".repeat(2000));
    texts.push("e\u{301}".repeat(6000));
    texts.push("word ".repeat(3000));
    texts.push("x".repeat(20_000));
    texts.push(format!("https://long.example/{}", "a".repeat(3000)));
    texts
}

fn hostile(index: usize, text: &str) -> Pulse {
    let list = || vec![text.to_owned(), text.to_owned(), "plain".to_owned()];
    let family = |id: String| MalwareFamily { display_name: id.clone(), target: Some(text.to_owned()), id };
    let attack = |id: String| AttackId { name: text.to_owned(), display_name: id.clone(), id };
    let plain = pulse(&format!("p{index}"), vec![domain("evil.example", WHEN)]);
    Pulse {
        name: text.to_owned(),
        description: text.to_owned(),
        tags: list(),
        references: list(),
        adversary: text.to_owned(),
        targeted_countries: list(),
        industries: list(),
        tlp: text.to_owned(),
        author: Author { username: text.to_owned(), ..plain.author },
        malware_families: list().into_iter().map(family).collect(),
        attack_ids: list().into_iter().map(attack).collect(),
        ..plain
    }
}

#[tokio::test]
async fn whatever_authors_write_every_document_is_valid() {
    let pulses: Vec<Pulse> = hostile_texts().iter().enumerate().map(|(index, text)| hostile(index, text)).collect();
    let count = pulses.len();
    let (_fake, relay) = before(pulses).await;
    let body = relay.observe(&[("domain", "evil.example")]).await;
    assert_eq!(docs(&body, "sightings").len(), count);
    let urls =
        docs(&body, "indicators").iter().flat_map(|indicator| indicator["external_references"].as_array().unwrap());
    let strange: Vec<&Value> = urls
        .map(|reference| &reference["url"])
        .filter(|url| url.as_str().is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")))
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
}

/// A line of the list of naughty strings in each field.
#[tokio::test]
async fn naughty_strings_make_valid_documents() {
    use base64::Engine as _;
    let file = tests::shared::folder("data/naughty-strings").join("blns.base64.json");
    let Ok(text) = fs::read(&file) else {
        println!("skipped: no {}", file.display());
        return;
    };
    let lines: Vec<String> = serde_json::from_slice(&text).unwrap();
    let decode = |line: &String| base64::engine::general_purpose::STANDARD.decode(line).unwrap();
    let texts: Vec<String> = lines.iter().map(|line| String::from_utf8_lossy(&decode(line)).into_owned()).collect();
    assert!(texts.len() > 300);
    // OTX lists fifty pulses at most.
    for (start, some) in texts.chunks(50).enumerate() {
        let pulses = some.iter().enumerate().map(|(index, text)| hostile(start * 50 + index, text)).collect();
        let (_fake, relay) = before(pulses).await;
        let body = relay.observe(&[("domain", "evil.example")]).await;
        assert_eq!(docs(&body, "sightings").len(), some.len());
    }
}

#[tokio::test]
async fn what_the_settings_leave_out_is_not_shown_and_costs_no_call() {
    let by = |id: &str, author: &str, tlp: &str| {
        let mut pulse = pulse(id, vec![domain("evil.example", WHEN), ipv4("192.0.2.9", WHEN)]);
        pulse.author.username = author.to_owned();
        pulse.tlp = tlp.to_owned();
        pulse
    };
    let data = || dataset(vec![by("p1", "rose", "green"), by("p2", "noise", "white"), by("p3", "iris", "amber")]);
    for (setting, value, shown) in [
        ("THREATRELAY_FILTER_AUTHORS", "Rose,iris", &["p1", "p3"][..]),
        ("THREATRELAY_FILTER_IGNORED_AUTHORS", "noise", &["p1", "p3"]),
        ("THREATRELAY_FILTER_TLP", "green", &["p1", "p2"]),
        ("THREATRELAY_FILTER_MAX_AGE_DAYS", "1", &[]),
        ("THREATRELAY_FILTER_SUBSCRIBED_ONLY", "true", &[]),
    ] {
        let fake = FakeOtx::with(data()).await.unwrap();
        let relay = Builder::new(&fake.url()).rich().set(setting, value).start().await;
        let body = relay.observe(&[("domain", "evil.example")]).await;
        let mut found = pulses(&body, "sightings");
        found.sort_unstable();
        assert_eq!(found, shown, "{setting}={value}");
        assert_eq!(fake.total(), 1 + shown.len(), "{setting}={value}");
        let plain = Builder::new(&fake.url()).set(setting, value).start().await;
        assert_eq!(docs(&plain.observe(&[("domain", "evil.example")]).await, "sightings").len(), 3);
    }
}

#[tokio::test]
async fn what_is_left_out_is_said_in_the_reason() {
    let mut noise = pulse("p2", vec![domain("evil.example", WHEN)]);
    noise.author.username = "noise".to_owned();
    let fake = FakeOtx::with(dataset(vec![pulse("p1", vec![domain("evil.example", WHEN)]), noise])).await.unwrap();
    let relay = Builder::new(&fake.url()).rich().set("THREATRELAY_FILTER_IGNORED_AUTHORS", "noise").start().await;
    let body = relay.observe(&[("domain", "evil.example")]).await;
    let reason = docs(&body, "judgements")[0]["reason"].as_str().unwrap();
    assert!(reason.ends_with("Left out by the relay's settings: 1."), "{reason}");
}

/// A time of listings, so many days ago.
fn days_ago(days: i64) -> String {
    let moment = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days);
    format!("{moment:.0}").trim_end_matches('Z').to_owned()
}

#[tokio::test]
async fn a_trusted_author_is_who_the_settings_name() {
    let (fake, relay) = before(vec![pulse("p1", vec![domain("evil.example", &days_ago(1))])]).await;
    let disposition = |body: &Value| docs(body, "verdicts")[0]["disposition_name"].clone();
    assert_eq!(disposition(&relay.observe(&[("domain", "evil.example")]).await), "Unknown");
    let trusting =
        Builder::new(&fake.url()).rich().set("THREATRELAY_VERDICT_TRUSTED_AUTHORS", "x,Rose").start().await;
    assert_eq!(disposition(&trusting.observe(&[("domain", "evil.example")]).await), "Malicious");
}

#[tokio::test]
async fn what_cannot_be_asked_is_an_error_beside_the_rest() {
    let holding = |id| pulse(id, vec![domain("evil.example", WHEN)]);
    let (fake, relay) = before(vec![holding("p1"), holding("p2")]).await;
    for route in [Route::Listing, Route::Detail] {
        fake.add(Rule::on(route, Fault::status(500)).containing("/pulses/p2"));
    }
    let body = relay.observe(&[("domain", "evil.example"), ("domain", "quiet.example")]).await;
    assert_eq!(pulses(&body, "indicators"), ["p1"]);
    let [(code, severity, message)] = &errors(&body)[..] else { unreachable!("{body}") };
    assert_eq!((code.as_str(), severity.as_str()), ("oops", "error"));
    assert!(message.contains("pulse \"p2\" of domain \"evil.example\"; trace "), "{message}");
    assert_eq!(docs(&body, "verdicts").len(), 1);
}
