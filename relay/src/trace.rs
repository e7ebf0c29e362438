//! The identity of one relay request: made at the door, carried in `x-trace-id`, in every log line and in every
//! error entry, so that an analyst's error tile leads to the log line.

use std::fmt;

/// 16 random bytes as 32 lower-case hex digits, the form of a W3C trace id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceId(String);

impl TraceId {
    /// A new random id.
    #[must_use]
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().simple().to_string())
    }

    /// The 32 hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
