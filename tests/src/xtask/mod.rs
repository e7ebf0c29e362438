//! The command line of `cargo xtask`: one file per subcommand, each of which takes its arguments and returns an error
//! text made for people. Nothing else happens here.

mod bench;
mod charts;
mod cluster;
mod crds;
mod docs;
mod e2e;
mod faults;
mod fuzz;
mod install;
mod reproduce;
mod sbom;
mod suites;
mod test;
mod try_it;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;

/// Developer commands of Threat Relay.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Xtask {
    /// Check everything; the last line counts.
    Test(test::Test),
    /// Run the suites of pods on nodes, on either provider of clusters.
    E2e(e2e::EndToEnd),
    /// Measure the relay beside its references and write docs/benchmarks.md.
    Bench(bench::Bench),
    /// Write the documents that are made from the programs: docs/configuration.md.
    Docs,
    /// Write what is made from the operator's types: crds/ and docs/api.md.
    Crds,
    /// Disturb the operator, one fault a run, and compare with undisturbed runs.
    Faults(faults::Faults),
    /// Feed the relay's readers what libFuzzer makes up.
    Fuzz(fuzz::Fuzz),
    /// Write what each binary is made of, and check that nothing is left out.
    Sbom,
    /// Build twice in different folders and compare the bytes.
    Reproduce,
    /// Write the parts of charts that are made from crds/ and the schemas of values.
    Charts,
    /// From nothing to an installation that answers, on a cluster of this machine.
    Try,
    /// A real Kubernetes for tests and to play with.
    #[command(subcommand)]
    Cluster(cluster::Cluster),
}

/// Parses the command line, runs the subcommand and prints what went wrong.
#[must_use]
pub fn main() -> ExitCode {
    let done = match Xtask::parse() {
        Xtask::Test(arguments) => test::run(&arguments),
        Xtask::E2e(arguments) => e2e::run(&arguments),
        Xtask::Bench(arguments) => bench::run(&arguments),
        Xtask::Docs => docs::run(),
        Xtask::Crds => crds::run(),
        Xtask::Charts => charts::run(),
        Xtask::Faults(arguments) => faults::run(&arguments),
        Xtask::Fuzz(arguments) => fuzz::run(&arguments),
        Xtask::Sbom => sbom::run(),
        Xtask::Reproduce => reproduce::run(),
        Xtask::Try => try_it::run(),
        Xtask::Cluster(arguments) => cluster::run(arguments),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes, on one line each.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let line = inner.to_string();
        if !text.contains(&line) {
            text.push_str("\n  caused by: ");
            text.push_str(&line);
        }
        cause = inner.source();
    }
    text
}
