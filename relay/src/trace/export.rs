//! Spans on their way to a collector: gathered in memory and sent from a thread of its own by OTLP over HTTP. A
//! collector that is dead or slow costs spans, a counter and a log line now and then, never a request. Off unless the
//! settings name a collector; then only its files can be wrong.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue, header, request};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Link, SpanKind, TraceContextExt, Tracer as _, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter as OtlpExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::resource::EnvResourceDetector;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, Span as SdkSpan, SpanData, SpanExporter,
    SpanProcessor,
};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use reqwest::redirect::Policy;

use super::span::{Origin, Span};
use crate::api::version::VERSION;
use crate::config::{Config, Otlp};

/// Most spans that wait to be sent.
const MOST_WAITING: usize = 4096;
/// How long a span waits for others, so that they are sent together.
const GATHERING: Duration = Duration::from_secs(1);
/// Time for one delivery, each of its tries.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the end of the process waits for a collector that does not keep up.
const LAST_WAIT: Duration = Duration::from_secs(3);
/// Between two log lines about a collector that fails.
const SILENCE: Duration = Duration::from_mins(1);
const TRACEPARENT: &str = "traceparent";

/// Begins traces. Records nothing when traces are off.
#[derive(Debug, Default)]
pub(crate) struct Tracer(Option<Pipeline>);

#[derive(Debug)]
struct Pipeline {
    provider: SdkTracerProvider,
    origin: Origin,
    trusts_traceparent: bool,
}

/// Traces cannot be sent with these settings.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file that the settings name cannot be read.
    #[error("{setting}: {} cannot be read: {why}", path.display())]
    Unreadable {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        why: std::io::Error,
    },
    /// A line of the file with headers is no header. The line is not shown, it may be the secret.
    #[error("telemetry.otlp.headersFile: line {line} of {} is no header; write `name: value`", path.display())]
    NoHeader {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// No exporter can be made.
    #[error("traces cannot be sent to telemetry.otlp.endpoint: {0}")]
    Exporter(String),
}

/// What becomes of spans.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    exported: Counter,
    lost: Family<Loss, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Loss {
    reason: &'static str,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("relay_spans_exported", "Spans that the collector took", metrics.exported.clone());
        registry.register("relay_spans_lost", "Spans that never reached the collector", metrics.lost.clone());
        for reason in ["queue_full", "export_failed"] {
            drop(metrics.lost.get_or_create(&Loss { reason }));
        }
        metrics
    }

    fn lose(&self, reason: &'static str, spans: usize) {
        self.lost.get_or_create(&Loss { reason }).inc_by(spans as u64);
    }
}

impl Tracer {
    /// A tracer as the settings want it; nothing is sent yet.
    ///
    /// # Errors
    /// [`StartError`] when a file that the settings name cannot be used.
    pub(crate) fn start(config: &Config, metrics: &Metrics) -> Result<Self, StartError> {
        let telemetry = &config.telemetry;
        let Some(otlp) = &telemetry.otlp else { return Ok(Self::default()) };
        let exporter = exporter(otlp, config.extra_ca_file.as_deref())?;
        let waiting = Arc::new(AtomicUsize::new(0));
        let exporter =
            Counted { exporter, metrics: metrics.clone(), waiting: waiting.clone(), told: Mutex::default() };
        // The queue is never full by its own measure: what is beyond ours is counted and does not get there.
        let batches = BatchConfigBuilder::default().with_max_queue_size(2 * MOST_WAITING);
        let batches = batches.with_scheduled_delay(GATHERING).build();
        let batches = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        let sampler = Sampler::parent_based(Sampler::TraceIdRatioBased(telemetry.sample_ratio));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Bounded { batches, metrics: metrics.clone(), waiting })
            .with_sampler(sampler)
            .with_resource(resource())
            .build();
        let tracer = provider.tracer(env!("CARGO_PKG_NAME"));
        let origin = Origin { tracer, records_observables: telemetry.record_observables };
        Ok(Self(Some(Pipeline { provider, origin, trusts_traceparent: telemetry.trust_traceparent })))
    }

    /// The span of a request to `route`, absent for a path without one.
    pub(crate) fn request(&self, method: &'static str, route: Option<&'static str>, head: &request::Parts) -> Span {
        let Some(Pipeline { origin, trusts_traceparent, .. }) = &self.0 else { return Span::inert() };
        let mut builder = origin
            .tracer
            .span_builder(route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}")))
            .with_kind(SpanKind::Server)
            .with_attributes(attributes(method, route, head));
        let mut parent = Context::new();
        if let Some(caller) = caller(head) {
            if *trusts_traceparent {
                parent = caller;
            } else {
                builder = builder.with_links(vec![Link::with_context(caller.span().span_context().clone())]);
            }
        }
        let span = origin.tracer.build_with_context(builder, &parent);
        Span::root(Context::new().with_span(span).with_value(origin.clone()))
    }

    /// Sends what waits, and nothing from then on. Takes at most some seconds.
    pub(crate) async fn end(&self) {
        let Some(Pipeline { provider, .. }) = &self.0 else { return };
        let provider = provider.clone();
        // It waits for the sending thread, which no worker of the runtime may do.
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LAST_WAIT)).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!("the last spans may not have reached the collector");
        }
    }
}

