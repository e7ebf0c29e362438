//! tests

pub mod cluster;
pub mod eventually;
pub mod xtask;
