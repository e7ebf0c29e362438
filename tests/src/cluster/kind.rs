//! A cluster that [kind](https://kind.sigs.k8s.io) makes in Docker, for the suites that run on either provider.
//!
//! [`Kind`] is the command: create with the checked-in configuration, load images, delete. [`Cluster::join`] is what a
//! suite does: it takes the kubeconfig, makes itself an account with all rights, and runs a probe through which
//! connections from this process go to Services and pods, since their addresses are not routed here.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use base64::Engine;
use serde_json::{Value, json};

use super::api::{Access, Api};
use super::control_plane::{StartError, finished, kubectl};
use super::image::Image;
use super::node::{Cluster, Provider, rollout};
use super::programs::{Program, ProgramError, locate};
use super::workload::probe_deployment;

/// The cluster's name, as in the configuration.
const NAME: &str = "threatrelay";

/// Namespace and name of what a suite adds for itself.
const GATE: &str = "test-gate";

/// The `kind` command.
#[derive(Debug, Clone)]
pub struct Kind {
    program: PathBuf,
}

impl Kind {
    /// The pinned program.
    ///
    /// # Errors
    /// When it is not built.
    pub fn located() -> Result<Self, ProgramError> {
        Ok(Self::at(locate("kind")?))
    }

    /// Another program of the same command line.
    pub fn at(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into() }
    }

    /// Makes the cluster and waits until its nodes are ready.
    ///
    /// # Errors
    /// What kind printed.
    pub fn create(&self) -> Result<(), StartError> {
        let config = Program::named("kind")?.source().join("cluster.yaml");
        self.run(&["create", "cluster", "--wait", "3m", "--config", &config.display().to_string()]).map(drop)
    }

    /// Removes it.
    ///
    /// # Errors
    /// What kind printed.
    pub fn delete(&self) -> Result<(), StartError> {
        self.run(&["delete", "cluster", "--name", NAME]).map(drop)
    }

    pub(super) fn load_archive(&self, archive: &Path) -> Result<(), StartError> {
        self.run(&["load", "image-archive", "--name", NAME, &archive.display().to_string()]).map(drop)
    }

    fn kubeconfig(&self) -> Result<String, StartError> {
        self.run(&["get", "kubeconfig", "--name", NAME])
    }

    fn run(&self, arguments: &[&str]) -> Result<String, StartError> {
        let output = Command::new(&self.program).args(arguments).stdin(Stdio::null()).output()?;
        finished(&format!("kind {}", arguments.join(" ")), &output)
    }
}

/// A suite's way into kind's cluster.
pub(super) struct Joined {
    pub(super) kind: Kind,
    pub(super) api: Api,
    folder: tempfile::TempDir,
}

impl Joined {
    /// The account's, not kind's.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// A loopback listener each of whose connections is one `kubectl exec` of the probe's `connect`.
    pub(super) fn forward(&self, inside: SocketAddr) -> io::Result<SocketAddr> {
        let (program, kubeconfig) = (locate("kubectl").map_err(io::Error::other)?, self.kubeconfig());
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let outside = listener.local_addr()?;
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let mut exec = Command::new(&program);
                exec.arg("--kubeconfig").arg(&kubeconfig).args(["exec", "--stdin", "--namespace", GATE]);
                exec.args([&format!("deployment/{GATE}"), "--", "/probe", "connect", &inside.to_string()]);
                thread::spawn(move || carry(client, exec));
            }
        });
        Ok(outside)
    }
}

/// Ends when the other side has closed.
fn carry(client: TcpStream, mut exec: Command) -> io::Result<()> {
    let mut running = exec.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let (mut asked, mut answered) = (client.try_clone()?, client);
    if let Some(mut input) = running.stdin.take() {
        thread::spawn(move || copy(&mut asked, &mut input));
    }
    if let Some(mut output) = running.stdout.take() {
        let _ = copy(&mut output, &mut answered);
    }
    let _ = answered.shutdown(Shutdown::Both);
    running.wait().map(drop)
}

/// Between a socket and a pipe, `io::copy` of the types themselves splices, and that waits until the pipe is full.
fn copy(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<u64> {
    io::copy(from, to)
}

impl Cluster {
    /// Joins the cluster that `kind` has created.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn join(kind: &Kind) -> Result<Self, StartError> {
        let folder = tempfile::tempdir()?;
        let kubeconfig = folder.path().join("kubeconfig");
        fs::write(&kubeconfig, kind.kubeconfig()?)?;
        let api = Api::new(all_rights(&kubeconfig)?)?;
        fs::write(&kubeconfig, api.access().kubeconfig())?;
        let cluster = Self::of(Provider::Kind(Joined { kind: kind.clone(), api, folder }));
        cluster.load(&Image::of("probe", locate("probe")?))?;
        let path = format!("/apis/apps/v1/namespaces/{GATE}/deployments/{GATE}");
        cluster.api().apply(&path, &probe_deployment(GATE, 1, &[8080])).await?;
        let looked = async || rollout(cluster.api(), GATE, GATE).await;
        cluster.ready("the way into the cluster is rolled out", "", looked).await?;
        Ok(cluster)
    }
}

/// Makes the account, with kind's own credential: a client certificate, while suites use bearer tokens.
fn all_rights(kubeconfig: &Path) -> Result<Access, StartError> {
    let account = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": GATE}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": GATE, "namespace": GATE}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": GATE},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": GATE, "namespace": GATE}],
        },
    ]});
    let file = kubeconfig.with_extension("account.json");
    fs::write(&file, account.to_string())?;
    kubectl(kubeconfig, &["apply", "--server-side", "--force-conflicts", "-f", &file.display().to_string()])?;
    let token = kubectl(kubeconfig, &["create", "token", GATE, "--namespace", GATE, "--duration", "12h"])?;
    let view = kubectl(kubeconfig, &["config", "view", "--raw", "--minify", "--output", "json"])?;
    let odd = || StartError::Tool { tool: "kubectl config view".into(), output: "no server, or no authority".into() };
    let view: Value = serde_json::from_str(&view).map_err(|_| odd())?;
    let of_cluster = |field: &str| view.pointer(&format!("/clusters/0/cluster/{field}")).and_then(Value::as_str);
    let server = of_cluster("server").ok_or_else(odd)?.to_owned();
    let authority = of_cluster("certificate-authority-data").ok_or_else(odd)?;
    let authority = base64::engine::general_purpose::STANDARD.decode(authority).map_err(|_| odd())?;
    let ca = String::from_utf8(authority).map_err(|_| odd())?;
    Ok(Access { server, ca, token: token.trim().to_owned() })
}
