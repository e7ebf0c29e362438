//! threatrelay
fn main() {}
