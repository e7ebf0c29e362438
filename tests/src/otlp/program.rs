//! The OpenTelemetry Collector itself, as a process: OTLP over HTTP in, one exporter out, and what it prints in a file. It
//! ends when dropped.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::cluster::build::build;
use crate::cluster::programs::{Program, locate};
use crate::eventually::Eventually;

/// A running Collector.
#[derive(Debug)]
pub struct RealCollector {
    url: String,
    log: NamedTempFile,
    _process: Child,
}

impl RealCollector {
    /// Builds it if it is not built, and waits until it listens; everything goes to `exporter`, set up so.
    ///
    /// # Panics
    /// When it cannot be built or started.
    pub async fn start(exporter: &str, settings: Value) -> Self {
        let built = tokio::task::spawn_blocking(|| {
            build(Program::named("otelcol").expect("the Collector's module")).map(drop)
        });
        built.await.expect("its build").expect("the Collector's program");
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let address = free.expect("a free port");
        let config = json!({
            "receivers": {"otlp": {"protocols": {"http": {"endpoint": address.to_string()}}}},
            "exporters": {exporter: settings},
            "service": {
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"traces": {"receivers": ["otlp"], "exporters": [exporter]}},
            },
        });
        let log = NamedTempFile::new().expect("a file for what it prints");
        let output = || Stdio::from(log.reopen().expect("the same file"));
        let process = Command::new(locate("otelcol").expect("the Collector's program"))
            .args(["--config", &format!("yaml:{config}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output())
            .kill_on_drop(true)
            .spawn()
            .expect("the Collector's process");
        let listens = Eventually::new("the Collector listens");
        listens.ok(async || TcpStream::connect(address).await.map(drop)).await.expect("a Collector that listens");
        Self { url: format!("http://{address}"), log, _process: process }
    }

    /// What `telemetry.otlp.endpoint` must be.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The file of what it prints.
    #[must_use]
    pub fn log(&self) -> &Path {
        self.log.path()
    }
}
