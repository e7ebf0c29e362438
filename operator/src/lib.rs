//! Turns a `ThreatRelay` custom resource into a running, reachable, observed relay.
//!
//! A reconcile goes one way, each step in a module of its own:
//!
//! `observe (reads) → validate (pure) → build (pure) → apply (server-side apply, stated order) → status (pure, then one patch if it differs)`
//!
//! [`triggers`] says when that happens, [`controller`] drives it, [`runtime`] is the life of the process around it.

pub mod admin;
pub mod api;
pub mod apply;
pub mod broken;
pub mod build;
pub mod client;
pub mod commands;
pub mod controller;
pub mod discovery;
pub mod events;
pub mod kinds;
pub mod leader;
pub mod metrics;
pub mod observe;
pub mod observed;
pub mod probe;
pub mod rights;
pub mod runtime;
pub mod settings;
pub mod status;
pub mod telemetry;
pub mod triggers;
pub mod validate;
