//! Builds the pinned Go programs into the cache.
//!
//! A program is built into a temporary folder beside its final one and renamed when complete, so a folder that exists
//! is whole. A lock file per folder makes a second builder wait for the first instead of doing the work twice. The Go
//! toolchain is the only thing needed; its build runs at the lowest priority, since it usually runs beside others.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::programs::{Output, Program, ProgramError, overridden};

/// How a program came to be in place.
#[derive(Debug, PartialEq, Eq)]
pub enum Built {
    /// All its binaries are in the override folders.
    Overridden,
    /// It was in the cache.
    Cached,
    /// It was built now, in this time.
    Now(Duration),
}

/// Why a build failed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The pins or the cache are unusable.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A command could not be started.
    #[error(
        "cannot run `{command}`: {source}; the cluster's programs are built with Go (see go.mod for its version)"
    )]
    NoGo {
        /// The command line.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// A command ended with an error.
    #[error("`{command}` in {dir} failed:\n{output}")]
    Failed {
        /// The command line.
        command: String,
        /// Where it ran.
        dir: PathBuf,
        /// The end of what it printed.
        output: String,
    },
    /// The cache could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Builds `program` unless it is there already.
///
/// # Errors
/// When Go is missing or fails, or the cache cannot be written.
pub fn build(program: &Program) -> Result<Built, BuildError> {
    if let Output::Binaries(list) = program.output
        && list.iter().all(|(binary, _)| overridden(binary).is_some())
    {
        return Ok(Built::Overridden);
    }
    let folder = program.folder()?;
    if folder.is_dir() {
        return Ok(Built::Cached);
    }
    let root = folder.parent().unwrap_or(Path::new("/")).to_path_buf();
    fs::create_dir_all(&root).map_err(writing(&root))?;
    let lock_path = folder.with_extension("lock");
    let lock = File::create(&lock_path).map_err(writing(&lock_path))?;
    lock.lock().map_err(writing(&lock_path))?;
    if folder.is_dir() {
        return Ok(Built::Cached);
    }
    let begun = Instant::now();
    let unfinished = folder.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(writing(&unfinished))?;
    }
    fs::create_dir_all(&unfinished).map_err(writing(&unfinished))?;
    match program.output {
        Output::Binaries(list) => {
            for (binary, package) in list {
                go_build(program, package, &unfinished.join(binary))?;
            }
        }
        Output::Files(module, inner) => copy_files(program, module, inner, &unfinished)?,
    }
    fs::rename(&unfinished, &folder).map_err(writing(&folder))?;
    Ok(Built::Now(begun.elapsed()))
}

fn go_build(program: &Program, package: &str, target: &Path) -> Result<(), BuildError> {
    let mut go = Command::new("nice");
    go.args(["-n", "19", "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", program.ldflags, "-o"])
        .arg(target)
        .arg(package);
    run(go, &program.source()).map(drop)
}

fn copy_files(program: &Program, module: &str, inner: &str, target: &Path) -> Result<(), BuildError> {
    let mut download = Command::new("go");
    download.args(["mod", "download", module]);
    run(download, &program.source())?;
    let mut list = Command::new("go");
    list.args(["list", "-m", "-f", "{{.Dir}}", module]);
    let dir = run(list, &program.source())?;
    let from = Path::new(dir.trim()).join(inner);
    let entries = fs::read_dir(&from).map_err(|source| ProgramError::Pins { path: from, source })?;
    for entry in entries.flatten() {
        let copy = target.join(entry.file_name());
        fs::copy(entry.path(), &copy).map_err(writing(&copy))?;
    }
    Ok(())
}

/// Runs a command in `dir` and returns its standard output.
fn run(mut command: Command, dir: &Path) -> Result<String, BuildError> {
    command.current_dir(dir).env("CGO_ENABLED", "0");
    let line = format!("{command:?}");
    let output = command.output().map_err(|source| BuildError::NoGo { command: line.clone(), source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let printed = String::from_utf8_lossy(&output.stderr);
    let skip = printed.lines().count().saturating_sub(40);
    let output = printed.lines().skip(skip).collect::<Vec<_>>().join("\n");
    Err(BuildError::Failed { command: line, dir: dir.into(), output })
}

fn writing(path: &Path) -> impl FnOnce(io::Error) -> BuildError {
    move |source| BuildError::Write { path: path.into(), source }
}
