//! `cargo xtask cluster build`: builds once, into the cache, and takes ready-made binaries first. Needs Go.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// The command, with a cache of its own; a person's override has no say.
fn build(cache: &Path, program: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["cluster", "build", program]).env("XDG_CACHE_HOME", cache).env_remove("THREATRELAY_CLUSTER_BIN");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What it said of the program.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().find(|line| line.starts_with("probe")).unwrap().to_owned()
}

#[test]
fn two_builders_at_once_build_once_and_leave_a_binary_that_runs() {
    let cache = tempfile::tempdir().unwrap();
    let other = build(cache.path(), "probe").spawn().unwrap();
    let mut words = vec![said(&mut build(cache.path(), "probe"))];
    let other = other.wait_with_output().unwrap();
    words.push(String::from_utf8(other.stdout).unwrap());
    let count = |text: &str| words.iter().filter(|words| words.contains(text)).count();
    assert_eq!((count("built in"), count("already built")), (1, 1), "{words:?}");

    let folders = fs::read_dir(cache.path().join("threatrelay/cluster")).unwrap().flatten().map(|entry| entry.path());
    let folder = folders.filter(|path| path.is_dir()).collect::<Vec<_>>();
    assert_eq!(folder.len(), 1, "unfinished folders are gone: {folder:?}");
    let output = Command::new(folder[0].join("probe")).args(["resolve", "localhost"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("127.0.0.1"));
}

#[test]
fn a_binary_in_an_override_folder_is_taken_as_it_is() {
    let (cache, given) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(given.path().join("probe"), "").unwrap();
    let line = said(build(cache.path(), "probe").env("THREATRELAY_CLUSTER_BIN", given.path()));
    assert!(line.ends_with("from the override"), "{line}");
    assert!(!cache.path().join("threatrelay").exists());
}

#[test]
fn a_build_without_go_says_so() {
    let (cache, empty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let output = build(cache.path(), "probe").env("PATH", empty.path()).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("are built with Go"), "{error}");
}
