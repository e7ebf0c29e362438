//! Limits on the head of a request: the length of its target (414), the number and bytes of its headers (431), one
//! `Host` (400). Heads beyond all bounds never get here, hyper refuses them with the same statuses and no body.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri, header};

use crate::api::http_error::HttpError;
use crate::app::App;
use crate::config::Limits;

/// Refuses a request whose head is beyond the limits.
pub(super) async fn check_head(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match refusal(request.uri(), request.headers(), &app.config.limits) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    }
}

fn refusal(uri: &Uri, headers: &HeaderMap, limits: &Limits) -> Option<HttpError> {
    let uri_bytes = uri.path().len() + uri.query().map_or(0, |query| query.len() + 1);
    if uri_bytes > limits.uri_bytes {
        let message = format!("The requested URL is longer than {} bytes.", limits.uri_bytes);
        return Some(HttpError::new(StatusCode::URI_TOO_LONG, "threatrelay.LongUrl", message));
    }
    let header_bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > limits.header_count || header_bytes > limits.header_bytes {
        let message = format!(
            "The request has more than {} headers or {} bytes of them.",
            limits.header_count, limits.header_bytes
        );
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Some(HttpError::new(status, "threatrelay.LargeHeaders", message));
    }
    if headers.get_all(header::HOST).iter().count() > 1 {
        return Some(HttpError::new(
            StatusCode::BAD_REQUEST,
            "threatrelay.SeveralHosts",
            "The request has more than one Host header.",
        ));
    }
    None
}
