//! Logs: one line an event on standard error, JSON unless a terminal reads it, filtered by directives that can change
//! while the relay runs. A filter that cannot be read is refused when it is set and leaves the old one in force.

use std::io::{IsTerminal, stderr};

use tracing::Subscriber;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

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
    Unreadable(#[from] ParseError),
    /// The subscriber that the filter belongs to is gone.
    #[error("the log level cannot be changed: {0}")]
    Detached(#[from] reload::Error),
}

/// A subscriber was installed in this process already.
#[derive(Debug, thiserror::Error)]
#[error("logging is set up already: {0}")]
pub struct AlreadyInstalled(#[from] tracing::subscriber::SetGlobalDefaultError);

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

/// Logs to standard error for the rest of the process, panics included.
///
/// # Errors
/// [`AlreadyInstalled`].
pub fn install(log: &Log) -> Result<LogLevel, AlreadyInstalled> {
    let (subscriber, level) = subscriber(log, stderr().is_terminal(), stderr);
    tracing::subscriber::set_global_default(subscriber)?;
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
        fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(writer).boxed()
    };
    (Registry::default().with(filter).with(lines), LogLevel(handle))
}

fn filter(directives: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().parse(directives)
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
        assert!(level.set("a=b=c").is_err());
        assert_eq!(level.get().unwrap(), "threatrelay=info,off");
        let text = captured.text();
        assert!(!text.contains("before") && text.contains("after"), "{text}");
    }
}
