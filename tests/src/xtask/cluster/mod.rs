//! `cargo xtask cluster`: builds the programs of a test cluster, and runs one to play with.

mod build;
mod enter;
pub(super) mod environment;
pub(super) mod hold;

use std::error::Error;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

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
    /// Starts a cluster that runs until `down`, and prints its kubeconfig.
    Up(Extent),
    /// Stops it; nothing of it is left.
    Down,
    /// Runs kubectl with its kubeconfig.
    Kubectl {
        /// Arguments of kubectl.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Prints what a shell needs for its kubectl, helm and Ingress: eval "$(cargo xtask cluster env)".
    Env,
    /// Opens a shell in its network: pods, Services and the API server are reachable by address.
    Shell {
        /// A command to run instead of the shell.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Runs a cluster as long as this process lives; prints its folder when it is ready.
    #[command(hide = true)]
    Hold(Extent),
}

/// How much of a cluster.
#[derive(Debug, Clone, Args)]
pub struct Extent {
    /// With a node, or without.
    #[arg(long, value_enum, default_value_t = Level::Node)]
    level: Level,
    /// Add-ons, separated by commas; they need a node.
    #[arg(long, value_enum, value_delimiter = ',')]
    with: Vec<AddOn>,
}

/// With a node, or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    /// API server and controllers.
    Plane,
    /// Also a node on which pods run.
    Node,
}

/// What is not needed by everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AddOn {
    /// Ingress and Gateway API.
    Traefik,
    /// CPU and memory values.
    Metrics,
    /// The test double that enforces policies.
    NetworkPolicy,
    /// Images of both programs under the names that the charts use, and of a fake OTX.
    Images,
}

impl Extent {
    /// What an installation with an Ingress needs.
    pub(super) fn for_installation() -> Self {
        Self { level: Level::Node, with: vec![AddOn::Traefik, AddOn::Images] }
    }
}

/// Does it.
///
/// # Errors
/// Those of the step that failed.
pub fn run(cluster: Cluster) -> Result<ExitCode, Box<dyn Error>> {
    match cluster {
        Cluster::Build { programs, install } => build::run(&programs, install),
        Cluster::Up(extent) => hold::up(&extent, &Vec::new()),
        Cluster::Down => hold::down(),
        Cluster::Kubectl { arguments } => enter::kubectl(&arguments),
        Cluster::Env => environment::print(),
        Cluster::Shell { command } => enter::shell(&command),
        Cluster::Hold(extent) => hold::hold(&extent),
    }
}
