//! The operator on a cluster with nodes, in a pod with no right but its own, and what a relay needs there: an OTX to ask, a
//! key for it, and somebody who asks the relay.

use std::fs;
use std::pin::Pin;

use serde_json::{Value, json};

use super::installed::{ACCOUNT, SYSTEM, installed, list};
use crate::binaries;
use crate::cluster::workload::restricted_pod;
use crate::cluster::{Cluster, Image};
use crate::issuer::{Issuer, claims};

/// An address of the bundled upstream's data.
const OBSERVABLES: &str = r#"[{"type": "ip", "value": "203.0.113.31"}]"#;

/// A question under way: the observables of the sightings, or what was answered instead.
pub type Asked = Pin<Box<dyn Future<Output = Result<Vec<String>, String>> + Send>>;

/// A cluster with the operator in it.
pub struct Installed {
    /// The cluster; its node has the images of the relay, of the operator and of the fake OTX.
    pub cluster: Cluster,
    /// Whose tokens relays are to accept.
    pub issuer: Issuer,
}

impl Installed {
    /// Starts a cluster whose node has `more` images beside, and installs the operator as its chart does. Relays may send
    /// their keys to `destinations`.
    ///
    /// # Panics
    /// When a step fails.
    pub async fn start(more: &[Image], destinations: &[&str]) -> Self {
        let cluster = Cluster::start().await.expect("a cluster");
        let (relay, operator) = (binaries::image("threatrelay"), binaries::image("threatrelay-operator"));
        let ours = [binaries::fake_otx(), relay, operator].map(|image| image.expect("an image"));
        for image in ours.iter().chain(more) {
            cluster.load(image).expect("a loaded image");
        }
        let image = |name: &str| {
            json!({
                "registry": "docker.io", "repository": format!("library/{name}"), "tag": "local", "pullPolicy": "Never",
            })
        };
        let values = json!({
            "image": image("threatrelay-operator"),
            "relay": {"image": image("threatrelay"), "allowedDestinations": destinations},
        });
        let issuer = Issuer::generate("cluster").expect("an issuer");
        let all = Self { cluster, issuer };
        all.apply(&list(&installed(&values)));
        all.cluster.rolled_out(SYSTEM, ACCOUNT).await.expect("a running operator");
        all
    }

    /// Applies a text, as `kubectl apply -f -` would.
    ///
    /// # Panics
    /// When it is refused.
    pub fn apply(&self, text: &str) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), text).expect("a file");
        self.cluster.apply(file.path()).expect("applied objects");
    }

    /// Runs the fake OTX in a namespace, with these arguments, as the Service `fake-otx` at port 8000, and waits for it.
    ///
    /// # Panics
    /// When it does not run.
    pub async fn serve_otx(&self, namespace: &str, arguments: &[&str]) {
        let arguments = [&["--listen", "0.0.0.0:8000"], arguments].concat();
        let container = json!({
            "name": "fake-otx", "image": "docker.io/library/fake-otx:local", "args": arguments,
            "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1},
        });
        let labels = json!({"app": "fake-otx"});
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "fake-otx"},
            "spec": {
                "replicas": 1, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": restricted_pod(container)},
            },
        });
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "fake-otx"},
            "spec": {"selector": labels, "ports": [{"port": 8000}]},
        });
        let api = self.cluster.api();
        let path = |group: &str, resource: &str| format!("/{group}/namespaces/{namespace}/{resource}/fake-otx");
        api.apply(&path("apis/apps/v1", "deployments"), &deployment).await.expect("the fake OTX");
        api.apply(&path("api/v1", "services"), &service).await.expect("its Service");
        self.cluster.rolled_out(namespace, "fake-otx").await.expect("a running fake OTX");
    }

    /// Puts an OTX key into a user's Secret `otx`.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn store_key(&self, namespace: &str, key: &str) {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "otx"}, "stringData": {"api-key": key},
        });
        let path = format!("/api/v1/namespaces/{namespace}/secrets/otx");
        self.cluster.api().apply(&path, &secret).await.expect("a Secret");
    }

    /// One question to the relay at this origin, with a token for this audience.
    ///
    /// # Panics
    /// When no token can be made.
    pub fn ask(
        &self,
        http: reqwest::Client,
        origin: &str,
        audience: &str,
    ) -> impl Fn() -> Asked + Clone + Send + use<> + 'static {
        let mut claims = claims("", "visibility.amp.cisco.com");
        claims["aud"] = audience.into();
        claims.as_object_mut().expect("claims").remove("key");
        let (token, url) = (self.issuer.token(&claims).expect("a token"), format!("{origin}/observe/observables"));
        move || {
            let request = http.post(&url).bearer_auth(&token).header("content-type", "application/json");
            Box::pin(answered(request.body(OBSERVABLES)))
        }
    }
}

async fn answered(request: reqwest::RequestBuilder) -> Result<Vec<String>, String> {
    let response = request.send().await.map_err(|error| format!("{error:?}"))?;
    let (status, text) = (response.status(), response.text().await.map_err(|error| format!("{error:?}"))?);
    let answer: Value = serde_json::from_str(&text).map_err(|_| format!("{status} {text}"))?;
    let docs = answer["data"]["sightings"]["docs"].as_array().filter(|_| answer["errors"].is_null());
    let docs = docs.ok_or_else(|| format!("{status} {text}"))?;
    let mut values: Vec<_> =
        docs.iter().filter_map(|doc| Some(doc["observables"][0]["value"].as_str()?.to_owned())).collect();
    values.sort();
    values.dedup();
    Ok(values)
}
