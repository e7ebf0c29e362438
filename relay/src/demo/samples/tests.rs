#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::io::Write;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use flate2::Compression;
use flate2::write::GzEncoder;
use tower::ServiceExt;

use super::*;

fn general(kind: &str, title: &str, value: &str, pulse: &str) -> Value {
    json!({
        "indicator": value, "type": kind, "type_title": title, "base_indicator": {"id": 7, "indicator": value},
        "pulse_info": {"count": 1, "pulses": [
            {"id": pulse, "created": "2026-01-02T03:04:05.678000", "related_indicator_is_active": 1}
        ]},
    })
}

/// A directory of captures: one answer with listed rows, one whose pulse is given whole, one with neither.
fn captures() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &Value| fs::write(dir.path().join(name), content.to_string()).unwrap();
    write("general-a.json", &general("IPv4", "IPv4", "192.0.2.1", "aa"));
    write("general-b.json", &general("domain", "Domain", "evil.example", "bb"));
    write("general-c.json", &general("url", "URL", "http://evil.example/a", "cc"));
    write(
        "pulse-indicators-a.json",
        &json!({"results": [
            {"pulse_key": "aa", "id": 7, "indicator": "192.0.2.1", "created": "2026-01-01T00:00:00", "is_active": 1},
        ]}),
    );
    write(
        "errors.json",
        &json!([{"status": 404, "body": {"detail": "gone"}}, {"status": 403, "body": {"detail": "<x>"}}]),
    );
    write("something.headers.json", &json!({"Server": "gunicorn"}));
    fs::write(dir.path().join("broken.json"), "{").unwrap();
    let pulse =
        json!({"id": "bb", "indicators": [{"id": 7, "indicator": "evil.example", "type": "domain", "is_active": 1}]});
    let mut gz = GzEncoder::new(fs::File::create(dir.path().join("pulse-b.json.gz")).unwrap(), Compression::fast());
    gz.write_all(pulse.to_string().as_bytes()).unwrap();
    gz.finish().unwrap();
    dir
}

async fn ask(samples: Samples, path: &str) -> (u16, Value) {
    let request = Request::builder().uri(path).header("x-otx-api-key", "k").body(Body::empty()).unwrap();
    let response = router(Arc::new(samples)).oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap())
}

async fn ask_captures(path: &str) -> (u16, Value) {
    let dir = captures();
    ask(Samples::read(dir.path()).unwrap(), path).await
}

#[tokio::test]
async fn an_answer_is_served_as_captured() {
    let (status, body) = ask_captures("/api/v1/indicators/IPv4/192.0.2.1/general").await;
    assert_eq!((status, body), (200, general("IPv4", "IPv4", "192.0.2.1", "aa")));
}

#[tokio::test]
async fn captured_rows_win_over_derived_ones() {
    let (_, body) = ask_captures("/api/v1/pulses/aa/indicators?limit=10&page=1").await;
    assert_eq!((&body["count"], &body["results"][0]["created"]), (&1.into(), &"2026-01-01T00:00:00".into()));
}

#[tokio::test]
async fn rows_of_a_pulse_given_whole_become_a_listing() {
    let (_, body) = ask_captures("/api/v1/pulses/bb/indicators").await;
    let row = &body["results"][0];
    assert_eq!((&row["pulse_key"], &row["slug"], &row["id"]), (&"bb".into(), &"domain".into(), &7.into()));
}

#[tokio::test]
async fn a_pulse_without_captured_rows_gets_the_one_its_answer_implies() {
    let (_, body) = ask_captures("/api/v1/pulses/cc/indicators").await;
    let row = &body["results"][0];
    assert_eq!(row.as_object().unwrap().len(), 12);
    assert_eq!((&row["indicator"], &row["type"]), (&"http://evil.example/a".into(), &"URL".into()));
    assert_eq!(row["created"], "2026-01-02T03:04:05");
}

#[tokio::test]
async fn what_was_not_captured_is_answered_as_unknown() {
    let (status, body) = ask_captures("/api/v1/indicators/domain/other.example/general").await;
    assert_eq!((status, &body["pulse_info"]["count"]), (200, &0.into()));
    assert_eq!(ask_captures("/api/v1/pulses/zz/indicators").await, (404, json!({"detail": "gone"})));
}

#[test]
fn examples_name_one_indicator_of_each_type() {
    let dir = captures();
    let samples = Samples::read(dir.path()).unwrap();
    assert_eq!(
        samples.examples(),
        [("IPv4", "192.0.2.1"), ("domain", "evil.example"), ("url", "http://evil.example/a")]
    );
}

#[test]
fn a_directory_without_answers_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let error = Samples::read(dir.path()).unwrap_err().to_string();
    assert!(error.contains(&dir.path().display().to_string()), "{error}");
}
