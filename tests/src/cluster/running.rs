//! Finding the cluster that `cargo xtask cluster up` left running: a link beside the clusters' folders.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use super::state;

/// The folder of the running cluster.
#[must_use]
pub fn find() -> Option<PathBuf> {
    let folder = fs::read_link(state::base().join("current")).ok()?;
    state::is_live(&folder).then_some(folder)
}

/// Makes `folder` the one that [`find`] finds.
///
/// # Errors
/// When the link cannot be written.
pub fn remember(folder: &Path) -> io::Result<()> {
    let link = state::base().join("current");
    match fs::remove_file(&link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => symlink(folder, link),
    }
}

/// Asks the process that holds the cluster of `folder` to end.
///
/// # Errors
/// When there is none.
pub fn end(folder: &Path) -> io::Result<()> {
    let owner = state::owner_of(folder).and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
    Ok(kill_process(owner, Signal::TERM)?)
}

/// A process in the network namespace of the cluster of `folder`.
///
/// # Errors
/// When it has none.
pub fn process_inside(folder: &Path) -> io::Result<u32> {
    let text = fs::read_to_string(folder.join("pid"))?;
    text.trim().parse().map_err(io::Error::other)
}
