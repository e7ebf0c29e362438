//! The README as tests run it. A fenced block's first word is its language; the second names who runs it, one of
//! [`RUNNERS`]. A block runs in a shell that stops at the first error, in a folder that looks like the repository, where
//! `cargo xtask` and `cargo run -p threatrelay` are programs that are built already.
#![expect(clippy::expect_used, reason = "a shell that cannot be prepared ends the test, with the step's name")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::process;

/// Who runs blocks, and which suite that is.
pub const RUNNERS: [(&str, &str); 6] = [
    ("demo", "readme_blocks"),
    ("settings", "readme_blocks"),
    ("command-line", "readme_blocks"),
    ("everything", "readme_blocks"),
    ("try", "install_readme"),
    ("node", "install_readme"),
];

/// A fenced block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Of its text.
    pub language: String,
    /// One of [`RUNNERS`], or nothing.
    pub runner: String,
    /// Its lines.
    pub text: String,
}

/// The page.
///
/// # Panics
/// When it cannot be read.
#[must_use]
pub fn text() -> String {
    fs::read_to_string(root().join("README.md")).expect("README.md")
}

/// Its blocks, in order.
#[must_use]
pub fn blocks() -> Vec<Block> {
    blocks_of(&text())
}

/// The blocks of a page, in order.
#[must_use]
pub fn blocks_of(page: &str) -> Vec<Block> {
    let (mut blocks, mut open) = (Vec::new(), None);
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(info), None) => {
                let (language, runner) = info.split_once(' ').unwrap_or((info, ""));
                open = Some(Block { language: language.into(), runner: runner.into(), text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => block.text.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    blocks
}

/// The shell lines of a runner's blocks, as one script.
#[must_use]
pub fn script(runner: &str) -> String {
    script_of(&text(), runner)
}

/// The same of another page.
#[must_use]
pub fn script_of(page: &str, runner: &str) -> String {
    let shell = blocks_of(page).into_iter().filter(|block| block.runner == runner && block.language == "sh");
    shell.map(|block| block.text).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A folder that looks like the repository, and a path with programs that are built already.
pub struct Desk {
    folder: TempDir,
}

impl Desk {
    /// Prepares it; `xtask` is the program of `cargo xtask`.
    ///
    /// # Panics
    /// When a file cannot be made.
    #[must_use]
    pub fn new(xtask: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let programs = folder.path().join("bin");
        fs::create_dir(&programs).expect("a folder for programs");
        let relay = process::binary();
        symlink(relay, programs.join("threatrelay")).expect("a link to the relay");
        let desk = Self { folder };
        let shim = format!(
            "case \"$*\" in\n'xtask '*) shift; exec {} \"$@\" ;;\n\
             'run --release -p threatrelay -- '*) shift 5; exec threatrelay \"$@\" ;;\n\
             *) echo \"the README asks for cargo $*\" >&2; exit 1 ;;\nesac\n",
            xtask.display()
        );
        desk.program("cargo", &shim);
        symlink(root().join("charts"), desk.path().join("charts")).expect("a link to the charts");
        desk
    }

    /// Its folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Puts a file on it.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn put(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).expect("a file");
    }

    /// Puts a program on its path, a shell script.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn program(&self, name: &str, script: &str) {
        let path = self.path().join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}")).expect("a program");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a program that runs");
    }

    /// A shell that runs the script.
    #[must_use]
    pub fn shell(&self, script: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("bash");
        shell.args(["-euc", script]).current_dir(self.path());
        shell.env("PATH", format!("{}:{path}", self.path().join("bin").display()));
        shell
    }
}
