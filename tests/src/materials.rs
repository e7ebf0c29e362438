//! What the shipped binaries are made of, from three sources that must agree: the tree that cargo resolves, a `CycloneDX`
//! document beside a binary, the list that `cargo auditable` puts inside it. Packages come out as `name version`; a tool
//! that is absent or fails is an error with its command.
//!
//! The document needs `cargo-cyclonedx`; the list inside needs `objcopy`, which the linker's package brings.

use std::collections::BTreeSet;
use std::error::Error;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::read::ZlibDecoder;
use serde_json::Value;

/// The shipped binaries, which are also the names of their packages, and the folders of those.
pub const BINARIES: [(&str, &str); 2] = [("threatrelay", "relay"), ("threatrelay-operator", "operator")];

/// Packages as `name version`.
pub type Packages = BTreeSet<String>;

/// The packages that cargo links into a binary for `target`.
///
/// # Errors
/// When cargo cannot resolve them, e.g. because `Cargo.lock` is behind.
pub fn resolved(package: &str, target: &str) -> Result<Packages, Box<dyn Error>> {
    let tree = tree(package, target, "{p}")?;
    let named = tree.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some(format!("{} {}", words.next()?, words.next()?.trim_start_matches('v')))
    });
    Ok(named.collect())
}

/// A line for each foreign package and its licence.
///
/// # Errors
/// Those of [`resolved`].
pub fn licences(package: &str, target: &str) -> Result<String, Box<dyn Error>> {
    let tree = tree(package, target, "{p}\t{l}")?;
    let lines: BTreeSet<&str> = tree.lines().filter(|line| !line.contains(" (/")).collect();
    Ok(lines.into_iter().flat_map(|line| [line, "\n"]).collect())
}

fn tree(package: &str, target: &str, format: &str) -> Result<String, Box<dyn Error>> {
    let mut tree = Command::new("cargo");
    tree.args(["tree", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "none", "--no-dedupe"])
        .args(["--target", target, "--package", package, "--format", format])
        .current_dir(root());
    let output = tree.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Writes a document for each binary into `folder`, in the order of [`BINARIES`].
///
/// # Errors
/// When cyclonedx cannot be run or fails.
pub fn document(folder: &Path, target: &str) -> Result<[PathBuf; 2], Box<dyn Error>> {
    succeed(
        Command::new("cargo")
            .args(["cyclonedx", "--quiet", "--format", "json", "--spec-version", "1.5", "--describe", "binaries"])
            .args(["--target", target, "--manifest-path", "relay/Cargo.toml"])
            .current_dir(root()),
    )?;
    let kept = BINARIES.map(|(binary, _)| folder.join(format!("{binary}.cdx.json")));
    for ((binary, home), kept) in BINARIES.iter().zip(&kept) {
        std::fs::copy(root().join(home).join(format!("{binary}_bin.cdx.json")), kept)?;
    }
    // It describes every binary of the workspace, beside its manifest.
    for home in ["relay", "operator", "tests"] {
        for entry in std::fs::read_dir(root().join(home))? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with("_bin.cdx.json") {
                std::fs::remove_file(path)?;
            }
        }
    }
    Ok(kept)
}

/// The packages of a document.
#[must_use]
pub fn described(document: &Value) -> Packages {
    let parts = document["components"].as_array().into_iter().flatten();
    parts.chain([&document["metadata"]["component"]]).filter_map(package).collect()
}

/// The packages that a binary names in its section `.dep-v0`, as zlib-packed JSON.
///
/// # Errors
/// When it has no such section or cannot be read.
pub fn carried(binary: &Path) -> Result<Packages, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let section = folder.path().join("dep-v0");
    let dump = format!(".dep-v0={}", section.display());
    succeed(Command::new("objcopy").args(["--dump-section", &dump]).arg(binary).arg(folder.path().join("copy")))?;
    let mut text = String::new();
    ZlibDecoder::new(std::fs::File::open(&section)?).read_to_string(&mut text)?;
    let list: Value = serde_json::from_str(&text)?;
    Ok(list["packages"].as_array().into_iter().flatten().filter_map(package).collect())
}

fn package(of: &Value) -> Option<String> {
    Some(format!("{} {}", of["name"].as_str()?, of["version"].as_str()?))
}

fn succeed(command: &mut Command) -> Result<(), Box<dyn Error>> {
    let status = command.status().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}").into()) }
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
