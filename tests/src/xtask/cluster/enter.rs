//! `cluster kubectl` and `shell`: this process becomes the tool.

use std::env;
use std::error::Error;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::cluster::programs::locate;
use crate::cluster::running;

pub(super) fn kubectl(arguments: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    let folder = folder()?;
    let error =
        Command::new(locate("kubectl")?).arg("--kubeconfig").arg(folder.join("kubeconfig")).args(arguments).exec();
    Err(error.into())
}

pub(super) fn shell(command: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    let folder = folder()?;
    let pid = running::process_inside(&folder)?;
    let mut path = locate("kubectl")?.parent().map(PathBuf::from).unwrap_or_default().into_os_string();
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    let mut nsenter = Command::new("nsenter");
    nsenter.arg(format!("--net=/proc/{pid}/ns/net")).arg("--");
    match command.split_first() {
        Some((program, arguments)) => nsenter.arg(program).args(arguments),
        None => nsenter.arg(env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into())),
    };
    // The other kubeconfig names a port of the machine's own network.
    Err(nsenter.env("PATH", path).env("KUBECONFIG", folder.join("admin.kubeconfig")).exec().into())
}

pub(super) fn folder() -> Result<PathBuf, Box<dyn Error>> {
    Ok(running::find().ok_or("no cluster is running: start one with `cargo xtask cluster up`")?)
}
