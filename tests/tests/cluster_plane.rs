//! The control plane alone: it judges objects as Kubernetes does, several run side by side, and none leaves a trace.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::cluster::ControlPlane;
use tests::cluster::workload::{probe_deployment, probe_template};
use tests::eventually::Eventually;
use tokio::sync::OnceCell;

async fn plane() -> &'static ControlPlane {
    static PLANE: OnceCell<ControlPlane> = OnceCell::const_new();
    PLANE.get_or_init(async || ControlPlane::start().await.unwrap()).await
}

#[tokio::test]
async fn starts_with_the_pinned_version_and_all_controllers() {
    let begun = Instant::now();
    let plane = ControlPlane::start().await.unwrap();
    println!("ready after {:?}", begun.elapsed());
    let version = plane.api().field("/version", "/gitVersion").await.unwrap();
    assert_eq!(version, "v1.34.4");
    let deployment = probe_deployment("web", 2, &[8080]);
    plane.api().apply("/apis/apps/v1/namespaces/default/deployments/web", &deployment).await.unwrap();
    Eventually::new("the ReplicaSet has made two pods")
        .matches(async || pods(&plane, "default").await, |pods| pods.len() == 2)
        .await
        .unwrap();
}

#[tokio::test]
async fn two_planes_side_by_side_share_nothing() {
    let (one, two) = (plane().await, ControlPlane::start().await.unwrap());
    let name = one.namespace("only-here").await.unwrap();
    let refused = two.api().get(&format!("/api/v1/namespaces/{name}")).await.unwrap_err();
    assert_eq!(refused.status(), Some(404));
}

#[tokio::test]
async fn restricted_pod_security_refuses_a_privileged_pod_and_takes_a_restricted_one() {
    let plane = plane().await;
    let name = plane.namespace("restricted").await.unwrap();
    let labels = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    plane.api().merge(&format!("/api/v1/namespaces/{name}"), &labels).await.unwrap();
    Eventually::new("the default service account is there")
        .ok(async || plane.api().get(&format!("/api/v1/namespaces/{name}/serviceaccounts/default")).await)
        .await
        .unwrap();
    let path = format!("/api/v1/namespaces/{name}/pods");
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}});
    pod["spec"] = probe_template("p", &[8080])["spec"].clone();
    let mut privileged = pod.clone();
    privileged["spec"]["containers"][0]["securityContext"]["privileged"] = true.into();
    privileged["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = true.into();
    let refused = plane.api().create(&path, &privileged).await.unwrap_err();
    assert!(refused.to_string().contains("violates PodSecurity \"restricted:latest\": privileged"), "{refused}");
    plane.api().create(&path, &pod).await.unwrap();
}

#[tokio::test]
async fn a_node_credential_may_not_touch_another_node() {
    let plane = plane().await;
    let token = token_of(plane, "system:node:node1");
    let node = tests::cluster::Api::new(plane.api().access().with_token(token)).unwrap();
    let object = |name: &str| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
    let refused = node.create("/api/v1/nodes", &object("node2")).await.unwrap_err();
    assert!(refused.to_string().contains("node \"node1\" is not allowed to modify node \"node2\""), "{refused}");
    node.create("/api/v1/nodes", &object("node1")).await.unwrap();
}

#[tokio::test]
async fn a_token_without_a_role_may_not_list_secrets() {
    let plane = plane().await;
    let name = plane.namespace("rbac").await.unwrap();
    let account = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
    Eventually::new("the service account is there").ok(async || plane.api().get(&account).await).await.unwrap();
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let answer = plane.api().create(&format!("{account}/token"), &request).await.unwrap();
    let token = answer.pointer("/status/token").and_then(Value::as_str).unwrap();
    let api = tests::cluster::Api::new(plane.api().access().with_token(token)).unwrap();
    let refused = api.get(&format!("/api/v1/namespaces/{name}/secrets")).await.unwrap_err();
    assert!(refused.to_string().contains(&format!("system:serviceaccount:{name}:default")), "{refused}");
}

