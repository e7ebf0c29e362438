//! `threatrelay demo`: the relay's main job on an embedded default, with nothing to install or to sign up for.
//!
//! A fixture upstream and a token issuer are set up around a real relay ([`stage`]), requests to try are printed, one is
//! asked at once ([`tour`]). It fails when an address is taken, when samples cannot be read, and with `--once` when an
//! answer is not as it should be.

pub mod issuer;
pub mod samples;
mod stage;
mod tour;
pub mod upstream;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::runtime::Runtime;

pub use self::stage::StageError;

use self::stage::Stage;
use self::tour::Tour;
use crate::config::{Log, LogFormat};
use crate::telemetry::{self, InstallError};

/// What a demo is made of.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Serve captured OTX answers from this directory instead of the bundled ones
    #[arg(long, value_name = "DIR")]
    pub samples: Option<PathBuf>,
    /// Address of the relay
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
    pub listen: SocketAddr,
    /// Address of its probes and metrics
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9091")]
    pub admin_listen: SocketAddr,
    /// Send traces to this collector by OTLP over HTTP
    #[arg(long, value_name = "URL")]
    pub otlp: Option<String>,
    /// Ask everything once, print the answers and leave, with 1 if one of them is not as it should be
    #[arg(long)]
    pub once: bool,
}

/// Why a demo could not be given.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The process has a log already.
    #[error(transparent)]
    Log(#[from] InstallError),
    /// The runtime could not be set up, or nothing could be printed.
    #[error("the demo cannot run: {0}")]
    System(#[from] io::Error),
    /// Something of the demo could not be set up.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// With `--once`: answers are not as they should be.
    #[error("{0} of the requests got no answer or an error, see above")]
    Unanswered(usize),
}

/// Runs a demo until it is interrupted, or through once.
///
/// # Errors
/// [`DemoError`].
pub fn run(args: &Args) -> Result<(), DemoError> {
    let level = "warn,threatrelay::demo=info".to_owned();
    let log_level = telemetry::install(&Log { level, format: LogFormat::Auto })?;
    Runtime::new()?.block_on(async {
        let stage = Stage::set(args, log_level).await?;
        let tour = Tour::of(&stage);
        let mut out = io::stdout().lock();
        if args.once {
            let failed = tour.walk(&mut out).await?;
            stage.end().await?;
            return if failed == 0 { Ok(()) } else { Err(DemoError::Unanswered(failed)) };
        }
        tour.print(&mut out)?;
        tour.show_one(&mut out).await?;
        tokio::signal::ctrl_c().await?;
        stage.end().await?;
        Ok(())
    })
}

#[cfg(test)]
mod tests;
