//! `cargo xtask cluster`: builds the programs of a test cluster and runs one to play with.

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Subcommand, ValueEnum};

use crate::cluster::ControlPlane;
use crate::cluster::build::{Built, build};
use crate::cluster::debian;
use crate::cluster::programs::{PROGRAMS, Program};

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Cluster {
    /// Builds the pinned programs into the user's cache directory; those that are there are left alone.
    Build {
        /// Which: all when none is named.
        programs: Vec<String>,
        /// Also installs the parts that come from the system (Debian packages, as root).
        #[arg(long)]
        install: bool,
    },
    /// Runs a cluster as long as this process lives; prints its folder when it is ready.
    #[command(hide = true)]
    Hold {
        /// How much of a cluster.
        #[arg(long, value_enum, default_value_t = Extent::Node)]
        level: Extent,
    },
}

/// How much of a cluster.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Extent {
    /// API server and controllers.
    Plane,
    /// Also a node on which pods run.
    Node,
}

/// Does it.
///
/// # Errors
/// Those of the step that failed.
pub fn run(cluster: Cluster) -> Result<ExitCode, Box<dyn Error>> {
    match cluster {
        Cluster::Build { programs, install } => build_programs(&programs, install),
        Cluster::Hold { level } => hold(level),
    }
}

fn build_programs(names: &[String], install: bool) -> Result<ExitCode, Box<dyn Error>> {
    if install {
        let begun = Instant::now();
        let packages = debian::install()?;
        let said = if packages.is_empty() { "nothing is missing".into() } else { packages.join(", ") };
        println!("{:<16} {said} ({:.1?})", "system", begun.elapsed());
    } else {
        let mut packages = debian::missing(debian::BASE);
        packages.extend(debian::missing(debian::NODE));
        if !packages.is_empty() {
            println!("{:<16} missing: {} (--install)", "system", packages.join(", "));
        }
    }
    let chosen: Vec<&Program> = if names.is_empty() {
        PROGRAMS.iter().collect()
    } else {
        names.iter().map(|name| Program::named(name)).collect::<Result<_, _>>()?
    };
    for program in chosen {
        let said = match build(program)? {
            Built::Overridden => "from the override".into(),
            Built::Cached => "already built".into(),
            Built::Now(time) => format!("built in {time:.1?}"),
        };
        println!("{:<16} {said}", program.name);
    }
    Ok(ExitCode::SUCCESS)
}

fn hold(level: Extent) -> Result<ExitCode, Box<dyn Error>> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let Extent::Plane = level else { return Err("not yet".into()) };
        let plane = ControlPlane::start().await?;
        println!("{}", plane.sandbox().folder().display());
        let mut ended = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            _ = ended.recv() => {}
            interrupted = tokio::signal::ctrl_c() => interrupted?,
        }
        Ok(ExitCode::SUCCESS)
    })
}
