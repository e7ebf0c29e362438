//! The folders that running clusters keep their files in, below the system's folder for temporary files.
//!
//! Each belongs to the process that holds the lock on its `owner` file. The kernel gives the lock back when the
//! process ends, however it ends, so a folder whose lock can be had is debris (its supervisor was killed too, or the
//! machine stopped) and is removed, with its control groups, before the next one is made.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

const OWNER: &str = "owner";

/// The folder of one cluster, locked while this value lives.
pub struct Folder {
    path: PathBuf,
    name: String,
    _owner: File,
}

impl Folder {
    /// Removes debris, then makes a new folder.
    ///
    /// # Errors
    /// When the folder cannot be made or locked.
    pub fn create() -> io::Result<Self> {
        Self::create_below(&base())
    }

    fn create_below(base: &Path) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        fs::create_dir_all(base)?;
        // Held while folders are made and removed: a folder is never seen before its lock is taken.
        let gate = File::create(base.join(".gate"))?;
        gate.lock()?;
        remove_debris(base)?;
        let name = format!("threatrelay-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = base.join(&name);
        fs::create_dir(&path)?;
        let owner = File::create(path.join(OWNER))?;
        owner.lock()?;
        Ok(Self { path, name, _owner: owner })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its name, unique on this machine while it exists.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Where the folders are.
pub fn base() -> PathBuf {
    env::temp_dir().join("threatrelay-clusters")
}

/// Whether the process that made `folder` still runs.
pub fn is_live(folder: &Path) -> bool {
    File::open(folder.join(OWNER)).is_ok_and(|owner| owner.try_lock().is_err())
}

/// The process id of the owner of a live folder; it is part of the name.
pub fn owner_of(folder: &Path) -> Option<i32> {
    let name = folder.file_name()?.to_str()?;
    name.strip_prefix("threatrelay-")?.split('-').next()?.parse().ok().filter(|_| is_live(folder))
}

fn remove_debris(base: &Path) -> io::Result<()> {
    for entry in fs::read_dir(base)?.flatten() {
        let path = entry.path();
        if entry.file_type()?.is_dir() && !is_live(&path) {
            remove_control_groups(&entry.file_name().to_string_lossy());
            match fs::remove_dir_all(&path) {
                // Its supervisor may be removing it at this moment.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

fn remove_control_groups(name: &str) {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    for hierarchy in hierarchies.chain([root.to_path_buf()]) {
        remove_empty(&hierarchy.join(name));
    }
}

/// A control group is a folder whose files cannot be removed; it goes when its inner groups are gone.
fn remove_empty(group: &Path) {
    for inner in fs::read_dir(group).into_iter().flatten().flatten() {
        if inner.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty(&inner.path());
        }
    }
    let _ = fs::remove_dir(group);
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    #[test]
    fn a_folder_without_an_owner_is_removed_and_one_with_an_owner_stays() {
        let base = tempfile::tempdir().unwrap();
        let live = Folder::create_below(base.path()).unwrap();
        let dead = base.path().join("threatrelay-1-0");
        fs::create_dir_all(dead.join("logs")).unwrap();
        File::create(dead.join(OWNER)).unwrap();
        let _next = Folder::create_below(base.path()).unwrap();
        assert!(live.path().is_dir());
        assert!(!dead.exists());
    }
}
