//! The node: pods run from our own images, reach each other by name, and are what kubectl says they are.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::cluster::Cluster;
use tests::eventually::Eventually;
use tokio::sync::OnceCell;

async fn cluster() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    let start = async || {
        let begun = Instant::now();
        let cluster = Cluster::start().await.unwrap();
        println!("ready after {:?}", begun.elapsed());
        cluster
    };
    CLUSTER.get_or_init(start).await
}

#[tokio::test]
async fn a_restricted_pod_answers_through_its_service_by_address_and_by_name() {
    let cluster = cluster().await;
    let namespace = restricted_namespace(cluster, "service").await;
    let address = serve(cluster, &namespace, "web").await;
    let answered = Eventually::new("the Service answers")
        .ok(async || cluster.fetch(address, "/").await.map_err(|error| error.to_string()))
        .await
        .unwrap();
    assert_eq!(answered.0, 200);
    assert!(answered.1.starts_with("pod=web-"), "{}", answered.1);
    let asked = format!("/fetch?u=http://web.{namespace}.svc.cluster.local:8080/");
    let by_name = Eventually::new("the pod reaches its Service by name")
        .matches(async || cluster.fetch(address, &asked).await.map_err(|e| e.to_string()), |answer| {
            answer.as_ref().is_ok_and(|(status, _)| *status == 200)
        })
        .await
        .unwrap()
        .unwrap();
    assert!(by_name.1.starts_with("200 pod=web-"), "{}", by_name.1);
}

#[tokio::test]
async fn the_node_joined_with_its_own_credential_and_kubectl_logs_and_exec_reach_its_pods() {
    let cluster = cluster().await;
    let namespace = restricted_namespace(cluster, "exec").await;
    serve(cluster, &namespace, "web").await;
    let plane = cluster.plane();
    let printed = plane.kubectl(&["-n", &namespace, "exec", "deployment/web", "--", "/probe", "resolve", "web"]).unwrap();
    assert!(printed.starts_with("10.201.0."), "{printed}");
    plane.kubectl(&["-n", &namespace, "logs", "deployment/web"]).unwrap();
    let log = std::fs::read_to_string(plane.audit_log()).unwrap();
    let registered = |line: &str| {
        let entry: Value = serde_json::from_str(line).unwrap_or_default();
        entry["verb"] == "create" && entry["objectRef"]["resource"] == "nodes" && entry["user"]["username"] == "system:node:node1"
    };
    assert!(log.lines().any(registered), "the node was not registered by its own credential");
}

#[tokio::test]
async fn a_pod_reaches_a_server_in_this_process() {
    let cluster = cluster().await;
    let namespace = restricted_namespace(cluster, "outside").await;
    let address = serve(cluster, &namespace, "web").await;
    let listener = cluster.sandbox().listen(SocketAddr::from(([10, 200, 0, 1], 0))).unwrap();
    let port = listener.local_addr().unwrap().port();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let app = axum::Router::new().fallback(async || "from the test");
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let asked = format!("/fetch?u=http://10.200.0.1:{port}/");
    Eventually::new("the pod has the answer of this process")
        .matches(async || cluster.fetch(address, &asked).await.map_err(|e| e.to_string()), |answer| {
            answer.as_ref().is_ok_and(|(_, body)| body.trim() == "200 from the test")
        })
        .await
        .unwrap()
        .unwrap();
    server.abort();
}

#[tokio::test]
async fn stopping_ends_every_container_and_leaves_no_control_group() {
    let cluster = Cluster::start().await.unwrap();
    let namespace = restricted_namespace(&cluster, "stop").await;
    serve(&cluster, &namespace, "web").await;
    let (folder, name) = (cluster.sandbox().folder().to_path_buf(), cluster.sandbox().name().to_owned());
    let groups = std::path::Path::new("/sys/fs/cgroup/memory").join(&name);
    println!("{}", memory_of(&cluster));
    let begun = Instant::now();
    drop(cluster);
    println!("gone after {:?}", begun.elapsed());
    assert!(!folder.exists());
    assert!(!groups.exists());
    let left: Vec<_> = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|pid| std::fs::read_to_string(pid.path().join("cgroup")).ok())
        .filter(|groups| groups.contains(&name))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

/// A namespace that enforces the restricted Pod Security level.
async fn restricted_namespace(cluster: &Cluster, prefix: &str) -> String {
    let name = cluster.plane().namespace(prefix).await.unwrap();
    let labels = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    cluster.api().merge(&format!("/api/v1/namespaces/{name}"), &labels).await.unwrap();
    name
}

/// A Deployment of the probe and a Service before it; returns the Service's address.
async fn serve(cluster: &Cluster, namespace: &str, name: &str) -> SocketAddr {
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {
                "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": "probe", "image": "docker.io/library/probe:local", "imagePullPolicy": "Never", "args": ["serve"],
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
                    "securityContext": {
                        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
                    },
                }],
            }},
        },
    });
    cluster.api().apply(&format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}"), &deployment).await.unwrap();
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 8080}]},
    });
    let path = format!("/api/v1/namespaces/{namespace}/services/{name}");
    let made = cluster.api().apply(&path, &service).await.unwrap();
    let begun = Instant::now();
    cluster.rolled_out(namespace, name).await.unwrap();
    println!("{name} rolled out after {:?}", begun.elapsed());
    let ip = made.pointer("/spec/clusterIP").and_then(Value::as_str).unwrap();
    SocketAddr::new(ip.parse().unwrap(), 8080)
}

/// Resident memory of all programs of the cluster, MiB, by name.
fn memory_of(cluster: &Cluster) -> String {
    let space = std::fs::read_link(format!("/proc/{}/ns/mnt", cluster.sandbox().pid())).unwrap();
    let mut sums = std::collections::BTreeMap::<String, u64>::new();
    for pid in std::fs::read_dir("/proc").unwrap().flatten() {
        let same = std::fs::read_link(pid.path().join("ns/net")).ok()
            == std::fs::read_link(format!("/proc/{}/ns/net", cluster.sandbox().pid())).ok();
        let ours = same || std::fs::read_link(pid.path().join("ns/mnt")).is_ok_and(|link| link == space);
        let Ok(status) = std::fs::read_to_string(pid.path().join("status")) else { continue };
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).map(str::to_owned);
        if ours && let (Some(name), Some(rss)) = (field("Name:"), field("VmRSS:")) {
            *sums.entry(name).or_default() += rss.split(' ').next().unwrap().parse::<u64>().unwrap() / 1024;
        }
    }
    format!("resident MiB: {sums:?}, sum {}", sums.values().sum::<u64>())
}
