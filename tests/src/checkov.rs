//! checkov, which looks at Kubernetes objects for what is known to be unsafe. It is a Python package of one fixed version
//! in a folder of its own in the user's cache; it is given files and asks nobody.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::cluster::programs::{ProgramError, cache_root};

/// The version that is used.
pub const VERSION: &str = "3.3.30";

/// Why nothing was looked at.
#[derive(Debug, thiserror::Error)]
pub enum CheckovError {
    /// There is no cache directory.
    #[error(transparent)]
    Cache(#[from] ProgramError),
    /// Python could not be started.
    #[error("cannot run {0}: {1}")]
    Run(&'static str, #[source] io::Error),
    /// pip failed.
    #[error("checkov {VERSION} cannot be installed; is the package index reachable? {0}")]
    Install(String),
    /// It is not installed, or its answer is not understood.
    #[error("checkov gives no answer; `cargo xtask test --install` installs it. It said: {0}")]
    NoAnswer(String),
}

/// Something that it holds for unsafe.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Complaint {
    /// Number of the check, `CKV_...`.
    pub check: String,
    /// Kind, namespace and name, between dots.
    pub object: String,
}

fn folder() -> Result<PathBuf, CheckovError> {
    Ok(cache_root()?.with_file_name(format!("checkov-{VERSION}")))
}

/// Installs it unless it is there; tells whether it did.
///
/// # Errors
/// See [`CheckovError`].
pub fn install() -> Result<bool, CheckovError> {
    let folder = folder()?;
    if folder.join("checkov").is_dir() {
        return Ok(false);
    }
    // A stopped installation leaves nothing that looks like a whole one.
    let unfinished = folder.with_extension("unfinished");
    let package = format!("checkov=={VERSION}");
    let output = Command::new("pip3")
        .args(["install", "--quiet", "--disable-pip-version-check", "--upgrade", &package, "--target"])
        .arg(&unfinished)
        .output()
        .map_err(|error| CheckovError::Run("pip3", error))?;
    let done = output.status.success() && std::fs::rename(&unfinished, &folder).is_ok();
    if done { Ok(true) } else { Err(CheckovError::Install(String::from_utf8_lossy(&output.stderr).into_owned())) }
}

/// What it holds for unsafe in the YAML files of a folder.
///
/// # Errors
/// See [`CheckovError`].
pub fn complaints(files: &Path) -> Result<Vec<Complaint>, CheckovError> {
    let folder = folder()?;
    let output = Command::new("python3")
        .arg(folder.join("bin/checkov"))
        .args(["--framework", "kubernetes", "--skip-download", "--compact", "--quiet"])
        .args(["--output", "json", "--directory"])
        .arg(files)
        .env("PYTHONPATH", &folder)
        .output()
        .map_err(|error| CheckovError::Run("python3", error))?;
    let unclear = || CheckovError::NoAnswer(String::from_utf8_lossy(&output.stderr).into_owned());
    let answer: Value = serde_json::from_slice(&output.stdout).map_err(|_| unclear())?;
    // Nothing was looked at when nothing passed.
    let passed = answer["summary"]["passed"].as_u64().filter(|passed| *passed > 0);
    let failed = answer["results"]["failed_checks"].as_array().filter(|_| passed.is_some()).ok_or_else(unclear)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(failed.iter().map(|one| Complaint { check: text(&one["check_id"]), object: text(&one["resource"]) }).collect())
}
