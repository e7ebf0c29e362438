//! The programs a cluster consists of, and where their binaries are.
//!
//! Every program has a folder `tests/cluster/<name>` with a `go.mod` and `go.sum` that pin it. Its binaries are kept
//! in the user's cache directory under a key made of these files and the build flags, so two checkouts with the same
//! pins share them and a changed pin never meets an old binary. A missing binary is an error that names the command
//! that builds it.

use std::env;
use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};

/// Folders, separated by `:`, with ready-made binaries that are taken before the built ones.
pub const OVERRIDE: &str = "THREATRELAY_CLUSTER_BIN";

/// One pinned Go module and the binaries made of it.
#[derive(Debug)]
pub struct Program {
    /// Folder below `tests/cluster`, and the name on the command line.
    pub name: &'static str,
    /// What comes out of it.
    pub output: Output,
    /// Linker flags.
    pub ldflags: &'static str,
}

/// What a build leaves in the cache.
#[derive(Debug)]
pub enum Output {
    /// Binary name and the package it is built from.
    Binaries(&'static [(&'static str, &'static str)]),
    /// Files copied out of a module: the module's path and a folder inside it.
    Files(&'static str, &'static str),
}

const STRIP: &str = "-s -w";

/// All programs, the ones needed first at the front.
pub const PROGRAMS: &[Program] = &[
    Program { name: "etcd", output: Output::Binaries(&[("etcd", "go.etcd.io/etcd/server/v3")]), ldflags: STRIP },
    Program {
        name: "kubernetes",
        output: Output::Binaries(&[
            ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
            ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
            ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
            ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
            ("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
            ("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
        ]),
        ldflags: "-s -w -X k8s.io/component-base/version.gitVersion=v1.34.4 \
                  -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34",
    },
    Program { name: "probe", output: Output::Binaries(&[("probe", "threatrelay.test/probe")]), ldflags: STRIP },
    Program {
        name: "coredns",
        output: Output::Binaries(&[("coredns", "github.com/coredns/coredns")]),
        ldflags: STRIP,
    },
    Program {
        name: "traefik",
        output: Output::Binaries(&[("traefik", "github.com/traefik/traefik/v3/cmd/traefik")]),
        ldflags: STRIP,
    },
    Program {
        name: "gateway-api",
        output: Output::Files("sigs.k8s.io/gateway-api", "config/crd/standard"),
        ldflags: "",
    },
    Program {
        name: "metrics-server",
        output: Output::Binaries(&[("metrics-server", "sigs.k8s.io/metrics-server/cmd/metrics-server")]),
        ldflags: STRIP,
    },
    Program { name: "otelcol", output: Output::Binaries(&[("otelcol", "threatrelay.test/otelcol")]), ldflags: STRIP },
    Program { name: "helm3", output: Output::Binaries(&[("helm3", "helm.sh/helm/v3/cmd/helm")]), ldflags: STRIP },
    Program { name: "helm4", output: Output::Binaries(&[("helm4", "helm.sh/helm/v4/cmd/helm")]), ldflags: STRIP },
    Program { name: "kind", output: Output::Binaries(&[("kind", "sigs.k8s.io/kind")]), ldflags: STRIP },
];

/// Why a program cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// No program of that name is pinned.
    #[error("no program {0:?}: the programs are {known}", known = PROGRAMS.iter().map(|p| p.name).collect::<Vec<_>>().join(", "))]
    Unknown(String),
    /// The binary is neither in the cache nor in the override.
    #[error(
        "{binary} is not built: run `cargo xtask cluster build {program}` or set {OVERRIDE} to a folder that has it"
    )]
    NotBuilt {
        /// The file asked for.
        binary: String,
        /// The program it belongs to.
        program: &'static str,
    },
    /// Neither `XDG_CACHE_HOME` nor `HOME` is set.
    #[error("no cache directory: set XDG_CACHE_HOME or HOME")]
    NoCache,
    /// A pin file could not be read.
    #[error("cannot read {path}: {source}")]
    Pins {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Program {
    /// The program called `name`.
    ///
    /// # Errors
    /// [`ProgramError::Unknown`].
    pub fn named(name: &str) -> Result<&'static Self, ProgramError> {
        PROGRAMS.iter().find(|program| program.name == name).ok_or_else(|| ProgramError::Unknown(name.into()))
    }

    /// The folder with the pins.
    #[must_use]
    pub fn source(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster").join(self.name)
    }

    /// The folder in the cache that holds what is built from exactly these pins and flags. It need not exist.
    ///
    /// # Errors
    /// When there is no cache directory or the pins cannot be read.
    pub fn folder(&self) -> Result<PathBuf, ProgramError> {
        let source = self.source();
        let unreadable = |source_error| ProgramError::Pins { path: source.clone(), source: source_error };
        let mut files = fs::read_dir(&source)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>())
            .map_err(unreadable)?;
        files.retain(|path| path.extension().is_some_and(|e| e == OsStr::new("mod") || e == "sum" || e == "go"));
        files.sort();
        let mut hash = Context::new(&SHA256);
        for path in files {
            hash.update(&fs::read(&path).map_err(|source| ProgramError::Pins { path, source })?);
        }
        hash.update(format!("{:?} {}", self.output, self.ldflags).as_bytes());
        let mut key = hex(hash.finish().as_ref());
        key.truncate(16);
        Ok(cache_root()?.join(format!("{}-{key}", self.name)))
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// `$XDG_CACHE_HOME/threatrelay/cluster`, or the same below `~/.cache`.
///
/// # Errors
/// [`ProgramError::NoCache`].
pub fn cache_root() -> Result<PathBuf, ProgramError> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    Ok(cache.ok_or(ProgramError::NoCache)?.join("threatrelay/cluster"))
}

/// The path of a binary: from the folders of [`OVERRIDE`] when one has it, else from the cache.
///
/// # Errors
/// [`ProgramError::NotBuilt`] when it is in neither.
pub fn locate(binary: &str) -> Result<PathBuf, ProgramError> {
    if let Some(found) = overridden(binary) {
        return Ok(found);
    }
    let owner =
        |program: &&Program| matches!(program.output, Output::Binaries(list) if list.iter().any(|b| b.0 == binary));
    let program = PROGRAMS.iter().find(owner).ok_or_else(|| ProgramError::Unknown(binary.into()))?;
    let path = program.folder()?.join(binary);
    if path.is_file() {
        Ok(path)
    } else {
        Err(ProgramError::NotBuilt { binary: binary.into(), program: program.name })
    }
}

/// The binary in one of the folders of [`OVERRIDE`].
#[must_use]
pub fn overridden(binary: &str) -> Option<PathBuf> {
    let folders = env::var_os(OVERRIDE)?;
    env::split_paths(&folders).map(|folder| folder.join(binary)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    #[test]
    fn every_program_has_its_pins() {
        for program in PROGRAMS {
            assert!(program.source().join("go.mod").is_file(), "{} has no go.mod", program.name);
        }
    }

    #[test]
    fn programs_do_not_share_a_cache_folder() {
        let folders: std::collections::BTreeSet<_> = PROGRAMS.iter().map(|p| p.folder().unwrap()).collect();
        assert_eq!(folders.len(), PROGRAMS.len());
    }

    #[test]
    fn an_unknown_program_is_answered_with_the_known_ones() {
        let text = Program::named("kubernets").unwrap_err().to_string();
        assert!(text.contains("\"kubernets\"") && text.contains("kubernetes, probe, coredns"), "{text}");
    }
}
