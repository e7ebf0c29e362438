//! `GET /watchdog`: gives the header `Health-Check` back, so that a monitor knows its request reached the relay
//! itself. Needs no token; without the header the answer is an error entry.

use http::HeaderMap;

use super::envelope::Envelope;
use crate::error::{ErrorEntry, code};

/// Answers `GET /watchdog`.
///
/// # Errors
/// `health check failed` without the header.
pub fn watchdog(headers: &HeaderMap) -> Result<Envelope<String>, ErrorEntry> {
    let sent =
        headers.get("health-check").ok_or_else(|| ErrorEntry::fatal(code::HEALTH_CHECK, "Invalid Health Check"))?;
    // Header bytes are Latin-1 to the original's server.
    Ok(Envelope::of(sent.as_bytes().iter().map(|byte| char::from(*byte)).collect()))
}
