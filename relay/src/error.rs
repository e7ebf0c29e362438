//! What a relay caller is told when something failed: entries of `errors`, always at HTTP 200.
//!
//! The platform allows exactly three keys in an entry (`ModuleErrorMessage`): `code`, `message`, `type`.

use serde::Serialize;

/// One entry of `errors`. Fields stand in alphabetical order because answers are written with sorted keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErrorEntry {
    /// A word of the relay's closed vocabulary, e.g. `oops` or `authorization error`.
    pub code: &'static str,
    /// The sentence the analyst reads. Never holds a secret.
    pub message: String,
    /// How much of the answer it spoils.
    #[serde(rename = "type")]
    pub severity: Severity,
}

/// How much of an answer an [`ErrorEntry`] spoils (`type` on the wire).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The request, or one observable of it, could not be asked at all.
    Fatal,
    /// A part of one observable's answer is missing.
    Error,
    /// The answer is complete but for what the message says.
    Warning,
}

/// The codes an [`ErrorEntry`] can carry.
pub mod code {
    /// The token or the OTX key was refused.
    pub const AUTHORIZATION: &str = "authorization error";
    /// The request body does not have the form the endpoint takes.
    pub const INVALID_PAYLOAD: &str = "invalid payload received";
    /// OTX, or the way to it, failed.
    pub const OOPS: &str = "oops";
    /// OTX's certificate could not be verified.
    pub const SSL: &str = "ssl certificate verification failed";
    /// `GET /watchdog` without its header.
    pub const HEALTH_CHECK: &str = "health check failed";
    /// OTX throttles this key, or this relay paces it.
    pub const TOO_MANY_REQUESTS: &str = "too many requests";
    /// OTX lists no more pulses than it gave.
    pub const TOO_MANY_PULSES: &str = "too-many-messages-warning";
    /// An older answer was used because OTX could not be asked again.
    pub const STALE: &str = "stale answer";
}

impl ErrorEntry {
    /// A fatal entry.
    pub fn fatal(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), severity: Severity::Fatal }
    }

    /// `authorization error` with its reason, in the original's words.
    #[must_use]
    pub fn authorization(reason: &str) -> Self {
        Self::fatal(code::AUTHORIZATION, format!("Authorization failed: {reason}"))
    }
}
