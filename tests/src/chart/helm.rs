//! Helm 3 and Helm 4, as a user runs them: with a home of their own, and values in a file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::cluster::programs::{ProgramError, locate};

/// The programs, by their names in the cache.
pub const BOTH: [&str; 2] = ["helm3", "helm4"];

/// The Kubernetes that is rendered for without a cluster.
pub const KUBERNETES: &str = "1.34.0";

/// Why Helm did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum HelmError {
    /// It is not built.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A file could not be written.
    #[error("a file for Helm: {0}")]
    File(#[from] io::Error),
    /// It refused; the text is what it printed.
    #[error("{0}")]
    Refused(String),
    /// What it rendered is not YAML.
    #[error("not YAML: {error}\n{text}")]
    NotYaml {
        /// What the parser said.
        error: Box<serde_saphyr::Error>,
        /// The document.
        text: String,
    },
}

/// One Helm with its own home.
pub struct Helm {
    program: PathBuf,
    home: TempDir,
    kubeconfig: Option<PathBuf>,
}

impl Helm {
    /// The program `name`, one of [`BOTH`].
    ///
    /// # Errors
    /// When it is not built.
    pub fn named(name: &str) -> Result<Self, HelmError> {
        Ok(Self { program: locate(name)?, home: tempfile::tempdir()?, kubeconfig: None })
    }

    /// The same, for a cluster.
    #[must_use]
    pub fn with_cluster(mut self, kubeconfig: PathBuf) -> Self {
        self.kubeconfig = Some(kubeconfig);
        self
    }

    /// Runs it and returns what it printed.
    ///
    /// # Errors
    /// [`HelmError::Refused`].
    pub fn run(&self, arguments: &[&str]) -> Result<String, HelmError> {
        let mut command = Command::new(&self.program);
        command.args(arguments).env_remove("KUBECONFIG");
        for (variable, folder) in
            [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")]
        {
            command.env(variable, self.home.path().join(folder));
        }
        if let Some(kubeconfig) = &self.kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        let output = command.output()?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(printed);
        }
        Err(HelmError::Refused(format!("{printed}{}", String::from_utf8_lossy(&output.stderr))))
    }

    /// A file with these values.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn values_file(&self, values: &str) -> io::Result<String> {
        let path = self.home.path().join("values.yaml");
        fs::write(&path, values)?;
        Ok(path.display().to_string())
    }

    /// What it renders of `chart` as the release `release` in the namespace `soc`, without a cluster.
    ///
    /// # Errors
    /// What Helm or the chart refuses.
    pub fn template(&self, chart: &Path, release: &str, values: &str) -> Result<String, HelmError> {
        let (chart, values) = (chart.display().to_string(), self.values_file(values)?);
        let version = ["--kube-version", KUBERNETES];
        self.run(&[&["template", release, &chart, "--namespace", "soc", "--values", &values], &version[..]].concat())
    }
}

/// The objects of a rendered chart, in the order of kind, namespace and name.
///
/// # Errors
/// [`HelmError::NotYaml`].
pub fn objects(rendered: &str) -> Result<Vec<Value>, HelmError> {
    let mut objects = Vec::new();
    for text in format!("\n{rendered}").split("\n---") {
        let object: Value = serde_saphyr::from_str(text)
            .map_err(|error| HelmError::NotYaml { error: Box::new(error), text: text.to_owned() })?;
        if object.is_object() {
            objects.push(object);
        }
    }
    let name = |object: &Value, pointer: &str| {
        object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    objects.sort_by_key(|object| {
        (name(object, "/kind"), name(object, "/metadata/namespace"), name(object, "/metadata/name"))
    });
    Ok(objects)
}
