//! Traces of reconciles on their way to a collector: the spans of this crate, gathered in memory and sent from a thread
//! of their own by OTLP over HTTP. A collector that is dead or slow costs spans, never a reconcile. What spans carry is
//! what `tracing` spans of this crate carry: names, kinds and verbs, no contents.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::EnvResourceDetector;
use opentelemetry_sdk::trace::SdkTracerProvider;
use reqwest::redirect::Policy;
use tracing::Subscriber;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use super::TelemetryError;

/// Time for one delivery.
const SEND: Duration = Duration::from_secs(5);
/// How long the end of the process waits for a collector that does not keep up.
const LAST_WAIT: Duration = Duration::from_secs(3);

/// The way to the collector, where there is one.
#[derive(Debug, Default)]
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Sends what waits, and nothing from then on. Takes at most some seconds. Not to be called on a worker of the
    /// runtime: it waits for the sending thread.
    pub fn end(self) {
        if let Some(Err(error)) = self.0.map(|provider| provider.shutdown_with_timeout(LAST_WAIT)) {
            tracing::warn!(%error, "the last spans may not have reached the collector");
        }
    }
}

/// The traces, and the layer that makes them of `tracing`'s spans.
pub(super) fn start<S>(endpoint: &str) -> Result<(Traces, impl Layer<S> + use<S>), TelemetryError>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let unusable = |error: &dyn std::fmt::Display| TelemetryError::Exporter {
        endpoint: endpoint.to_owned(),
        why: error.to_string(),
    };
    let client = reqwest::blocking::Client::builder().redirect(Policy::none()).no_proxy().timeout(SEND);
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client.build().map_err(|error| unusable(&error))?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .with_timeout(SEND)
        .build()
        .map_err(|error| unusable(&error))?;
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource()).build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(env!("CARGO_PKG_NAME")))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_level(false)
        .with_target(false);
    // Spans of this crate alone; log lines stay in the log.
    let ours = |metadata: &tracing::Metadata<'_>| metadata.is_span() && metadata.target().starts_with(super::CRATE);
    Ok((Traces(Some(provider)), layer.with_filter(FilterFn::new(ours))))
}

/// Who sends the spans: OpenTelemetry's own variables beat the name of the program.
fn resource() -> Resource {
    let resource = Resource::builder_empty()
        .with_service_name(env!("CARGO_PKG_NAME"))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match std::env::var("OTEL_SERVICE_NAME") {
        Ok(name) if !name.is_empty() => resource.with_service_name(name).build(),
        _ => resource.build(),
    }
}
