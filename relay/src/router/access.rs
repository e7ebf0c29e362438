//! One record of every request: its trace id (made here, sent back in `x-trace-id`, on every log line of the
//! request), one access line, and its metrics. Paths, tokens and observables never appear in any of them. A request
//! whose caller went away is recorded as `cancelled` with status 499.

use std::time::Instant;

use http::{HeaderValue, Method, StatusCode, request};
use tracing::Instrument;

use super::route::Route;
use crate::api::envelope::{Outcome, OutcomeKind};
use crate::app::App;
use crate::metrics::RequestLabels;
use crate::trace::TraceId;
use crate::trace::span::Span;

const X_REQUEST_ID: &str = "x-request-id";
/// Longest id of a proxy that is logged.
const REQUEST_ID_BYTES: usize = 128;

/// A request under way. Dropping it is the end of the request, answered or not.
pub(super) struct Record<'a> {
    app: &'a App,
    method: &'static str,
    started: Instant,
    /// Until there is an answer: the caller went away. That status is never sent.
    status: u16,
    outcome: Outcome,
    span: Span,
    request_id: Option<String>,
    pub(super) trace_id: TraceId,
    pub(super) route: Option<Route>,
    /// How many observables the request asks about.
    pub(super) observables: usize,
}

impl<'a> Record<'a> {
    /// A request has arrived.
    pub(super) fn start(app: &'a App, head: &request::Parts, route: Option<Route>) -> Self {
        app.metrics.http.active_requests.inc();
        let method = known_method(&head.method);
        let span = match route {
            // A monitor asks it all the time.
            Some(Route::Watchdog) => Span::inert(),
            route => app.tracer.request(method, route.map(Route::path), head),
        };
        Self {
            app,
            method,
            started: Instant::now(),
            status: 499,
            outcome: Outcome::of(OutcomeKind::Cancelled),
            trace_id: span.trace_id().unwrap_or_else(TraceId::random),
            span,
            request_id: head.headers.get(X_REQUEST_ID).and_then(request_id),
            route,
            observables: 0,
        }
    }

    /// Has an answer.
    pub(super) fn end(mut self, status: StatusCode, outcome: Outcome) {
        (self.status, self.outcome) = (status.as_u16(), outcome);
    }

    /// Has `endpoint` run where its log lines and its steps belong to the request.
    pub(super) async fn around<F: Future>(&self, endpoint: F) -> F::Output {
        let (method, route, span_id) = (self.method, self.route(), self.span.id());
        let lines = tracing::error_span!("request", trace_id = %self.trace_id, span_id, method, route);
        self.span.around(endpoint.instrument(lines)).await
    }

    fn route(&self) -> &'static str {
        self.route.map_or("(unmatched)", Route::path)
    }

    /// What stands in `error_type`: a relay error although the status is 200, or the relay's own failure.
    fn error_type(&self) -> Option<&'static str> {
        match self.status {
            499 => Some("cancelled"),
            500 => Some("500"),
            503 => Some("503"),
            _ => self.outcome.error_code,
        }
    }
}

/// The id that the proxy in front gave the request, if it could not be mistaken for anything else.
fn request_id(value: &HeaderValue) -> Option<String> {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'=' | b'/' | b'+');
    let text = value.to_str().ok().filter(|text| (1..=REQUEST_ID_BYTES).contains(&text.len()))?;
    text.bytes().all(is_plain).then(|| text.to_owned())
}

/// Methods as metrics and logs know them: a caller cannot make new label values.
fn known_method(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["POST", "GET", "OPTIONS", "HEAD", "PUT", "DELETE", "PATCH", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}

impl Record<'_> {
    /// A relay error counts as one although its status is 200; a wrong request or a caller who went away does not.
    fn end_span(&self) {
        self.span.set("relay.outcome", self.outcome.kind.as_str());
        if self.status == 499 {
            return;
        }
        self.span.set("http.response.status_code", i64::from(self.status));
        if self.outcome.kind != OutcomeKind::Warning
            && let Some(error_type) = self.error_type()
        {
            self.span.fail(error_type);
        }
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        let (route, elapsed, Outcome { kind, error_code }) = (self.route(), self.started.elapsed(), self.outcome);
        let metrics = &self.app.metrics;
        metrics.http.active_requests.dec();
        let labels = RequestLabels {
            http_request_method: self.method,
            http_route: route,
            http_response_status_code: self.status,
            error_type: self.error_type(),
        };
        metrics.http.observe(&labels, elapsed, self.trace_id);
        metrics.count_response(route, kind.as_str(), error_code);
        self.end_span();
        tracing::info!(
            trace_id = self.trace_id.as_str(),
            span_id = self.span.id(),
            request_id = self.request_id.as_deref(),
            method = self.method,
            route,
            status = self.status,
            duration_ms = (elapsed.as_secs_f64() * 1e6).round() / 1e3,
            observables = self.observables,
            outcome = kind.as_str(),
            error.code = error_code,
            "answered"
        );
    }
}
