//! Cases of a table as tests of their own, so that each is named, run and counted by itself.
//!
//! A case is an async function; it fails by panicking or by taking longer than [`PATIENCE`].

use std::collections::HashSet;
use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};

/// The longest a case may take.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// The test `name`, run on a runtime of its own.
pub fn trial<F>(name: impl Into<String>, test: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = ()>,
{
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime
            .block_on(async { tokio::time::timeout(PATIENCE, test()).await })
            .map_err(|_| Failed::from(format!("not done within {PATIENCE:?}")))
    })
}

/// Runs the tests as `cargo test` and `cargo nextest` ask for. Two tests of one name are a failure: one of them could
/// not be told apart from the other.
#[must_use]
pub fn run(trials: Vec<Trial>) -> ExitCode {
    let mut names = HashSet::new();
    if let Some(twice) = trials.iter().find(|trial| !names.insert(trial.name())) {
        eprintln!("two tests are named {}", twice.name());
        return ExitCode::FAILURE;
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// A test name made of any words: what is not a letter or digit becomes `_`.
#[must_use]
pub fn slug(words: &str) -> String {
    let plain: String = words.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let parts: Vec<&str> = plain.split('_').filter(|part| !part.is_empty()).collect();
    parts.join("_").to_lowercase()
}
