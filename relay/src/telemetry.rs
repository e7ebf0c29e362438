//! Logs: one line an event on standard error, JSON unless a terminal reads it, filtered by directives that can change
//! while the relay runs. A filter that cannot be read is refused when it is set and leaves the old one in force.

mod json;
mod lines;

use std::io::{self, IsTerminal, stderr};

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use self::json::Json;
pub use self::lines::flush;
pub(crate) use self::lines::lost as lost_lines;
use crate::config::{Log, LogFormat};

/// The log filter of a running relay.
#[derive(Clone, Debug)]
pub struct LogLevel(reload::Handle<EnvFilter, Registry>);

/// Why a log filter was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LogLevelError {
    /// The text is no list of directives.
    #[error(
        "the log level is not understood: {0}; write a level (`info`) or directives (`info,threatrelay::otx=debug`)"
    )]
    Unreadable(#[from] FilterError),
    /// The subscriber that the filter belongs to is gone.
    #[error("the log level cannot be changed: {0}")]
    Detached(#[from] reload::Error),
}

/// Why a text is no log filter.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// A directive that is no level and ends in none. `tracing` would take it for the name of a module.
    #[error("`{0}` is no level (off, error, warn, info, debug, trace) and does not end in `=` and one")]
    NoLevel(String),
    /// `tracing` cannot read it.
    #[error(transparent)]
    Unreadable(#[from] ParseError),
}

/// Logs cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// A subscriber was installed in this process already.
    #[error("logging is set up already: {0}")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
    /// The system gives no thread to write them.
    #[error("the thread that writes the log could not be started: {0}")]
    Thread(#[from] io::Error),
}

impl LogLevel {
    /// The directives in force.
    ///
    /// # Errors
    /// [`LogLevelError::Detached`].
    pub fn get(&self) -> Result<String, LogLevelError> {
        Ok(self.0.with_current(ToString::to_string)?)
    }

    /// Puts other directives in force.
    ///
    /// # Errors
    /// [`LogLevelError`]; the old directives stay in force.
    pub fn set(&self, directives: &str) -> Result<(), LogLevelError> {
        Ok(self.0.reload(filter(directives)?)?)
    }
}

/// Logs to standard error for the rest of the process, panics included. A terminal gets each line at once; any other
/// reader is written to from a thread, which [`flush`] waits for.
///
/// # Errors
/// [`InstallError`].
pub fn install(log: &Log) -> Result<LogLevel, InstallError> {
    let level = if stderr().is_terminal() {
        let (subscriber, level) = subscriber(log, true, stderr);
        tracing::subscriber::set_global_default(subscriber)?;
        level
    } else {
        let (subscriber, level) = subscriber(log, false, lines::to_stderr()?);
        tracing::subscriber::set_global_default(subscriber)?;
        level
    };
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, reason = panic.payload_as_str(), "panic");
    }));
    Ok(level)
}

/// The subscriber that writes to `writer`, and the handle to its filter. An unreadable level counts as `info`.
pub fn subscriber<W>(log: &Log, terminal: bool, writer: W) -> (impl Subscriber + Send + Sync, LogLevel)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(filter(&log.level).unwrap_or_else(|_| EnvFilter::new("info")));
    let readable = match log.format {
        LogFormat::Auto => terminal,
        LogFormat::Json => false,
        LogFormat::Text => true,
    };
    let lines = if readable {
        let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        fmt::layer().with_ansi(colours).with_writer(writer).boxed()
    } else {
        fmt::layer().fmt_fields(Json).event_format(Json).with_writer(writer).boxed()
    };
    (Registry::default().with(filter).with(lines), LogLevel(handle))
}

/// Reads a log filter: levels and `target=level` directives, comma-separated.
///
/// # Errors
/// [`FilterError`].
pub fn filter(directives: &str) -> Result<EnvFilter, FilterError> {
    for directive in directives.split(',').map(str::trim) {
        let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level);
        if level.is_empty() || level.parse::<LevelFilter>().is_err() {
            return Err(FilterError::NoLevel(directive.to_owned()));
        }
    }
    Ok(EnvFilter::builder().parse(directives)?)
}

#[cfg(test)]
pub(crate) mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What was logged.
    #[derive(Clone, Default)]
    pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        pub(crate) fn writer(&self) -> impl Fn() -> Self + Send + Sync + 'static {
            let captured = self.clone();
            move || captured.clone()
        }

        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, terminal: bool) -> String {
        let captured = Captured::default();
        let log = Log { level: "info".to_owned(), format };
        let (subscriber, _) = subscriber(&log, terminal, captured.writer());
        tracing::subscriber::with_default(subscriber, || tracing::info!(answer = 42, "hello"));
        captured.text()
    }

    #[test]
    fn lines_are_json_unless_a_terminal_reads_them() {
        for text in [logged(LogFormat::Auto, false), logged(LogFormat::Json, true)] {
            let line: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!((&line["message"], &line["answer"]), (&"hello".into(), &42.into()), "{text}");
        }
        for text in [logged(LogFormat::Auto, true), logged(LogFormat::Text, false)] {
            assert!(text.contains("hello") && !text.starts_with('{'), "{text}");
        }
    }

    #[test]
    fn text_for_a_file_has_no_colours() {
        assert!(!logged(LogFormat::Text, false).contains('\u{1b}'));
    }

    #[test]
    fn the_level_can_be_changed_while_running() {
        let captured = Captured::default();
        let log = Log { level: "warn".to_owned(), format: LogFormat::Json };
        let (subscriber, level) = subscriber(&log, false, captured.writer());
        let _guard = tracing::subscriber::set_default(subscriber);
        tracing::info!("before");
        level.set("off,threatrelay=info").unwrap();
        tracing::info!("after");
        for wrong in ["debugg", "a=b=c", "info,", "", "threatrelay", "threatrelay=", "info,threatrelay=loud"] {
            assert!(matches!(level.set(wrong), Err(LogLevelError::Unreadable(_))), "{wrong:?} was taken");
        }
        assert_eq!(level.get().unwrap(), "threatrelay=info,off");
        let text = captured.text();
        assert!(!text.contains("before") && text.contains("after"), "{text}");
    }
}
