//! The two programs as they are shipped: static, optimised, for images.
//!
//! [`build`] makes them once for every suite that runs them in a pod or packs them; [`BINARIES`] then tells suites where
//! they are. Without it a suite takes the build of its own profile, brought up to date: what a developer has just changed.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cluster::Image;

/// Names the folder with the binaries `threatrelay` and `threatrelay-operator`.
pub const BINARIES: &str = "THREATRELAY_BINARIES";

/// The public authorities: the relay does not start without them, and an image made of files has none.
pub const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Why there are no static binaries.
#[derive(Debug, thiserror::Error)]
pub enum BinariesError {
    /// The build could not be started.
    #[error("cannot run cargo: {0}")]
    NoCargo(#[source] io::Error),
    /// The build failed; it has said why.
    #[error(
        "the static binaries cannot be built: they need `rustup target add {0}`, musl-gcc (Debian: musl-tools) and \
         `cargo install --locked cargo-auditable`, which `cargo xtask test --install` installs"
    )]
    Failed(String),
}

/// The Rust target of static programs for this machine.
#[must_use]
pub fn target() -> String {
    format!("{}-unknown-linux-musl", env::consts::ARCH)
}

/// Builds both, each with the list of what it is made of inside ([`crate::materials`]), and returns their folder. What
/// is up to date is not built again.
///
/// # Errors
/// See [`BinariesError`].
pub fn build() -> Result<PathBuf, BinariesError> {
    let target = target();
    if !as_shipped(Path::new(env!("CARGO_MANIFEST_DIR"))).status().map_err(BinariesError::NoCargo)?.success() {
        return Err(BinariesError::Failed(target));
    }
    let folder = beside_this().ancestors().nth(1).unwrap_or(Path::new("/")).join(target).join("dist");
    Ok(folder)
}

/// The build of both, as it is shipped, of the workspace that `folder` is in. C code that tells when it was compiled
/// (mimalloc's does) tells 1970, so that the next build gives the same bytes.
#[must_use]
pub fn as_shipped(folder: &Path) -> Command {
    let target = target();
    let mut build = cargo(&["auditable", "build"]);
    build
        .args(["--locked", "--profile", "dist", "--target", &target, "--bins"])
        .args(["--package", "threatrelay", "--package", "threatrelay-operator"])
        .env(format!("CC_{}", target.replace('-', "_")), "musl-gcc")
        .env("SOURCE_DATE_EPOCH", "0")
        .current_dir(folder);
    build
}

/// The program `name`: from the folder of [`BINARIES`], else [`current`].
///
/// # Errors
/// Those of [`current`].
pub fn shipped(name: &str) -> io::Result<PathBuf> {
    env::var_os(BINARIES).map_or_else(|| current(name), |folder| Ok(PathBuf::from(folder).join(name)))
}

/// The program of the package `name` as this profile builds it, brought up to date.
///
/// # Errors
/// When it cannot be built.
pub fn current(name: &str) -> io::Result<PathBuf> {
    build_current(name)?;
    Ok(beside_this().join(name))
}

/// The whole workspace has a say in the features of what they share, as in the build of the suites: else both would be
/// built, one after the other, again and again.
fn build_current(name: &str) -> io::Result<()> {
    let mut build = cargo(&["build", "--workspace", "--bin", name]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    if build.status()?.success() { Ok(()) } else { Err(io::Error::other(format!("cannot build {name}"))) }
}

/// An image of it, with what it needs to start.
///
/// # Errors
/// When the program is not there, or cannot be built.
pub fn image(name: &str) -> io::Result<Image> {
    Ok(Image::of_dynamic(name, shipped(name)?)?.with_file(AUTHORITIES, AUTHORITIES))
}

/// Every image that an installation pulls, by its full name.
pub fn published() -> impl Iterator<Item = &'static str> {
    include_str!("../../images.txt").lines()
}

/// The image of a full name of [`published`], made of this machine's binary: a node that has it pulls nothing.
///
/// # Errors
/// Those of [`image`].
pub fn stand_in(full_name: &str) -> io::Result<Image> {
    let name = full_name.rsplit('/').next().and_then(|last| last.split(':').next()).unwrap_or_default();
    Ok(image(name)?.called(full_name))
}

/// An image of the fake OTX. Where [`BINARIES`] is set, all programs are built already.
///
/// # Errors
/// When it cannot be built.
pub fn fake_otx() -> io::Result<Image> {
    let name = "fake-otx";
    let program = beside_this().join(name);
    if env::var_os(BINARIES).is_none() || !program.exists() {
        build_current(name)?;
    }
    Image::of_dynamic(name, program)
}

fn cargo(subcommand: &[&str]) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(subcommand).arg("--quiet").current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo
}

/// `target/PROFILE`, of which this runs: a binary in it, or a test in its `deps`.
fn beside_this() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    let folder = program.parent().unwrap_or(Path::new("/"));
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    folder.to_path_buf()
}
