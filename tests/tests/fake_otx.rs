//! The fake OTX keeps its promises: honest without rules, exactly as broken as a rule says, and every call counted.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use reqwest::{Client, Response};
use serde_json::{Value, json};
use tests::fake_otx::scale::Scale;
use tests::fake_otx::{At, FakeOtx, Fault, How, KEY, Key, Route, Rule};
use tests::tls::{Authority, Certificate};
use threatrelay::demo::upstream::Dataset;

const GENERAL: &str = "/api/v1/indicators/domain/evil.example/general";
const LANTERN: &str = "68c6771840f3aa5be2d90c12";

fn client() -> Client {
    Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(Duration::from_secs(5)).build().unwrap()
}

async fn get(fake: &FakeOtx, target: &str) -> reqwest::Result<Response> {
    client().get(format!("{}{target}", fake.url())).header("X-OTX-API-KEY", KEY).send().await
}

async fn body(fake: &FakeOtx, target: &str) -> reqwest::Result<Value> {
    let bytes = get(fake, target).await?.bytes().await?;
    Ok(serde_json::from_slice(&bytes).unwrap_or_default())
}

fn listing(query: &str) -> String {
    format!("/api/v1/pulses/{LANTERN}/indicators?{query}")
}

/// The fake with one fault on every call.
async fn broken(fault: Fault) -> FakeOtx {
    let fake = FakeOtx::start().await.unwrap();
    fake.add(Rule::always(fault));
    fake
}

/// Whether an error comes from the connection, as opposed to what came over it.
fn is_connection_error(error: &reqwest::Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<std::io::Error>()
            && matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof)
        {
            return true;
        }
        source = error.source();
    }
    format!("{error:?}").contains("IncompleteMessage")
}

#[tokio::test]
async fn it_is_honest_without_rules() {
    let fake = FakeOtx::start().await.unwrap();
    let first = body(&fake, GENERAL).await.unwrap();
    assert_eq!(first["pulse_info"]["count"], 3);
    assert_eq!(body(&fake, GENERAL).await.unwrap(), first);
}

#[tokio::test]
async fn calls_are_recorded_without_their_key() {
    let fake = FakeOtx::start().await.unwrap();
    body(&fake, GENERAL).await.unwrap();
    client().get(format!("{}{}", fake.url(), listing("page=1"))).send().await.unwrap();
    let calls = fake.calls();
    assert_eq!((fake.count(Route::General), fake.count(Route::Listing), fake.total()), (1, 1, 2));
    assert_eq!((&calls[0].key, &calls[1].key), (&Key::Of("relay-demo".to_owned()), &Key::None));
    assert_eq!(calls[1].target, listing("page=1"));
    assert!(!format!("{calls:?}").contains(KEY));
}

#[tokio::test]
async fn a_rule_counts_only_its_own_calls_and_ends_when_used_up() {
    let fake = FakeOtx::start().await.unwrap();
    fake.add(Rule::on(Route::General, Fault::status(503)).containing("evil.example").skip(1).times(2));
    let mut statuses = Vec::new();
    for target in [GENERAL, "/api/v1/indicators/domain/other.example/general", GENERAL, GENERAL, GENERAL] {
        statuses.push(get(&fake, target).await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 503, 503, 200]);
}

#[tokio::test]
async fn statuses_have_their_headers_and_bodies() {
    for (fault, status, header, words) in [
        (Fault::status(504), 504, ("content-type", "text/html"), "504 Gateway Timeout"),
        (Fault::status(599), 599, ("content-type", "text/html"), "599 Unknown"),
        (Fault::throttled(Some("120")), 429, ("retry-after", "120"), "Over throttling limit (100/hour)"),
        (Fault::anonymous_throttled(), 429, ("content-type", "application/json"), "Please authenticate."),
        (Fault::redirect(302, "http://elsewhere.example/"), 302, ("location", "http://elsewhere.example/"), ""),
        (Fault::status(204), 204, ("content-length", "0"), ""),
    ] {
        let fake = broken(fault).await;
        let response = get(&fake, GENERAL).await.unwrap();
        let value = response.headers()[header.0].to_str().unwrap();
        assert_eq!((response.status().as_u16(), value), (status, header.1));
        assert!(response.text().await.unwrap().contains(words), "{status}");
    }
}

