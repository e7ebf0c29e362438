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
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::binaries;
use crate::footprint::Footprint;

/// Longest time until a process says that it is ready.
const START: Duration = Duration::from_secs(10);

/// A relay that runs as a process.
#[derive(Debug)]
pub struct Process {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Process {
    /// Starts `threatrelay serve` with this environment alone and waits until it is ready.
    ///
    /// # Panics
    /// When it is not ready in time; with what it said.
    pub async fn serve(environment: impl Iterator<Item = (String, String)>) -> Self {
        let mut child = command("serve", environment).spawn().expect("the relay's process");
        let log = Arc::<Mutex<String>>::default();
        let mut lines = BufReader::new(child.stderr.take().expect("its standard error")).lines();
        let ready =
            tokio::time::timeout(START, ready(&mut lines, &log)).await.expect("a relay that is ready in time");
        let kept = Arc::clone(&log);
        // Somebody has to read on, or the process would wait for room to log.
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                keep(&kept, &line);
            }
        });
        let address =
            |key: &str| ready[key].as_str().and_then(|text| text.parse().ok()).expect("an address in the log");
        Self { child, address: address("relay"), admin: address("admin"), log }
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

    /// Everything it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it takes of the machine; nothing once it has ended.
    #[must_use]
    pub fn footprint(&self) -> Footprint {
        Footprint::of(self.id().unwrap_or_default())
    }

    /// Sends a signal by name, e.g. `TERM`.
    ///
    /// # Panics
    /// When `kill` cannot be run.
    pub async fn signal(&self, name: &str) {
        if let Some(id) = self.id() {
            signal(id, name).await;
        }
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

/// Sends a signal by name to a process.
///
/// # Panics
/// When `kill` cannot be run or does not find the process.
pub async fn signal(id: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &id.to_string()]).status().await;
    assert!(sent.expect("the command kill").success(), "kill -{name} {id}");
}

/// `threatrelay` with these arguments, separated by blanks, and this environment alone; it logs JSON into a pipe.
#[must_use]
pub fn command(arguments: &str, environment: impl Iterator<Item = (String, String)>) -> Command {
    let mut command = Command::new(binary());
    command
        .args(arguments.split(' '))
        .env_clear()
        .envs(environment)
        .env("THREATRELAY_LOG_FORMAT", "json")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// The log line that says where the relay listens; all lines so far are kept.
async fn ready(lines: &mut Lines<BufReader<ChildStderr>>, log: &Mutex<String>) -> Value {
    while let Some(line) = lines.next_line().await.expect("the relay's log") {
        keep(log, &line);
        let event: Value = serde_json::from_str(&line).unwrap_or_default();
        if event["message"] == "ready" {
            return event;
        }
    }
    panic!("the relay did not start: {}", log.lock().unwrap_or_else(PoisonError::into_inner))
}

fn keep(log: &Mutex<String>, line: &str) {
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    log.push_str(line);
    log.push('\n');
}

/// The binary to test, built if need be, once.
///
/// # Panics
/// When it cannot be built.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(find_binary)
}

fn find_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("THREATRELAY_BINARY") {
        return path.into();
    }
    binaries::current("threatrelay").expect("the relay's binary")
}
