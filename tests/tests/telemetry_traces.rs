//! Traces: one for each request, from the door to every try of a call, sent to a collector and to nobody else; what
//! they must never tell; and that a collector can never cost a request.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::process::Stdio;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as Status;
use serde_json::json;
use tests::eventually::Eventually;
use tests::fake_otx::{FakeOtx, Fault, KEY, Route, Rule};
use tests::issuer::claims;
use tests::jwks_server::{Document, JwksServer};
use tests::otlp::{Collector, RealCollector, Span};
use tests::process;
use tests::relay::{Builder, TestRelay, payload};
use tests::tls::{Authority, Certificate};
use threatrelay::demo::issuer::Issuer;
use tokio::io::{AsyncBufReadExt, BufReader};

const ASKED: (&str, &str) = ("domain", "evil.example");
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const PARENT_TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const GENERAL: &str = "GET /api/v1/indicators/{type}/{value}/{section}";

fn traced(fake: &FakeOtx, collector: &Collector) -> Builder {
    Builder::new(&fake.url()).set("THREATRELAY_TELEMETRY_OTLP_ENDPOINT", collector.url())
}

/// Asks about [`ASKED`] and gives the trace id that the caller is told.
async fn observe(relay: &TestRelay, headers: &[(&str, &str)]) -> String {
    let authorization = format!("Bearer {}", relay.token());
    let mut all = vec![("authorization", authorization.as_str())];
    all.extend(headers);
    let answer = relay.send("POST", "/observe/observables", &all, payload(&[ASKED])).await;
    answer.headers["x-trace-id"].to_str().unwrap().to_owned()
}

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

async fn metric(relay: &TestRelay, name: &str) -> Option<f64> {
    let text = relay.metrics().await;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test]
async fn one_trace_leads_from_the_request_to_every_try_of_a_call() {
    let (fake, collector) = (FakeOtx::start().await.unwrap(), Collector::start().await);
    fake.add(Rule::on(Route::General, Fault::status(503)).times(1));
    let relay = traced(&fake, &collector).start().await;
    let spans = collector.trace(&observe(&relay, &[("user-agent", "xdr")]).await).await.unwrap();

    let [server] = named(&spans, "POST /observe/observables")[..] else { unreachable!("{spans:?}") };
    assert_eq!((server.kind, server.status, server.parent.as_str()), (SpanKind::Server, Status::Unset, ""));
    for (key, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/observe/observables"),
        ("url.path", "/observe/observables"),
        ("url.scheme", "http"),
        ("http.response.status_code", "200"),
        ("server.address", "127.0.0.1"),
        ("network.protocol.version", "1.1"),
        ("user_agent.original", "xdr"),
        ("relay.outcome", "ok"),
    ] {
        assert_eq!(server.get(key), value, "{key} of {server:?}");
    }
    assert_eq!(server.get("server.port"), relay.address().port().to_string());

    let [verify] = named(&spans, "jwt.verify")[..] else { unreachable!("{spans:?}") };
    assert_eq!((verify.kind, &verify.parent), (SpanKind::Internal, &server.id));
    assert_eq!((verify.get("relay.auth.method"), verify.get("relay.auth.kid")), ("jwks", "test-key"));

    let [lookup] = named(&spans, "relay.lookup")[..] else { unreachable!("{spans:?}") };
    assert_eq!((lookup.kind, &lookup.parent), (SpanKind::Internal, &server.id));
    assert_eq!((lookup.get("relay.observable.type"), lookup.get("relay.cache.hit")), ("domain", "false"));
    assert_eq!(lookup.get("relay.result.sightings"), lookup.get("relay.result.indicators"));
    assert_ne!(lookup.get("relay.result.sightings"), "0");

    let [first, second] = named(&spans, GENERAL)[..] else { unreachable!("{spans:?}") };
    for (call, status, code, resends) in [(first, Status::Error, "503", ""), (second, Status::Unset, "200", "1")] {
        assert_eq!((call.kind, &call.parent, call.status), (SpanKind::Client, &lookup.id, status));
        assert_eq!((call.get("http.response.status_code"), call.get("http.request.resend_count")), (code, resends));
        assert_eq!(call.get("url.template"), GENERAL.strip_prefix("GET ").unwrap());
        assert_eq!(call.get("url.full"), format!("{}/api/v1/indicators/domain/REDACTED/general", fake.url()));
        assert_eq!(call.get("server.port"), fake.address().port().to_string());
    }
    assert_eq!((first.get("error.type"), second.get("error.type")), ("status", ""));
    let clients = spans.iter().filter(|span| span.kind == SpanKind::Client).count();
    assert_eq!(clients, fake.total(), "one span a call");
    assert_eq!(
        (server.resource["service.name"].as_str(), server.resource.contains_key("service.version")),
        ("threatrelay", true)
    );
}

