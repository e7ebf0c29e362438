//! tests

pub mod cluster;
pub mod eventually;
pub mod faultproxy;
pub mod xtask;
