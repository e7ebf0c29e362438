//! Bad input of every kind: torture files for JSON parsers, naughty strings, a hundred thousand random values, broken
//! HTTP and slow clients. The relay answers each in its own words, asks OTX for one path segment a value and no more,
//! and the next caller is served. Published data lies outside of the project (`../shared/data`, or
//! `THREATRELAY_TEST_SHARED`); without it the tests that read it are reported as ignored, by name.
#![expect(clippy::expect_used, reason = "a failed step is a failed test")]

mod http;
mod json;
mod segments;
mod slow;

use std::process::ExitCode;

use tests::trial::run;

fn main() -> ExitCode {
    let mut trials = json::trials();
    trials.extend(segments::trials());
    trials.extend(http::trials());
    trials.extend(slow::trials());
    run(trials)
}
