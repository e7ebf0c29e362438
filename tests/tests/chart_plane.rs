//! The operator's chart on a real API server, by Helm 3 and Helm 4: everything that is rendered is accepted, and no
//! installation, upgrade, rollback or removal costs a `ThreatRelay`. No pod runs here.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::chart::folder;
use tests::chart::helm::{BOTH, Helm, objects};
use tests::cluster::ControlPlane;
use tests::eventually::Eventually;

const CRD: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/threatrelays.threatrelay.dev";
const RELAYS: &str = "/apis/threatrelay.dev/v1alpha1/namespaces/soc/threatrelays";

fn chart() -> String {
    folder("threatrelay-operator").display().to_string()
}

/// A plane with the namespaces of the suite, which admit nothing but restricted pods.
async fn plane() -> ControlPlane {
    let plane = ControlPlane::start().await.unwrap();
    for name in ["soc", "soc-eu", "elsewhere"] {
        let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        plane.api().create("/api/v1/namespaces", &namespace).await.unwrap();
    }
    plane
}

/// A `ThreatRelay` in the namespace `soc`, and its uid.
async fn relay(plane: &ControlPlane, name: &str) -> Value {
    let object = json!({
        "apiVersion": "threatrelay.dev/v1alpha1", "kind": "ThreatRelay", "metadata": {"name": name},
        "spec": {"auth": {"audiences": ["https://otx.soc.example"]}},
    });
    let made = Eventually::new("the type takes a ThreatRelay")
        .within(Duration::from_secs(30))
        .ok(async || plane.api().create(RELAYS, &object).await)
        .await
        .unwrap();
    made["metadata"]["uid"].clone()
}

async fn uid(plane: &ControlPlane, name: &str) -> Value {
    plane.api().field(&format!("{RELAYS}/{name}"), "/metadata/uid").await.unwrap()
}

async fn is_gone(plane: &ControlPlane, path: &str) {
    let gone = async || match plane.api().get(path).await {
        Err(error) if error.status() == Some(404) => Ok(()),
        other => Err(format!("{other:?}")),
    };
    Eventually::new(format!("{path} is gone")).within(Duration::from_secs(30)).ok(gone).await.unwrap();
}

/// A chart as an older release had it: lower versions, and a type that lacks a column of today's.
fn older(to: &TempDir) -> String {
    let target = to.path().join("threatrelay-operator");
    copy(&folder("threatrelay-operator"), &target);
    let edit = |file: &str, edit: &dyn Fn(String) -> String| {
        let path = target.join(file);
        fs::write(&path, edit(fs::read_to_string(&path).unwrap())).unwrap();
    };
    edit("Chart.yaml", &|text| text.replace("ersion: 0.1.0", "ersion: 0.0.9"));
    edit("templates/crd.yaml", &|text| text.replace("    - trly\n", ""));
    target.display().to_string()
}

fn copy(from: &Path, to: &PathBuf) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Makes the account that a pod runs as: unlike a Deployment, a pod is refused without it.
async fn account_of(plane: &ControlPlane, pod: &Value) {
    let (name, namespace) = (&pod["spec"]["serviceAccountName"], &pod["metadata"]["namespace"]);
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
    let (name, namespace) = (name.as_str().unwrap(), namespace.as_str().unwrap());
    plane.api().apply(&format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}"), &account).await.unwrap();
}

async fn short_names(plane: &ControlPlane) -> Value {
    plane.api().field(CRD, "/spec/names/shortNames").await.unwrap()
}

#[tokio::test]
async fn the_api_server_accepts_every_set_of_values() {
    let plane = plane().await;
    let helm = Helm::named("helm3").unwrap();
    let sets = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chart_render/sets");
    let scratch = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(sets).unwrap() {
        let path = entry.unwrap().path();
        let rendered =
            helm.template(&folder("threatrelay-operator"), "otx", &fs::read_to_string(&path).unwrap()).unwrap();
        // Types of the Prometheus operator are not here; the API server knows all others.
        let known: Vec<_> = objects(&rendered)
            .unwrap()
            .into_iter()
            .filter(|object| object["apiVersion"] != "monitoring.coreos.com/v1")
            .collect();
        for pod in known.iter().filter(|object| object["kind"] == "Pod") {
            account_of(&plane, pod).await;
        }
        let list = json!({"apiVersion": "v1", "kind": "List", "items": known});
        let file = scratch.path().join("objects.json");
        fs::write(&file, list.to_string()).unwrap();
        let file = file.display().to_string();
        let arguments = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", &file];
        let accepted = plane.kubectl(&arguments);
        assert!(accepted.is_ok(), "{}: {}", path.display(), accepted.unwrap_err());
    }
}

