//! `threatrelay demo`: the relay's main job on an embedded default, with nothing to install or to sign up for.

pub mod issuer;
pub mod samples;
pub mod upstream;
