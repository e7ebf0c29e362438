//! A panic in an endpoint is a defect of the relay: it costs its own request a 500 and nothing else. What panicked is
//! logged by the panic hook of [`crate::telemetry`], whose request it was is logged here.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

use crate::api::envelope::Answer;
use crate::api::http_error::HttpError;
use crate::trace::TraceId;

/// Answers a panic of `endpoint` with 500.
pub(super) async fn answer_500(endpoint: impl Future<Output = Answer>, trace_id: TraceId) -> Answer {
    AssertUnwindSafe(endpoint).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!(
            %trace_id,
            "a request ended in a panic; please report it with the line about the panic before this one"
        );
        HttpError::defect().into()
    })
}
