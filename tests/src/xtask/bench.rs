//! `cargo xtask bench`: builds the relay and its references as they are shipped and measures them; writes `docs/benchmarks.md`.

use std::error::Error;
use std::process::{Command, ExitCode};

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(super) struct Bench {
    #[command(subcommand)]
    kind: Option<Kind>,
    /// Only cases whose name contains this; the report is then printed and not written
    #[arg(long, default_value = "")]
    filter: String,
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// Four times what the relay can take, slow callers, a million questions, a soak; prints a table
    Load {
        /// Seconds of the overload
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Minutes of the soak
        #[arg(long, default_value_t = 20)]
        minutes: u64,
    },
}

pub(super) fn run(arguments: &Bench) -> Result<ExitCode, Box<dyn Error>> {
    let built = Command::new("cargo")
        .args([
            "build",
            "--profile",
            "dist",
            "-p",
            "threatrelay",
            "-p",
            "tests",
            "--bin",
            "threatrelay",
            "--bin",
            "bench",
        ])
        .status()?;
    if !built.success() {
        return Err("the build failed".into());
    }
    let folder =
        std::env::current_exe()?.parent().and_then(|folder| folder.parent()).map(|target| target.join("dist"));
    let folder = folder.ok_or("the folder of built programs is unknown")?;
    let mut bench = Command::new(folder.join("bench"));
    bench.arg("--relay").arg(folder.join("threatrelay"));
    match &arguments.kind {
        Some(Kind::Load { seconds, minutes }) => {
            bench.args(["load", "--seconds", &seconds.to_string(), "--minutes", &minutes.to_string()])
        }
        None if arguments.filter.is_empty() => bench.args(["--write", "docs/benchmarks.md"]),
        None => bench.args(["--filter", &arguments.filter]),
    };
    Ok(if bench.status()?.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
