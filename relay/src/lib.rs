//! Threat Relay: answers Cisco SecureX / XDR relay requests with threat intelligence from AlienVault OTX.
//!
//! A request passes through the modules in one direction and no step looks back:
//!
//! `router → auth → observable (parse, canonicalise) → otx (plan, fetch, index) → mapping (pure) → ctim (typed) → api::envelope`
//!
//! [`config`] is read once at start and handed down; [`app::App`] is the only shared state.

pub mod admin;
pub mod api;
pub mod app;
pub mod auth;
pub mod broken;
pub mod cli;
pub mod config;
pub mod ctim;
pub mod demo;
pub mod error;
pub mod json;
pub mod mapping;
pub mod metrics;
pub mod observable;
pub mod otx;
pub mod router;
pub mod server;
pub mod telemetry;
pub mod tiles;
pub mod trace;
pub mod upstream;
pub mod verdict;
