//! The command line of the operator. Data goes to standard output, everything else to standard error; what a command
//! could not do is its exit code.

mod check;
mod report;

use std::fmt::Display;
use std::io::{Write, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use kube::CustomResourceExt;

use crate::api::ThreatRelay;
use crate::settings::{Reach, Settings};
use crate::{runtime, telemetry};

/// Turns a `ThreatRelay` into a running, reachable, observed relay.
#[derive(Debug, Parser)]
#[command(name = "threatrelay-operator", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  threatrelay-operator check --pre                see whether a cluster is fit, before anything is installed
  threatrelay-operator crd | kubectl apply -f -   install the CRD
  threatrelay-operator run --namespaces soc --relay-image registry.example/threatrelay:1.0.0
                                                  run for one namespace, from a kubeconfig

Exit codes:
  0  done      1  failed, or the lease was lost      2  wrong usage";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator until SIGTERM or SIGINT
    Run(Box<Settings>),
    /// Print the `CustomResourceDefinition`
    Crd,
    /// Say whether a cluster is fit for the operator, and what to do where it is not
    Check {
        /// Before the installation: a missing CRD is no failure
        #[arg(long)]
        pre: bool,
        /// Where it is to work
        #[command(flatten)]
        reach: Reach,
    },
    /// Collect what somebody needs to know to help: resources, children, pods, events. No data of Secrets
    Report {
        /// Namespace; without one, all of the cluster
        #[arg(short, long)]
        namespace: Option<String>,
        /// File to write; without one, standard output
        #[arg(short, long)]
        output: Option<PathBuf>,
    },
}

/// Runs the command that the process was started with.
#[must_use]
pub fn run() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("no threads can be started: {error}")),
    };
    match Cli::parse().command {
        Command::Run(settings) => {
            let endpoint = settings.otlp_endpoint.as_deref();
            let traces = match telemetry::install(&settings.log, settings.log_format, endpoint) {
                Ok(traces) => traces,
                Err(error) => return failed(&error),
            };
            match runtime.block_on(runtime::run(*settings)) {
                Ok(code) => {
                    // Who lost the lease ends at once.
                    if code == ExitCode::SUCCESS {
                        traces.end();
                    }
                    code
                }
                Err(error) => failed(&error),
            }
        }
        Command::Crd => match serde_saphyr::to_string(&ThreatRelay::crd()) {
            Ok(text) => print(&text),
            Err(error) => failed(&error),
        },
        Command::Check { pre, reach } => {
            let checks = runtime.block_on(check::run(pre, &reach));
            let code = print(&check::table(&checks));
            if check::is_fit(&checks) { code } else { ExitCode::FAILURE }
        }
        Command::Report { namespace, output } => {
            let report = match runtime.block_on(report::collect(namespace.as_deref())) {
                Ok(report) => format!("{report:#}\n"),
                Err(error) => return failed(&error),
            };
            match output {
                None => print(&report),
                Some(path) => match std::fs::write(&path, report) {
                    Ok(()) => ExitCode::SUCCESS,
                    Err(error) => failed(&format!("cannot write {}: {error}", path.display())),
                },
            }
        }
    }
}

fn print(text: &str) -> ExitCode {
    match stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn failed(error: &dyn Display) -> ExitCode {
    let _nobody_reads = writeln!(stderr(), "threatrelay-operator: {error}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_setting_has_a_variable_and_stands_in_the_documentation() {
        let page =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operator.md")).unwrap_or_default();
        let mut command = Cli::command();
        let run = command.find_subcommand_mut("run");
        let arguments: Vec<_> =
            run.into_iter().flat_map(|run| run.get_arguments().cloned().collect::<Vec<_>>()).collect();
        assert!(arguments.len() > 5);
        for argument in arguments.iter().filter(|argument| argument.get_id() != "help") {
            let flag = format!("`--{}`", argument.get_long().unwrap_or_default());
            let variable = argument.get_env().and_then(|name| name.to_str()).unwrap_or("no variable");
            assert!(variable.starts_with("THREATRELAY_OPERATOR_"), "{flag}: {variable}");
            let row = format!("| {flag} | `{variable}` |");
            assert!(page.contains(&row), "docs/operator.md has no row {row}");
        }
    }
}
