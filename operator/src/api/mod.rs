//! The custom resource: its types, its schema and the words of its status. What a user writes comes in here and is
//! already checked by the API server against the schema; nothing here talks to one.

pub mod conditions;
mod schema;
pub mod v1alpha1;

pub use v1alpha1::{ThreatRelay, ThreatRelaySpec, ThreatRelayStatus};

/// API group of the custom resource, also the prefix of annotations.
pub const GROUP: &str = "threatrelay.dev";
