//! A process under measurement: started with an environment of its own, killed when dropped, its memory read from
//! `/proc`.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{BenchError, Doing};
use crate::footprint::Footprint;

/// A running process.
pub(super) struct Process {
    child: Child,
    /// From exec to the first accepted connection.
    pub(super) start_up: Duration,
}

impl Process {
    /// Starts `program` and waits until `address` accepts connections.
    pub(super) fn start(
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, String)],
        address: SocketAddr,
    ) -> Result<Self, BenchError> {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
        let started = Instant::now();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .doing(&program.display().to_string())?;
        let mut process = Self { child, start_up: Duration::ZERO };
        while std::net::TcpStream::connect(address).is_err() {
            if started.elapsed() > Duration::from_secs(10) {
                return Err(BenchError::new(format!("{} does not listen on {address}", program.display())));
            }
            if let Ok(Some(status)) = process.child.try_wait() {
                return Err(BenchError::new(format!("{} ended at once: {status}", program.display())));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        process.start_up = started.elapsed();
        Ok(process)
    }

    /// What it takes of the machine.
    pub(super) fn footprint(&self) -> Footprint {
        Footprint::of(self.child.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A loopback port that nobody listens on.
pub(super) fn free_port() -> Result<SocketAddr, BenchError> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").doing("finding a free port")?;
    listener.local_addr().doing("finding a free port")
}
