//! A panic in a handler is a defect of the relay: it costs its own request a 500 and nothing else. What panicked is
//! logged by the panic hook of [`crate::telemetry`], inside the request's span.

use std::panic::AssertUnwindSafe;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

use crate::api::http_error::HttpError;

/// Answers a panic of what is behind with 500.
pub(super) async fn answer_500(request: Request, next: Next) -> Response {
    AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("a request ended in a panic; please report it with the line logged before this one");
        HttpError::defect().into_response()
    })
}
