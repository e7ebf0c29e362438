//! Third-party data that suites read and the project does not hold: beside the workspace in `../shared`, or where
//! `THREATRELAY_TEST_SHARED` points.

use std::path::PathBuf;

/// A folder of the data, e.g. `otx-samples` or `data/json-parsing`; it may be absent.
#[must_use]
pub fn folder(name: &str) -> PathBuf {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared"));
    std::env::var_os("THREATRELAY_TEST_SHARED").map_or_else(beside, PathBuf::from).join(name)
}
