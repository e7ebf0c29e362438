//! Benchmarks: the relay as a process beside references measured in the same run. Every case prints what was measured,
//! what it is held against and the ratio of the two; the report is `docs/benchmarks.md`.

mod cases;
mod download;
mod growth;
mod load;
mod naive;
mod peer;
mod process;
mod report;
mod stage;
pub mod strain;

pub use self::peer::serve as serve_peer;
pub use self::report::Report;

/// A benchmark cannot go on: a process did not start, a file cannot be read, an answer is not the expected one.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BenchError(String);

impl BenchError {
    fn new(what: impl std::fmt::Display) -> Self {
        Self(what.to_string())
    }
}

/// Turns any error into a [`BenchError`] that says what was being done.
trait Doing<T> {
    fn doing(self, what: &str) -> Result<T, BenchError>;
}

impl<T, E: std::fmt::Display> Doing<T> for Result<T, E> {
    fn doing(self, what: &str) -> Result<T, BenchError> {
        self.map_err(|error| BenchError(format!("{what}: {error}")))
    }
}

/// Runs every case whose name contains `filter`. `relay` is the release binary, `peer` the command that serves one file.
///
/// # Errors
/// [`BenchError`].
pub async fn run(relay: &std::path::Path, peer: &std::path::Path, filter: &str) -> Result<Report, BenchError> {
    let mut report = Report::new(relay);
    cases::all(relay, peer, filter, &mut report).await?;
    Ok(report)
}
