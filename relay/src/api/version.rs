//! `POST /version`: the version of this relay, without an envelope. Needs no token, reads no body, cannot fail.

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::envelope::json;

/// The version that `/version`, `threatrelay version` and the build-info metric tell.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Answers `POST /version`.
pub async fn version() -> Response {
    #[derive(Serialize)]
    struct Document {
        version: &'static str,
    }
    json(StatusCode::OK, &Document { version: VERSION })
}
