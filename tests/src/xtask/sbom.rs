//! `cargo xtask sbom`: what each shipped binary is made of, as a `CycloneDX` document and as a list of licences, in
//! `target/sbom`; and a build of the binaries that carry the same list inside. Both are compared with the dependency
//! tree that cargo resolves: a package that is missing anywhere is an error.
//!
//! It needs `cargo-cyclonedx` and `cargo-auditable`, and `objcopy`, which the linker's package brings.

use std::collections::BTreeSet;
use std::error::Error;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use flate2::read::ZlibDecoder;
use serde_json::Value;

/// The shipped binaries, which are also the names of their packages, and the folders of those.
const BINARIES: [(&str, &str); 2] = [("threatrelay", "relay"), ("threatrelay-operator", "operator")];
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// A package as `name version`.
type Packages = BTreeSet<String>;

pub(super) fn run() -> Result<ExitCode, Box<dyn Error>> {
    let executable = std::env::current_exe()?;
    let target = executable.parent().and_then(Path::parent).ok_or("the folder of built programs is unknown")?;
    let folder = target.join("sbom");
    std::fs::create_dir_all(&folder)?;
    succeed(
        Command::new("cargo").args(["cyclonedx", "--quiet", "--format", "json", "--spec-version", "1.5"]).args([
            "--describe",
            "binaries",
            "--target",
            TARGET,
            "--manifest-path",
            "relay/Cargo.toml",
        ]),
    )?;
    let described = BINARIES.map(|(binary, home)| {
        let kept = folder.join(format!("{binary}.cdx.json"));
        std::fs::rename(Path::new(home).join(format!("{binary}_bin.cdx.json")), &kept).map(|()| kept)
    });
    remove_others()?;
    succeed(
        Command::new("cargo")
            .args(["auditable", "build", "--quiet", "--locked", "--release", "--target", TARGET])
            .args(BINARIES.into_iter().flat_map(|(binary, _)| ["-p", binary, "--bin", binary])),
    )?;
    let mut complete = true;
    for ((binary, _), document) in BINARIES.into_iter().zip(described) {
        let built = target.join(TARGET).join("release").join(binary);
        let expected = resolved(binary)?;
        std::fs::write(folder.join(format!("{binary}.licences.txt")), licences(binary)?)?;
        let (document, within) = (read_document(&document?)?, read_binary(&built)?);
        for (where_, found) in [("the document", &document), ("the binary itself", &within)] {
            let missing: Vec<_> = expected.difference(found).collect();
            println!("{binary}: {} packages in {where_}, {} missing", found.len(), missing.len());
            for package in missing {
                eprintln!("  {package}");
                complete = false;
            }
        }
    }
    println!("wrote {}", folder.display());
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// cyclonedx describes every member of the workspace, beside its manifest.
fn remove_others() -> Result<(), Box<dyn Error>> {
    for folder in ["relay", "operator", "tests"] {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with("_bin.cdx.json") {
                std::fs::remove_file(path)?;
            }
        }
    }
    Ok(())
}

/// The packages that cargo links into a binary.
fn resolved(package: &str) -> Result<Packages, Box<dyn Error>> {
    let tree = tree(package, "{p}")?;
    let named = tree.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some(format!("{} {}", words.next()?, words.next()?.trim_start_matches('v')))
    });
    Ok(named.collect())
}

/// A line for each package and its licence.
fn licences(package: &str) -> Result<String, Box<dyn Error>> {
    let tree = tree(package, "{p}\t{l}")?;
    let lines: BTreeSet<String> =
        tree.lines().filter(|line| !line.contains(" (/")).map(|line| line.replace(" (proc-macro)", "")).collect();
    Ok(lines.into_iter().map(|line| line + "\n").collect())
}

fn tree(package: &str, format: &str) -> Result<String, Box<dyn Error>> {
    let output = Command::new("cargo")
        .args(["tree", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "none", "--no-dedupe"])
        .args(["--target", TARGET, "--package", package, "--format", format])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn read_document(path: &Path) -> Result<Packages, Box<dyn Error>> {
    let document: Value = serde_json::from_slice(&std::fs::read(path)?)?;
    let parts = document["components"].as_array().into_iter().flatten();
    Ok(parts.chain([&document["metadata"]["component"]]).filter_map(package).collect())
}

/// The list that `cargo auditable` puts into the section `.dep-v0`, as zlib-packed JSON.
fn read_binary(path: &Path) -> Result<Packages, Box<dyn Error>> {
    let section: PathBuf = path.with_extension("dep-v0");
    let dump = format!(".dep-v0={}", section.display());
    succeed(Command::new("objcopy").args(["--dump-section", &dump]).arg(path).arg("/dev/null"))?;
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