#[tokio::test]
async fn every_request_is_in_the_audit_log() {
    let plane = plane().await;
    let name = plane.namespace("audited").await.unwrap();
    plane.api().get(&format!("/api/v1/namespaces/{name}")).await.unwrap();
    let log = std::fs::read_to_string(plane.audit_log()).unwrap();
    let wanted = |line: &&str| {
        let entry: Value = serde_json::from_str(line).unwrap_or_default();
        entry["verb"] == "get" && entry["objectRef"]["name"] == *name && entry["user"]["username"] == "admin"
    };
    assert!(log.lines().any(|line| wanted(&line)), "no get of {name} in the audit log");
}

#[tokio::test]
async fn kubectl_works_with_the_kubeconfig() {
    let plane = plane().await;
    let printed = plane.kubectl(&["get", "namespace", "kube-system", "--output=name"]).unwrap();
    assert_eq!(printed.trim(), "namespace/kube-system");
}

#[tokio::test]
async fn an_old_list_is_answered_exactly_until_it_is_compacted_away() {
    let plane = ControlPlane::start_compactable().await.unwrap();
    let path = "/api/v1/namespaces/default/configmaps";
    let map = |n: u8| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"n": n.to_string()}});
    let first = plane.api().apply(&format!("{path}/m"), &map(1)).await.unwrap();
    let revision = first.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap().to_owned();
    plane.api().apply(&format!("{path}/m"), &map(2)).await.unwrap();
    let old = format!("{path}?fieldSelector=metadata.name=m&resourceVersion={revision}&resourceVersionMatch=Exact");
    let list = plane.api().get(&old).await.unwrap();
    assert_eq!(list.pointer("/items/0/data/n").unwrap(), "1");
    plane.compact().await.unwrap();
    assert_eq!(plane.api().get(&old).await.unwrap_err().status(), Some(410));
}

#[tokio::test]
async fn a_paused_api_server_does_not_answer_and_goes_on_when_resumed() {
    let plane = ControlPlane::start().await.unwrap();
    plane.sandbox().pause("kube-apiserver").unwrap();
    let asked = tokio::time::timeout(Duration::from_millis(500), plane.api().get("/api/v1/namespaces")).await;
    assert!(asked.is_err(), "a paused server answered: {asked:?}");
    plane.sandbox().resume("kube-apiserver").unwrap();
    plane.api().get("/api/v1/namespaces").await.unwrap();
    // Paused again, it must not hold up the end. `nsenter` stops a moment after its program.
    plane.sandbox().pause("kube-apiserver").unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
}

#[tokio::test]
async fn killed_programs_come_back_with_what_was_stored() {
    let plane = ControlPlane::start().await.unwrap();
    let name = plane.namespace("kept").await.unwrap();
    let path = format!("/api/v1/namespaces/{name}");
    for program in ["kube-apiserver", "etcd"] {
        plane.sandbox().kill(program).unwrap();
        plane.sandbox().check().unwrap();
        let read = async || tokio::time::timeout(Duration::from_millis(500), plane.api().get(&path)).await;
        let gone = Eventually::new(format!("nothing is read without {program}"));
        let _seen = gone.matches(read, |read| !matches!(read, Ok(Ok(_)))).await.unwrap();
        plane.sandbox().restart(program).unwrap();
        Eventually::new(format!("the namespace is read after the restart of {program}"))
            .within(Duration::from_secs(30))
            .ok(async || plane.api().get(&path).await)
            .await
            .unwrap();
    }
}

async fn pods(plane: &ControlPlane, namespace: &str) -> Vec<Value> {
    let list = plane.api().get(&format!("/api/v1/namespaces/{namespace}/pods")).await.unwrap();
    list["items"].as_array().cloned().unwrap_or_default()
}

fn token_of(plane: &ControlPlane, user: &str) -> String {
    let tokens = std::fs::read_to_string(plane.sandbox().folder().join("tokens.csv")).unwrap();
    let line = tokens.lines().find(|line| line.split(',').nth(1) == Some(user)).unwrap();
    line.split(',').next().unwrap().to_owned()
}
