//! The cluster that all tests share, and what each has of its own: a namespace with a relay of one pod, whose state is
//! compared before and after. Pods and resource are looked at together, so that it is known how soon the resource tells what
//! the pods show.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::eventually::Eventually;
use tests::fake_otx::KEY;
use tests::operator::condition;
use tests::operator::installed::{ACCOUNT, SYSTEM};
use tests::operator::node::Installed;
use tests::traffic::Traffic;
use tokio::sync::OnceCell;

use super::images;

/// The longest that the resource may say nothing of what its pods show.
const TOLD: Duration = Duration::from_secs(30);
/// The longest that anything may take to come about on a busy machine.
const PATIENCE: Duration = Duration::from_secs(150);
/// The audience of the tests' tokens.
const AUDIENCE: &str = "https://otx.soc.example";

/// The kinds of children whose state is compared.
const KINDS: [(&str, &str); 6] = [
    ("api/v1", "serviceaccounts"),
    ("api/v1", "configmaps"),
    ("api/v1", "secrets"),
    ("api/v1", "services"),
    ("apis/apps/v1", "deployments"),
    ("apis/networking.k8s.io/v1", "networkpolicies"),
];

async fn bed() -> &'static Installed {
    static BED: OnceCell<Installed> = OnceCell::const_new();
    BED.get_or_init(async || {
        let folder = tempfile::tempdir().unwrap();
        Installed::start(&images::all(folder.path()), &["fake-otx:8000"]).await
    })
    .await
}

/// One test's relay.
pub(crate) struct Scene {
    bed: &'static Installed,
    namespace: String,
}

impl Scene {
    /// Makes a relay `otx` with this in its specification, and waits until it is ready and OTX accepts its key.
    pub(crate) async fn with(prefix: &str, changes: &Value) -> Self {
        let bed = bed().await;
        let scene = Self { bed, namespace: bed.cluster.restricted_namespace(prefix).await.unwrap() };
        scene.store_key().await;
        scene.serve_otx(&[]).await;
        let mut spec = json!({
            "replicas": 1,
            "upstream": {"baseUrl": "http://fake-otx:8000"},
            "auth": {"audiences": [AUDIENCE], "jwks": serde_json::to_string(&bed.issuer.jwks()).unwrap()},
            "credentials": {"default": {"secretRef": {"name": "otx"}}},
        });
        for (section, change) in changes.as_object().unwrap() {
            spec[section] = change.clone();
        }
        let relay = json!({
            "apiVersion": "threatrelay.dev/v1alpha1", "kind": "ThreatRelay", "metadata": {"name": "otx"}, "spec": spec,
        });
        bed.cluster.api().apply(&scene.relay(), &relay).await.unwrap();
        scene.becomes("Ready", "True/Reconciled").await;
        scene.becomes("UpstreamReachable", "True/OtxReachable").await;
        scene
    }

    fn path(&self, group: &str, resource: &str, name: &str) -> String {
        format!("/{group}/namespaces/{}/{resource}/{name}", self.namespace)
    }

    fn relay(&self) -> String {
        self.path("apis/threatrelay.dev/v1alpha1", "threatrelays", "otx")
    }

    /// Changes the resource's specification.
    pub(crate) async fn change(&self, spec: &Value) {
        self.bed.cluster.api().merge(&self.relay(), &json!({"spec": spec})).await.unwrap();
    }

    /// Puts the OTX key into the user's Secret.
    pub(crate) async fn store_key(&self) {
        self.bed.store_key(&self.namespace, KEY).await;
    }

    /// Deletes the user's Secret.
    pub(crate) async fn lose_key(&self) {
        self.bed.cluster.api().delete(&self.path("api/v1", "secrets", "otx")).await.unwrap();
    }

    /// Runs OTX with these faults from now on.
    pub(crate) async fn serve_otx(&self, arguments: &[&str]) {
        self.bed.serve_otx(&self.namespace, arguments).await;
    }

    /// A caller who asks the relay's Service all the time, from the first answer on.
    pub(crate) async fn traffic(&self) -> Traffic {
        let service = self.path("api/v1", "services", "otx");
        let address = self.bed.cluster.api().field(&service, "/spec/clusterIP").await.unwrap();
        let inside = SocketAddr::new(address.as_str().unwrap().parse().unwrap(), 9090);
        let origin = format!("http://{}", self.bed.cluster.forward(inside).unwrap());
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        let ask = self.bed.ask(http, &origin, AUDIENCE);
        // A node may learn of a ready pod later than the API does.
        self.until("the relay's Service answers", TOLD, async || ask().await.map(drop)).await;
        Traffic::start(1, Duration::from_millis(200), move || {
            let asked = ask();
            async move { asked.await.map(drop) }
        })
    }

    /// The relay's pods.
    pub(crate) async fn pods(&self) -> Vec<Value> {
        self.of_relay("api/v1", "pods").await
    }

    /// Names of the relay's pods, and how often each was restarted.
    pub(crate) async fn restarts(&self) -> BTreeMap<String, u64> {
        let pods = self.pods().await.into_iter().map(|pod| {
            let restarts = pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or_default();
            (pod["metadata"]["name"].as_str().unwrap().to_owned(), restarts)
        });
        pods.collect()
    }

