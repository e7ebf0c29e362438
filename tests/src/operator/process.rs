//! The operator's own binary as a process. Built if need be, or named by `THREATRELAY_OPERATOR_BINARY`. Killed when
//! dropped; its log is a file that a failing test prints the end of.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

use crate::binaries;
use crate::cluster::Access;
use crate::eventually::Eventually;
use crate::footprint::Footprint;

/// A running operator.
pub struct Operator {
    child: Child,
    folder: tempfile::TempDir,
}

impl Operator {
    /// Starts `threatrelay-operator run` with this identity and these flags; probes listen on a free loopback port.
    ///
    /// # Panics
    /// When it cannot be built or started.
    pub async fn start(access: &Access, flags: &[&str]) -> Self {
        Self::start_program(Self::program().await, access, flags)
    }

    /// The same with another program.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start_program(program: &Path, access: &Access, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the operator");
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, access.kubeconfig()).expect("the operator's kubeconfig");
        let log = File::create(folder.path().join("log")).expect("the operator's log");
        let is_named = flags.contains(&"--relay-image");
        let image: &[&str] = if is_named { &[] } else { &["--relay-image", "registry.example/threatrelay:1.0.0"] };
        let child = Command::new(program)
            .arg("run")
            .args(image)
            .args(["--listen", "127.0.0.1:0", "--log", "info,threatrelay_operator=debug", "--log-format", "json"])
            .args(flags)
            .env_clear()
            .env("KUBECONFIG", &kubeconfig)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("the operator's process");
        Self { child, folder }
    }

    /// Runs another command of the binary with this identity; gives its exit code and what it printed.
    ///
    /// # Panics
    /// When it cannot be built or started.
    pub async fn command(access: &Access, arguments: &[&str]) -> (Option<i32>, String) {
        let folder = tempfile::tempdir().expect("a folder for the operator");
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, access.kubeconfig()).expect("the operator's kubeconfig");
        let mut command = Command::new(Self::program().await);
        command.args(arguments).env_clear().env("KUBECONFIG", &kubeconfig).stdin(Stdio::null());
        let output = command.output().await.expect("the operator's process");
        let printed = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&printed).into_owned())
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Waits until it has logged this text.
    ///
    /// # Panics
    /// When it has not within `limit`.
    pub async fn logs(&self, text: &str, limit: Duration) {
        let waited = Eventually::new(format!("the operator logs {text:?}")).within(limit);
        let found = waited.ok(async || if self.log().contains(text) { Ok(()) } else { Err(self.log()) }).await;
        found.expect("a line in the operator's log");
    }

    /// Waits until it listens; gives the address of its probes and metrics.
    ///
    /// # Panics
    /// When it does not within 20 seconds.
    pub async fn admin(&self) -> String {
        let look = async || {
            let log = self.log();
            let started = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            started.into_iter().find_map(|line| line["admin"].as_str().map(str::to_owned)).ok_or(log)
        };
        let waited = Eventually::new("the operator listens").within(Duration::from_secs(20));
        waited.ok(look).await.expect("the operator's address")
    }

    /// What it takes of the machine.
    #[must_use]
    pub fn footprint(&self) -> Footprint {
        Footprint::of(self.child.id().unwrap_or_default())
    }

    /// Kills it at once.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("the end of the operator");
    }

    /// Sends a signal by name, e.g. `TERM`, `STOP`.
    ///
    /// # Panics
    /// When `kill` cannot be run.
    pub async fn signal(&self, name: &str) {
        let Some(id) = self.child.id() else { return };
        let sent = Command::new("kill").args([&format!("-{name}"), &id.to_string()]).status().await;
        assert!(sent.expect("the command kill").success(), "kill -{name} {id}");
    }

    /// Waits until it has ended by itself; gives its exit code.
    ///
    /// # Panics
    /// When it has not within `limit`.
    pub async fn ended(&mut self, limit: Duration) -> Option<i32> {
        let ended = tokio::time::timeout(limit, self.child.wait()).await;
        ended.expect("an operator that ends in time").expect("its exit status").code()
    }

    /// The program to test, built once in a process if need be.
    ///
    /// # Panics
    /// When it cannot be built.
    pub async fn program() -> &'static PathBuf {
        static PROGRAM: OnceCell<PathBuf> = OnceCell::const_new();
        let built = async || match std::env::var_os("THREATRELAY_OPERATOR_BINARY") {
            Some(path) => path.into(),
            None => binaries::current("threatrelay-operator").expect("the operator's binary"),
        };
        PROGRAM.get_or_init(built).await
    }
}
