//! The Helm charts as tests and `cargo xtask charts` see them: their values, as the schema declares them; what templates
//! use of them; and what Helm renders. Nothing here knows what a chart installs.

pub mod helm;
pub mod ordered;
pub mod relay;
pub mod usage;
pub mod values;

use std::path::{Path, PathBuf};

/// Every chart, by its folder below `charts`.
pub const CHARTS: [&str; 2] = ["threatrelay", "threatrelay-operator"];

/// The folder of a chart.
#[must_use]
pub fn folder(chart: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts").join(chart)
}
