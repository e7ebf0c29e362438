//! Turns a `ThreatRelay` custom resource into a running, reachable, observed relay.

pub mod api;
pub mod build;
pub mod observed;
pub mod validate;
