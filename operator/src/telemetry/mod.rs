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

/// Logs to standard error for the rest of the process, panics included, and sends traces to the collector at `endpoint`.
///
/// # Errors
/// [`TelemetryError`].
pub fn install(directives: &str, format: LogFormat, endpoint: Option<&str>) -> Result<Traces, TelemetryError> {
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
    let (traces, spans) = endpoint.map(traces::start).transpose()?.unzip();
    let lines = lines.with_filter(filter);
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines).with(spans))?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, reason = panic.payload_as_str(), "panic");
    }));
    Ok(traces.unwrap_or_default())
}
