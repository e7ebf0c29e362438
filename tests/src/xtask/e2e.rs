//! `cargo xtask e2e`: the suites of pods on nodes alone, on a cluster of this crate's own or on one that kind makes.
//!
//! With kind the cluster is made first and removed at the end, also when a suite fails; Docker has to be there.

use std::error::Error;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::suites::{Suites, Variables};
use super::test::{build_programs, shipped};
use crate::cluster::kind::Kind;
use crate::cluster::node::PROVIDER;

#[derive(Debug, Args)]
pub(super) struct EndToEnd {
    /// Who makes the cluster
    #[arg(long, value_enum, default_value_t = Provider::Local)]
    provider: Provider,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Provider {
    /// This crate, in a sandbox: no container engine is needed
    Local,
    /// kind, in Docker
    Kind,
}

pub(super) fn run(arguments: &EndToEnd) -> Result<ExitCode, Box<dyn Error>> {
    build_programs()?;
    let mut variables: Variables = shipped()?;
    let count = match arguments.provider {
        Provider::Local => {
            variables.push((PROVIDER, "local".into()));
            Suites::Nodes.run(&variables)?
        }
        Provider::Kind => {
            variables.push((PROVIDER, "kind".into()));
            let kind = Kind::located()?;
            kind.create()?;
            let count = Suites::Nodes.run(&variables);
            kind.delete()?;
            count?
        }
    };
    println!("{count}");
    Ok(if count.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
