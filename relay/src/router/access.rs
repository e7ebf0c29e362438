//! One record of every request: its trace id (made here, sent back in `x-trace-id`, on every log line of the
//! request), one access line, and its metrics. Paths, tokens and observables never appear in any of them. A request
//! whose caller went away is recorded as `cancelled` with status 499.

use std::time::Instant;

use http::{Method, StatusCode};
use tracing::Span;

use super::route::Route;
use crate::api::envelope::{Outcome, OutcomeKind};
use crate::app::App;
use crate::metrics::RequestLabels;
use crate::trace::TraceId;

/// A request under way. Dropping it is the end of the request, answered or not.
pub(super) struct Record<'a> {
    app: &'a App,
    method: &'static str,
    started: Instant,
    /// Until there is an answer: the caller went away. That status is never sent.
    status: u16,
    outcome: Outcome,
    pub(super) trace_id: TraceId,
    pub(super) route: Option<Route>,
    /// How many observables the request asks about.
    pub(super) observables: usize,
}

impl<'a> Record<'a> {
    /// A request has arrived.
    pub(super) fn start(app: &'a App, method: &Method, route: Option<Route>) -> Self {
        app.metrics.http.active_requests.inc();
        Self {
            app,
            method: known_method(method),
            started: Instant::now(),
            status: 499,
            outcome: Outcome::of(OutcomeKind::Cancelled),
            trace_id: TraceId::random(),
            route,
            observables: 0,
        }
    }

    /// Has an answer.
    pub(super) fn end(mut self, status: StatusCode, outcome: Outcome) {
        (self.status, self.outcome) = (status.as_u16(), outcome);
    }

    /// What log lines of the request stand in.
    pub(super) fn span(&self) -> Span {
        tracing::error_span!("request", trace_id = %self.trace_id, method = self.method, route = self.route())
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

/// Methods as metrics and logs know them: a caller cannot make new label values.
fn known_method(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["POST", "GET", "OPTIONS", "HEAD", "PUT", "DELETE", "PATCH", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
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
        tracing::info!(
            trace_id = self.trace_id.as_str(),
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
