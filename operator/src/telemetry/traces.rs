//! Traces of reconciles on their way to a collector: the spans of this crate, gathered in memory and sent from a thread
//! of their own by OTLP over HTTP. A collector that is dead or slow costs spans and one log line an outage, never a
//! reconcile. What spans carry is what `tracing` spans of this crate carry: names, kinds and verbs, no contents.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter as OtlpExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::resource::EnvResourceDetector;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
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
    let exporter = OtlpExporter::builder()
        .with_http()
        .with_http_client(client.build().map_err(|error| unusable(&error))?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .with_timeout(SEND)
        .build()
        .map_err(|error| unusable(&error))?;
    let exporter = Observed { exporter, is_down: AtomicBool::new(false) };
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

/// Tells when the collector takes no spans any more, and when it does again.
#[derive(Debug)]
struct Observed<E> {
    exporter: E,
    is_down: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Observed<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let outcome = self.exporter.export(batch).await;
        let was_down = self.is_down.swap(outcome.is_err(), Ordering::Relaxed);
        match &outcome {
            Err(error) if !was_down => {
                tracing::warn!(%error, "the collector (--otlp-endpoint) takes no spans; they are lost until it does");
            }
            Ok(()) if was_down => tracing::info!("the collector takes spans again"),
            _ => {}
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

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex, PoisonError};

    use opentelemetry_sdk::error::OTelSdkError;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    /// A collector that takes spans, or does not.
    #[derive(Debug, Default)]
    struct Collector(AtomicBool);

    impl SpanExporter for Collector {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            if self.0.load(Ordering::Relaxed) {
                Ok(())
            } else {
                Err(OTelSdkError::InternalFailure("dead".to_owned()))
            }
        }
    }

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Log {
        fn lines(&self) -> Vec<String> {
            let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
        }
    }

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Log {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    #[tokio::test]
    async fn an_outage_of_the_collector_is_one_line_and_its_end_another() {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
        let _logging = tracing::subscriber::set_default(subscriber);
        let observed = Observed { exporter: Collector::default(), is_down: AtomicBool::new(false) };
        for is_alive in [false, false, false, true, true, false, false] {
            observed.exporter.0.store(is_alive, Ordering::Relaxed);
            let _told = observed.export(Vec::new()).await;
        }
        let lines = log.lines();
        assert_eq!(lines.len(), 3, "{lines:#?}");
        for (line, words) in lines.iter().zip(["takes no spans", "takes spans again", "takes no spans"]) {
            assert!(line.contains(words), "{line}");
        }
    }
}
