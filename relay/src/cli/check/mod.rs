//! `threatrelay check`: whether a relay with these settings would work here, or whether a running one works. Every
//! finding is a line with its next step; the worst of them decides the exit code. `--probe` is the small form for
//! Kubernetes.

mod here;
mod probe;
mod report;
mod server;

use std::path::PathBuf;

use clap::ValueEnum;
use tokio::runtime::Runtime;
use url::Url;

use self::report::{Form, Report};
use super::ConfigFile;
use super::key::KeySource;
use super::outcome::{FAILURE, Outcome};

/// What to check.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Checks {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    key: KeySource,
    /// Check the relay that runs there instead of the settings; with --probe, its admin listener
    #[arg(long, value_name = "URL")]
    server: Option<Url>,
    /// File with a token for --server; without one only that callers without a token are refused is checked
    #[arg(long, value_name = "FILE", requires = "server")]
    token_file: Option<PathBuf>,
    /// PEM certificates trusted for --server beside the built-in roots
    #[arg(long, value_name = "FILE", requires = "server")]
    ca_file: Option<PathBuf>,
    /// Ask one probe of the admin listener and nothing else
    #[arg(long, value_enum, conflicts_with_all = ["token_file", "ca_file"])]
    probe: Option<Probe>,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

pub(super) const AFTER_HELP: &str = "\
Examples:
  threatrelay check --config FILE --key-file FILE
  threatrelay check --server https://relay.example.com --token-file FILE
  threatrelay check --probe ready

Exit codes:
  0  all passed, maybe with warnings    1  a check failed    3  settings not valid
  4  OTX refused the key                5  OTX, or the relay, cannot be reached";

/// A probe of the admin listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Probe {
    /// The process runs
    Live,
    /// It takes requests
    Ready,
}

/// Checks what was asked.
pub(super) fn run(checks: &Checks) -> Outcome {
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return Outcome::failed(error, FAILURE),
    };
    runtime.block_on(async {
        let Checks { file, key, server, token_file, ca_file, probe, output } = checks;
        if let Some(probe) = probe {
            return probe::ask(*probe, server.as_ref(), file).await;
        }
        let report: Report = match server {
            Some(url) => server::check(url, token_file.as_deref(), ca_file.as_deref()).await,
            None => here::check(file, key).await,
        };
        report.outcome(*output)
    })
}
