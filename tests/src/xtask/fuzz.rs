//! `cargo xtask fuzz`: libFuzzer on the targets in `tests/fuzz`, one after the other, each for some time. It starts from
//! the seeds that are checked in and keeps what it finds in `tests/fuzz/corpus`; an input that breaks a target is left in
//! `tests/fuzz/artifacts` and named. The pinned stable tool chain does it, told to allow what is unstable.

use std::error::Error;
use std::path::Path;
use std::process::{Command, ExitCode};

use clap::Args;

use super::install;

/// The targets, as their files are named.
const TARGETS: [&str; 6] = ["body", "token", "jwks", "answer", "url", "config"];

#[derive(Debug, Args)]
pub(super) struct Fuzz {
    /// Only this target
    #[arg(value_parser = TARGETS)]
    target: Option<String>,
    /// Time for each target
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

pub(super) fn run(arguments: &Fuzz) -> Result<ExitCode, Box<dyn Error>> {
    install::tool("cargo-fuzz", "0.13.2")?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut broken = Vec::new();
    for target in TARGETS.into_iter().filter(|target| arguments.target.as_deref().is_none_or(|only| only == *target))
    {
        let corpus = folder.join("corpus").join(target);
        std::fs::create_dir_all(&corpus)?;
        let done = Command::new("cargo")
            .args(["fuzz", "run", "--fuzz-dir", ".", target])
            .args([&corpus, &folder.join("seeds").join(target)])
            .args(["--", "-print_final_stats=1", &format!("-max_total_time={}", arguments.seconds)])
            .env("RUSTC_BOOTSTRAP", "1")
            .current_dir(&folder)
            .status()?;
        if !done.success() {
            broken.push(target);
        }
    }
    if broken.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("error: broken: {}; the inputs are in tests/fuzz/artifacts", broken.join(", "));
    Ok(ExitCode::FAILURE)
}
