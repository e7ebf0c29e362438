//! The operator has the rights it needs and no other: run under its chart's account and settings through everything it
//! does, it is refused nothing, and no right is left unused. The API server's audit log is the witness, for the whole
//! cluster, for one namespace, and without reading Secrets. What `check` asks about is what the chart grants.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tests::binaries;
use tests::cluster::audit::{Right, Used, granted, rights_of};
use tests::cluster::{Access, Api, ControlPlane};
use tests::eventually::Eventually;
use tests::operator::installed::{ACCOUNT, SYSTEM, installed, list, variables};
use tests::operator::{Health, Kubelet, Operator, install_optional};
use threatrelay_operator::rights::{Rule, on_lease, on_relays};
use tokio::process::{Child, Command};

/// The namespace of the relay.
const NAMESPACE: &str = "soc";

#[tokio::test]
async fn for_the_whole_cluster_every_right_is_used_and_nothing_is_refused() {
    every_right_is_used(json!({})).await;
}

#[tokio::test]
async fn for_one_namespace_every_right_is_used_and_nothing_is_refused() {
    every_right_is_used(json!({"watchNamespaces": [NAMESPACE]})).await;
}

#[tokio::test]
async fn without_reading_secrets_every_right_is_used_and_nothing_is_refused() {
    every_right_is_used(json!({"credentials": {"managed": false}})).await;
}

#[test]
fn the_chart_grants_what_the_operator_asks_about() {
    for managed in [true, false] {
        for namespaces in [json!([]), json!([NAMESPACE])] {
            let values = json!({"credentials": {"managed": managed}, "watchNamespaces": namespaces});
            let objects = installed(&values);
            let roles = objects.iter().filter(|object| {
                let is_aggregated =
                    object["metadata"]["labels"].as_object().unwrap().keys().any(|l| l.contains("aggregate-to"));
                !is_aggregated && (object["kind"] == "Role" || object["kind"] == "ClusterRole")
            });
            let granted: BTreeSet<_> = roles.clone().flat_map(|role| rights_of(role, None)).collect();
            let asked = on_relays(managed).into_iter().chain(on_lease(ACCOUNT));
            assert_eq!(granted, asked.flat_map(|rule| rights(&rule)).collect(), "{values}");
            let named: Vec<_> = roles
                .flat_map(|role| role["rules"].as_array().unwrap())
                .filter(|rule| !rule["resourceNames"].is_null())
                .collect();
            let lease = json!({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [ACCOUNT], "verbs": ["get", "update"]});
            assert_eq!(named, [&lease], "{values}");
        }
    }
}

fn rights(Rule { kind, subresource, verbs, .. }: &Rule) -> Vec<Right> {
    let within = subresource.map(|name| format!("/{name}")).unwrap_or_default();
    let group = if kind.group.is_empty() { String::new() } else { format!(".{}", kind.group) };
    let resource = format!("{}{within}{group}", kind.plural);
    verbs.iter().map(|verb| Right { namespace: None, verb: (*verb).to_owned(), resource: resource.clone() }).collect()
}

#[tokio::test]
async fn what_an_identity_may_not_is_named_before_the_installation() {
    let plane = ControlPlane::start().await.unwrap();
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}});
    plane.api().create("/api/v1/namespaces/default/serviceaccounts", &account).await.unwrap();
    let access = access(&plane, "default").await;
    let (code, text) = Operator::command(&access, &["check", "--pre"]).await;
    assert_eq!(code, Some(1), "{text}");
    for rule in on_relays(true).iter().chain(&on_lease(ACCOUNT)) {
        for verb in rule.verbs {
            assert!(
                text.contains(&format!("{verb} {}", rule.kind.plural)),
                "{verb} {} is not in {text}",
                rule.kind.plural
            );
        }
    }
    for unused in ["delete deployments", "delete services", "update configmaps", "get pods"] {
        assert!(!text.contains(unused), "{unused} is in {text}");
    }
}

/// A control plane with what the chart installs, and all optional APIs.
async fn prepared(objects: &[Value]) -> ControlPlane {
    let plane = ControlPlane::start().await.unwrap();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    plane.api().create("/api/v1/namespaces", &namespace).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("operator.json");
    fs::write(&file, list(objects)).unwrap();
    plane.kubectl(&["apply", "--server-side", "-f", &file.display().to_string()]).unwrap();
    install_optional(&plane).await;
    plane
}

/// The way to the API server with the operator's account in a namespace.
async fn access(plane: &ControlPlane, namespace: &str) -> Access {
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{ACCOUNT}/token");
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let token = plane.api().create(&path, &request).await.unwrap();
    plane.api().access().with_token(token.pointer("/status/token").and_then(Value::as_str).unwrap())
}