#[tokio::test]
async fn what_is_remembered_is_a_hit_without_a_call() {
    let (fake, collector) = (FakeOtx::start().await.unwrap(), Collector::start().await);
    let relay = traced(&fake, &collector).start().await;
    observe(&relay, &[]).await;
    let spans = collector.trace(&observe(&relay, &[]).await).await.unwrap();
    assert_eq!(named(&spans, "relay.lookup")[0].get("relay.cache.hit"), "true");
    assert!(spans.iter().all(|span| span.kind != SpanKind::Client), "{spans:?}");
}

#[tokio::test]
async fn a_relay_error_at_200_is_an_error_of_its_span() {
    let (fake, collector) = (FakeOtx::start().await.unwrap(), Collector::start().await);
    let relay = traced(&fake, &collector).start().await;
    fake.add(Rule::always(Fault::status(500)));
    let spans = collector.trace(&observe(&relay, &[]).await).await.unwrap();
    let server = named(&spans, "POST /observe/observables")[0];
    assert_eq!((server.status, server.get("error.type")), (Status::Error, "oops"));
    assert_eq!(server.get("http.response.status_code"), "200");
    assert_eq!(named(&spans, "relay.lookup")[0].get("error.type"), "status");

    let refused = relay.post_with("/health", "no-token", "").await;
    let spans = collector.trace(refused.headers["x-trace-id"].to_str().unwrap()).await.unwrap();
    let verify = named(&spans, "jwt.verify")[0];
    assert_eq!((verify.status, verify.get("error.type")), (Status::Error, "token_structure"));
    assert_eq!(named(&spans, "POST /health")[0].get("error.type"), "authorization error");

    let missing = relay.send("GET", "/secret-path", &[], "").await;
    let spans = collector.trace(missing.headers["x-trace-id"].to_str().unwrap()).await.unwrap();
    assert_eq!((spans[0].name.as_str(), spans[0].status), ("GET", Status::Unset));
}

#[tokio::test]
async fn neither_secrets_nor_observables_are_told_nor_is_otx_told_of_the_trace() {
    let (fake, collector) = (FakeOtx::start().await.unwrap(), Collector::start().await);
    let relay = traced(&fake, &collector).start().await;
    let id = observe(&relay, &[("traceparent", PARENT), ("baggage", "a=b"), ("tracestate", "a=canary")]).await;
    collector.trace(&id).await.unwrap();
    let token = relay.token();
    for secret in [KEY, "evil.example", token.split('.').nth(1).unwrap(), token.rsplit('.').next().unwrap(), "canary"]
    {
        assert!(!collector.was_told(secret), "{secret}");
    }
    for call in fake.calls() {
        for (name, _) in &call.headers {
            assert!(!["traceparent", "tracestate", "baggage"].contains(&name.as_str()), "{call:?}");
        }
    }

    let relay = traced(&fake, &collector).set("THREATRELAY_TELEMETRY_RECORD_OBSERVABLES", "true").start().await;
    let spans = collector.trace(&observe(&relay, &[]).await).await.unwrap();
    assert_eq!(named(&spans, "relay.lookup")[0].get("relay.observable.value"), "evil.example");
    assert!(named(&spans, GENERAL)[0].get("url.full").ends_with("/domain/evil.example/general"));
    assert!(!collector.was_told(KEY));
}

