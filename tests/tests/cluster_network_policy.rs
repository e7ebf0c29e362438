//! The NetworkPolicy test double enforces what policies say, on real traffic between pods.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tests::cluster::Cluster;
use tests::cluster::network_policy::Enforcer;
use tests::eventually::Eventually;
use tokio::sync::OnceCell;

struct Bed {
    cluster: Arc<Cluster>,
    enforcer: Enforcer,
}

async fn bed() -> &'static Bed {
    static CLUSTER: OnceCell<Bed> = OnceCell::const_new();
    let start = async || {
        let cluster = Arc::new(Cluster::start_local().await.unwrap());
        let enforcer = Enforcer::start(&cluster).unwrap();
        Bed { cluster, enforcer }
    };
    CLUSTER.get_or_init(start).await
}

/// A namespace with a server on ports 8080, 8081 and 9000, and two clients.
struct Scene {
    bed: &'static Bed,
    namespace: String,
    server: SocketAddr,
    friend: SocketAddr,
    stranger: SocketAddr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Passes,
    Blocked,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Scene {
    async fn new(prefix: &str) -> Self {
        let bed = bed().await;
        let namespace = bed.cluster.restricted_namespace(prefix).await.unwrap();
        let serve = async |name: &str, ports: &[u16]| bed.cluster.serve(&namespace, name, ports).await.unwrap();
        let server = serve("server", &[8080, 8081, 9000]).await;
        let friend = serve("friend", &[8080]).await;
        let stranger = serve("stranger", &[8080]).await;
        Self { bed, namespace, server, friend, stranger }
    }

    async fn apply(&self, name: &str, spec: Value) {
        let policy = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name}, "spec": spec,
        });
        let path = format!("/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies/{name}", self.namespace);
        self.bed.cluster.api().apply(&path, &policy).await.unwrap();
    }

    /// Asks the client pod to fetch `url`, until the verdict is the expected one.
    async fn expect(&self, client: SocketAddr, url: &str, expected: Verdict) {
        let asked = format!("/fetch?u={url}");
        Eventually::new(format!("{url} {expected}"))
            .within(Duration::from_secs(20))
            .ok(async || match self.bed.cluster.fetch(client, &asked).await {
                Ok((200, _)) if expected == Verdict::Passes => Ok(()),
                Ok((502, why)) if expected == Verdict::Blocked && why.contains("deadline exceeded") => Ok(()),
                other => Err(format!("{other:?}; enforcer: {:?}", self.bed.enforcer.state())),
            })
            .await
            .unwrap();
    }

    async fn pod_address(&self, app: &str) -> String {
        let path = format!("/api/v1/namespaces/{}/pods?labelSelector=app={app}", self.namespace);
        let ip = self.bed.cluster.api().field(&path, "/items/0/status/podIP").await.unwrap();
        ip.as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn the_selected_client_passes_and_another_does_not_directly_and_through_the_service() {
    let scene = Scene::new("select").await;
    let through_service = format!("http://{}/", scene.server);
    let direct = format!("http://{}:8080/", scene.pod_address("server").await);
    scene.expect(scene.stranger, &through_service, Verdict::Passes).await;
    let spec = json!({
        "podSelector": {"matchLabels": {"app": "server"}},
        "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "friend"}}}]}],
    });
    scene.apply("friends", spec).await;
    for url in [through_service, direct] {
        scene.expect(scene.stranger, &url, Verdict::Blocked).await;
        scene.expect(scene.friend, &url, Verdict::Passes).await;
    }
}

#[tokio::test]
async fn a_hole_in_an_address_block_is_closed() {
    let scene = Scene::new("block").await;
    let url = format!("http://{}:8080/", scene.pod_address("server").await);
    let hole = format!("{}/32", scene.pod_address("stranger").await);
    let spec = json!({
        "podSelector": {"matchLabels": {"app": "server"}},
        "ingress": [{"from": [{"ipBlock": {"cidr": "10.202.0.0/24", "except": [hole]}}]}],
    });
    scene.apply("block", spec).await;
    scene.expect(scene.stranger, &url, Verdict::Blocked).await;
    scene.expect(scene.friend, &url, Verdict::Passes).await;
}

#[tokio::test]
async fn a_named_port_and_a_range_are_open_and_the_rest_is_closed() {
    let scene = Scene::new("ports").await;
    let server = scene.pod_address("server").await;
    let policy =
        |port: Value| json!({"podSelector": {"matchLabels": {"app": "server"}}, "ingress": [{"ports": [port]}]});
    scene.apply("ports", policy(json!({"port": "p9000"}))).await;
    scene.expect(scene.friend, &format!("http://{server}:8080/"), Verdict::Blocked).await;
    scene.expect(scene.friend, &format!("http://{server}:9000/"), Verdict::Passes).await;
    scene.apply("ports", policy(json!({"port": 8080, "endPort": 8081}))).await;
    scene.expect(scene.friend, &format!("http://{server}:9000/"), Verdict::Blocked).await;
    scene.expect(scene.friend, &format!("http://{server}:8081/"), Verdict::Passes).await;
}

#[tokio::test]
async fn egress_to_dns_and_a_public_block_leaves_the_api_server_out_of_reach() {
    let scene = Scene::new("egress").await;
    let sandbox = scene.bed.cluster.plane().unwrap().sandbox();
    for address in ["198.51.100.7/32", "198.51.100.8/32"] {
        assert!(sandbox.command("ip").args(["addr", "add", address, "dev", "node0"]).status().unwrap().success());
    }
    let listener = sandbox.listen(SocketAddr::from(([0, 0, 0, 0], 8443))).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let server =
        tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(async || "out")).await });
    // The probe shows any answer, also 401, as reached.
    scene.expect(scene.friend, "https://10.200.0.1:6443/readyz", Verdict::Passes).await;
    let spec = json!({
        "podSelector": {"matchLabels": {"app": "friend"}},
        "policyTypes": ["Egress"],
        "egress": [
            {"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
                     "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}],
             "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]},
            {"to": [{"ipBlock": {"cidr": "198.51.100.0/24", "except": ["198.51.100.8/32"]}}], "ports": [{"port": 8443}]},
        ],
    });
    scene.apply("egress", spec).await;
    scene.expect(scene.friend, "https://10.200.0.1:6443/readyz", Verdict::Blocked).await;
    scene.expect(scene.friend, "https://10.201.0.1:443/readyz", Verdict::Blocked).await;
    scene.expect(scene.friend, "http://198.51.100.7:8443/", Verdict::Passes).await;
    scene.expect(scene.friend, "http://198.51.100.8:8443/", Verdict::Blocked).await;
    let resolved =
        scene.bed.cluster.fetch(scene.friend, "/resolve?n=kubernetes.default.svc.cluster.local").await.unwrap();
    assert_eq!((resolved.0, resolved.1.trim()), (200, "10.201.0.1"));
    server.abort();
}
