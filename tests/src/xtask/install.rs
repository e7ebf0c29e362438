//! What the checks need beside the tool chain, and how to get it: Debian packages as root, cargo's own tools and checkov
//! from their registries, the standard library for static programs.

use std::error::Error;
use std::process::{Command, Stdio};

use crate::binaries;
use crate::checkov;
use crate::cluster::debian;

/// Cargo subcommands with the version that is used.
const TOOLS: [(&str, &str); 4] = [
    ("cargo-nextest", "0.9.151"),
    ("cargo-deny", "0.20.2"),
    ("cargo-auditable", "0.7.7"),
    ("cargo-cyclonedx", "0.5.9"),
];

/// Installs what is missing and tells what that was.
///
/// # Errors
/// When a package manager fails, or root is needed.
pub(super) fn all() -> Result<Vec<String>, Box<dyn Error>> {
    let mut done: Vec<String> = debian::install()?.into_iter().map(str::to_owned).collect();
    done.extend(tools()?);
    done.extend(checkov::install()?.then(|| format!("checkov {}", checkov::VERSION)));
    let target = binaries::target();
    let added = Command::new("rustup").args(["target", "add", &target]).stderr(Stdio::null()).status();
    if !added.is_ok_and(|status| status.success()) {
        return Err(
            format!("`rustup target add {target}` failed: install the standard library of that target").into()
        );
    }
    Ok(done)
}

/// Installs the cargo subcommands that are missing and tells which.
///
/// # Errors
/// When cargo cannot install one.
pub(super) fn tools() -> Result<Vec<String>, Box<dyn Error>> {
    let mut done = Vec::new();
    for (name, version) in TOOLS {
        done.extend(tool(name, version)?.then(|| format!("{name} {version}")));
    }
    Ok(done)
}

/// Installs a cargo subcommand unless it is there; tells whether it did.
///
/// # Errors
/// When cargo cannot install it.
pub(super) fn tool(name: &str, version: &str) -> Result<bool, Box<dyn Error>> {
    if is_there(name) {
        return Ok(false);
    }
    // Built quickly, as they run for seconds.
    let arguments = ["install", "--quiet", "--debug", "--locked", "--version", version, name];
    let status = Command::new("cargo").args(arguments).status()?;
    if status.success() { Ok(true) } else { Err(format!("`cargo install {name}` failed: install it by hand").into()) }
}

fn is_there(tool: &str) -> bool {
    let subcommand = tool.trim_start_matches("cargo-");
    let version =
        Command::new("cargo").args([subcommand, "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dockerfile_installs_the_same_tool() {
        let dockerfile = include_str!("../../../Dockerfile");
        let (name, version) = TOOLS[2];
        assert_eq!(name, "cargo-auditable");
        assert!(dockerfile.contains(&format!("cargo install --locked {name}@{version}\n")), "{name} {version}");
    }
}
