//! `cargo xtask test`: everything that is checked, in the order that wastes least: what is missing is installed, the
//! control plane is built beside the Rust build, lints come first, then the suites. A check that cannot run is a failure
//! unless its layer was switched off by name. The last line counts.

use std::error::Error;
use std::process::{Command, ExitCode};
use std::thread;

use clap::{Args, ValueEnum};

use super::install;
use super::suites::{Count, Suites};
use crate::cluster::build::build;
use crate::cluster::programs::Program;

/// What the suites need of the cluster's programs; the others belong to suites that have none yet.
const PROGRAMS: [&str; 7] = ["etcd", "kubernetes", "probe", "coredns", "gateway-api", "metrics-server", "traefik"];
const KIND: &str = "kind";

#[derive(Debug, Args)]
pub(super) struct Test {
    /// Install what the machine lacks: Debian packages (as root), cargo tools
    #[arg(long)]
    install: bool,
    /// Leave a layer out
    #[arg(long, value_enum, value_name = "LAYER")]
    skip: Vec<Layer>,
}

/// A part of the checks that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Layer {
    /// Format, clippy, dependency rules
    Lint,
    /// Unit, contract, engine and data suites
    Suites,
    /// Suites on a real Kubernetes
    Cluster,
}

pub(super) fn run(arguments: &Test) -> Result<ExitCode, Box<dyn Error>> {
    let wanted = |layer| !arguments.skip.contains(&layer);
    if arguments.install {
        for line in install::all()? {
            println!("installed {line}");
        }
    }
    let mut count = Count::default();
    let programs = wanted(Layer::Cluster).then(|| thread::spawn(build_programs));
    if wanted(Layer::Lint) {
        for (name, command) in LINTS {
            count.add_check(name, succeeds(name, command));
        }
    }
    if wanted(Layer::Suites) {
        count.add(&Suites::Plain.run()?);
        count.add(&Suites::Tables.run()?);
    }
    if let Some(programs) = programs {
        let built = programs.join().map_err(|_| "the build of the cluster's programs broke")?;
        count.add_check("cluster programs", built.inspect_err(|error| eprintln!("error: {error}")).is_ok());
        count.add(&Suites::Plane.run()?);
        count.add(&Suites::Cluster.run()?);
    }
    println!("{count}");
    Ok(if count.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Everything is built with one profile, so that dependencies are compiled once.
const LINTS: [(&str, &[&str]); 3] = [
    ("format", &["fmt", "--all", "--check"]),
    ("clippy", &["clippy", "--quiet", "--release", "--workspace", "--all-targets", "--", "--deny", "warnings"]),
    // Advisories are left out: their database cannot be had without a network, and an old one is green for nothing.
    ("dependency rules", &["deny", "--log-level", "error", "check", "bans", "licenses", "sources"]),
];

fn succeeds(name: &str, arguments: &[&str]) -> bool {
    println!("{name}: cargo {}", arguments.join(" "));
    Command::new("cargo").args(arguments).status().is_ok_and(|status| status.success())
}

fn build_programs() -> Result<(), String> {
    for name in PROGRAMS.into_iter().chain([KIND]) {
        let program = Program::named(name).map_err(|error| error.to_string())?;
        build(program).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}
