//! The relay in a pod under the restricted Pod Security level answers with what the fake OTX in another pod knows:
//! through its Service, and through an Ingress with TLS.
//!
//! Its binary is that of `tests::binaries`: the shipped one, or this profile's.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Certificate, Client};
use serde_json::{Value, json};
use tests::binaries;
use tests::cluster::pki::Authority;
use tests::cluster::workload::restricted_pod;
use tests::cluster::{Cluster, Image, Traefik};
use tests::eventually::Eventually;
use tests::fake_otx::KEY;
use tests::issuer::{AUDIENCE, Issuer, claims};
use tests::traffic::Traffic;
use tokio::sync::OnceCell;

/// An address of the bundled upstream's data.
const OBSERVABLES: &str = r#"[{"type": "ip", "value": "203.0.113.31"}]"#;

#[tokio::test]
async fn a_relay_pod_answers_from_the_fake_otx_in_another_pod_through_service_and_ingress() {
    let scene = Scene::new("relay", 1).await;
    let service = scene.service().await;
    assert_eq!(sightings(&new_connections(), &service, &scene.token).await, ["203.0.113.31"]);
    let (https, through) = scene.through_ingress();
    assert_eq!(sightings(&https, &through, &scene.token).await, ["203.0.113.31"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_of_relay_pods_fails_no_request_through_service_or_ingress() {
    let scene = Scene::new("rollout", 2).await;
    let (direct, service) = (new_connections(), scene.service().await);
    let (https, through) = scene.through_ingress();
    for (http, origin) in [(&direct, &service), (&https, &through)] {
        sightings(http, origin, &scene.token).await;
    }
    let traffic = [(direct, service), (https, through)].map(|(http, origin)| {
        let token = scene.token.clone();
        Traffic::start(2, Duration::from_millis(20), move || {
            let (http, origin, token) = (http.clone(), origin.clone(), token.clone());
            async move { ask(&http, &origin, &token).await.map(drop) }
        })
    });
    let change = json!({"spec": {"template": {"metadata": {"annotations": {"changed": "once"}}}}});
    let path = format!("/apis/apps/v1/namespaces/{}/deployments/relay", scene.namespace);
    scene.bed.cluster.api().merge(&path, &change).await.unwrap();
    scene.bed.cluster.rolled_out(&scene.namespace, "relay").await.unwrap();
    // Those of before are ending then.
    let pods = format!("/api/v1/namespaces/{}/pods?labelSelector=app%3Drelay", scene.namespace);
    let count = async || scene.bed.cluster.api().field(&pods, "/items").await.unwrap().as_array().unwrap().len();
    let gone = Eventually::new("only the new pods are left").within(Duration::from_mins(1));
    gone.matches(count, |count| *count == 2).await.unwrap();
    for (traffic, through) in traffic.into_iter().zip(["Service", "Ingress"]) {
        let tally = traffic.stop().await;
        println!("{through}: {tally}");
        assert!(tally.failures.is_empty() && tally.answered > 20, "{through}: {tally}");
    }
}

struct Bed {
    cluster: Cluster,
    traefik: Traefik,
}

async fn bed() -> &'static Bed {
    static BED: OnceCell<Bed> = OnceCell::const_new();
    let start = async || {
        let cluster = Cluster::start().await.unwrap();
        cluster.load(&Image::of_dynamic("fake-otx", env!("CARGO_BIN_EXE_fake-otx")).unwrap()).unwrap();
        cluster.load(&binaries::image("threatrelay").unwrap()).unwrap();
        let traefik = cluster.add_traefik().await.unwrap();
        Bed { cluster, traefik }
    };
    BED.get_or_init(start).await
}

/// A namespace with a fake OTX, and a relay behind a Service and an Ingress.
struct Scene {
    bed: &'static Bed,
    namespace: String,
    host: String,
    authority: Authority,
    token: String,
}

impl Scene {
    async fn new(prefix: &str, replicas: u8) -> Self {
        let bed = bed().await;
        let namespace = bed.cluster.restricted_namespace(prefix).await.unwrap();
        let issuer = Issuer::generate("cluster").unwrap();
        let authority = Authority::new("test").unwrap();
        let host = format!("{prefix}.example");
        let purpose = rcgen::ExtendedKeyUsagePurpose::ServerAuth;
        let (certificate, key) = authority.certificate(&[&host], (&host, None), purpose).unwrap();
        apply(&bed.cluster, &namespace, objects(&issuer, (&certificate, &key), &host, replicas)).await;
        bed.cluster.rolled_out(&namespace, "fake-otx").await.unwrap();
        bed.cluster.rolled_out(&namespace, "relay").await.unwrap();
        let token = issuer.token(&claims(KEY, "visibility.amp.cisco.com")).unwrap();
        Self { bed, namespace, host, authority, token }
    }

    /// Origin of the Service.
    async fn service(&self) -> String {
        let path = format!("/api/v1/namespaces/{}/services/threatrelay", self.namespace);
        let address = self.bed.cluster.api().field(&path, "/spec/clusterIP").await.unwrap();
        let address = SocketAddr::new(address.as_str().unwrap().parse().unwrap(), 9090);
        format!("http://{}", self.bed.cluster.forward(address).unwrap())
    }

    /// A client of the Ingress's host, and its origin.
    fn through_ingress(&self) -> (Client, String) {
        let outside = self.bed.cluster.forward(self.bed.traefik.https).unwrap();
        let https = Client::builder()
            .no_proxy()
            .resolve(&self.host, outside)
            .tls_certs_only([Certificate::from_pem(self.authority.pem.as_bytes()).unwrap()])
            .build()
            .unwrap();
        (https, format!("https://{}:{}", self.host, outside.port()))
    }
}

/// A client whose every request is a connection of its own, for which the Service chooses a pod.
fn new_connections() -> Client {
    Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap()
}

async fn ask(http: &Client, origin: &str, token: &str) -> Result<Value, String> {
    let request = http.post(format!("{origin}/observe/observables")).bearer_auth(token);
    let request = request.header("content-type", "application/json").body(OBSERVABLES);
    let response = request.send().await.map_err(|error| format!("{error:?}"))?;
    let text = response.text().await.map_err(|error| format!("{error:?}"))?;
    let answer: Value = serde_json::from_str(&text).map_err(|_| text.clone())?;
    if answer["data"]["sightings"]["docs"].is_array() { Ok(answer) } else { Err(text) }
}

/// The observables of the sightings in the relay's answer, once there is one.
async fn sightings(http: &Client, origin: &str, token: &str) -> Vec<String> {
    let answer = Eventually::new(format!("{origin} answers with data")).within(Duration::from_secs(30));
    let answer = answer.ok(async || ask(http, origin, token).await).await.unwrap();
    let docs = answer["data"]["sightings"]["docs"].as_array().unwrap();
    let mut values: Vec<_> =
        docs.iter().map(|doc| doc["observables"][0]["value"].as_str().unwrap().to_owned()).collect();
    values.sort();
    values.dedup();
    values
}

/// Path below the namespace's API, and the object.
fn objects(
    issuer: &Issuer,
    (certificate, key): (&str, &str),
    host: &str,
    replicas: u8,
) -> Vec<(&'static str, Value)> {
    let fake = json!({
        "name": "fake-otx", "image": "docker.io/library/fake-otx:local", "args": ["--listen", "0.0.0.0:8000"],
        "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1},
    });
    let mut relay = restricted_pod(json!({
        "name": "relay", "image": "docker.io/library/threatrelay:local", "args": ["serve"],
        "env": [
            {"name": "THREATRELAY_OTX_BASE_URL", "value": "http://fake-otx:8000"},
            {"name": "THREATRELAY_AUTH_AUDIENCES", "value": AUDIENCE},
            {"name": "THREATRELAY_AUTH_JWKS_FILE", "value": "/etc/threatrelay/jwks.json"},
        ],
        "volumeMounts": [{"name": "keys", "mountPath": "/etc/threatrelay", "readOnly": true}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 9091}, "periodSeconds": 1},
    }));
    relay["terminationGracePeriodSeconds"] = 40.into();
    relay["volumes"] = json!([{"name": "keys", "configMap": {"name": "keys"}}]);
    let jwks = serde_json::to_string(&issuer.jwks()).unwrap();
    let service = |app: &str, port: u16| json!({"spec": {"selector": {"app": app}, "ports": [{"port": port}]}});
    vec![
        ("api/v1 ConfigMap configmaps keys", json!({"data": {"jwks.json": jwks}})),
        (
            "api/v1 Secret secrets relay-tls",
            json!({"type": "kubernetes.io/tls", "stringData": {"tls.crt": certificate, "tls.key": key}}),
        ),
        ("apis/apps/v1 Deployment deployments fake-otx", deployment("fake-otx", 1, &restricted_pod(fake))),
        ("api/v1 Service services fake-otx", service("fake-otx", 8000)),
        // Its name makes variables in the pod's environment that look like settings: THREATRELAY_PORT and others.
        ("api/v1 Service services threatrelay", service("relay", 9090)),
        ("apis/apps/v1 Deployment deployments relay", deployment("relay", replicas, &relay)),
        (
            "apis/networking.k8s.io/v1 Ingress ingresses relay",
            json!({"spec": {
                "ingressClassName": "traefik",
                "tls": [{"hosts": [host], "secretName": "relay-tls"}],
                "rules": [{"host": host, "http": {"paths": [{
                    "path": "/", "pathType": "Prefix",
                    "backend": {"service": {"name": "threatrelay", "port": {"number": 9090}}},
                }]}}],
            }}),
        ),
    ]
}

fn deployment(app: &str, replicas: u8, pod: &Value) -> Value {
    json!({"spec": {
        "replicas": replicas,
        "strategy": {"rollingUpdate": {"maxUnavailable": 0}},
        "selector": {"matchLabels": {"app": app}},
        "template": {"metadata": {"labels": {"app": app}}, "spec": pod},
    }})
}

async fn apply(cluster: &Cluster, namespace: &str, objects: Vec<(&'static str, Value)>) {
    for (what, mut object) in objects {
        let words: Vec<_> = what.split(' ').collect();
        let [group, kind, resource, name] = words[..] else { unreachable!("{what}") };
        object["apiVersion"] = group.split_once('/').unwrap().1.into();
        object["kind"] = kind.into();
        object["metadata"] = json!({"name": name});
        cluster.api().apply(&format!("/{group}/namespaces/{namespace}/{resource}/{name}"), &object).await.unwrap();
    }
}
