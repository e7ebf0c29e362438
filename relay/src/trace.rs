//! The identity of one relay request and, where traces are wanted, what is recorded of its steps ([`span`]) and sent
//! to a collector ([`export`]). The id is made at the door, carried in `x-trace-id`, in every log line and in every
//! error entry, so that an analyst's error tile leads to the log line and to the trace. Nothing here fails a request.

pub mod export;
pub(crate) mod span;

use std::fmt;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use uuid::Uuid;
use uuid::fmt::Simple;

/// 16 random bytes as 32 lower-case hex digits, the form of a W3C trace id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId([u8; Simple::LENGTH]);

impl TraceId {
    /// A new random id.
    #[must_use]
    pub fn random() -> Self {
        Self::of(Uuid::new_v4())
    }

    fn of(bytes: Uuid) -> Self {
        let mut digits = [0; Simple::LENGTH];
        bytes.simple().encode_lower(&mut digits);
        Self(digits)
    }

    /// The 32 hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The id of a trace that is recorded.
impl From<opentelemetry::TraceId> for TraceId {
    fn from(id: opentelemetry::TraceId) -> Self {
        Self::of(Uuid::from_bytes(id.to_bytes()))
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

/// What an exemplar says of the request it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Exemplar {
    pub(crate) trace_id: TraceId,
}
