//! Logs and traces. Logs: one line an event on standard error, JSON unless a terminal reads it; a reconcile's lines carry
//! its object's namespace and name from the span they stand in. Traces: the same spans, sent by [`traces`] where a
//! collector is named.

mod traces;

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt};

pub use self::traces::Traces;
use crate::settings::LogFormat;

/// What begins the names of this crate's modules.
const CRATE: &str = "threatrelay_operator";

/// What is left out unless a directive names it: the client logs every answer that is no success as an error, those too
/// that are part of the work (a conflict, an object that is gone). Whoever made the call tells what it means.
const LEFT_OUT: &str = "kube_client::client::builder=off";

/// Logs or traces cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The directives cannot be read.
    #[error("the log level is not understood: {0}; write a level (`info`) or directives (`info,kube=debug`)")]
    Unreadable(#[from] ParseError),
    /// A subscriber was installed already.
    #[error("logging is set up already: {0}")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
    /// Traces cannot be sent.
    #[error(
        "traces cannot be sent to {endpoint}: {why}; look at --otlp-endpoint (THREATRELAY_OPERATOR_OTLP_ENDPOINT)"
    )]
    Exporter {
        /// Where to.
        endpoint: String,
        /// Why not.
        why: String,
    },
}

/// What these directives let through.
///
/// # Errors
/// [`ParseError`] when they cannot be read.
pub fn filter(directives: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().parse(format!("{LEFT_OUT},{directives}"))
}

/// Logs to standard error for the rest of the process, panics included, and sends traces to the collector at `endpoint`.
///
/// # Errors
/// [`TelemetryError`].
pub fn install(directives: &str, format: LogFormat, endpoint: Option<&str>) -> Result<Traces, TelemetryError> {
    let filter = filter(directives)?;
    let terminal = stderr().is_terminal();
    let is_text = match format {
        LogFormat::Auto => terminal,
        LogFormat::Json => false,
        LogFormat::Text => true,
    };
    let lines = if is_text {
        fmt::layer().with_ansi(terminal).with_writer(stderr).boxed()
    } else {
        fmt::layer().json().flatten_event(true).with_current_span(false).with_writer(stderr).boxed()
    };
    let (traces, spans) = endpoint.map(traces::start).transpose()?.unzip();
    let lines = lines.with_filter(filter);
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines).with(spans))?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, reason = panic.payload_as_str(), "panic");
    }));
    Ok(traces.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged of the client's error and of the operator's warning.
    fn logged(directives: &str) -> Result<[bool; 2], ParseError> {
        let lines = Lines::default();
        let writer = Mutex::new(lines.clone());
        let subscriber = fmt().with_env_filter(filter(directives)?).with_writer(writer).finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(target: "kube_client::client::builder", "failed with status 409");
            tracing::warn!(target: "threatrelay_operator::controller", "reconcile failed");
        });
        let text = lines.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok(["failed with status", "reconcile failed"].map(|line| text.contains(line)))
    }

    #[test]
    fn what_the_client_logs_of_refusals_is_left_out_until_it_is_asked_for() -> Result<(), ParseError> {
        for directives in ["info", "debug", "info,threatrelay_operator=debug"] {
            assert_eq!(logged(directives)?, [false, true], "{directives}");
        }
        assert_eq!(logged("warn,kube_client::client::builder=error")?, [true, true]);
        Ok(())
    }
}