/// Lets the operator make, change and remove everything that it can, and compares its rights with what it did.
async fn every_right_is_used(values: Value) {
    let objects = installed(&values);
    let plane = prepared(&objects).await;
    let (access, variables) = (access(&plane, SYSTEM).await, variables(&objects));
    let reads_secrets = variables["THREATRELAY_OPERATOR_READ_SECRETS"] == "true";
    let mode = if reads_secrets { "managed" } else { "direct" };
    let folder = tempfile::tempdir().unwrap();
    let fit = operator(&access, &variables, &folder).arg("check").output().await.unwrap();
    assert!(fit.status.success(), "{}", String::from_utf8_lossy(&fit.stdout));
    let running = operator(&access, &variables, &folder).args(["run", "--listen", "127.0.0.1:0"]).spawn().unwrap();
    // Keys are removed when no pod mounts them any more, so there have to be pods.
    let _kubelet = Kubelet::start(plane.api().clone(), NAMESPACE.to_owned(), Health::Ready);
    let scene = Scene { api: plane.api() };
    let secret = |key: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "otx"}, "stringData": {"api-key": key}});
    scene.api.apply(&path("api/v1", "secrets", "otx"), &secret("first")).await.unwrap();
    let authorities = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ca"}, "data": {"ca.crt": plane.api().access().ca}});
    scene.api.apply(&path("api/v1", "configmaps", "ca"), &authorities).await.unwrap();

    scene.apply(&everything(mode, "first.soc.example", 3)).await;
    for (group, resource) in REMOVABLE {
        scene.becomes(group, resource, true).await;
    }
    scene.apply(&everything(mode, "second.soc.example", 4)).await;
    scene.api.apply(&path("api/v1", "secrets", "otx"), &secret("second")).await.unwrap();
    scene.settled("second.soc.example").await;
    // What has been told once already is counted up, which is another right than telling it.
    for _ in 0..2 {
        scene.api.delete(&path("api/v1", "configmaps", "ca")).await.unwrap();
        scene.references_are("False").await;
        scene.api.apply(&path("api/v1", "configmaps", "ca"), &authorities).await.unwrap();
        scene.references_are("True").await;
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
    scene.has_no_keys().await;
    stop(running).await;

    let account = format!("system:serviceaccount:{SYSTEM}:{ACCOUNT}");
    let used = Used::by(&account, &plane.audit_log()).unwrap();
    assert_eq!(used.refused.iter().collect::<Vec<_>>(), Vec::<&String>::new());
    let touches_secrets = used.rights.iter().any(|right| right.resource == "secrets");
    assert_eq!(touches_secrets, reads_secrets, "{values}");
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
fn everything(mode: &str, host: &str, most: u8) -> Value {
    json!({
        "auth": {"audiences": [format!("https://{host}")], "jwks": "{\"keys\":[]}"},
        "credentials": {"mode": mode, "default": {"secretRef": {"name": "otx"}}},
        "upstream": {"caBundle": {"configMapRef": {"name": "ca", "key": "ca.crt"}}, "hourlyBudget": 1000 + u32::from(most)},
        "ingress": {"host": host, "className": "traefik"},
        "gateway": {"parentRefs": [{"name": "edge"}], "hostnames": [host]},
        "autoscaling": {"minReplicas": 2, "maxReplicas": most},
        "monitoring": {"serviceMonitor": {"interval": format!("{most}0s")}},
        "podSecurity": {"runAsUser": 10000 + u32::from(most)},
    })
}

fn path(group: &str, resource: &str, name: &str) -> String {
    format!("/{group}/namespaces/{NAMESPACE}/{resource}/{name}")
}

struct Scene<'a> {
    api: &'a Api,
}

impl Scene<'_> {
    async fn apply(&self, spec: &Value) {
        let relay = json!({
            "apiVersion": "threatrelay.dev/v1alpha1", "kind": "ThreatRelay", "metadata": {"name": "otx"}, "spec": spec,
        });
        self.api.apply(&path("apis/threatrelay.dev/v1alpha1", "threatrelays", "otx"), &relay).await.unwrap();
    }

    /// Waits until the relay has a child of this kind, or none.
    async fn becomes(&self, group: &str, resource: &str, there: bool) {
        let path = path(group, resource, "");
        let count = async || self.api.field(&path, "/items").await.unwrap().as_array().map_or(0, Vec::len);
        let wait = Eventually::new(format!("there {} {resource}", if there { "are" } else { "are no" }));
        wait.within(Duration::from_secs(30)).matches(count, |count| (*count > 0) == there).await.unwrap();
    }

    /// Waits until the Secret with the relay's keys is gone.
    async fn has_no_keys(&self) {
        let keys = path("api/v1", "secrets", "otx-otx-keys");
        let status = async || self.api.get(&keys).await.err().and_then(|error| error.status());
        let wait = Eventually::new("the keys are gone").within(Duration::from_secs(30));
        wait.matches(status, |status| *status == Some(404)).await.unwrap();
    }

    /// Waits until the operator says so of what the resource refers to.
    async fn references_are(&self, resolved: &str) {
        let relay = path("apis/threatrelay.dev/v1alpha1", "threatrelays", "otx");
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
        let relay = path("apis/threatrelay.dev/v1alpha1", "threatrelays", "otx");
        let ingress = path("apis/networking.k8s.io/v1", "ingresses", "otx");
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

/// The operator's program with its account's token and its pod's settings.
fn operator(access: &Access, variables: &BTreeMap<String, String>, folder: &tempfile::TempDir) -> Command {
    let kubeconfig = folder.path().join("kubeconfig");
    fs::write(&kubeconfig, access.kubeconfig()).unwrap();
    let mut command = Command::new(binaries::shipped("threatrelay-operator").unwrap());
    command.env("KUBECONFIG", kubeconfig).envs(variables).env("THREATRELAY_OPERATOR_LEASE_NAMESPACE", SYSTEM);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Has it end in order, so that the lease is given back.
async fn stop(mut operator: Child) {
    let pid = rustix::process::Pid::from_raw(operator.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let status = tokio::time::timeout(Duration::from_secs(30), operator.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
}
