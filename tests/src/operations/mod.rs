//! What people change in a `ThreatRelay`, one change at a time, on a real control plane.
//!
//! [`Operation`](operation::Operation)s are made of the schema of the resource ([`generate`]), by the type of each field,
//! and of what is known of Kubernetes ([`semantic`]). Each is done, taken back, and done from the start elsewhere
//! ([`play`]): the field of the child that [`fields`] names has changed, both ways end in the same objects, and the way
//! back ends where it began. [`walk`] does many in a row, [`misoperations`] what nobody should do.
#![expect(clippy::expect_used, reason = "what cannot be set up ends the run, with the step's name")]

pub mod fields;
mod generate;
pub mod misoperations;
pub mod operation;
pub mod play;
mod semantic;
pub mod stage;
pub mod walk;
