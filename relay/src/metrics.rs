//! The relay's metrics: one registry, every label from a closed set. Recording never fails and never waits for a
//! scrape longer than it takes to copy numbers.

mod process;

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, prometheus_text, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use self::process::Process;
use crate::api::version::VERSION;
use crate::auth;
use crate::observable::ObservableType;
use crate::otx;
use crate::telemetry;
use crate::trace::export;
use crate::trace::{Exemplar, TraceId};

/// Seconds; the buckets that OpenTelemetry advises for HTTP durations.
pub(crate) const DURATION_BUCKETS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// All metrics of a relay, with the registry they are read from.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Requests on the relay listener.
    pub http: HttpMetrics,
    /// The OTX engine.
    pub otx: otx::Metrics,
    /// Spans on their way to a collector.
    pub(crate) spans: export::Metrics,
    observables: Family<ObservableLabels, Counter>,
    responses: Family<ResponseLabels, Counter>,
    /// Keys that tokens are verified with, and keys of OTX.
    pub(crate) auth: auth::metrics::Metrics,
    auth_failures: Family<AuthLabels, Counter>,
}

/// Metrics of requests on the relay listener.
#[derive(Debug)]
pub struct HttpMetrics {
    /// Requests under way.
    pub active_requests: Gauge,
    duration: Family<RequestLabels, HistogramWithExemplars<Exemplar>, fn() -> HistogramWithExemplars<Exemplar>>,
}

/// Labels of `http_server_request_duration_seconds`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// A method of HTTP, else `_OTHER`.
    pub http_request_method: &'static str,
    /// A route, never a path.
    pub http_route: &'static str,
    /// The status; 499 when the caller went away.
    pub http_response_status_code: u16,
    /// A relay error code although the status is 200, else the status of a failure of the relay itself.
    pub error_type: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResponseLabels {
    endpoint: &'static str,
    outcome: &'static str,
    error_code: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ObservableLabels {
    r#type: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AuthLabels {
    reason: &'static str,
}

/// A form in which metrics can be scraped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// The Prometheus text format 0.0.4, without exemplars.
    Text,
    /// `OpenMetrics` 1.0.0, with trace ids as exemplars.
    OpenMetrics,
}

impl Exposition {
    /// The media type of this form.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Metrics {
    /// Registers every metric at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let build = Info::new([("version", VERSION)]);
        registry.register("relay_build", "The build of this relay", build);
        let http = HttpMetrics::register(&mut registry);
        let otx = otx::Metrics::register(&mut registry);
        let responses = Family::default();
        registry.register("relay_responses", "Answers by how complete they are", responses.clone());
        let auth_failures = Family::default();
        registry.register("relay_auth_failures", "Refused callers by reason", auth_failures.clone());
        let auth = auth::metrics::Metrics::register(&mut registry);
        registry.register("relay_log_lines_lost", "Log lines that nobody read fast enough", telemetry::lost_lines());
        let spans = export::Metrics::register(&mut registry);
        let observables = Family::default();
        registry.register("relay_observables", "Observables by type and by what was found", observables.clone());
        registry.register_collector(Box::new(Process::begin()));
        Self { registry, http, otx, spans, observables, responses, auth, auth_failures }
    }

    /// Counts an answer: `outcome` is `ok`, `warning`, `partial`, `error`, `refused` or `cancelled`.
    pub fn count_response(&self, endpoint: &'static str, outcome: &'static str, error_code: Option<&'static str>) {
        self.responses.get_or_create(&ResponseLabels { endpoint, outcome, error_code }).inc();
    }

    /// Counts an observable that was looked up; `outcome` is `ok`, `empty`, `unsupported`, `truncated`, `partial` or
    /// `error`.
    pub fn count_observable(&self, kind: ObservableType, outcome: &'static str) {
        self.observables.get_or_create(&ObservableLabels { r#type: kind.as_str(), outcome }).inc();
    }

    /// Counts a refused caller; `reason` is a word of a closed set.
    pub fn count_auth_failure(&self, reason: &'static str) {
        self.auth_failures.get_or_create(&AuthLabels { reason }).inc();
    }

    /// All metrics as text.
    #[must_use]
    pub fn encode(&self, form: Exposition) -> String {
        let mut out = String::new();
        let encoded = match form {
            Exposition::Text => prometheus_text::encode(&mut out, &self.registry),
            Exposition::OpenMetrics => text::encode(&mut out, &self.registry),
        };
        if encoded.is_err() {
            tracing::error!("the metrics could not be written as text");
        }
        out
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpMetrics {
    fn register(registry: &mut Registry) -> Self {
        let active_requests = Gauge::default();
        registry.register("http_server_active_requests", "Requests under way", active_requests.clone());
        let duration = Family::new_with_constructor(
            (|| HistogramWithExemplars::new(DURATION_BUCKETS.into_iter()))
                as fn() -> HistogramWithExemplars<Exemplar>,
        );
        let help = "Time from a request's head to its answer";
        registry.register_with_unit("http_server_request_duration", help, Unit::Seconds, duration.clone());
        Self { active_requests, duration }
    }

    /// Records a request that is over.
    pub fn observe(&self, labels: &RequestLabels, elapsed: Duration, trace_id: TraceId) {
        let exemplar = Exemplar { trace_id };
        self.duration.get_or_create(labels).observe(elapsed.as_secs_f64(), Some(exemplar), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded() -> Metrics {
        let metrics = Metrics::new();
        let labels = RequestLabels {
            http_request_method: "POST",
            http_route: "/health",
            http_response_status_code: 200,
            error_type: Some("authorization error"),
        };
        metrics.http.observe(&labels, Duration::from_millis(20), TraceId::random());
        metrics.count_response("/health", "error", Some("authorization error"));
        metrics.count_auth_failure("expired");
        metrics
    }

    #[test]
    fn every_metric_has_its_name_and_labels() {
        let text = recorded().encode(Exposition::Text);
        for line in [
            concat!("relay_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "# TYPE http_server_active_requests gauge",
            "# TYPE http_server_request_duration_seconds histogram",
            "http_server_request_duration_seconds_bucket{http_request_method=\"POST\",http_route=\"/health\",\
             http_response_status_code=\"200\",error_type=\"authorization error\",le=\"0.025\"} 1",
            "# TYPE relay_responses_total counter",
            "relay_responses_total{endpoint=\"/health\",outcome=\"error\",error_code=\"authorization error\"} 1",
            "relay_auth_failures_total{reason=\"expired\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "no line {line} in\n{text}");
        }
    }

    #[test]
    fn exemplars_stand_in_open_metrics_alone() {
        let metrics = recorded();
        let open = metrics.encode(Exposition::OpenMetrics);
        assert!(open.contains("# {trace_id=\""), "{open}");
        assert!(open.ends_with("# EOF\n"), "{open}");
        let text = metrics.encode(Exposition::Text);
        assert!(!text.contains("trace_id") && !text.contains("EOF"), "{text}");
    }
}