#[tokio::test]
async fn relays_outlive_upgrade_rollback_removal_and_return() {
    let scratch = tempfile::tempdir().unwrap();
    let older = older(&scratch);
    for name in BOTH {
        let plane = plane().await;
        let helm = Helm::named(name).unwrap().with_cluster(plane.kubeconfig());
        let run = |arguments: &[&str]| {
            let done = helm.run(&[arguments, &["--namespace", "soc"]].concat());
            assert!(done.is_ok(), "{name} {arguments:?}: {}", done.unwrap_err());
        };
        run(&["install", "otx", &older]);
        let before = relay(&plane, "one").await;
        assert_eq!(short_names(&plane).await, json!(["trelay"]), "{name}");

        run(&["upgrade", "otx", &chart()]);
        assert_eq!(
            short_names(&plane).await,
            json!(["trelay", "trly"]),
            "{name}: the type is upgraded with the chart"
        );
        assert_eq!(uid(&plane, "one").await, before, "{name}: after the upgrade");

        run(&["rollback", "otx", "1"]);
        assert_eq!(short_names(&plane).await, json!(["trelay"]), "{name}: the type is rolled back with the chart");
        assert_eq!(uid(&plane, "one").await, before, "{name}: after the rollback");

        run(&["uninstall", "otx"]);
        is_gone(&plane, "/apis/apps/v1/namespaces/soc/deployments/otx-threatrelay-operator").await;
        assert_eq!(uid(&plane, "one").await, before, "{name}: after the removal");

        run(&["install", "otx", &chart()]);
        assert_eq!(uid(&plane, "one").await, before, "{name}: after the return under the same name");

        run(&["uninstall", "otx"]);
        let refused = helm.run(&["install", "again", &chart(), "--namespace", "soc"]);
        assert!(refused.is_err_and(|error| error.to_string().contains("invalid ownership metadata")), "{name}");
        run(&["install", "again", &chart(), "--take-ownership"]);
        assert_eq!(uid(&plane, "one").await, before, "{name}: after the return under another name");
        let owner = plane.api().field(CRD, "/metadata/annotations/meta.helm.sh~1release-name").await.unwrap();
        assert_eq!(owner, "again", "{name}");
    }
}

#[tokio::test]
async fn the_type_goes_with_the_chart_only_when_it_is_not_kept() {
    let plane = plane().await;
    let helm = Helm::named("helm4").unwrap().with_cluster(plane.kubeconfig());
    helm.run(&["install", "otx", &chart(), "--namespace", "soc", "--set", "crds.keep=false"]).unwrap();
    let _uid = relay(&plane, "one").await;
    helm.run(&["uninstall", "otx", "--namespace", "soc"]).unwrap();
    is_gone(&plane, CRD).await;
}

#[tokio::test]
async fn a_chart_that_depends_on_it_switches_it_and_shares_globals() {
    let plane = plane().await;
    let scratch = tempfile::tempdir().unwrap();
    let parent = scratch.path().join("platform");
    copy(&folder("threatrelay-operator"), &parent.join("charts/threatrelay-operator"));
    let dependency = "{name: threatrelay-operator, version: 0.1.0, condition: threatrelay-operator.enabled}";
    let metadata = format!("apiVersion: v2\nname: platform\nversion: 1.0.0\ndependencies: [{dependency}]\n");
    fs::write(parent.join("Chart.yaml"), metadata).unwrap();
    fs::write(parent.join("values.yaml"), "global: {imageRegistry: mirror.example, storageClass: fast}\n").unwrap();
    let parent = parent.display().to_string();
    let deployment = "/apis/apps/v1/namespaces/soc/deployments/platform-threatrelay-operator";
    for name in BOTH {
        let helm = Helm::named(name).unwrap().with_cluster(plane.kubeconfig());
        let run = |arguments: &[&str]| helm.run(&[arguments, &["--namespace", "soc"]].concat()).unwrap();
        run(&["install", "platform", &parent, "--set", "threatrelay-operator.enabled=true"]);
        let image = plane.api().field(deployment, "/spec/template/spec/containers/0/image").await.unwrap();
        assert_eq!(image, "mirror.example/threatrelay/threatrelay-operator:0.1.0", "{name}");
        run(&["upgrade", "platform", &parent, "--set", "threatrelay-operator.enabled=false"]);
        is_gone(&plane, deployment).await;
        run(&["uninstall", "platform"]);
    }
}

