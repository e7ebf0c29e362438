//! The first level: etcd, kube-apiserver and kube-controller-manager in a sandbox.
//!
//! Every component has its own identity and the rights that Kubernetes gives it by default; RBAC, NodeRestriction and
//! Pod Security admission are on, and every request is in the audit log. The start is complete when the API server
//! reports ready and the controllers have made the `default` service account.

use std::fmt::Write;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};

use super::api::{Access, Api, ApiError};
use super::debian::{self, DebianError};
use super::pki::{self, PkiError};
use super::programs::{ProgramError, locate};
use super::sandbox::{Level, NODE_ADDRESS, Sandbox, SandboxError};
use crate::eventually::{Eventually, TimedOut};

/// What the API server keeps of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum History {
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
    /// The sandbox, or a program in it, did not start.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
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

        let mut command = sandbox.command(etcd);
        command.args(etcd_flags(&folder));
        sandbox.spawn("etcd", command)?;
        let mut command = sandbox.command(&apiserver);
        command.args(apiserver_flags(&folder, history));
        sandbox.spawn("kube-apiserver", command)?;

        let address = sandbox.forward(SocketAddr::from(([127, 0, 0, 1], 6443)))?;
        let api = Api::new(Access { server: format!("https://{address}"), ca, token })?;
        fs::write(folder.join("kubeconfig"), api.access().kubeconfig())?;
        let plane = Self { sandbox, api };
        plane.ready("the API server is ready", "kube-apiserver", async || plane.answers_ready().await).await?;

        let mut command = plane.sandbox.command(controllers);
        command.args(controller_flags(&folder));
        plane.sandbox.spawn("kube-controller-manager", command)?;
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
        let mut command = Command::new(locate("kubectl")?);
        command.arg("--kubeconfig").arg(self.kubeconfig()).args(arguments);
        finished("kubectl", &command.output()?)
    }

    /// Makes a namespace whose name begins with `prefix`, and returns the name: a test's own corner of a shared plane.
    ///
    /// # Errors
    /// Those of the API.
    pub async fn namespace(&self, prefix: &str) -> Result<String, ApiError> {
        let object =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": format!("{prefix}-")}});
        let made = self.api.create("/api/v1/namespaces", &object).await?;
        Ok(made.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    /// Compacts the store at its present revision: with [`History::Compactable`], reads of anything older answer 410.
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

pub(super) fn finished(tool: &str, output: &Output) -> Result<String, StartError> {
    let printed = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        return Ok(printed.into_owned());
    }
    let output = format!("{printed}{}", String::from_utf8_lossy(&output.stderr));
    Err(StartError::Tool { tool: tool.into(), output })
}

/// User, group and kubeconfig name of every identity. The kubelet's is a node credential, so what it may do is
/// bounded by the node authorizer and by NodeRestriction.
const IDENTITIES: [(&str, &str, &str); 5] = [
    ("admin", "system:masters", "admin"),
    ("system:kube-controller-manager", "", "kube-controller-manager"),
    ("system:kube-scheduler", "", "kube-scheduler"),
    ("system:node:node1", "system:nodes", "kubelet"),
    ("system:kube-proxy", "", "kube-proxy"),
];

/// Writes `tokens.csv` and a kubeconfig for each component inside; returns the token with all rights.
fn write_identities(folder: &Path, ca: &str) -> io::Result<String> {
    let mut tokens = String::new();
    let mut admin = String::new();
    for (user, group, file) in IDENTITIES {
        let token = uuid::Uuid::new_v4().simple().to_string();
        let _ = writeln!(tokens, "{token},{user},{user},\"{group}\"");
        let access = Access { server: "https://127.0.0.1:6443".into(), ca: ca.into(), token: token.clone() };
        fs::write(folder.join(format!("{file}.kubeconfig")), access.kubeconfig())?;
        if user == "admin" {
            admin = token;
        }
    }
    fs::write(folder.join("tokens.csv"), tokens)?;
    Ok(admin)
}

const AUDIT_POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1", "kind": "Policy",
  "omitStages": ["RequestReceived", "ResponseStarted"],
  "rules": [{"level": "Metadata"}]
}"#;

