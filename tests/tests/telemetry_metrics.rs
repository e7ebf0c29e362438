//! Metrics: what the relay exposes is what `docs/metrics.md` names, passes `promtool`, and leads a real Prometheus from
//! a slow bucket to the trace behind it.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tests::eventually::Eventually;
use tests::fake_otx::{FakeOtx, Fault, Route, Rule};
use tests::otlp::Collector;
use tests::relay::{Builder, TestRelay, payload};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");

/// A traced relay that has seen answers, failures, retries and refusals, and the trace id of one look-up.
async fn used(fake: &FakeOtx, collector: &Collector) -> (TestRelay, String) {
    fake.add(Rule::on(Route::General, Fault::status(503)).times(1));
    let relay = Builder::new(&fake.url()).set("THREATRELAY_TELEMETRY_OTLP_ENDPOINT", collector.url()).start().await;
    let answer = relay.post("/observe/observables", payload(&[("domain", "evil.example"), ("ip", "10.0.0.1")])).await;
    relay.post_with("/health", "no-token", "").await;
    (relay, answer.headers["x-trace-id"].to_str().unwrap().to_owned())
}

#[tokio::test]
async fn the_document_names_what_is_exposed_and_nothing_else() {
    let (fake, collector) = (FakeOtx::start().await.unwrap(), Collector::start().await);
    let text = used(&fake, &collector).await.0.metrics().await;
    let exposed = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let documented = document.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let (exposed, documented): (BTreeSet<_>, BTreeSet<_>) = (exposed.collect(), documented.collect());
    assert_eq!(exposed, documented, "left: exposed, right: docs/metrics.md");
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
    let value = |name: &str| {
        let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or_default()
    };
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
        assert!(value(name) > 0.0, "{name} in\n{text}");
    }
    assert!(value("relay_upstream_ratelimit_remaining") < 10_000.0);
    let client = "http_client_request_duration_seconds_count{server_address=\"127.0.0.1\",http_request_method=\"GET\",\
        http_response_status_code=\"503\",error_type=\"status\",\
        url_template=\"/api/v1/indicators/{type}/{value}/{section}\"} 1";
    assert!(text.contains(client), "{text}");
}

#[tokio::test]
async fn a_real_prometheus_leads_from_a_histogram_to_the_trace() {
    let (fake, collector) = (FakeOtx::start().await.unwrap(), Collector::start().await);
    let (relay, id) = used(&fake, &collector).await;
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = folder.path().join("prometheus.yml");
    let target = relay.admin();
    let text = format!(
        "scrape_configs:\n- job_name: relay\n  scrape_interval: 1s\n  static_configs:\n  - targets: ['{target}']\n"
    );
    std::fs::write(&config, text).unwrap();
    let _prometheus = tokio::process::Command::new("prometheus")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--enable-feature=exemplar-storage")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let client = reqwest::Client::new();
    for histogram in ["http_server_request_duration_seconds_bucket", "http_client_request_duration_seconds_bucket"] {
        let url = format!("http://127.0.0.1:{port}/api/v1/query_exemplars?query={histogram}&start=0&end=9999999999");
        let found =
            Eventually::new(format!("an exemplar of {histogram} names the trace")).within(Duration::from_secs(30));
        found
            .ok(async || {
                let answer = client.get(&url).send().await.map_err(|error| error.to_string())?;
                let answer = answer.bytes().await.map_err(|error| error.to_string())?;
                let answer: Value = serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
                if answer.to_string().contains(&id) { Ok(()) } else { Err(answer.to_string()) }
            })
            .await
            .unwrap();
    }
}
