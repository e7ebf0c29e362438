//! The operator has the rights it needs and no other: run under its own account through everything it does, it is refused
//! nothing, and no right is left unused. The API server's audit log is the witness, for the whole cluster and for one
//! namespace.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tests::binaries;
use tests::cluster::audit::{Used, granted};
use tests::cluster::programs::Program;
use tests::cluster::{Api, ControlPlane};
use tests::eventually::Eventually;
use tokio::process::{Child, Command};

const SYSTEM: &str = "threatrelay-system";
const ACCOUNT: &str = "threatrelay-operator";

#[tokio::test]
async fn for_the_whole_cluster_every_right_is_used_and_nothing_is_refused() {
    let plane = prepared().await;
    let namespace = plane.namespace("soc").await.unwrap();
    every_right_is_used(&plane, &namespace, &[]).await;
}

#[tokio::test]
async fn for_one_namespace_every_right_is_used_and_nothing_is_refused() {
    let plane = prepared().await;
    let namespace = plane.namespace("soc").await.unwrap();
    // The same rights, but bound in one namespace.
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/threatrelay-operator";
    let mut binding = plane.api().get(bindings).await.unwrap();
    plane.api().delete(bindings).await.unwrap();
    binding["kind"] = "RoleBinding".into();
    binding["metadata"] = json!({"name": ACCOUNT});
    let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings");
    plane.api().create(&path, &binding).await.unwrap();
    every_right_is_used(&plane, &namespace, &["--namespaces", &namespace]).await;
}

/// A control plane with the operator's types, account and roles, and all optional APIs.
async fn prepared() -> ControlPlane {
    let plane = ControlPlane::start().await.unwrap();
    let crd =
        std::process::Command::new(binaries::shipped("threatrelay-operator").unwrap()).arg("crd").output().unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("crd.yaml"), crd.stdout).unwrap();
    fs::write(folder.path().join("monitors.json"), service_monitors().to_string()).unwrap();
    let operator = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/operator_node/operator.yaml"));
    let gateway = Program::named("gateway-api").unwrap().folder().unwrap();
    for file in [folder.path(), &gateway, operator] {
        plane.kubectl(&["apply", "--server-side", "-f", &file.display().to_string()]).unwrap();
    }
    plane
}

/// The Prometheus operator's type, as far as it matters who may touch it.
fn service_monitors() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "servicemonitors.monitoring.coreos.com"},
        "spec": {
            "group": "monitoring.coreos.com", "scope": "Namespaced",
            "names": {"kind": "ServiceMonitor", "plural": "servicemonitors"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
}

/// Lets the operator make, change and remove everything that it can, and compares its rights with what it did.
async fn every_right_is_used(plane: &ControlPlane, namespace: &str, flags: &[&str]) {
    let operator = Operator::start(plane, flags).await;
    let scene = Scene { api: plane.api(), namespace };
    let secret = |key: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "otx"}, "stringData": {"api-key": key}});
    scene.api.apply(&scene.path("api/v1", "secrets", "otx"), &secret("first")).await.unwrap();
    let authorities = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ca"}, "data": {"ca.crt": plane.api().access().ca}});
    scene.api.apply(&scene.path("api/v1", "configmaps", "ca"), &authorities).await.unwrap();

    scene.apply(&everything("first.soc.example", 3)).await;
    for (group, resource) in REMOVABLE {
        scene.becomes(group, resource, true).await;
    }
    scene.apply(&everything("second.soc.example", 4)).await;
    scene.api.apply(&scene.path("api/v1", "secrets", "otx"), &secret("second")).await.unwrap();
    scene.settled("second.soc.example").await;
    // What has been told once already is counted up, which is another right than telling it.
    for _ in 0..2 {
        scene.api.delete(&scene.path("api/v1", "secrets", "otx")).await.unwrap();
        scene.keys_are("False").await;
        scene.api.apply(&scene.path("api/v1", "secrets", "otx"), &secret("third")).await.unwrap();
        scene.keys_are("True").await;
    }
    scene
        .apply(&json!({
            "auth": {"audiences": ["https://otx.soc.example"]}, "replicas": 1,
            "networkPolicy": {"enabled": false}, "podDisruptionBudget": {"enabled": false},
        }))
        .await;
    for (group, resource) in REMOVABLE {
        scene.becomes(group, resource, false).await;
    }
    operator.stop().await;

    let account = format!("system:serviceaccount:{SYSTEM}:{ACCOUNT}");
    let used = Used::by(&account, &plane.audit_log()).unwrap();
    assert_eq!(used.refused.iter().collect::<Vec<_>>(), Vec::<&String>::new());
    let granted = granted(plane.api(), SYSTEM, ACCOUNT).await.unwrap();
    assert!(!granted.is_empty());
    let idle: Vec<_> = used.idle(&granted).iter().map(ToString::to_string).collect();
    assert_eq!(idle, Vec::<String>::new(), "granted and never used");
}

