//! Why OTX could not be asked, and what the caller is told of it. Every failure becomes one entry that names what was
//! not asked, the cause and the trace id; none is ever mistaken for "nothing known".

use std::time::Duration;

use crate::error::{ErrorEntry, Severity, code};
use crate::trace::TraceId;

/// Why a call to OTX brought no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// OTX answered 401 or 403: the key is wrong.
    #[error("Authorization failed on AlienVault OTX side")]
    KeyRefused,
    /// OTX answered 429 for this key, now or a moment ago.
    #[error("Too many requests have been made to AlienVault OTX. Please, try again later.")]
    Throttled {
        /// How long OTX asked to wait, if it said so.
        wait: Option<Duration>,
    },
    /// The relay's own budget for this key leaves no call before the deadline.
    #[error(
        "The budget of {hourly} calls an hour to AlienVault OTX is spent for this key (otx.hourlyBudget). Please, try again later."
    )]
    BudgetSpent {
        /// The configured budget.
        hourly: u32,
    },
    /// OTX answered a status that is no answer.
    #[error("{0} {phrase}", phrase = phrase(*.0))]
    Status(u16),
    /// The body is not what this endpoint answers.
    #[error("AlienVault OTX answered with something that is not the expected JSON")]
    NotJson,
    /// The body is larger than the relay takes.
    #[error("AlienVault OTX answered with more than {limit} bytes")]
    TooLarge {
        /// The limit, after decompression.
        limit: usize,
    },
    /// OTX's listing of a pulse does not end.
    #[error("AlienVault OTX's list of the pulse's indicators does not end")]
    Endless,
    /// The TLS certificate could not be verified; the text is `OpenSSL`'s for the same fault.
    #[error("{0}")]
    Certificate(String),
    /// No connection could be made.
    #[error("no connection to AlienVault OTX could be made")]
    Unreachable,
    /// The connection broke before the answer was complete.
    #[error("AlienVault OTX closed the connection before its answer was complete")]
    Reset,
    /// One call took too long.
    #[error("AlienVault OTX did not answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// The time for the whole request ran out before this could be asked.
    #[error("there was no answer from AlienVault OTX within the {} s that one request may take", .0.as_secs_f32())]
    Deadline(Duration),
    /// OTX failed so often that it is left alone for a moment.
    #[error("AlienVault OTX has failed repeatedly and is given a pause")]
    CircuitOpen,
    /// A defect of the relay.
    #[error("the relay failed while it asked AlienVault OTX")]
    Internal,
}

impl Failure {
    /// True for faults that a second try may not meet, and that a second try does not worsen.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable | Self::Reset | Self::Status(502..=504))
    }

    /// The status of the answer, where it says so.
    pub(super) const fn status(&self) -> Option<u16> {
        match self {
            Self::Status(status) => Some(*status),
            Self::Throttled { .. } => Some(429),
            _ => None,
        }
    }

    /// True when OTX answered that it does not know what it was asked about.
    pub(super) const fn is_not_found(&self) -> bool {
        matches!(self, Self::Status(400 | 404))
    }

    /// True for faults of OTX itself or of the way to it, as opposed to faults of a key or of one answer.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Unreachable | Self::Reset | Self::Timeout(_) | Self::Certificate(_) | Self::Status(500..=599)
        )
    }

    /// A closed word for metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::KeyRefused => "unauthorized",
            Self::Throttled { .. } => "rate_limited",
            Self::BudgetSpent { .. } => "budget_spent",
            Self::Status(400 | 404) => "not_found",
            Self::Status(_) => "status",
            Self::NotJson => "not_json",
            Self::TooLarge { .. } => "too_large",
            Self::Endless => "endless",
            Self::Certificate(_) => "certificate",
            Self::Unreachable => "unreachable",
            Self::Reset => "reset",
            Self::Timeout(_) => "timeout",
            Self::Deadline(_) => "deadline",
            Self::CircuitOpen => "circuit_open",
            Self::Internal => "internal",
        }
    }

    /// The entry for a failure that concerns the whole request, in the original's words.
    #[must_use]
    pub fn entry(&self) -> ErrorEntry {
        let (code, message) = match self {
            Self::KeyRefused => return ErrorEntry::authorization(&self.to_string()),
            Self::Throttled { .. } | Self::BudgetSpent { .. } => (code::TOO_MANY_REQUESTS, self.to_string()),
            Self::Certificate(_) => (code::SSL, format!("Unable to verify SSL certificate: {self}.")),
            _ => (code::OOPS, format!("Something went wrong. Reason: {self}.")),
        };
        ErrorEntry::fatal(code, message)
    }

    /// The entry for a failure that concerns `subject` only, e.g. `domain "evil.example"`.
    #[must_use]
    pub fn entry_about(&self, subject: &str, severity: Severity, trace: &TraceId) -> ErrorEntry {
        let ErrorEntry { code, message, .. } = self.entry();
        ErrorEntry { code, message: format!("{message} ({subject}; trace {trace})"), severity }
    }
}

/// The phrase of a status as Python's `http.HTTPStatus` has it; the original's messages are made of them.
fn phrase(status: u16) -> &'static str {
    match status {
        203 => "Non-Authoritative Information",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        416 => "Requested Range Not Satisfiable",
        418 => "I'm a Teapot",
        _ => {
            http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Unknown")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_the_originals_words() {
        for (failure, code, message) in [
            (Failure::Status(503), "oops", "Something went wrong. Reason: 503 Service Unavailable."),
            (Failure::Status(418), "oops", "Something went wrong. Reason: 418 I'm a Teapot."),
            (Failure::Status(599), "oops", "Something went wrong. Reason: 599 Unknown."),
            (
                Failure::KeyRefused,
                "authorization error",
                "Authorization failed: Authorization failed on AlienVault OTX side",
            ),
            (
                Failure::Certificate("Certificate has expired".into()),
                "ssl certificate verification failed",
                "Unable to verify SSL certificate: Certificate has expired.",
            ),
            (
                Failure::Timeout(Duration::from_millis(2500)),
                "oops",
                "Something went wrong. Reason: AlienVault OTX did not answer within 2.5 s.",
            ),
        ] {
            assert_eq!(failure.entry(), ErrorEntry::fatal(code, message));
        }
    }

    #[test]
    fn a_partial_failure_names_its_subject_and_the_trace() {
        let trace = TraceId::random();
        let entry = Failure::Status(500).entry_about("domain \"evil.example\"", Severity::Error, &trace);
        let expected = format!(
            "Something went wrong. Reason: 500 Internal Server Error. (domain \"evil.example\"; trace {trace})"
        );
        assert_eq!(entry, ErrorEntry { code: "oops", message: expected, severity: Severity::Error });
    }
}
