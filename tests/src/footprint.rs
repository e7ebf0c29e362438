//! What a process takes of the machine, as the kernel counts it. A process that is gone takes nothing.

use std::path::PathBuf;
use std::{fs, io};

/// A look at one process.
#[derive(Clone, Debug)]
pub struct Footprint(PathBuf);

impl Footprint {
    /// Of the process with this id.
    #[must_use]
    pub fn of(id: u32) -> Self {
        Self(PathBuf::from(format!("/proc/{id}")))
    }

    /// Resident memory now, in bytes.
    #[must_use]
    pub fn resident(&self) -> u64 {
        self.status("VmRSS:") * 1024
    }

    /// The most resident memory since the start or [`Self::forget_peak`], in bytes.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.status("VmHWM:") * 1024
    }

    /// Starts a new measurement of the peak.
    ///
    /// # Errors
    /// When the process is gone or another user's.
    pub fn forget_peak(&self) -> io::Result<()> {
        fs::write(self.0.join("clear_refs"), "5")
    }

    /// Threads.
    #[must_use]
    pub fn threads(&self) -> u64 {
        self.status("Threads:")
    }

    /// Open file descriptors.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        fs::read_dir(self.0.join("fd")).map_or(0, Iterator::count)
    }

    fn status(&self, field: &str) -> u64 {
        let status = fs::read_to_string(self.0.join("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    #[test]
    fn this_process_has_memory_threads_and_descriptors_and_none_has_not() {
        let this = Footprint::of(std::process::id());
        this.forget_peak().unwrap();
        let held = vec![1_u8; 32 << 20];
        assert!(this.peak() >= this.resident() / 2 && this.resident() > held.len() as u64, "{this:?} {}", held[7]);
        assert!(this.threads() > 0 && this.descriptors() > 2);
        let none = Footprint(PathBuf::from("/proc/none"));
        assert_eq!((none.resident(), none.threads(), none.descriptors()), (0, 0, 0));
    }
}