#[tokio::test]
async fn a_callers_trace_is_linked_and_only_if_trusted_gone_on_with() {
    let (fake, collector) = (FakeOtx::start().await.unwrap(), Collector::start().await);
    let relay = traced(&fake, &collector).start().await;
    let id = observe(&relay, &[("traceparent", PARENT)]).await;
    assert_ne!(id, PARENT_TRACE);
    let spans = collector.trace(&id).await.unwrap();
    let server = named(&spans, "POST /observe/observables")[0];
    assert_eq!((server.links.as_slice(), server.parent.as_str()), (&[PARENT_TRACE.to_owned()][..], ""));

    let relay = traced(&fake, &collector).set("THREATRELAY_TELEMETRY_TRUST_TRACEPARENT", "true").start().await;
    assert_eq!(observe(&relay, &[("traceparent", PARENT)]).await, PARENT_TRACE);
    let spans = collector.trace(PARENT_TRACE).await.unwrap();
    assert_eq!(named(&spans, "POST /observe/observables")[0].parent, "b7ad6b7169203331");
    for wrong in ["", "nonsense", "00-00000000000000000000000000000000-0000000000000000-01"] {
        assert_ne!(observe(&relay, &[("traceparent", wrong)]).await, PARENT_TRACE);
    }
}

#[tokio::test]
async fn requests_that_are_not_sampled_still_have_ids_and_send_nothing() {
    let (fake, collector) = (FakeOtx::start().await.unwrap(), Collector::start().await);
    let relay = traced(&fake, &collector).set("THREATRELAY_TELEMETRY_SAMPLE_RATIO", "0").start().await;
    let (one, other) = (observe(&relay, &[]).await, observe(&relay, &[]).await);
    assert!(one.len() == 32 && one != other && one.bytes().any(|digit| digit != b'0'), "{one} {other}");
    // What would be sent by now is: a relay that samples all shares the collector.
    let marker = traced(&fake, &collector).start().await;
    collector.trace(&observe(&marker, &[]).await).await.unwrap();
    assert!(collector.spans().iter().all(|span| span.trace_id != one && span.trace_id != other));
}

#[tokio::test]
async fn a_fetch_of_keys_is_a_call_of_the_request_that_needs_them() {
    let (fake, collector) = (FakeOtx::start().await.unwrap(), Collector::start().await);
    let (authority, signer) = (Authority::new(), Issuer::generate("k1").unwrap());
    let server = JwksServer::start(&authority, Certificate::Good, Document::of(&[&signer])).await.unwrap();
    let relay = traced(&fake, &collector).fetching_keys(&server, &authority).start().await;
    let token = signer.token(&claims(KEY, &server.host())).unwrap();
    let answer = relay.post_with("/health", &token, "").await;
    let spans = collector.trace(answer.headers["x-trace-id"].to_str().unwrap()).await.unwrap();
    let [fetch] = named(&spans, "GET /.well-known/jwks")[..] else { unreachable!("{spans:?}") };
    assert_eq!((fetch.kind, &fetch.parent), (SpanKind::Client, &named(&spans, "jwt.verify")[0].id));
    assert_eq!(fetch.get("url.full"), format!("https://{}/.well-known/jwks", server.host()));
    assert_eq!(fetch.get("http.response.status_code"), "200");
    assert!(!format!("{:?}", server.fetches()).contains("traceparent"));
}

