//! The cluster with the operator in it, which all tests share, and what each has of its own: a namespace with a fake OTX
//! and a relay that the operator made of a `ThreatRelay`.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::Certificate;
use serde_json::{Value, json};
use tests::cluster::pki::Authority;
use tests::cluster::{Cluster, Traefik};
use tests::eventually::Eventually;
use tests::fake_otx::KEY;
use tests::operator::node::{Asked, Installed};
use tests::readme::blocks;
use tests::traffic::Traffic;
use tokio::sync::OnceCell;

pub(crate) const OPERATOR: &str = "/apis/apps/v1/namespaces/threatrelay-system/deployments/threatrelay-operator";

/// What all tests share.
pub(crate) struct Bed {
    installed: Installed,
    traefik: Traefik,
    authority: Authority,
}

pub(crate) async fn bed() -> &'static Bed {
    static BED: OnceCell<Bed> = OnceCell::const_new();
    BED.get_or_init(Bed::new).await
}

impl Bed {
    async fn new() -> Self {
        let installed = Installed::start(&[], &["fake-otx:8000"]).await;
        let traefik = installed.cluster.add_traefik().await.unwrap();
        Self { installed, traefik, authority: Authority::new("test").unwrap() }
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.installed.cluster
    }
}

/// What a user writes, as the README says.
fn example() -> String {
    let mut relays = blocks().into_iter().filter(|block| block.text.contains("kind: ThreatRelay"));
    relays.next().unwrap().text
}

/// One test's relay.
pub(crate) struct Scene {
    pub(crate) bed: &'static Bed,
    pub(crate) namespace: String,
    /// Names of everything in the namespace before the relay.
    before: Vec<String>,
    host: String,
}

impl Scene {
    /// Applies the example, with `changes` to it, and waits until the relay is ready.
    pub(crate) async fn with(prefix: &str, changes: Value) -> Self {
        let bed = bed().await;
        let namespace = bed.cluster().restricted_namespace(prefix).await.unwrap();
        let scene = Self { bed, host: format!("{namespace}.soc.example"), before: Vec::new(), namespace };
        scene.prepare().await;
        let scene = Self { before: scene.names(), ..scene };
        let mut spec = json!({
            "upstream": {"baseUrl": "http://fake-otx:8000"},
            "auth": {"audiences": [scene.audience()], "jwks": serde_json::to_string(&bed.installed.issuer.jwks()).unwrap()},
            "ingress": {"host": scene.host, "tls": {"secretName": "relay-tls"}},
            // So that every request asks OTX, and shows whose key it takes.
            "cache": {"enabled": false},
        });
        for (section, change) in changes.as_object().unwrap() {
            spec[section] = change.clone();
        }
        let folder = tempfile::tempdir().unwrap();
        let (file, patched) = (folder.path().join("example.yaml"), folder.path().join("relay.yaml"));
        fs::write(&file, example()).unwrap();
        let (patch, file) = (json!({"spec": spec}).to_string(), file.display().to_string());
        let text =
            scene.kubectl(&["patch", "--local", "-f", &file, "--type=merge", "--patch", &patch, "--output=yaml"]);
        fs::write(&patched, text).unwrap();
        scene.kubectl(&["apply", "-f", &patched.display().to_string()]);
        scene.ready();
        scene
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.bed.cluster().kubectl(&[&["--namespace", &self.namespace], arguments].concat()).unwrap()
    }

    /// Waits as a user does, and says more than a user sees when it takes too long.
    pub(crate) fn ready(&self) {
        let wait = ["wait", "--for=condition=Ready", "threatrelay/otx", "--timeout=90s"];
        let waited = self.bed.cluster().kubectl(&[&["--namespace", &self.namespace][..], &wait].concat());
        if let Err(error) = waited {
            let status = self.kubectl(&["get", "threatrelay", "otx", "--output=yaml"]);
            let pods = self.kubectl(&["get", "pods,events"]);
            let log = ["logs", "--namespace=threatrelay-system", "deployment/threatrelay-operator", "--tail=30"];
            panic!("{error}\n{status}\n{pods}\n{}", self.bed.cluster().kubectl(&log).unwrap_or_default());
        }
    }

    /// Changes the resource's specification.
    pub(crate) async fn change(&self, spec: Value) {
        let path = self.path("apis/threatrelay.dev/v1alpha1", "threatrelays", "otx");
        self.bed.cluster().api().merge(&path, &json!({"spec": spec})).await.unwrap();
    }

