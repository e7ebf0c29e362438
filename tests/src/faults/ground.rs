//! The control plane that all runs share, and what watches over it: the history of every object, the stand-in for nodes,
//! and the operator's own account with the rights of the installation, so that a right too few shows as a refusal.

use std::sync::atomic::{AtomicUsize, Ordering};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

use super::history::History;
use super::node::Node;
use crate::cluster::{Access, Api, ControlPlane};
use crate::operator::installed::{ACCOUNT, SYSTEM, installed, list};
use crate::operator::{install_crd, install_optional};

/// A plane with everything that runs need.
pub struct Ground {
    /// The plane.
    pub plane: ControlPlane,
    /// All rights.
    pub api: Api,
    /// The operator's identity.
    pub operator: Access,
    /// What happens to objects.
    pub history: History,
    /// The pods' stand-in.
    pub node: Node,
    runs: AtomicUsize,
}

impl Ground {
    /// Starts a plane with every kind that the operator knows, and the operator's account.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn start() -> Self {
        let plane = ControlPlane::start().await.expect("a control plane");
        install_crd(&plane).await;
        install_optional(&plane).await;
        // The installation's own operator is not to run: there is no node, and each run has an operator of its own.
        let mut objects = installed(&json!({}));
        objects.retain(|object| object["kind"] != "Deployment");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("installation.json");
        std::fs::write(&file, list(&objects)).expect("a file");
        let applied = plane.kubectl(&["apply", "--server-side", "-f", &file.display().to_string()]);
        applied.expect("the operator's account");
        let path = format!("/api/v1/namespaces/{SYSTEM}/serviceaccounts/{ACCOUNT}/token");
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 36_000},
        });
        let token = plane.api().create(&path, &request).await.expect("the operator's token");
        let token = token.pointer("/status/token").and_then(Value::as_str).expect("a token").to_owned();
        let client = client(plane.api().access()).await;
        Self {
            api: plane.api().clone(),
            operator: plane.api().access().with_token(token),
            history: History::start(&client),
            node: Node::start(client),
            plane,
            runs: AtomicUsize::new(1),
        }
    }

    /// A name for the namespace of another run.
    #[must_use]
    pub fn name(&self) -> String {
        format!("run-{:05}", self.runs.fetch_add(1, Ordering::Relaxed))
    }
}

/// A client of `access` that keeps its connections.
///
/// # Panics
/// When it cannot be made.
pub async fn client(access: &Access) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(&access.kubeconfig()).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("a configuration")).expect("a client")
}
