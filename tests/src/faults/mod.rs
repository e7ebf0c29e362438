//! Whether the operator gets where it would have got, whatever happens on its way.
//!
//! A [`Workload`](workload::Workload) is a short story: what a person does to a `ThreatRelay`, step by step. It is run
//! undisturbed first ([`reference`]); then once for every [`Plan`](plan::Plan), in which one fault strikes one request.
//! Everything the operator sends and every state of every object is kept ([`history`]), and [`oracles`] compare: the end
//! must be the same, and on the way no rule may be broken. Hundreds of runs share one control plane ([`ground`]).
#![expect(clippy::expect_used, reason = "what cannot be set up ends the run, with the step's name")]

pub mod campaign;
pub mod fault;
pub mod ground;
pub mod guarantees;
pub mod history;
mod lives;
pub mod masks;
pub mod node;
pub mod operator;
pub mod oracles;
pub mod place;
pub mod plan;
pub mod reference;
pub mod report;
pub mod run;
mod stage;
pub mod status_form;
pub mod trial;
pub mod turmoil;
pub mod workload;
