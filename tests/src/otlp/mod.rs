//! A collector in this process: takes OTLP over HTTP, keeps every span, and can refuse or stall. It ends when dropped.
#![expect(clippy::expect_used, reason = "a collector that cannot be started ends the test, with the step's name")]

mod program;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::post;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as Status;
use prost::Message;
use tokio_util::task::AbortOnDropHandle;

pub use self::program::RealCollector;
use crate::eventually::{Eventually, TimedOut};

/// A running collector.
#[derive(Debug)]
pub struct Collector {
    url: String,
    received: Arc<Mutex<Received>>,
    _server: AbortOnDropHandle<()>,
}

/// What a collector was sent.
#[derive(Debug, Default)]
struct Received {
    spans: Vec<Span>,
    bytes: Vec<Bytes>,
    headers: Vec<HeaderMap>,
    refuses: bool,
}

/// A span with what tests look at; attributes as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Hex digits.
    pub trace_id: String,
    /// Hex digits.
    pub id: String,
    /// Hex digits, empty for a root.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: SpanKind,
    /// Whether it failed.
    pub status: Status,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
    /// Trace ids that it links to.
    pub links: Vec<String>,
    /// The attributes of who sent it.
    pub resource: BTreeMap<String, String>,
}

impl Span {
    /// An attribute, empty if absent.
    #[must_use]
    pub fn get(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

impl Collector {
    /// Listens on a free loopback port.
    ///
    /// # Panics
    /// When there is none.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let received = Arc::<Mutex<Received>>::default();
        let router = Router::new()
            .route("/v1/traces", post(take))
            .layer(DefaultBodyLimit::disable())
            .with_state(received.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("a server") });
        Self { url, received, _server: AbortOnDropHandle::new(server) }
    }

    /// What `telemetry.otlp.endpoint` must be.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on every delivery is answered with 400.
    pub fn refuse(&self) {
        lock(&self.received).refuses = true;
    }

    /// All spans so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        lock(&self.received).spans.clone()
    }

    /// All bodies, as they were sent.
    #[must_use]
    pub fn bodies(&self) -> Vec<u8> {
        lock(&self.received).bytes.concat()
    }

    /// Whether these bytes stand anywhere in what was sent.
    #[must_use]
    pub fn was_told(&self, words: &str) -> bool {
        self.bodies().windows(words.len()).any(|window| window == words.as_bytes())
    }

    /// The headers of the latest delivery.
    ///
    /// # Panics
    /// When there was none.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        lock(&self.received).headers.last().cloned().expect("a delivery")
    }

    /// The spans of a trace, once its server span is among them, which ends last.
    ///
    /// # Errors
    /// [`TimedOut`].
    pub async fn trace(&self, id: &str) -> Result<Vec<Span>, TimedOut> {
        let whole = Eventually::new(format!("the trace {id} has arrived"));
        whole
            .ok(async || {
                let spans: Vec<Span> = self.spans().into_iter().filter(|span| span.trace_id == id).collect();
                let is_whole = spans.iter().any(|span| span.kind == SpanKind::Server);
                if is_whole { Ok(spans) } else { Err(format!("{spans:?}")) }
            })
            .await
    }
}

async fn take(State(received): State<Arc<Mutex<Received>>>, headers: HeaderMap, body: Bytes) -> (StatusCode, Bytes) {
    let mut received = lock(&received);
    received.headers.push(headers);
    if received.refuses {
        return (StatusCode::BAD_REQUEST, Bytes::new());
    }
    let Ok(request) = ExportTraceServiceRequest::decode(body.clone()) else {
        return (StatusCode::UNPROCESSABLE_ENTITY, Bytes::new());
    };
    received.bytes.push(body);
    for resource in request.resource_spans {
        let sender = resource.resource.map(|resource| texts(resource.attributes)).unwrap_or_default();
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            received.spans.push(Span {
                trace_id: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                kind: span.kind(),
                status: span.status.as_ref().map_or(Status::Unset, v1::Status::code),
                links: span.links.iter().map(|link| hex(&link.trace_id)).collect(),
                name: span.name,
                attributes: texts(span.attributes),
                resource: sender.clone(),
            });
        }
    }
    (StatusCode::OK, Bytes::new())
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<AnyValue>| match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(switch)) => switch.to_string(),
        other => format!("{other:?}"),
    };
    attributes.into_iter().map(|KeyValue { key, value, .. }| (key, text(value))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |digits, byte| digits + &format!("{byte:02x}"))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
