//! `POST /deliberate/observables` over HTTP: verdicts alone, the same that stand beside their judgements in an answer of
//! `/observe/observables`, refused and limited like that one, and unknown to a relay that answers as the original.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use serde_json::{Value, json};
use tests::fake_otx::{FakeOtx, Fault, Route, Rule};
use tests::relay::{Builder, TestRelay, payload};
use tests::reply::{docs, errors};
use tests::schema::Answer;
use tests::world::{dataset, domain, pulse};

const PATH: &str = "/deliberate/observables";
const EVIL: (&str, &str) = ("domain", "evil.example");

async fn bundled() -> (FakeOtx, TestRelay) {
    let fake = FakeOtx::start().await.unwrap();
    let relay = Builder::new(&fake.url()).rich().start().await;
    (fake, relay)
}

async fn deliberate(relay: &TestRelay, observables: &[(&str, &str)]) -> Value {
    relay.post(PATH, payload(observables)).await.checked(Answer::Observe)
}

#[tokio::test]
async fn what_otx_clears_is_clean_whatever_pulses_say_and_what_it_does_not_know_has_no_verdict() {
    let (_fake, relay) = bundled().await;
    let asked = [("domain", "example.com"), ("domain", "nobody.example"), ("domain", "benign-cdn.example")];
    let body = deliberate(&relay, &asked).await;
    let verdicts: Vec<(&Value, &Value)> = docs(&body, "verdicts")
        .iter()
        .map(|verdict| (&verdict["observable"]["value"], &verdict["disposition_name"]))
        .collect();
    assert_eq!(verdicts, [(&json!("example.com"), &json!("Clean")), (&json!("benign-cdn.example"), &json!("Clean"))]);
    assert_eq!(body["data"].as_object().unwrap().len(), 1, "verdicts alone: {body}");
}

#[tokio::test]
async fn nothing_known_is_an_answer_without_verdicts() {
    let (_fake, relay) = bundled().await;
    for asked in [&[("domain", "nobody.example")][..], &[("email", "rose@evil.example")], &[("hostname", "x")], &[]] {
        assert_eq!(deliberate(&relay, asked).await, json!({"data": {}}), "{asked:?}");
    }
}

#[tokio::test]
async fn a_verdict_is_the_one_that_observe_gives_with_its_reason() {
    let (_fake, relay) = bundled().await;
    let asked = [EVIL, ("ip", "203.0.113.7"), ("ip", "192.0.2.1"), ("md5", "5162fd5d109bc811b90e8dfc2d59e6cc")];
    let (verdicts, observed) = (deliberate(&relay, &asked).await, relay.observe(&asked).await);
    assert_eq!(docs(&verdicts, "verdicts").len(), 4);
    for verdict in docs(&observed, "verdicts") {
        let mut alone = verdict.clone();
        let judgement = alone.as_object_mut().unwrap().remove("judgement_id").unwrap();
        assert!(docs(&verdicts, "verdicts").contains(&alone), "{alone}");
        let judgement = docs(&observed, "judgements").iter().find(|document| document["id"] == judgement).unwrap();
        let reason = judgement["reason"].as_str().unwrap();
        assert!(reason.starts_with(&format!("{}: ", verdict["disposition_name"].as_str().unwrap())), "{reason}");
    }
}

#[tokio::test]
async fn fifty_pulses_that_nobody_vouches_for_are_not_malicious() {
    let pulses = (0..50).map(|id| pulse(&format!("p{id}"), vec![domain("evil.example", "2026-01-01T08:00:00")]));
    let fake = FakeOtx::with(dataset(pulses.collect())).await.unwrap();
    let relay = Builder::new(&fake.url()).rich().start().await;
    let body = deliberate(&relay, &[EVIL]).await;
    assert_eq!(docs(&body, "verdicts")[0]["disposition_name"], "Unknown");
}

#[tokio::test]
async fn observing_after_deliberating_asks_otx_nothing_more() {
    let (fake, relay) = bundled().await;
    let _ = deliberate(&relay, &[EVIL]).await;
    let calls = fake.total();
    let _ = relay.observe(&[EVIL]).await;
    assert_eq!(fake.total(), calls);
}

#[tokio::test]
async fn it_is_refused_as_observe_is_payload_first() {
    let (fake, relay) = bundled().await;
    for (headers, body) in [
        (&[][..], "nonsense"),
        (&[], r#"[{"type": "ip"}]"#),
        (&[], r#"[{"type": "ip", "value": "192.0.2.1", "x": 1}]"#),
        (&[], "[]"),
        (&[("authorization", "Basic x")], "[]"),
        (&[("authorization", "Bearer x")], r#"[{"type": "ip", "value": "192.0.2.1"}]"#),
        (&[("content-encoding", "gzip")], "[]"),
    ] {
        let here = relay.send("POST", PATH, headers, body).await;
        let there = relay.send("POST", "/observe/observables", headers, body).await;
        assert_eq!((here.status, here.text()), (there.status, there.text()), "{body}");
    }
    let large = "x".repeat(1 << 20 | 1);
    assert_eq!(relay.send("POST", PATH, &[], large).await.status, 413);
    assert_eq!(relay.send("GET", PATH, &[], "").await.status, 405);
    assert_eq!(fake.total(), 0);
}

#[tokio::test]
async fn what_could_not_be_asked_stands_beside_the_verdicts() {
    let (fake, relay) = bundled().await;
    fake.add(Rule::on(Route::General, Fault::status(500)).containing("/203.0.113.7/"));
    let body = deliberate(&relay, &[EVIL, ("ip", "203.0.113.7")]).await;
    assert_eq!(docs(&body, "verdicts").len(), 1);
    let [(code, severity, message)] = &errors(&body)[..] else { unreachable!("{body}") };
    assert_eq!((code.as_str(), severity.as_str()), ("oops", "fatal"));
    assert!(message.contains("(ip \"203.0.113.7\"; trace "), "{message}");
}

#[tokio::test]
async fn a_relay_that_answers_as_the_original_does_not_know_it() {
    let fake = FakeOtx::start().await.unwrap();
    let relay = TestRelay::before(&fake).await;
    let unknown = relay.post("/no/such/path", payload(&[EVIL])).await;
    for path in [PATH, "/tiles", "/tiles/tile", "/tiles/tile-data"] {
        for method in ["POST", "GET", "OPTIONS"] {
            let expected = relay.send(method, "/no/such/path", &[], "").await;
            let answer = relay.send(method, path, &[], "").await;
            assert_eq!((answer.status, answer.text()), (expected.status, expected.text()), "{method} {path}");
        }
        assert_eq!(relay.post(path, payload(&[EVIL])).await.text(), unknown.text());
    }
    assert_eq!(fake.total(), 0);
}
