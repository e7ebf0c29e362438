//! Stub: to be written.

pub mod key;
