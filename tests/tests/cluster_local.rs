//! The local cluster's node: it joined as a node does, pods reach this process, and its end leaves nothing.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::net::SocketAddr;
use std::time::Instant;

use serde_json::Value;
use tests::cluster::{Cluster, Memory};
use tests::eventually::Eventually;
use tokio::sync::OnceCell;

async fn cluster() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER.get_or_init(async || Cluster::start_local().await.unwrap()).await
}

#[tokio::test]
async fn the_node_joined_with_its_own_credential() {
    let log = std::fs::read_to_string(cluster().await.plane().unwrap().audit_log()).unwrap();
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
    let sandbox = cluster.plane().unwrap().sandbox();
    let listener = sandbox.listen(SocketAddr::from(([10, 200, 0, 1], 0))).unwrap();
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
    let cluster = Cluster::start_local().await.unwrap();
    let namespace = cluster.restricted_namespace("stop").await.unwrap();
    cluster.serve(&namespace, "web", &[8080]).await.unwrap();
    let sandbox = cluster.plane().unwrap().sandbox();
    let (folder, name) = (sandbox.folder().to_path_buf(), sandbox.name().to_owned());
    let groups = std::path::Path::new("/sys/fs/cgroup/memory").join(&name);
    println!("{}", Memory::of(sandbox));
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
