//! A real Prometheus that scrapes what a test names, every second, with rules if any. It ends when dropped. And
//! what there is to scrape, by name.
#![expect(
    clippy::expect_used,
    reason = "a Prometheus that cannot be started or asked ends the test, with the step's name"
)]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Stdio;

use reqwest::{Client, Url};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// The names of metrics in an exposition.
#[must_use]
pub fn exposed(text: &str) -> BTreeSet<&str> {
    text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect()
}

/// The names of metrics in the tables of a document: what is between the first backticks of a row.
#[must_use]
pub fn documented(text: &str) -> BTreeSet<&str> {
    text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect()
}

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    origin: String,
    client: Client,
    _process: Child,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes each target as its job, and evaluates a file of `rules` every second.
    ///
    /// # Panics
    /// When the program `prometheus` is missing or files cannot be written.
    #[must_use]
    pub fn scraping(targets: &[(&str, SocketAddr)], rules: Option<&str>) -> Self {
        let folder = tempfile::tempdir().expect("a folder for Prometheus");
        let jobs = targets
            .iter()
            .map(|(job, address)| json!({"job_name": job, "static_configs": [{"targets": [address.to_string()]}]}));
        let mut config = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "scrape_configs": jobs.collect::<Vec<_>>(),
        });
        if let Some(rules) = rules {
            std::fs::write(folder.path().join("rules.yml"), rules).expect("the rules of Prometheus");
            config["rule_files"] = json!(["rules.yml"]);
        }
        let file = folder.path().join("prometheus.yml");
        // JSON is YAML.
        std::fs::write(&file, config.to_string()).expect("the settings of Prometheus");
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--enable-feature=exemplar-storage")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("prometheus (Debian: prometheus)");
        let origin = format!("http://127.0.0.1:{port}");
        Self { origin, client: Client::new(), _process: process, _folder: folder }
    }

    /// The `data` of an answer of its API.
    ///
    /// # Errors
    /// What it says instead; also when it does not listen yet.
    ///
    /// # Panics
    /// When `path` makes no URL.
    pub async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let url = format!("{}/api/v1/{path}", self.origin);
        let url = Url::parse_with_params(&url, parameters).expect("a URL of Prometheus");
        let answer = self.client.get(url).send().await.map_err(|error| error.to_string())?;
        let answer = answer.bytes().await.map_err(|error| error.to_string())?;
        let mut answer: Value = serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
        if answer["status"] == "success" { Ok(answer["data"].take()) } else { Err(answer.to_string()) }
    }

    /// The series that an expression gives now.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let mut data = self.get("query", &[("query", expression)]).await?;
        match data["result"].take() {
            Value::Array(series) => Ok(series),
            other => Err(format!("no list of series: {other}")),
        }
    }
}
