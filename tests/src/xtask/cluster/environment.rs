//! `cluster env`: the variables with which a shell works on the running cluster as on any other, with `kubectl` and `helm`
//! in its path, and [`INGRESS`], a file of options that lead curl to its Ingress.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::ExitCode;

use super::enter::folder;
use crate::cluster::programs::locate;
use crate::xtask::suites::Variables;

/// The host of examples; only requests to it go to the Ingress.
const HOST: &str = "otx.soc.example";
/// Names a file for `curl --config`.
const INGRESS: &str = "LOCAL_INGRESS";

/// Puts the tools, and where the Ingress listens on this machine, beside the cluster's other files.
pub(super) fn prepare(folder: &Path, ingress: Option<SocketAddr>) -> Result<(), Box<dyn Error>> {
    fs::create_dir(folder.join("tools"))?;
    for (name, program) in [("kubectl", "kubectl"), ("helm", "helm4")] {
        // Helm may not be built: not everybody who wants a cluster wants it.
        if let Ok(program) = locate(program) {
            symlink(program, folder.join("tools").join(name))?;
        }
    }
    // Its certificate is made up by the controller.
    let options = |at| format!("insecure\nconnect-to = {HOST}:443:{at}\n");
    fs::write(folder.join("ingress"), ingress.map(options).unwrap_or_default())?;
    Ok(())
}

/// The variables for the cluster of a folder.
pub(in crate::xtask) fn of(folder: &Path) -> Variables {
    let mut path: OsString = folder.join("tools").into();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    vec![("KUBECONFIG", folder.join("kubeconfig").into()), ("PATH", path), (INGRESS, folder.join("ingress").into())]
}

pub(super) fn print() -> Result<ExitCode, Box<dyn Error>> {
    for (name, value) in of(&folder()?) {
        println!("export {name}='{}'", value.to_string_lossy().replace('\'', r"'\''"));
    }
    Ok(ExitCode::SUCCESS)
}
