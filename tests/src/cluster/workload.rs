//! Pods of the probe program (`tests/cluster/probe`), for tests that need somebody to ask or to be asked.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::control_plane::StartError;
use super::node::{Cluster, rollout};

/// The image of the probe; every node has it.
pub const PROBE_IMAGE: &str = "docker.io/library/probe:local";

/// The specification of a pod with one container, completed so that the restricted Pod Security level takes it and no
/// image is pulled.
#[must_use]
pub fn restricted_pod(mut container: Value) -> Value {
    container["imagePullPolicy"] = "Never".into();
    container["securityContext"] = json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]},
    });
    json!({
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    })
}

/// A pod template of the probe that serves HTTP on `ports` (named `p` and the number), with the label `app`.
#[must_use]
pub fn probe_template(app: &str, ports: &[u16]) -> Value {
    let arguments: Vec<_> =
        ["serve".to_owned()].into_iter().chain(ports.iter().map(|port| format!(":{port}"))).collect();
    let named: Vec<_> = ports.iter().map(|port| json!({"name": format!("p{port}"), "containerPort": port})).collect();
    let container = json!({
        "name": "probe",
        "image": PROBE_IMAGE,
        "args": arguments,
        "ports": named,
        "readinessProbe": {"httpGet": {"path": "/", "port": ports.first()}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "50m", "memory": "16Mi"}},
    });
    json!({"metadata": {"labels": {"app": app}}, "spec": restricted_pod(container)})
}

/// A Deployment of the probe.
#[must_use]
pub fn probe_deployment(name: &str, replicas: u32, ports: &[u16]) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": probe_template(name, ports),
        },
    })
}

impl Cluster {
    /// Makes a namespace that enforces the restricted Pod Security level; its name begins with `prefix`.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn restricted_namespace(&self, prefix: &str) -> Result<String, StartError> {
        let name = self.api().namespace(prefix).await?;
        let labels = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
        self.api().merge(&format!("/api/v1/namespaces/{name}"), &labels).await?;
        Ok(name)
    }

    /// Runs one probe behind a Service of the same name, and returns the Service's address with the first port.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn serve(&self, namespace: &str, name: &str, ports: &[u16]) -> Result<SocketAddr, StartError> {
        let deployment = probe_deployment(name, 1, ports);
        self.api().apply(&format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}"), &deployment).await?;
        let named: Vec<_> = ports.iter().map(|port| json!({"name": format!("p{port}"), "port": port})).collect();
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": {"app": name}, "ports": named},
        });
        let path = format!("/api/v1/namespaces/{namespace}/services/{name}");
        let made = self.api().apply(&path, &service).await?;
        let looked = async || rollout(self.api(), namespace, name).await;
        self.ready(&format!("{namespace}/{name} is rolled out"), "kubelet", looked).await?;
        let address = made.pointer("/spec/clusterIP").and_then(Value::as_str).and_then(|ip| ip.parse().ok());
        let address = address.ok_or_else(|| StartError::Tool { tool: "Service".into(), output: made.to_string() })?;
        Ok(SocketAddr::new(address, ports.first().copied().unwrap_or_default()))
    }
}
