//! The relay in a pod under the restricted Pod Security level answers with what the fake OTX in another pod knows:
//! through its Service, and through an Ingress with TLS.
//!
//! Its binary is that of `tests::binaries`: the shipped one, or what `cargo build -p threatrelay` left.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::Certificate;
use serde_json::{Value, json};
use tests::binaries;
use tests::cluster::pki::Authority;
use tests::cluster::workload::restricted_pod;
use tests::cluster::{Cluster, Image};
use tests::eventually::Eventually;
use tests::fake_otx::KEY;
use tests::issuer::{AUDIENCE, Issuer, claims};

/// An address of the bundled upstream's data.
const OBSERVABLES: &str = r#"[{"type": "ip", "value": "203.0.113.31"}]"#;

#[tokio::test]
async fn a_relay_pod_answers_from_the_fake_otx_in_another_pod_through_service_and_ingress() {
    let cluster = Cluster::start().await.unwrap();
    cluster.load(&Image::of_dynamic("fake-otx", env!("CARGO_BIN_EXE_fake-otx")).unwrap()).unwrap();
    cluster.load(&binaries::image("threatrelay").unwrap()).unwrap();
    let traefik = cluster.add_traefik().await.unwrap();
    let namespace = cluster.restricted_namespace("relay").await.unwrap();
    let issuer = Issuer::generate("cluster").unwrap();
    let authority = Authority::new("test").unwrap();
    let (certificate, key) = authority
        .certificate(&["relay.example"], ("relay.example", None), rcgen::ExtendedKeyUsagePurpose::ServerAuth)
        .unwrap();
    apply(&cluster, &namespace, objects(&issuer, &certificate, &key)).await;
    cluster.rolled_out(&namespace, "fake-otx").await.unwrap();
    cluster.rolled_out(&namespace, "relay").await.unwrap();

    let token = issuer.token(&claims(KEY, "visibility.amp.cisco.com")).unwrap();
    let service =
        cluster.api().field(&format!("/api/v1/namespaces/{namespace}/services/threatrelay"), "/spec/clusterIP").await;
    let service = SocketAddr::new(service.unwrap().as_str().unwrap().parse().unwrap(), 9090);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let direct = format!("http://{}", cluster.forward(service).unwrap());
    assert_eq!(sightings(&http, &direct, &token).await, ["203.0.113.31"]);

    let outside = cluster.forward(traefik.https).unwrap();
    let https = reqwest::Client::builder()
        .no_proxy()
        .resolve("relay.example", outside)
        .tls_certs_only([Certificate::from_pem(authority.pem.as_bytes()).unwrap()])
        .build()
        .unwrap();
    let through = format!("https://relay.example:{}", outside.port());
    assert_eq!(sightings(&https, &through, &token).await, ["203.0.113.31"]);
}

/// The observables of the sightings in the relay's answer, once there is one.
async fn sightings(http: &reqwest::Client, origin: &str, token: &str) -> Vec<String> {
    let answer = Eventually::new(format!("{origin} answers with data"))
        .within(Duration::from_secs(30))
        .ok(async || {
            let request = http.post(format!("{origin}/observe/observables")).bearer_auth(token);
            let request = request.header("content-type", "application/json").body(OBSERVABLES);
            let response = request.send().await.map_err(|error| format!("{error:?}"))?;
            let text = response.text().await.map_err(|error| format!("{error:?}"))?;
            let answer: Value = serde_json::from_str(&text).map_err(|_| text.clone())?;
            if answer["data"]["sightings"]["docs"].is_array() { Ok(answer) } else { Err(text) }
        })
        .await
        .unwrap();
    let docs = answer["data"]["sightings"]["docs"].as_array().unwrap();
    let mut values: Vec<_> =
        docs.iter().map(|doc| doc["observables"][0]["value"].as_str().unwrap().to_owned()).collect();
    values.sort();
    values.dedup();
    values
}

/// Path below the namespace's API, and the object.
fn objects(issuer: &Issuer, certificate: &str, key: &str) -> Vec<(&'static str, Value)> {
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
    relay["volumes"] = json!([{"name": "keys", "configMap": {"name": "keys"}}]);
    let jwks = serde_json::to_string(&issuer.jwks()).unwrap();
    let service = |app: &str, port: u16| json!({"spec": {"selector": {"app": app}, "ports": [{"port": port}]}});
    vec![
        ("api/v1 ConfigMap configmaps keys", json!({"data": {"jwks.json": jwks}})),
        (
            "api/v1 Secret secrets relay-tls",
            json!({"type": "kubernetes.io/tls", "stringData": {"tls.crt": certificate, "tls.key": key}}),
        ),
        ("apis/apps/v1 Deployment deployments fake-otx", deployment("fake-otx", &restricted_pod(fake))),
        ("api/v1 Service services fake-otx", service("fake-otx", 8000)),
        // Its name makes variables in the pod's environment that look like settings: THREATRELAY_PORT and others.
        ("api/v1 Service services threatrelay", service("relay", 9090)),
        ("apis/apps/v1 Deployment deployments relay", deployment("relay", &relay)),
        (
            "apis/networking.k8s.io/v1 Ingress ingresses relay",
            json!({"spec": {
                "ingressClassName": "traefik",
                "tls": [{"hosts": ["relay.example"], "secretName": "relay-tls"}],
                "rules": [{"host": "relay.example", "http": {"paths": [{
                    "path": "/", "pathType": "Prefix",
                    "backend": {"service": {"name": "threatrelay", "port": {"number": 9090}}},
                }]}}],
            }}),
        ),
    ]
}

fn deployment(app: &str, pod: &Value) -> Value {
    json!({"spec": {
        "replicas": 1,
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
