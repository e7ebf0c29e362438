//! The relay's own binary as a process: what is shipped, with its allocator, its signals and its memory.
//!
//! `THREATRELAY_BINARY` names the binary; without it the one of this build is brought up to date and taken. The process is
//! killed when dropped.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a process that cannot be started ends the test, with the step's name"
)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::binaries;

/// Longest time until a process says that it is ready.
const START: Duration = Duration::from_secs(10);

/// A relay that runs as a process.
#[derive(Debug)]
pub struct Process {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Process {
    /// Starts `threatrelay serve` with this environment alone and waits until it is ready.
    ///
    /// # Panics
    /// When it is not ready in time; with what it said.
    pub async fn serve(environment: impl Iterator<Item = (String, String)>) -> Self {
        let mut child = Command::new(binary())
            .arg("serve")
            .env_clear()
            .envs(environment)
            .env("THREATRELAY_LOG_FORMAT", "json")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the relay's process");
        let mut log = BufReader::new(child.stderr.take().expect("its standard error")).lines();
        let ready = tokio::time::timeout(START, ready(&mut log)).await.expect("a relay that is ready in time");
        // Somebody has to read on, or the process would wait for room to log.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        let address =
            |key: &str| ready[key].as_str().and_then(|text| text.parse().ok()).expect("an address in the log");
        Self { child, address: address("relay"), admin: address("admin") }
    }

    /// Where the relay endpoints are.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where probes and metrics are.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Sends a signal by name, e.g. `TERM`.
    ///
    /// # Panics
    /// When `kill` cannot be run.
    pub async fn signal(&self, name: &str) {
        let Some(id) = self.id() else { return };
        let sent = Command::new("kill").args([&format!("-{name}"), &id.to_string()]).status().await;
        assert!(sent.expect("the command kill").success(), "kill -{name} {id}");
    }

    /// Waits until the process has ended by itself.
    ///
    /// # Panics
    /// When it has not within `patience`.
    pub async fn ended(&mut self, patience: Duration) -> ExitStatus {
        let ended = tokio::time::timeout(patience, self.child.wait()).await;
        ended.expect("a process that ends in time").expect("its exit status")
    }
}

/// The log line that says where the relay listens.
async fn ready(log: &mut Lines<BufReader<ChildStderr>>) -> Value {
    let mut said = String::new();
    loop {
        let line = log.next_line().await.expect("the relay's log");
        let Some(line) = line else { break };
        let event: Value = serde_json::from_str(&line).unwrap_or_default();
        if event["message"] == "ready" {
            return event;
        }
        said.push_str(&line);
        said.push('\n');
    }
    panic!("the relay did not start: {said}")
}

/// The binary to test, built if need be.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("THREATRELAY_BINARY") {
        return path.into();
    }
    binaries::current("threatrelay").expect("the relay's binary")
}
