//! The first level: etcd, kube-apiserver and kube-controller-manager in a sandbox.
//!
//! Every component has its own identity and the rights that Kubernetes gives it by default; RBAC, NodeRestriction and
//! Pod Security admission are on, and every request is in the audit log. The start is complete when the API server
//! reports ready and the controllers have made the `default` service account.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};

use super::api::{Access, Api, ApiError};
use super::debian::{self, DebianError};
use super::node::PROVIDER;
use super::pki::{self, PkiError};
use super::process::ProcessError;
use super::programs::{ProgramError, locate};
use super::sandbox::{Level, Sandbox, SandboxError};
use super::settings::{AUDIT_POLICY, apiserver_flags, controller_flags, etcd_flags, write_identities};
use crate::eventually::{Eventually, TimedOut};

/// What the API server keeps of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum History {
    /// As Kubernetes does by default, except that nothing is compacted: every old revision can be read.
    #[default]
    Kept,
    /// Also no snapshots of lists in memory, so that [`ControlPlane::compact`] makes old revisions answer 410 at once.
    Compactable,
}

/// Why a cluster did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The machine lacks something.
    #[error(transparent)]
    Machine(#[from] DebianError),
    /// A program is not built.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Certificates could not be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A file of the cluster could not be written.
    #[error("cannot write the cluster's files: {0}")]
    Write(#[from] io::Error),
    /// The sandbox did not start.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A program in it did not start, or ended.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// It did not become ready in time.
    #[error("{what}\n{log}")]
    NotReady {
        /// What was waited for and seen.
        what: TimedOut,
        /// The end of the log of the program concerned.
        log: String,
    },
    /// The HTTP client could not be made.
    #[error("cannot make a client: {0}")]
    Client(#[from] reqwest::Error),
    /// The API server refused what every cluster needs.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The provider asked for does not exist.
    #[error("no provider {0:?} of clusters: {PROVIDER} is `local`, which it is when unset, or `kind`")]
    Provider(String),
    /// A tool run at the start failed.
    #[error("{tool} failed:\n{output}")]
    Tool {
        /// Its name.
        tool: String,
        /// What it printed.
        output: String,
    },
}

/// A running control plane. Dropping it ends all of its programs.
pub struct ControlPlane {
    sandbox: Sandbox,
    api: Api,
}

impl ControlPlane {
    /// Starts one and waits until it is ready.
    ///
    /// # Errors
    /// See [`StartError`]; the text names the step, and the program's log where there is one.
    pub async fn start() -> Result<Self, StartError> {
        Self::start_with(Level::Plane, History::default()).await
    }

    /// Starts one whose old revisions can be compacted away.
    ///
    /// # Errors
    /// As for [`ControlPlane::start`].
    pub async fn start_compactable() -> Result<Self, StartError> {
        Self::start_with(Level::Plane, History::Compactable).await
    }

    pub(super) async fn start_with(level: Level, history: History) -> Result<Self, StartError> {
        debian::require(debian::BASE)?;
        let (etcd, apiserver) = (locate("etcd")?, locate("kube-apiserver")?);
        let controllers = locate("kube-controller-manager")?;
        let sandbox = Sandbox::start(level)?;
        let folder = sandbox.folder().to_path_buf();
        let ca = pki::write(&folder.join("pki"))?;
        let token = write_identities(&folder, &ca)?;
        fs::write(folder.join("audit-policy.json"), AUDIT_POLICY)?;

        sandbox.spawn("etcd", etcd, etcd_flags(&folder))?;
        sandbox.spawn("kube-apiserver", apiserver, apiserver_flags(&folder, history))?;

        let address = sandbox.forward(SocketAddr::from(([127, 0, 0, 1], 6443)))?;
        let api = Api::new(Access { server: format!("https://{address}"), ca, token })?;
        fs::write(folder.join("kubeconfig"), api.access().kubeconfig())?;
        let plane = Self { sandbox, api };
        plane.ready("the API server is ready", "kube-apiserver", async || plane.answers_ready().await).await?;

        plane.sandbox.spawn("kube-controller-manager", controllers, controller_flags(&folder))?;
        let account = "/api/v1/namespaces/default/serviceaccounts/default";
        plane
            .ready("the default service account is there", "kube-controller-manager", async || {
                plane.api.get(account).await
            })
            .await?;
        Ok(plane)
    }

    /// A client with all rights.
    #[must_use]
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Where the programs run.
    #[must_use]
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// A kubeconfig file with all rights, valid on this machine while the cluster runs.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.sandbox.folder().join("kubeconfig")
    }

    /// The audit log: one JSON object a line for every completed request, at level `Metadata`.
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        self.sandbox.folder().join("logs/audit.log")
    }

    /// Runs kubectl with this cluster's kubeconfig.
    ///
    /// # Errors
    /// When it is not built, or fails; the text is what it printed.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String, StartError> {
        kubectl(&self.kubeconfig(), arguments)
    }

    /// Makes a namespace whose name begins with `prefix`, and returns the name: a test's own corner of a shared plane.
    ///
    /// # Errors
    /// Those of the API.
    pub async fn namespace(&self, prefix: &str) -> Result<String, ApiError> {
        self.api.namespace(prefix).await
    }

    /// Compacts the store at its present revision: after [`ControlPlane::start_compactable`], reads of anything older answer 410.
    ///
    /// # Errors
    /// When etcd refuses.
    pub async fn compact(&self) -> Result<(), StartError> {
        let address = self.sandbox.forward(SocketAddr::from(([127, 0, 0, 1], 2379)))?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        let post = async |path: &str, body: Value| {
            let request = http.post(format!("http://{address}/v3/kv/{path}")).body(body.to_string());
            let text = request.send().await?.error_for_status()?.text().await?;
            Ok::<_, reqwest::Error>(serde_json::from_str::<Value>(&text).unwrap_or_default())
        };
        let range = post("range", json!({"key": "AA=="})).await?;
        let revision = range.pointer("/header/revision").cloned().unwrap_or_default();
        post("compaction", json!({"revision": revision, "physical": true})).await?;
        Ok(())
    }

    /// Waits up to 60 s for a step of the start, and looks at the programs meanwhile: one that has ended ends the wait.
    pub(super) async fn ready<T, S: std::fmt::Display>(
        &self,
        what: &str,
        program: &str,
        mut look: impl AsyncFnMut() -> Result<T, S>,
    ) -> Result<T, StartError> {
        let waited = Eventually::new(what)
            .within(Duration::from_mins(1))
            .ok(async || match (self.sandbox.check(), look().await) {
                (Err(ended), _) => Ok(Err(ended)),
                (Ok(()), Ok(value)) => Ok(Ok(value)),
                (Ok(()), Err(seen)) => Err(seen.to_string()),
            })
            .await;
        match waited {
            Ok(done) => Ok(done?),
            Err(what) => Err(StartError::NotReady { what, log: self.sandbox.log_tail(program) }),
        }
    }

    async fn answers_ready(&self) -> Result<String, ApiError> {
        self.api.text(reqwest::Method::GET, "/readyz", None).await
    }
}

pub(super) fn kubectl(kubeconfig: &Path, arguments: &[&str]) -> Result<String, StartError> {
    let output = Command::new(locate("kubectl")?).arg("--kubeconfig").arg(kubeconfig).args(arguments).output()?;
    finished("kubectl", &output)
}

pub(super) fn finished(tool: &str, output: &Output) -> Result<String, StartError> {
    let printed = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        return Ok(printed.into_owned());
    }
    let output = format!("{printed}{}", String::from_utf8_lossy(&output.stderr));
    Err(StartError::Tool { tool: tool.into(), output })
}