/// What the operator makes on demand, and removes.
const REMOVABLE: [(&str, &str); 6] = [
    ("apis/networking.k8s.io/v1", "ingresses"),
    ("apis/networking.k8s.io/v1", "networkpolicies"),
    ("apis/gateway.networking.k8s.io/v1", "httproutes"),
    ("apis/policy/v1", "poddisruptionbudgets"),
    ("apis/autoscaling/v2", "horizontalpodautoscalers"),
    ("apis/monitoring.coreos.com/v1", "servicemonitors"),
];

/// A specification that uses every kind of child.
fn everything(host: &str, most: u8) -> Value {
    json!({
        "auth": {"audiences": [format!("https://{host}")], "jwks": "{\"keys\":[]}"},
        "credentials": {"default": {"secretRef": {"name": "otx"}}},
        "upstream": {"caBundle": {"configMapRef": {"name": "ca", "key": "ca.crt"}}, "hourlyBudget": 1000 + u32::from(most)},
        "ingress": {"host": host, "className": "traefik"},
        "gateway": {"parentRefs": [{"name": "edge"}], "hostnames": [host]},
        "autoscaling": {"minReplicas": 2, "maxReplicas": most},
        "monitoring": {"serviceMonitor": {"interval": format!("{most}0s")}},
        "podSecurity": {"runAsUser": 10000 + u32::from(most)},
    })
}

struct Scene<'a> {
    api: &'a Api,
    namespace: &'a str,
}

impl Scene<'_> {
    fn path(&self, group: &str, resource: &str, name: &str) -> String {
        format!("/{group}/namespaces/{}/{resource}/{name}", self.namespace)
    }

    async fn apply(&self, spec: &Value) {
        let relay = json!({
            "apiVersion": "threatrelay.dev/v1alpha1", "kind": "ThreatRelay", "metadata": {"name": "otx"}, "spec": spec,
        });
        self.api.apply(&self.path("apis/threatrelay.dev/v1alpha1", "threatrelays", "otx"), &relay).await.unwrap();
    }

    /// Waits until the relay has a child of this kind, or none.
    async fn becomes(&self, group: &str, resource: &str, there: bool) {
        let path = format!("/{group}/namespaces/{}/{resource}", self.namespace);
        let count = async || self.api.field(&path, "/items").await.unwrap().as_array().map_or(0, Vec::len);
        let wait = Eventually::new(format!("there {} {resource}", if there { "are" } else { "are no" }));
        wait.within(Duration::from_secs(30)).matches(count, |count| (*count > 0) == there).await.unwrap();
    }

    /// Waits until the operator says so of the keys.
    async fn keys_are(&self, resolved: &str) {
        let relay = self.path("apis/threatrelay.dev/v1alpha1", "threatrelays", "otx");
        let look = async || {
            let conditions = self.api.field(&relay, "/status/conditions").await.unwrap();
            let conditions = conditions.as_array().cloned().unwrap_or_default();
            conditions.into_iter().find(|condition| condition["type"] == "CredentialsResolved").unwrap_or_default()
        };
        let wait = Eventually::new(format!("CredentialsResolved is {resolved}")).within(Duration::from_secs(30));
        wait.matches(look, |condition| condition["status"] == resolved).await.unwrap();
    }

    /// Waits until the Ingress has this host and the operator has said so.
    async fn settled(&self, host: &str) {
        let relay = self.path("apis/threatrelay.dev/v1alpha1", "threatrelays", "otx");
        let ingress = self.path("apis/networking.k8s.io/v1", "ingresses", "otx");
        let look = async || {
            let host = self.api.field(&ingress, "/spec/rules/0/host").await.unwrap_or_default();
            let object = self.api.get(&relay).await.unwrap();
            let is_seen = object["status"]["observedGeneration"] == object["metadata"]["generation"];
            (host, is_seen)
        };
        let wait = Eventually::new("the second specification is carried out").within(Duration::from_secs(30));
        wait.matches(look, |(seen, is_seen)| seen == host && *is_seen).await.unwrap();
    }
}

/// The operator as a process with its account's token.
struct Operator {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Operator {
    async fn start(plane: &ControlPlane, flags: &[&str]) -> Self {
        let path = format!("/api/v1/namespaces/{SYSTEM}/serviceaccounts/{ACCOUNT}/token");
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let token = plane.api().create(&path, &request).await.unwrap();
        let token = token.pointer("/status/token").and_then(Value::as_str).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        fs::write(&kubeconfig, plane.api().access().with_token(token).kubeconfig()).unwrap();
        let mut command = Command::new(binaries::shipped("threatrelay-operator").unwrap());
        command.args(["run", "--listen", "127.0.0.1:0", "--lease-namespace", SYSTEM]).args(flags);
        command.env("KUBECONFIG", kubeconfig).stdin(Stdio::null()).kill_on_drop(true);
        Self { child: command.spawn().unwrap(), _folder: folder }
    }

    /// In order, so that the lease is given back.
    async fn stop(mut self) {
        let pid = rustix::process::Pid::from_raw(self.child.id().unwrap().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await.unwrap().unwrap();
        assert!(status.success(), "{status}");
    }
}
