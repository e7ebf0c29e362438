//! The `threatrelay-operator` binary.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Fails only when a provider is installed already, and none is.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    threatrelay_operator::commands::run()
}