    /// Waits until these are the relay's pods.
    pub(crate) async fn pods_become(&self, what: &str, is_it: impl Fn(&BTreeMap<String, u64>) -> bool) {
        let seen = async || {
            let now = self.restarts().await;
            if is_it(&now) { Ok(()) } else { Err(format!("{now:?}")) }
        };
        self.until(&format!("pods are {what}"), PATIENCE, seen).await;
    }

    async fn of_relay(&self, group: &str, resource: &str) -> Vec<Value> {
        let path = self.path(group, resource, "?labelSelector=app.kubernetes.io%2Finstance%3Dotx").replace("/?", "?");
        let mut list = self.bed.cluster.api().get(&path).await.unwrap();
        list["items"].as_array_mut().unwrap().drain(..).collect()
    }

    /// All that the operator made and says, without times and counters.
    pub(crate) async fn state(&self) -> Value {
        let mut all = json!({});
        for (group, resource) in KINDS {
            all[resource] = self.of_relay(group, resource).await.into_iter().map(lasting).collect();
        }
        let relay = self.bed.cluster.api().get(&self.relay()).await.unwrap();
        all["spec"] = relay["spec"].clone();
        let mut status = relay["status"].clone();
        for counter in ["lastCheck", "observedGeneration"] {
            status.as_object_mut().unwrap().remove(counter);
        }
        for condition in status["conditions"].as_array_mut().unwrap() {
            for counter in ["lastTransitionTime", "observedGeneration"] {
                condition.as_object_mut().unwrap().remove(counter);
            }
        }
        all["status"] = status;
        all
    }

    /// Waits until the state is again as it was.
    pub(crate) async fn is_again(&self, before: &Value) {
        let seen = async || {
            let now = self.state().await;
            if now == *before { Ok(()) } else { Err(format!("{now:#}\nand before\n{before:#}")) }
        };
        self.until("all is again as it was", PATIENCE, seen).await;
    }

    /// Waits until the resource says of itself what the first pod shows that fits `sign`: condition, status and reason.
    /// Gives the condition's message.
    pub(crate) async fn is_told(&self, sign: impl Fn(&Value) -> bool, type_: &str, expected: &str) -> String {
        let mut shown = None;
        let message = self
            .until(&format!("{type_} is {expected}"), PATIENCE, async || {
                let pods = self.pods().await;
                if shown.is_none() && pods.iter().any(&sign) {
                    shown = Some(Instant::now());
                }
                let relay = self.bed.cluster.api().get(&self.relay()).await.unwrap();
                let containers =
                    pods.iter().map(|pod| pod["status"]["containerStatuses"].to_string()).collect::<String>();
                let late = shown.is_some_and(|shown| shown.elapsed() > TOLD);
                assert!(!late, "what pods show for {TOLD:?} is not told: {containers}\n{}", relay["status"]);
                if condition(&relay, type_) == expected { Ok(message(&relay, type_)) } else { Err(containers) }
            })
            .await;
        let after = shown.map_or(Duration::ZERO, |shown| shown.elapsed());
        println!("{}: {type_} is {expected} after {:.1} s: {message}", self.namespace, after.as_secs_f64());
        message
    }

    /// Waits until a condition is so, for the present generation.
    pub(crate) async fn becomes(&self, type_: &str, expected: &str) -> String {
        let begun = Instant::now();
        let seen = async || {
            let relay = self.bed.cluster.api().get(&self.relay()).await.unwrap();
            let is_current = relay["status"]["observedGeneration"] == relay["metadata"]["generation"];
            let is_so = is_current && condition(&relay, type_) == expected;
            if is_so { Ok(message(&relay, type_)) } else { Err(relay["status"].to_string()) }
        };
        let message = self.until(&format!("{type_} is {expected}"), PATIENCE, seen).await;
        println!("{}: {type_} is {expected} after {:.1} s", self.namespace, begun.elapsed().as_secs_f64());
        message
    }

    /// What a condition is now.
    pub(crate) async fn condition(&self, type_: &str) -> String {
        condition(&self.bed.cluster.api().get(&self.relay()).await.unwrap(), type_)
    }

    /// Waits; a failure shows pods, events and the end of the operator's log.
    pub(crate) async fn until<T>(
        &self,
        what: &str,
        limit: Duration,
        look: impl AsyncFnMut() -> Result<T, String>,
    ) -> T {
        match Eventually::new(what).within(limit).every(Duration::from_millis(250)).ok(look).await {
            Ok(value) => value,
            Err(error) => {
                let kubectl = |arguments: &[&str]| self.bed.cluster.kubectl(arguments).unwrap_or_default();
                let pods = kubectl(&["get", "pods,events", "--namespace", &self.namespace]);
                let log = kubectl(&["logs", "--namespace", SYSTEM, &format!("deployment/{ACCOUNT}"), "--tail=40"]);
                panic!("{}: {error}\n{pods}\n{log}", self.namespace)
            }
        }
    }
}

fn message(relay: &Value, type_: &str) -> String {
    let conditions = relay["status"]["conditions"].as_array();
    let found = conditions.into_iter().flatten().find(|condition| condition["type"] == type_);
    found.and_then(|found| found["message"].as_str()).unwrap_or_default().to_owned()
}

/// What lasts of an object: whose it is and what is wanted of it.
fn lasting(mut object: Value) -> Value {
    object.as_object_mut().unwrap().remove("status");
    let kept = ["name", "uid", "labels", "annotations", "ownerReferences"];
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.retain(|field, _| kept.contains(&field.as_str()));
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove("deployment.kubernetes.io/revision");
    }
    object
}
