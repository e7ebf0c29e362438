//! `threatrelay serve`: settings, log, listeners, relay, in this order, so that callers can connect before anything
//! slow happens. Ends with 0 after an orderly stop, and says in one line why it could not start.

use std::io;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::outcome::{EX_CONFIG, FAILURE, Outcome};
use crate::app::{App, StartError};
use crate::config::{Config, Loaded};
use crate::server::{BindError, Server};
use crate::telemetry::{self, InstallError, LogLevel};

pub(super) const AFTER_HELP: &str = "\
Examples:
  THREATRELAY_AUTH_AUDIENCES=https://relay.example.com threatrelay serve
  threatrelay serve --config FILE

Every setting can stand in the file or in the environment: see `threatrelay config print`.";

/// Why the relay could not start or did not stop in order.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error(transparent)]
    Log(#[from] InstallError),
    #[error("the runtime or its signal handlers could not be set up: {0}")]
    System(#[from] io::Error),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("a second signal ended the relay before its requests were done")]
    Cut,
}

impl ServeError {
    fn exit_code(&self) -> u8 {
        match self {
            // Files that the settings name are a part of them.
            Self::Start(_) => EX_CONFIG,
            Self::Log(_) | Self::System(_) | Self::Bind(_) | Self::Cut => FAILURE,
        }
    }
}

/// Runs the relay until it is told to stop.
pub(super) fn run(loaded: Loaded) -> Outcome {
    match start(loaded) {
        Ok(()) => Outcome::default(),
        Err(error) => {
            let exit_code = error.exit_code();
            Outcome::failed(error, exit_code)
        }
    }
}

fn start(loaded: Loaded) -> Result<(), ServeError> {
    let Loaded { config, warnings, settings: _ } = loaded;
    let log_level = telemetry::install(&config.log)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Runtime::new()?.block_on(serve(config, log_level))
}

async fn serve(config: Config, log_level: LogLevel) -> Result<(), ServeError> {
    let mut signals = Signals::catch()?;
    let server = Server::bind(config.listen, config.admin_listen).await?;
    let app = App::new(config, log_level)?;
    let stop = CancellationToken::new();
    let running = server.run(app.clone(), stop.cancelled());
    tokio::pin!(running);
    tokio::select! {
        () = &mut running => return Ok(()),
        name = signals.next() => tracing::info!(signal = name, "stopping"),
    }
    stop.cancel();
    tokio::select! {
        () = async { running.await; app.flush_traces().await } => Ok(()),
        _ = signals.next() => Err(ServeError::Cut),
    }
}

/// The signals that ask the relay to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;
    use crate::app::fixture;
    use crate::config::AuthMode;

    #[tokio::test]
    async fn a_wrong_file_that_the_settings_name_is_one_line_and_their_exit_code() {
        let secret = tempfile::NamedTempFile::new().unwrap();
        let mut config = fixture::config();
        config.auth.mode = AuthMode::Hs256 { secret_file: secret.path().to_owned() };
        let (_, log_level) = telemetry::subscriber(&config.log, false, io::sink);
        let error = ServeError::from(App::new(config, log_level).err().unwrap());
        assert_eq!(error.exit_code(), EX_CONFIG);
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}
