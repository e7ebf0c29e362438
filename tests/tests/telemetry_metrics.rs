//! Metrics: what the relay exposes is what `docs/metrics.md` names, passes `promtool`, and leads a real Prometheus from
//! a slow bucket to the trace behind it.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::process::Command;
use std::time::Duration;

use tests::eventually::Eventually;
use tests::fake_otx::{FakeOtx, Fault, KEY, Route, Rule};
use tests::issuer::{Issuer, claims};
use tests::jwks_server::{Document, JwksServer};
use tests::otlp::Collector;
use tests::prometheus::{Prometheus, documented, exposed};
use tests::relay::{Builder, TestRelay, payload};
use tests::tls::{Authority, Certificate};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");

/// A traced relay that has seen answers, failures, retries and refusals, and the trace id of one look-up.
async fn used(fake: &FakeOtx, collector: &Collector) -> (TestRelay, String) {
    fake.add(Rule::on(Route::General, Fault::status(503)).times(1));
    let relay = Builder::new(&fake.url()).set("THREATRELAY_TELEMETRY_OTLP_ENDPOINT", collector.url()).start().await;
    let answer = relay.post("/observe/observables", payload(&[("domain", "evil.example"), ("ip", "10.0.0.1")])).await;
    relay.post_with("/health", "no-token", "").await;
    (relay, answer.headers["x-trace-id"].to_str().unwrap().to_owned())
}

/// The value of a series, its labels included.
fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
}

/// A relay that fetches its keys from `server`, made with a signer that has asked once.
async fn fetching(fake: &FakeOtx, signer: &Issuer, server: &JwksServer, authority: &Authority) -> TestRelay {
    let relay = Builder::new(&fake.url())
        .fetching_keys(server, authority)
        .set("THREATRELAY_AUTH_JWKS_TTL", "1ms")
        .start()
        .await;
    relay.post_with("/health", &signer.token(&claims(KEY, &server.host())).unwrap(), "").await;
    relay
}

#[tokio::test]
async fn the_document_names_what_is_exposed_and_nothing_else() {
    let (fake, collector) = (FakeOtx::start().await.unwrap(), Collector::start().await);
    let (authority, signer) = (Authority::new(), Issuer::generate("k1").unwrap());
    let server = JwksServer::start(&authority, Certificate::Good, Document::of(&[&signer])).await.unwrap();
    let text = used(&fake, &collector).await.0.metrics().await
        + &fetching(&fake, &signer, &server, &authority).await.metrics().await;
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let (relay, _) = document.split_once("## Operator").unwrap();
    assert_eq!(exposed(&text), documented(relay), "left: exposed, right: docs/metrics.md");
}

#[tokio::test]
async fn promtool_finds_no_fault_with_the_names() {
    let (fake, collector) = (FakeOtx::start().await.unwrap(), Collector::start().await);
    let text = used(&fake, &collector).await.0.metrics().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &text).unwrap();
    let checked = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::fs::File::open(file.path()).unwrap())
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}\n{text}", String::from_utf8_lossy(&checked.stderr));
}

#[tokio::test]
async fn what_is_measured_has_its_value() {
    let (fake, collector) = (FakeOtx::start().await.unwrap(), Collector::start().await);
    let text = used(&fake, &collector).await.0.metrics().await;
    for line in [
        "relay_observables_total{type=\"domain\",outcome=\"ok\"} 1",
        "relay_observables_total{type=\"ip\",outcome=\"unsupported\"} 1",
        "relay_circuit_state{state=\"closed\"} 1",
        "relay_circuit_state{state=\"open\"} 0",
        "relay_upstream_retries_total 1",
    ] {
        assert!(text.lines().any(|found| found == line), "no line {line} in\n{text}");
    }
    for name in [
        "relay_cache_entries",
        "relay_cache_bytes",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "process_start_time_seconds",
        "process_open_fds",
        "process_max_fds",
        "process_threads",
    ] {
        assert!(value(&text, name) > 0.0, "{name} in\n{text}");
    }
    assert!(value(&text, "relay_upstream_ratelimit_remaining") < 10_000.0);
    let client = "http_client_request_duration_seconds_count{server_address=\"127.0.0.1\",http_request_method=\"GET\",\
        http_response_status_code=\"503\",error_type=\"status\",\
        url_template=\"/api/v1/indicators/{type}/{value}/{section}\"} 1";
    assert!(text.contains(client), "{text}");
}

#[tokio::test]
async fn keys_have_the_time_they_are_from_and_count_what_fails() {
    let fake = FakeOtx::start().await.unwrap();
    let (authority, signer) = (Authority::new(), Issuer::generate("k1").unwrap());
    let server = JwksServer::start(&authority, Certificate::Good, Document::of(&[&signer])).await.unwrap();
    let relay = fetching(&fake, &signer, &server, &authority).await;
    let host = server.host();
    let fetched = format!("relay_jwks_fetched_timestamp_seconds{{jwks_host=\"{host}\"}}");
    let first = value(&relay.metrics().await, &fetched);
    server.set(Document::redirect("https://elsewhere.example/"));
    relay.post_with("/health", &signer.token(&claims(KEY, &host)).unwrap(), "").await;
    let text = relay.metrics().await;
    let refreshes =
        |outcome| value(&text, &format!("relay_jwks_refresh_total{{jwks_host=\"{host}\",outcome=\"{outcome}\"}}"));
    assert!(first > 1.7e9 && (value(&text, &fetched) - first).abs() < 0.5, "{text}");
    assert!((refreshes("ok") - 1.0).abs() < 0.5 && refreshes("error") >= 1.0, "{text}");

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("default"), KEY).unwrap();
    let relay =
        Builder::new(&fake.url()).set("THREATRELAY_OTX_KEYS_DIR", &folder.path().display().to_string()).start().await;
    let errors = "relay_credential_reload_errors_total{setting=\"otx.keysDir\"}";
    let loaded = "relay_credential_last_reload_timestamp_seconds{setting=\"otx.keysDir\"}";
    let text = relay.metrics().await;
    assert!(value(&text, loaded) > 1.7e9 && value(&text, errors) == 0.0, "{text}");
    std::fs::write(folder.path().join("default"), "").unwrap();
    let counted = Eventually::new("the key file that turned bad is counted").within(Duration::from_secs(20));
    counted
        .ok(async || match value(&relay.metrics().await, errors) {
            1.0 => Ok(()),
            other => Err(other.to_string()),
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn a_real_prometheus_leads_from_a_histogram_to_the_trace() {
    let (fake, collector) = (FakeOtx::start().await.unwrap(), Collector::start().await);
    let (relay, id) = used(&fake, &collector).await;
    let prometheus = Prometheus::scraping(&[("relay", relay.admin())], None);
    for histogram in ["http_server_request_duration_seconds_bucket", "http_client_request_duration_seconds_bucket"] {
        let found =
            Eventually::new(format!("an exemplar of {histogram} names the trace")).within(Duration::from_secs(30));
        let range = [("query", histogram), ("start", "0"), ("end", "9999999999")];
        found
            .ok(async || {
                let answer = prometheus.get("query_exemplars", &range).await?;
                if answer.to_string().contains(&id) { Ok(()) } else { Err(answer.to_string()) }
            })
            .await
            .unwrap();
    }
}