fn etcd_flags(folder: &Path) -> Vec<String> {
    flags(&[
        ("data-dir", &at(folder, "etcd")),
        ("listen-client-urls", "http://127.0.0.1:2379"),
        ("advertise-client-urls", "http://127.0.0.1:2379"),
        ("listen-peer-urls", "http://127.0.0.1:2380"),
        ("unsafe-no-fsync", "true"),
        ("log-level", "warn"),
    ])
}

fn apiserver_flags(folder: &Path, history: History) -> Vec<String> {
    let pki = |file| at(folder, &format!("pki/{file}"));
    let mut list = flags(&[
        ("etcd-servers", "http://127.0.0.1:2379"),
        ("etcd-compaction-interval", "0"),
        ("secure-port", "6443"),
        ("bind-address", "0.0.0.0"),
        ("advertise-address", NODE_ADDRESS),
        ("service-cluster-ip-range", "10.201.0.0/24"),
        ("tls-cert-file", &pki("apiserver.crt")),
        ("tls-private-key-file", &pki("apiserver.key")),
        ("client-ca-file", &pki("ca.crt")),
        ("token-auth-file", &at(folder, "tokens.csv")),
        ("authorization-mode", "Node,RBAC"),
        ("enable-admission-plugins", "NodeRestriction"),
        ("service-account-issuer", "https://kubernetes.default.svc"),
        ("service-account-key-file", &pki("sa.pub")),
        ("service-account-signing-key-file", &pki("sa.key")),
        ("allow-privileged", "true"),
        ("kubelet-preferred-address-types", "InternalIP"),
        ("kubelet-client-certificate", &pki("kubelet-client.crt")),
        ("kubelet-client-key", &pki("kubelet-client.key")),
        ("kubelet-certificate-authority", &pki("ca.crt")),
        ("requestheader-client-ca-file", &pki("front-ca.crt")),
        ("requestheader-allowed-names", "front-proxy-client"),
        ("requestheader-username-headers", "X-Remote-User"),
        ("requestheader-group-headers", "X-Remote-Group"),
        ("requestheader-extra-headers-prefix", "X-Remote-Extra-"),
        ("proxy-client-cert-file", &pki("front-proxy.crt")),
        ("proxy-client-key-file", &pki("front-proxy.key")),
        ("enable-aggregator-routing", "true"),
        ("audit-policy-file", &at(folder, "audit-policy.json")),
        ("audit-log-path", &at(folder, "logs/audit.log")),
        ("audit-log-mode", "blocking-strict"),
    ]);
    if history == History::Compactable {
        list.push("--feature-gates=ListFromCacheSnapshot=false".into());
    }
    list
}

fn controller_flags(folder: &Path) -> Vec<String> {
    let kubeconfig = at(folder, "kube-controller-manager.kubeconfig");
    flags(&[
        ("kubeconfig", &kubeconfig),
        ("authentication-kubeconfig", &kubeconfig),
        ("authorization-kubeconfig", &kubeconfig),
        ("service-account-private-key-file", &at(folder, "pki/sa.key")),
        ("root-ca-file", &at(folder, "pki/ca.crt")),
        ("use-service-account-credentials", "true"),
        ("leader-elect", "false"),
        ("horizontal-pod-autoscaler-sync-period", "5s"),
        // The defaults keep a test's controllers waiting: 20 requests a second.
        ("kube-api-qps", "200"),
        ("kube-api-burst", "400"),
    ])
}

pub(super) fn flags(pairs: &[(&str, &str)]) -> Vec<String> {
    pairs.iter().map(|(name, value)| format!("--{name}={value}")).collect()
}

pub(super) fn at(folder: &Path, file: &str) -> String {
    folder.join(file).display().to_string()
}