#[tokio::test]
async fn the_headers_of_the_file_go_to_the_collector() {
    let (fake, collector) = (FakeOtx::start().await.unwrap(), Collector::start().await);
    let relay = traced(&fake, &collector)
        .set_file("THREATRELAY_TELEMETRY_OTLP_HEADERS_FILE", "Authorization: Bearer of-the-collector\n\nx-scope: a\n")
        .start()
        .await;
    collector.trace(&observe(&relay, &[]).await).await.unwrap();
    let headers = collector.headers();
    assert_eq!(
        (&headers["authorization"], &headers["x-scope"]),
        (&"Bearer of-the-collector".parse().unwrap(), &"a".parse().unwrap())
    );
}

#[tokio::test]
async fn a_collector_that_is_dead_or_refuses_costs_no_request_and_is_counted() {
    let (fake, refusing) = (FakeOtx::start().await.unwrap(), Collector::start().await);
    refusing.refuse();
    let dead = Builder::new(&fake.url()).set("THREATRELAY_TELEMETRY_OTLP_ENDPOINT", "http://127.0.0.1:9");
    for relay in [traced(&fake, &refusing).start().await, dead.start().await] {
        for _ in 0..3 {
            relay.observe(&[ASKED]).await;
        }
        let lost = Eventually::new("the spans are counted as lost").within(Duration::from_secs(30));
        lost.ok(async || match metric(&relay, "relay_spans_lost_total{reason=\"export_failed\"}").await {
            Some(lost) if lost > 0.0 => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn a_relay_that_is_told_to_stop_sends_its_last_spans() {
    let (fake, collector) = (FakeOtx::start().await.unwrap(), Collector::start().await);
    let mut relay = traced(&fake, &collector).spawn().await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(observe(&relay, &[]).await);
    }
    let process = relay.process().unwrap();
    process.signal("TERM").await;
    assert_eq!(process.ended(Duration::from_secs(10)).await.code(), Some(0));
    let spans = collector.spans();
    for id in ids {
        assert!(spans.iter().any(|span| span.trace_id == id && span.kind == SpanKind::Server), "{id} is lost");
    }
}

/// A demo that sends its traces to `collector`.
fn demo(collector: &Collector, options: &str) -> tokio::process::Command {
    let arguments =
        format!("demo --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --otlp {}{options}", collector.url());
    let mut command = process::command(&arguments, std::iter::empty());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

#[tokio::test]
async fn a_demo_that_has_shown_everything_has_sent_its_traces() {
    let collector = Collector::start().await;
    let shown = demo(&collector, " --once").output().await.unwrap();
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stdout));
    let spans = collector.spans();
    for (name, count) in [("POST /observe/observables", 5), ("POST /tiles", 1), ("POST /version", 1)] {
        assert_eq!(named(&spans, name).len(), count, "{name}");
    }
}

#[tokio::test]
async fn a_demo_that_is_interrupted_sends_its_traces_first() {
    let collector = Collector::start().await;
    let mut demo = demo(&collector, "").spawn().unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    while !lines.next_line().await.unwrap().unwrap().contains("\"sightings\"") {}
    process::signal(demo.id().unwrap(), "INT").await;
    let ended = tokio::time::timeout(Duration::from_secs(10), demo.wait()).await.unwrap().unwrap();
    assert!(ended.success(), "{ended}");
    assert_eq!(named(&collector.spans(), "POST /observe/observables").len(), 1);
}

#[tokio::test]
async fn a_real_collector_takes_the_traces_and_passes_them_on() {
    let (fake, end) = (FakeOtx::start().await.unwrap(), Collector::start().await);
    let settings = json!({"endpoint": end.url(), "sending_queue": {"enabled": false}, "compression": "none"});
    let collector = RealCollector::start("otlp_http", settings).await;
    let relay = Builder::new(&fake.url()).set("THREATRELAY_TELEMETRY_OTLP_ENDPOINT", collector.url()).start().await;
    let spans = end.trace(&observe(&relay, &[]).await).await.unwrap();
    let named: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    for name in ["POST /observe/observables", "jwt.verify", "relay.lookup", GENERAL] {
        assert!(named.contains(&name), "{named:?}");
    }
}
