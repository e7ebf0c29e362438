//! The identity of one relay request: made at the door, carried in `x-trace-id`, in every log line and in every
//! error entry, so that an analyst's error tile leads to the log line.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};
use uuid::Uuid;
use uuid::fmt::Simple;

/// 16 random bytes as 32 lower-case hex digits, the form of a W3C trace id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId([u8; Simple::LENGTH]);

impl TraceId {
    /// A new random id.
    #[must_use]
    pub fn random() -> Self {
        let mut digits = [0; Simple::LENGTH];
        Uuid::new_v4().simple().encode_lower(&mut digits);
        Self(digits)
    }

    /// The 32 hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl EncodeLabelValue for TraceId {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> fmt::Result {
        EncodeLabelValue::encode(&self.as_str(), encoder)
    }
}
