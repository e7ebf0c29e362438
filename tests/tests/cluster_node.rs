//! The node: pods run from our own images, reach each other by name, and are what kubectl says they are.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::net::SocketAddr;
use std::time::Instant;

use serde_json::Value;
use tests::cluster::{Cluster, Memory};
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
    let namespace = cluster.restricted_namespace("service").await.unwrap();
    let address = cluster.serve(&namespace, "web", &[8080]).await.unwrap();
    let answered = Eventually::new("the Service answers")
        .ok(async || cluster.fetch(address, "/").await.map_err(|error| error.to_string()))
        .await
        .unwrap();
    assert_eq!(answered.0, 200);
    assert!(answered.1.starts_with("pod=web-"), "{}", answered.1);
    let asked = format!("/fetch?u=http://web.{namespace}.svc.cluster.local:8080/");
    let by_name = Eventually::new("the pod reaches its Service by name")
        .matches(
            async || cluster.fetch(address, &asked).await.map_err(|e| e.to_string()),
            |answer| answer.as_ref().is_ok_and(|(status, _)| *status == 200),
        )
        .await
        .unwrap()
        .unwrap();
    assert!(by_name.1.starts_with("200 pod=web-"), "{}", by_name.1);
}

#[tokio::test]
async fn the_node_joined_with_its_own_credential_and_kubectl_logs_and_exec_reach_its_pods() {
    let cluster = cluster().await;
    let namespace = cluster.restricted_namespace("exec").await.unwrap();
    cluster.serve(&namespace, "web", &[8080]).await.unwrap();
    let plane = cluster.plane();
    let printed =
        plane.kubectl(&["-n", &namespace, "exec", "deployment/web", "--", "/probe", "resolve", "web"]).unwrap();
    assert!(printed.starts_with("10.201.0."), "{printed}");
    plane.kubectl(&["-n", &namespace, "logs", "deployment/web"]).unwrap();
    let log = std::fs::read_to_string(plane.audit_log()).unwrap();
    let registered = |line: &str| {
        let entry: Value = serde_json::from_str(line).unwrap_or_default();
        entry["verb"] == "create"
            && entry["objectRef"]["resource"] == "nodes"
            && entry["user"]["username"] == "system:node:node1"
    };
    assert!(log.lines().any(registered), "the node was not registered by its own credential");
}

#[tokio::test]
async fn a_pod_reaches_a_server_in_this_process() {
    let cluster = cluster().await;
    let namespace = cluster.restricted_namespace("outside").await.unwrap();
    let address = cluster.serve(&namespace, "web", &[8080]).await.unwrap();
    let listener = cluster.sandbox().listen(SocketAddr::from(([10, 200, 0, 1], 0))).unwrap();
    let port = listener.local_addr().unwrap().port();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let app = axum::Router::new().fallback(async || "from the test");
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let asked = format!("/fetch?u=http://10.200.0.1:{port}/");
    Eventually::new("the pod has the answer of this process")
        .matches(
            async || cluster.fetch(address, &asked).await.map_err(|e| e.to_string()),
            |answer| answer.as_ref().is_ok_and(|(_, body)| body.trim() == "200 from the test"),
        )
        .await
        .unwrap()
        .unwrap();
    server.abort();
}

#[tokio::test]
async fn stopping_ends_every_container_and_leaves_no_control_group() {
    let cluster = Cluster::start().await.unwrap();
    let namespace = cluster.restricted_namespace("stop").await.unwrap();
    cluster.serve(&namespace, "web", &[8080]).await.unwrap();
    let (folder, name) = (cluster.sandbox().folder().to_path_buf(), cluster.sandbox().name().to_owned());
    let groups = std::path::Path::new("/sys/fs/cgroup/memory").join(&name);
    println!("{}", Memory::of(cluster.sandbox()));
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