    pub(crate) fn path(&self, group: &str, resource: &str, name: &str) -> String {
        format!("/{group}/namespaces/{}/{resource}/{name}", self.namespace)
    }

    fn audience(&self) -> String {
        format!("https://{}", self.host)
    }

    /// What is there before the relay: the fake OTX, its key, a certificate for the Ingress.
    async fn prepare(&self) {
        let server = rcgen::ExtendedKeyUsagePurpose::ServerAuth;
        let (certificate, key) = self.bed.authority.certificate(&[&self.host], (&self.host, None), server).unwrap();
        let tls = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "relay-tls"}, "type": "kubernetes.io/tls",
            "stringData": {"tls.crt": certificate, "tls.key": key},
        });
        self.bed.cluster().api().apply(&self.path("api/v1", "secrets", "relay-tls"), &tls).await.unwrap();
        self.store_key(KEY).await;
        self.bed.installed.serve_otx(&self.namespace, &[]).await;
    }

    /// Puts an OTX key into the user's Secret.
    pub(crate) async fn store_key(&self, key: &str) {
        self.bed.installed.store_key(&self.namespace, key).await;
    }

    /// One question over TLS to the Ingress's host; succeeds with the observables of the sightings.
    pub(crate) fn ask(&self) -> impl Fn() -> Asked + Clone + Send + 'static {
        let outside = self.bed.cluster().forward(self.bed.traefik.https).unwrap();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(20))
            .resolve(&self.host, outside)
            .tls_certs_only([Certificate::from_pem(self.bed.authority.pem.as_bytes()).unwrap()])
            .build()
            .unwrap();
        let origin = format!("https://{}:{}", self.host, outside.port());
        self.bed.installed.ask(http, &origin, &self.audience())
    }

    /// Callers who ask all the time.
    pub(crate) fn traffic(&self, callers: usize, pause: Duration) -> Traffic {
        let ask = self.ask();
        Traffic::start(callers, pause, move || {
            let asked = ask();
            async move { asked.await.map(drop) }
        })
    }

    /// Calls of the fake OTX by whose key they carried; none of them is counted again.
    pub(crate) async fn take_calls_by_key(&self) -> BTreeMap<String, u64> {
        let path = self.path("api/v1", "services", "fake-otx");
        let service = self.bed.cluster().api().field(&path, "/spec/clusterIP").await.unwrap();
        let inside = SocketAddr::new(service.as_str().unwrap().parse().unwrap(), 8000);
        let url = format!("http://{}/-/calls", self.bed.cluster().forward(inside).unwrap());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let text = http.get(&url).send().await.unwrap().text().await.unwrap();
        http.post(&url).send().await.unwrap();
        let calls: Value = serde_json::from_str(&text).unwrap();
        serde_json::from_value(calls["by_key"].clone()).unwrap()
    }

    /// The relay's pods, those that are ending included: name, and how often each was restarted.
    pub(crate) async fn pods(&self) -> BTreeMap<String, u64> {
        let selector = "app.kubernetes.io%2Finstance%3Dotx";
        let path = format!("/api/v1/namespaces/{}/pods?labelSelector={selector}", self.namespace);
        let list = self.bed.cluster().api().get(&path).await.unwrap();
        let pods = list["items"].as_array().unwrap().iter();
        pods.map(|pod| {
            let restarts = pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or_default();
            (pod["metadata"]["name"].as_str().unwrap().to_owned(), restarts)
        })
        .collect()
    }

    /// Names of everything that has come since before the relay, as kubectl writes them.
    pub(crate) fn added(&self) -> Vec<String> {
        self.names().into_iter().filter(|name| !self.before.contains(name)).collect()
    }

    fn names(&self) -> Vec<String> {
        let all = self.kubectl(&["api-resources", "--namespaced", "--verbs=list", "--output=name"]);
        let kinds: Vec<_> =
            all.lines().filter(|kind| !kind.starts_with("events") && !kind.contains("metrics")).collect();
        let list = self.kubectl(&["get", &kinds.join(","), "--output=name", "--ignore-not-found"]);
        list.lines().map(str::to_owned).collect()
    }

    /// Waits until a look at the cluster has `what` come true.
    pub(crate) async fn until<T: std::fmt::Debug>(
        &self,
        what: &str,
        look: impl AsyncFnMut() -> T,
        is_it: impl Fn(&T) -> bool,
    ) -> T {
        Eventually::new(what).within(Duration::from_secs(90)).matches(look, is_it).await.unwrap()
    }
}
