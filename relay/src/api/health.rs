//! `POST /health`: whether this caller's token and OTX key work, found out by asking OTX. The body is ignored.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;

use super::envelope::Envelope;
use super::http_error::Refusal;
use crate::app::App;
use crate::error::ErrorEntry;

/// The platform's `ModuleHealthStatus`.
#[derive(Debug, Serialize)]
pub struct Health {
    status: &'static str,
}

/// Answers `POST /health`.
///
/// # Errors
/// 503 when too many requests are under way, `authorization error` when the token or its OTX key is refused.
pub async fn health(State(app): State<Arc<App>>) -> Result<Envelope<Health>, Refusal> {
    let _slot = app.admit()?;
    Err(ErrorEntry::authorization("Authorization header is missing").into())
}
