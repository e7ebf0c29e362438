//! `cargo xtask test`: everything that is checked, in the order that wastes least: what is missing is installed, the
//! control plane is built beside the Rust build, lints come first, then the suites. A check that cannot run is a failure
//! unless its layer was switched off by name. The last line counts.

use std::error::Error;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Instant;

use clap::{Args, ValueEnum};

use super::install;
use super::suites::{Count, Suites, Variables};
use crate::binaries::{self, BINARIES};
use crate::cluster::build::build;
use crate::cluster::programs::PROGRAMS;

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
    let programs = wanted(Layer::Cluster)
        .then(|| thread::spawn(|| (timed("cluster programs", build_programs), timed("static binaries", shipped))));
    // What suites leave in the folder for temporary files, such as a browser that is killed, goes with it.
    let scratch = tempfile::Builder::new().prefix("threatrelay-test-").tempdir()?;
    let temporary: Variables = vec![("TMPDIR", scratch.path().into())];
    if wanted(Layer::Lint) {
        for (name, command) in LINTS {
            count.add_check(name, succeeds(name, command));
        }
    }
    if wanted(Layer::Suites) {
        count.add(&Suites::Plain.run(&temporary)?);
        count.add(&Suites::Tables.run(&temporary)?);
        count.add(&Suites::Variants.run(&temporary)?);
    }
    if let Some(programs) = programs {
        let (programs, shipped) = programs.join().map_err(|_| "the build of what the clusters run broke")?;
        count.add_check("cluster programs", programs.inspect_err(|error| eprintln!("error: {error}")).is_ok());
        let shipped = shipped.inspect_err(|error| eprintln!("error: {error}"));
        count.add_check("static binaries", shipped.is_ok());
        let variables = shipped.unwrap_or_default();
        count.add(&Suites::Shipped.run(&variables)?);
        count.add(&Suites::Plane.run(&variables)?);
        count.add(&Suites::PlaneVariants.run(&variables)?);
        count.add(&Suites::Nodes.run(&variables)?);
        count.add(&Suites::Cluster.run(&variables)?);
    }
    println!("{count}");
    Ok(if count.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Everything is built with one profile, so that dependencies are compiled once.
const LINTS: [(&str, &[&str]); 3] = [
    ("format", &["fmt", "--all", "--check"]),
    ("clippy", &["clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"]),
    // Advisories are left out: their database cannot be had without a network, and an old one is green for nothing.
    ("dependency rules", &["deny", "--log-level", "error", "check", "bans", "licenses", "sources"]),
];

fn succeeds(name: &str, arguments: &[&str]) -> bool {
    println!("{name}: cargo {}", arguments.join(" "));
    timed(name, || Command::new("cargo").args(arguments).status().is_ok_and(|status| status.success()))
}

/// Does it and tells how long it took.
pub(super) fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = work();
    println!("{what} took {} s", begun.elapsed().as_secs());
    result
}

/// Builds the pinned programs that are not there yet.
pub(super) fn build_programs() -> Result<(), String> {
    for program in PROGRAMS {
        build(program).map_err(|error| format!("{}: {error}", program.name))?;
    }
    Ok(())
}

/// Builds the static binaries and tells suites where they are.
pub(super) fn shipped() -> Result<Variables, binaries::BinariesError> {
    Ok(vec![(BINARIES, binaries::build()?.into())])
}