#[tokio::test]
async fn rights_in_a_namespace_end_at_its_border() {
    let plane = plane().await;
    let helm = Helm::named("helm4").unwrap().with_cluster(plane.kubeconfig());
    let values = helm.values_file("watchNamespaces: [soc-eu]\ncredentials: {managed: false}\n").unwrap();
    helm.run(&["install", "otx", &chart(), "--namespace", "soc", "--values", &values]).unwrap();
    let may = |verb: &str, resource: &str, namespace: &str| {
        let account = "--as=system:serviceaccount:soc:otx-threatrelay-operator";
        let (resource, part) = resource.split_once(':').unwrap_or((resource, ""));
        let part = format!("--subresource={part}");
        let answer = plane.kubectl(&["auth", "can-i", verb, resource, &part, "--namespace", namespace, account]);
        answer.is_ok_and(|answer| answer.trim() == "yes")
    };
    let granted = || may("patch", "deployments.apps", "soc-eu") && may("list", "threatrelays", "soc-eu");
    Eventually::new("the rights are effective").ok(async || granted().then_some(()).ok_or("no")).await.unwrap();
    assert!(may("update", "leases.coordination.k8s.io/otx-threatrelay-operator", "soc"));
    for (verb, resource, namespace) in [
        ("list", "threatrelays", "soc"),
        ("list", "threatrelays", "elsewhere"),
        ("patch", "deployments.apps", "soc"),
        ("get", "secrets", "soc-eu"),
        ("get", "secrets", "soc"),
        ("update", "leases.coordination.k8s.io/another", "soc"),
        ("update", "threatrelays", "soc-eu"),
        ("create", "pods", "soc-eu"),
        ("create", "pods:exec", "soc-eu"),
        ("create", "roles.rbac.authorization.k8s.io", "soc-eu"),
        ("create", "rolebindings.rbac.authorization.k8s.io", "soc-eu"),
        ("impersonate", "serviceaccounts", "soc-eu"),
        ("create", "serviceaccounts:token", "soc-eu"),
    ] {
        assert!(!may(verb, resource, namespace), "{verb} {resource} in {namespace} is allowed");
    }
}

#[tokio::test]
async fn whoever_may_edit_a_namespace_may_edit_its_relays() {
    let plane = plane().await;
    let helm = Helm::named("helm3").unwrap().with_cluster(plane.kubeconfig());
    helm.run(&["install", "otx", &chart(), "--namespace", "soc"]).unwrap();
    for (user, role) in [("viewer", "view"), ("editor", "edit")] {
        let (role, user) = (format!("--clusterrole={role}"), format!("--user={user}"));
        plane.kubectl(&["create", "rolebinding", &role[14..], &role, &user, "--namespace", "soc"]).unwrap();
    }
    let may = |user: &str, verb: &str| {
        let account = format!("--as={user}");
        let answer = plane.kubectl(&["auth", "can-i", verb, "threatrelays", "--namespace", "soc", &account]);
        answer.is_ok_and(|answer| answer.trim() == "yes")
    };
    let granted = || may("viewer", "list") && may("editor", "delete");
    Eventually::new("roles are aggregated")
        .within(Duration::from_secs(30))
        .ok(async || granted().then_some(()).ok_or("no"))
        .await
        .unwrap();
    assert!(may("editor", "list"));
    assert!(!may("viewer", "delete"));
}
