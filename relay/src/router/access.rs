//! One record of every request: its trace id (made here, sent back in `x-trace-id`, on every log line of the
//! request), one access line, and its metrics. Paths, tokens and observables never appear in any of them. A request
//! whose caller went away is recorded as `cancelled` with status 499.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderValue, Method};
use tracing::{Instrument, Span};

use super::ROUTES;
use crate::api::envelope::Outcome;
use crate::app::App;
use crate::metrics::RequestLabels;
use crate::trace::TraceId;

/// How many observables the request asks about: an extension of the request, set by whoever reads them.
#[derive(Clone, Debug, Default)]
pub struct ObservableCount(Arc<AtomicUsize>);

impl ObservableCount {
    /// Takes the number.
    pub fn set(&self, count: usize) {
        self.0.store(count, Ordering::Relaxed);
    }
}

/// Gives a request its trace id and records it when it is over.
pub(super) async fn record(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let trace_id = TraceId::random();
    let method = known_method(request.method());
    let route = known_route(request.extensions().get::<MatchedPath>());
    let span = tracing::error_span!("request", %trace_id, method, route);

    let mut record = Record::start(app, method, route, trace_id.clone(), span.clone());
    request.extensions_mut().insert(record.observables.clone());
    request.extensions_mut().insert(trace_id.clone());
    let mut response = next.run(request).instrument(span).await;
    record.end = End::of(&response);
    if let Ok(value) = HeaderValue::from_str(trace_id.as_str()) {
        response.headers_mut().insert("x-trace-id", value);
    }
    response
}

/// Methods as metrics and logs know them: a caller cannot make new label values.
fn known_method(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}

fn known_route(path: Option<&MatchedPath>) -> &'static str {
    path.and_then(|path| ROUTES.into_iter().find(|route| *route == path.as_str())).unwrap_or("(unmatched)")
}

/// How a request ended.
#[derive(Clone, Copy)]
struct End {
    status: u16,
    outcome: &'static str,
    error_code: Option<&'static str>,
}

impl End {
    /// Until there is an answer: the caller went away. The status is never sent.
    const CANCELLED: Self = Self { status: 499, outcome: "cancelled", error_code: None };

    fn of(response: &Response) -> Self {
        let status = response.status();
        let (outcome, error_code) = match response.extensions().get::<Outcome>() {
            Some(outcome) => (outcome.kind.as_str(), outcome.error_code),
            None if status.is_success() => ("ok", None),
            None => ("refused", None),
        };
        Self { status: status.as_u16(), outcome, error_code }
    }

    /// What stands in `error_type`: a relay error although the status is 200, or the relay's own failure.
    fn error_type(self) -> Option<&'static str> {
        match self.status {
            499 => Some("cancelled"),
            500 => Some("500"),
            503 => Some("503"),
            _ => self.error_code,
        }
    }
}

/// A request under way. Dropping it is the end of the request, answered or not.
struct Record {
    app: Arc<App>,
    method: &'static str,
    route: &'static str,
    trace_id: TraceId,
    span: Span,
    started: Instant,
    observables: ObservableCount,
    end: End,
}

impl Record {
    fn start(app: Arc<App>, method: &'static str, route: &'static str, trace_id: TraceId, span: Span) -> Self {
        app.metrics.http.active_requests.inc();
        let (started, observables, end) = (Instant::now(), ObservableCount::default(), End::CANCELLED);
        Self { app, method, route, trace_id, span, started, observables, end }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let Self { app, method, route, trace_id, span, started, observables, end } = self;
        let (method, route, elapsed) = (*method, *route, started.elapsed());
        app.metrics.http.active_requests.dec();
        let labels = RequestLabels {
            http_request_method: method,
            http_route: route,
            http_response_status_code: end.status,
            error_type: end.error_type(),
        };
        app.metrics.http.observe(&labels, elapsed, trace_id);
        app.metrics.count_response(route, end.outcome, end.error_code);

        let _entered = span.enter();
        tracing::info!(
            status = end.status,
            duration_ms = (elapsed.as_secs_f64() * 1e6).round() / 1e3,
            observables = observables.0.load(Ordering::Relaxed),
            outcome = end.outcome,
            error.code = end.error_code,
            "answered"
        );
    }
}
