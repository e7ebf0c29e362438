//! `POST /version`: the version of this relay, without an envelope. Needs no token, reads no body, cannot fail.

use serde::Serialize;

use super::envelope::Answer;
use crate::json::to_canonical;

/// The version that `/version`, `threatrelay version` and the build-info metric tell.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Answers `POST /version`.
#[must_use]
pub fn version() -> Answer {
    #[derive(Serialize)]
    struct Document {
        version: &'static str,
    }
    Answer::complete(to_canonical(&Document { version: VERSION }))
}