/// What is known of a request from its head. A path that nobody serves may hold anything and is left out.
fn attributes(method: &'static str, route: Option<&'static str>, head: &request::Parts) -> Vec<KeyValue> {
    let mut attributes = vec![KeyValue::new("http.request.method", method), KeyValue::new("url.scheme", "http")];
    if let Some(route) = route {
        attributes.extend([KeyValue::new("http.route", route), KeyValue::new("url.path", route)]);
    }
    match head.version {
        http::Version::HTTP_10 => attributes.push(KeyValue::new("network.protocol.version", "1.0")),
        _ => attributes.push(KeyValue::new("network.protocol.version", "1.1")),
    }
    let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(host) = text(header::HOST).and_then(|host| host.parse::<http::uri::Authority>().ok()) {
        attributes.push(KeyValue::new("server.address", host.host().to_owned()));
        attributes.extend(host.port_u16().map(|port| KeyValue::new("server.port", i64::from(port))));
    }
    attributes.extend(text(header::USER_AGENT).map(|agent| KeyValue::new("user_agent.original", agent.to_owned())));
    attributes
}

/// The span that a caller says it asks from.
fn caller(head: &request::Parts) -> Option<Context> {
    struct Traceparent<'a>(&'a str);
    impl Extractor for Traceparent<'_> {
        fn get(&self, name: &str) -> Option<&str> {
            (name == TRACEPARENT).then_some(self.0)
        }

        fn keys(&self) -> Vec<&str> {
            vec![TRACEPARENT]
        }
    }
    let mut sent = head.headers.get_all(TRACEPARENT).iter();
    let (Some(only), None) = (sent.next(), sent.next()) else { return None };
    let caller =
        TraceContextPropagator::new().extract_with_context(&Context::new(), &Traceparent(only.to_str().ok()?));
    caller.has_active_span().then_some(caller)
}

/// Who sends the spans: OpenTelemetry's own variables beat the name of the program.
fn resource() -> Resource {
    let resource = Resource::builder_empty()
        .with_service_name(env!("CARGO_PKG_NAME"))
        .with_attribute(KeyValue::new("service.version", VERSION))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match std::env::var("OTEL_SERVICE_NAME") {
        Ok(name) if !name.is_empty() => resource.with_service_name(name).build(),
        _ => resource.build(),
    }
}

fn exporter(otlp: &Otlp, extra_ca: Option<&Path>) -> Result<OtlpExporter, StartError> {
    let headers = otlp.headers_file.as_deref().map(headers).transpose()?.unwrap_or_default();
    let certificates = match extra_ca {
        Some(path) => {
            let pem = read("extraCaFile", path)?;
            reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(unusable)?
        }
        None => Vec::new(),
    };
    let endpoint = format!("{}/v1/traces", otlp.endpoint.as_str().trim_end_matches('/'));
    let build = move || {
        let client = reqwest::blocking::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(SEND_TIMEOUT)
            .tls_certs_merge(certificates)
            .build()
            .map_err(unusable)?;
        let exporter = OtlpExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint)
            .with_headers(headers)
            .with_timeout(SEND_TIMEOUT);
        exporter.build().map_err(unusable)
    };
    // A blocking client must not be made on a thread of the runtime.
    std::thread::spawn(build)
        .join()
        .unwrap_or_else(|_| Err(StartError::Exporter("no client could be made".to_owned())))
}

fn unusable(error: impl std::fmt::Display) -> StartError {
    StartError::Exporter(error.to_string())
}

fn read(setting: &'static str, path: &Path) -> Result<String, StartError> {
    std::fs::read_to_string(path).map_err(|why| StartError::Unreadable { setting, path: path.to_owned(), why })
}

/// The headers of a file, one a line.
fn headers(path: &Path) -> Result<HashMap<String, String>, StartError> {
    let text = read("telemetry.otlp.headersFile", path)?;
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let (name, value) = (HeaderName::try_from(name.trim()).ok()?, value.trim());
        HeaderValue::from_str(value).is_ok().then(|| (name.to_string(), value.to_owned()))
    };
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    lines
        .map(|(text, line)| header(text).ok_or_else(|| StartError::NoHeader { path: path.to_owned(), line }))
        .collect()
}

/// Keeps spans from waiting without end.
#[derive(Debug)]
struct Bounded {
    batches: BatchSpanProcessor,
    metrics: Metrics,
    waiting: Arc<AtomicUsize>,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut SdkSpan, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.waiting.fetch_add(1, Ordering::Relaxed) < MOST_WAITING {
            self.batches.on_end(span);
        } else {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.metrics.lose("queue_full", 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// Counts what is sent and what cannot be, and tells of the latter now and then.
#[derive(Debug)]
struct Counted<E> {
    exporter: E,
    metrics: Metrics,
    waiting: Arc<AtomicUsize>,
    told: Mutex<Option<Instant>>,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let outcome = self.exporter.export(batch).await;
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        match &outcome {
            Ok(()) => {
                self.metrics.exported.inc_by(spans as u64);
            }
            Err(error) => {
                self.metrics.lose("export_failed", spans);
                let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
                if told.is_none_or(|told| told.elapsed() >= SILENCE) {
                    *told = Some(Instant::now());
                    tracing::warn!(%error, spans, "the collector (telemetry.otlp.endpoint) did not take spans");
                }
            }
        }
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
