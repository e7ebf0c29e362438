//! `cargo xtask reproduce`: builds what is committed twice, as it is shipped, in two folders with nothing in common, and
//! compares the binaries byte by byte. Too slow for every run of the checks.

use std::error::Error;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use aws_lc_rs::digest;

use super::install;
use crate::binaries;
use crate::materials::BINARIES;

pub(super) fn run() -> Result<ExitCode, Box<dyn Error>> {
    install::tools()?;
    let (first, second) = (build("a")?, build("a-folder-of-quite-another-length")?);
    for ((binary, _), hash) in BINARIES.iter().zip(&first) {
        println!("{hash}  {binary}");
    }
    if first == second {
        println!("both builds gave the same bytes");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("the second build gave other bytes: {}", second.join(", "));
    Ok(ExitCode::FAILURE)
}

/// The hashes of the binaries, built in a folder of this name.
fn build(name: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let parent = tempfile::tempdir()?;
    let folder = parent.path().join(name);
    std::fs::create_dir(&folder)?;
    unpack(&folder)?;
    let registry = std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|home| home + "/.cargo"))?;
    let here = folder.display();
    let status = binaries::as_shipped(&folder)
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env("RUSTFLAGS", format!("--remap-path-prefix={here}=/build --remap-path-prefix={registry}=/cargo"))
        .env("CFLAGS", format!("-ffile-prefix-map={here}=/build -ffile-prefix-map={registry}=/cargo"))
        .status()?;
    if !status.success() {
        return Err(format!("the build in {here} failed").into());
    }
    let built = folder.join("target").join(binaries::target()).join("dist");
    BINARIES.iter().map(|(binary, _)| hash(&built.join(binary))).collect()
}

fn unpack(folder: &Path) -> Result<(), Box<dyn Error>> {
    let mut archive = Command::new("git").args(["archive", "HEAD"]).stdout(Stdio::piped()).spawn()?;
    let committed = archive.stdout.take().ok_or("git has no output")?;
    let unpacked = Command::new("tar").arg("-x").arg("-C").arg(folder).stdin(committed).status()?;
    if archive.wait()?.success() && unpacked.success() { Ok(()) } else { Err("the tree cannot be unpacked".into()) }
}

fn hash(path: &Path) -> Result<String, Box<dyn Error>> {
    let hash = digest::digest(&digest::SHA256, &std::fs::read(path)?);
    Ok(hash.as_ref().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")))
}
