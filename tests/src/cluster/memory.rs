//! What a cluster costs: the resident memory of its processes, summed by name.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use super::sandbox::Sandbox;

/// Resident MiB by program. Shared pages are counted for every process that has them.
#[derive(Debug, Default)]
pub struct Memory(BTreeMap<String, u64>);

impl Memory {
    /// The memory of everything that runs in `sandbox`, pods included.
    #[must_use]
    pub fn of(sandbox: &Sandbox) -> Self {
        let network = fs::read_link(format!("/proc/{}/ns/net", sandbox.pid())).ok();
        let mut kib = BTreeMap::<String, u64>::new();
        for process in fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path()) {
            let within = |group: String| group.contains(sandbox.name());
            let inside = fs::read_link(process.join("ns/net")).ok() == network
                || fs::read_to_string(process.join("cgroup")).is_ok_and(within);
            if let Some((name, resident)) = resident(&process).filter(|_| inside) {
                *kib.entry(name).or_default() += resident;
            }
        }
        Self(kib.into_iter().map(|(name, kib)| (name, kib / 1024)).filter(|(_, mib)| *mib > 0).collect())
    }

    /// Of all together.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.0.values().sum()
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB", self.sum())?;
        let mut largest: Vec<_> = self.0.iter().collect();
        largest.sort_by_key(|(_, mib)| std::cmp::Reverse(**mib));
        for (at, (name, mib)) in largest.into_iter().enumerate() {
            write!(f, "{} {name} {mib}", if at == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}

/// The name and the resident KiB of a process; kernel threads have none.
fn resident(process: &Path) -> Option<(String, u64)> {
    let status = fs::read_to_string(process.join("status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    Some((field("Name:")?.to_owned(), field("VmRSS:")?.trim_end_matches(" kB").parse().ok()?))
}
