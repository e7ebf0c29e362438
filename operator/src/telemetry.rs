//! Logs: one line an event on standard error, JSON unless a terminal reads it. A reconcile's lines carry its object's
//! namespace and name from the span they stand in.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt};

use crate::settings::LogFormat;

/// Logs cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The directives cannot be read.
    #[error("the log level is not understood: {0}; write a level (`info`) or directives (`info,kube=debug`)")]
    Unreadable(#[from] ParseError),
    /// A subscriber was installed already.
    #[error("logging is set up already: {0}")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Logs to standard error for the rest of the process, panics included.
///
/// # Errors
/// [`LogError`].
pub fn install(directives: &str, format: LogFormat) -> Result<(), LogError> {
    let filter = EnvFilter::builder().parse(directives)?;
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
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(filter).with(lines))?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, reason = panic.payload_as_str(), "panic");
    }));
    Ok(())
}