#[tokio::test]
async fn connections_break_where_they_should() {
    for (at, how) in
        [(At::Start, How::Reset), (At::Start, How::Close), (At::Headers, How::Reset), (At::Headers, How::Close)]
    {
        let fake = broken(Fault::Break(at, how)).await;
        let error = get(&fake, GENERAL).await.unwrap_err();
        assert!(is_connection_error(&error), "{at:?} {how:?}: {error:?}");
    }
    for how in [How::Reset, How::Close] {
        let fake = broken(Fault::Break(At::Body, how)).await;
        let response = get(&fake, GENERAL).await.unwrap();
        assert_eq!(response.status(), 200);
        let error = response.bytes().await.unwrap_err();
        assert!(is_connection_error(&error), "body {how:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_stalled_answer_lasts_as_long_as_the_client() {
    for at in [At::Start, At::Headers, At::Body] {
        let fake = broken(Fault::Break(at, How::Stall)).await;
        let patience = Duration::from_millis(200);
        let request = client().get(format!("{}{GENERAL}", fake.url())).timeout(patience);
        let outcome = async { request.send().await?.bytes().await }.await;
        assert!(outcome.unwrap_err().is_timeout(), "{at:?}");
    }
}

#[tokio::test]
async fn a_wrong_length_breaks_the_body_or_cuts_it() {
    let fake = broken(Fault::ContentLength(10)).await;
    assert!(get(&fake, GENERAL).await.unwrap().bytes().await.is_err());
    let fake = broken(Fault::ContentLength(-10)).await;
    assert_eq!(body(&fake, GENERAL).await.unwrap(), Value::Null);
}

#[tokio::test]
async fn truncated_gzip_has_its_whole_length_and_half_its_content() {
    let fake = broken(Fault::TruncatedGzip).await;
    let response = client().get(format!("{}{GENERAL}", fake.url())).send().await.unwrap();
    let error = response.bytes().await.unwrap_err();
    assert!(error.is_decode(), "{error:?}");
}

#[tokio::test]
async fn a_gzip_bomb_unpacks_to_its_size() {
    let fake = broken(Fault::GzipBomb(16)).await;
    let mut response = client().get(format!("{}{GENERAL}", fake.url())).send().await.unwrap();
    let mut unpacked = 0;
    // The stream has no proper end; what counts is what comes out before.
    while let Ok(Some(chunk)) = response.chunk().await {
        unpacked += chunk.len();
    }
    assert_eq!(unpacked, 16 << 20);
}

#[tokio::test]
async fn a_dripping_answer_arrives_whole_but_late() {
    let fake = FakeOtx::start().await.unwrap();
    fake.add(Rule::always(Fault::Drip(20, Duration::from_millis(10))));
    let begun = Instant::now();
    let body = body(&fake, "/api/v1/user/me").await.unwrap();
    assert_eq!(body["username"], "relay-demo");
    assert!(begun.elapsed() >= Duration::from_millis(20));
}

#[tokio::test]
async fn latency_is_per_route() {
    let fake = FakeOtx::start().await.unwrap();
    fake.set_latency(Route::General, Duration::from_millis(150));
    let begun = Instant::now();
    body(&fake, "/api/v1/user/me").await.unwrap();
    let me = begun.elapsed();
    body(&fake, GENERAL).await.unwrap();
    assert!(begun.elapsed() >= me + Duration::from_millis(150));
    assert!(me < Duration::from_millis(150), "{me:?}");
}

#[tokio::test]
async fn answers_can_be_rewritten() {
    let fake = FakeOtx::start().await.unwrap();
    fake.add(Rule::on(Route::General, Fault::in_pulses(|pulse| pulse["public"] = json!(true))));
    fake.add(Rule::on(Route::Listing, Fault::without("count")));
    assert_eq!(body(&fake, GENERAL).await.unwrap()["pulse_info"]["pulses"][0]["public"], true);
    assert_eq!(body(&fake, &listing("")).await.unwrap().get("count"), None);
}

#[tokio::test]
async fn next_can_be_endless_and_the_limit_be_clamped() {
    let fake = broken(Fault::endless_next()).await;
    assert!(body(&fake, &listing("limit=1000")).await.unwrap()["next"].is_string());
    let fake = broken(Fault::ClampLimit(4)).await;
    let page = body(&fake, &listing("sort=-created&limit=10000&page=2")).await.unwrap();
    assert_eq!(page["results"].as_array().unwrap().len(), 4);
    assert!(page["next"].as_str().unwrap().contains("page=3"));
}

#[tokio::test]
async fn a_page_past_the_end_can_be_404() {
    let fake = broken(Fault::past_the_end_is_404()).await;
    assert_eq!(get(&fake, &listing("limit=100&page=1")).await.unwrap().status(), 200);
    assert_eq!(get(&fake, &listing("limit=100&page=2")).await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_pulse_can_vanish_between_two_calls() {
    let fake = FakeOtx::start().await.unwrap();
    fake.add(Rule::on(Route::General, Fault::then_delete(LANTERN)).times(1));
    assert_eq!(body(&fake, GENERAL).await.unwrap()["pulse_info"]["count"], 3);
    assert_eq!(get(&fake, &listing("")).await.unwrap().status(), 404);
}

#[tokio::test]
async fn rows_can_move_between_two_pages() {
    let fake = FakeOtx::start().await.unwrap();
    fake.add(Rule::on(Route::Listing, Fault::then_insert_row(LANTERN)).times(1));
    let first = body(&fake, &listing("limit=4&sort=-created&page=1")).await.unwrap();
    let second = body(&fake, &listing("limit=4&sort=-created&page=2")).await.unwrap();
    assert_eq!(second["results"][0], first["results"][3]);
    assert_eq!(second["count"].as_u64().unwrap(), first["count"].as_u64().unwrap() + 1);
}

#[tokio::test]
async fn it_speaks_tls_and_is_trusted_only_with_a_good_certificate() {
    let authority = Authority::new();
    for (certificate, trusted) in [
        (Certificate::Good, true),
        (Certificate::Expired, false),
        (Certificate::WrongName, false),
        (Certificate::SelfSigned, false),
    ] {
        let address = ([127, 0, 0, 1], 0).into();
        let fake = FakeOtx::serve(Dataset::bundled().unwrap(), address, Some(authority.server(certificate)));
        let fake = fake.await.unwrap();
        let root = reqwest::Certificate::from_pem(authority.pem().as_bytes()).unwrap();
        let client = Client::builder().tls_certs_only([root]).build().unwrap();
        let target = format!("{}{}", fake.url(), listing("limit=2"));
        let outcome = client.get(target).header("X-OTX-API-KEY", KEY).send().await;
        assert_eq!(outcome.is_ok(), trusted, "{certificate:?}: {outcome:?}");
        assert_eq!((fake.connections() > 0, fake.total()), (true, usize::from(trusted)), "{certificate:?}");
        if let Ok(response) = outcome {
            let page: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
            assert!(page["next"].as_str().unwrap().starts_with("https://"));
        }
    }
}

#[tokio::test]
async fn a_scale_has_its_observables_where_it_says() {
    let scale = Scale { pulses: 3, rows: 250, observables: 2, depth: 120 };
    let fake = FakeOtx::with(scale.dataset()).await.unwrap();
    let target = format!("/api/v1/indicators/domain/{}/general", Scale::observable(1));
    let general = body(&fake, &target).await.unwrap();
    assert_eq!(general["pulse_info"]["count"], 3);
    assert_eq!(general["pulse_info"]["pulses"][0]["indicator_count"], 250);
    let target = format!("/api/v1/pulses/{}/indicators?sort=-created&limit=100&page=2", Scale::pulse_id(0));
    let page = body(&fake, &target).await.unwrap();
    assert_eq!(page["results"][21]["indicator"], Scale::observable(1));
    assert_eq!(page["results"][21]["id"], general["base_indicator"]["id"]);
}
