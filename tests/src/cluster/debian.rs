//! The parts of a cluster that come from the system: which are missing, and how to get them.
//!
//! They are looked for as files, so any distribution's package serves. Installing them is done only on request, with
//! Debian's package manager as root; everywhere else the message says what to install.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

/// A part of the system.
#[derive(Debug)]
pub struct Part {
    /// Debian package.
    pub package: &'static str,
    /// A program name that is looked for on the path, or an absolute file name.
    pub file: &'static str,
}

/// Needed by every level.
pub const BASE: &[Part] = &[
    Part { package: "iproute2", file: "ip" },
    Part { package: "util-linux", file: "unshare" },
    Part { package: "util-linux", file: "nsenter" },
    Part { package: "util-linux", file: "setpriv" },
];

/// Needed by a node: kubelet, containers, Services and `kubectl port-forward`.
pub const NODE: &[Part] = &[
    Part { package: "containerd", file: "containerd" },
    Part { package: "containerd", file: "ctr" },
    Part { package: "runc", file: "runc" },
    Part { package: "containernetworking-plugins", file: "/usr/lib/cni/bridge" },
    Part { package: "conntrack", file: "conntrack" },
    Part { package: "iptables", file: "iptables" },
    Part { package: "nftables", file: "nft" },
    Part { package: "socat", file: "socat" },
];

/// Needed by suites besides clusters: images, a linter, a shared cache, static binaries, metrics that are scraped, a page
/// that is shown.
pub const SUITES: &[Part] = &[
    Part { package: "buildah", file: "buildah" },
    Part { package: "python3-pip", file: "pip3" },
    Part { package: "redis-server", file: "redis-server" },
    Part { package: "musl-tools", file: "musl-gcc" },
    Part { package: "prometheus", file: "prometheus" },
    Part { package: "prometheus", file: "promtool" },
    Part { package: "chromium", file: "chromium" },
];

/// Why the system's parts cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DebianError {
    /// Parts are missing.
    #[error("missing from this machine: {0}; `cargo xtask cluster build --install` as root installs them on Debian")]
    Missing(String),
    /// Network namespaces need root.
    #[error("a test cluster makes network namespaces, which needs root: run it with sudo")]
    NotRoot,
    /// The package manager failed.
    #[error("`{0}` failed: install the packages by hand")]
    Install(String),
}

/// The packages of those `parts` that are not there.
#[must_use]
pub fn missing(parts: &[Part]) -> Vec<&'static str> {
    let mut packages: Vec<_> = parts.iter().filter(|part| !is_there(part.file)).map(|part| part.package).collect();
    packages.dedup();
    packages
}

/// Succeeds when this process may start clusters and all `parts` are there.
///
/// # Errors
/// [`DebianError::NotRoot`] or [`DebianError::Missing`].
pub fn require(parts: &[Part]) -> Result<(), DebianError> {
    if !rustix::process::geteuid().is_root() {
        return Err(DebianError::NotRoot);
    }
    let packages = missing(parts);
    if packages.is_empty() { Ok(()) } else { Err(DebianError::Missing(packages.join(", "))) }
}

/// Installs what is missing of all levels and returns the names of the packages.
///
/// # Errors
/// [`DebianError::NotRoot`] when something is missing and this is not root; [`DebianError::Install`].
pub fn install() -> Result<Vec<&'static str>, DebianError> {
    let mut packages = missing(BASE);
    packages.extend(missing(NODE));
    packages.extend(missing(SUITES));
    if packages.is_empty() {
        return Ok(packages);
    }
    if !rustix::process::geteuid().is_root() {
        return Err(DebianError::Missing(packages.join(", ")));
    }
    apt(&["update"])?;
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(&packages);
    apt(&arguments)?;
    Ok(packages)
}

fn apt(arguments: &[&str]) -> Result<(), DebianError> {
    let mut command = Command::new("apt-get");
    command.arg("--quiet=2").args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(DebianError::Install(format!("apt-get {}", arguments.join(" ")))),
    }
}

/// The search path with the folders for system programs, which a user's own path often lacks.
pub(super) fn search_path() -> OsString {
    let mut path = env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/local/sbin:/usr/sbin:/sbin");
    path
}

fn is_there(file: &str) -> bool {
    let found = env::split_paths(&search_path()).any(|folder| folder.join(file).is_file());
    found || (Path::new(file).is_absolute() && Path::new(file).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_reported_once_by_its_package() {
        let parts = [
            Part { package: "absent", file: "no-such-program-a" },
            Part { package: "absent", file: "no-such-program-b" },
            Part { package: "present", file: "/proc/self/status" },
        ];
        assert_eq!(missing(&parts), ["absent"]);
    }
}
