//! The cluster of the suite, whose node has the images of two releases, and one installation in a namespace of its own.
//! One test has the cluster at a time: an operator works in all namespaces.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tests::binaries;
use tests::chart::helm::Helm;
use tests::cluster::Cluster;
use tests::eventually::Eventually;
use tests::fake_otx::KEY;
use tokio::sync::{Mutex, OnceCell};

pub(crate) const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/threatrelay-operator");
pub(crate) const RELAY_CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/threatrelay");
pub(crate) const RELEASED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/install_lifecycle/threatrelay-operator-0.0.9.tgz");

/// What all tests share, one after the other.
pub(crate) async fn bed() -> &'static Mutex<Cluster> {
    static BED: OnceCell<Mutex<Cluster>> = OnceCell::const_new();
    BED.get_or_init(async || {
        let cluster = Cluster::start().await.unwrap();
        for name in binaries::published() {
            let image = binaries::stand_in(name).unwrap();
            cluster.load(&image).unwrap();
            cluster.load(&image.called(name.replace("0.1.0", "0.0.9"))).unwrap();
        }
        Mutex::new(cluster)
    })
    .await
}

/// One installation.
pub(crate) struct Scene<'a> {
    cluster: &'a Cluster,
    helm: Helm,
    namespace: String,
}

impl<'a> Scene<'a> {
    pub(crate) async fn new(cluster: &'a Cluster, helm: &str) -> Self {
        let helm = Helm::named(helm).unwrap().with_cluster(cluster.kubeconfig());
        let scene = Self { cluster, helm, namespace: cluster.restricted_namespace("install").await.unwrap() };
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "otx"}, "stringData": {"api-key": KEY},
        });
        cluster.api().apply(&scene.path("api/v1", "secrets", "otx"), &secret).await.unwrap();
        scene
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Runs Helm in the namespace.
    pub(crate) fn helm(&self, arguments: &[&str]) {
        let done = self.helm.run(&[arguments, &["--namespace", &self.namespace]].concat());
        if let Err(error) = &done {
            let pods = self.cluster.kubectl(&["get", "pods,events", "--namespace", &self.namespace]);
            assert!(done.is_ok(), "{arguments:?}: {error}\n{}", pods.unwrap_or_default());
        }
    }

    fn path(&self, group: &str, resource: &str, name: &str) -> String {
        format!("/{group}/namespaces/{}/{resource}/{name}", self.namespace)
    }

    fn relay(&self) -> String {
        self.path("apis/threatrelay.dev/v1alpha1", "threatrelays", "otx")
    }

    pub(crate) async fn operator_image(&self, release: &str) -> Value {
        let path = self.path("apis/apps/v1", "deployments", &format!("{release}-threatrelay-operator"));
        self.cluster.api().field(&path, "/spec/template/spec/containers/0/image").await.unwrap()
    }

    pub(crate) async fn create_relay(&self) {
        let relay = json!({
            "apiVersion": "threatrelay.dev/v1alpha1", "kind": "ThreatRelay", "metadata": {"name": "otx"},
            "spec": {
                "auth": {"audiences": ["https://otx.soc.example"]},
                "credentials": {"default": {"secretRef": {"name": "otx"}}},
            },
        });
        self.cluster.api().apply(&self.relay(), &relay).await.unwrap();
    }

    /// Makes a relay and waits until it is ready.
    pub(crate) async fn apply_relay(&self) {
        self.create_relay().await;
        self.becomes("True", "the new relay").await;
    }

    /// Why it is ready, or is not.
    pub(crate) async fn reason(&self) -> Value {
        self.ready().await["reason"].clone()
    }

    async fn ready(&self) -> Value {
        let relay = self.cluster.api().get(&self.relay()).await.unwrap();
        let conditions = relay["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let is_current = relay["status"]["observedGeneration"] == relay["metadata"]["generation"];
        let ready = conditions.into_iter().find(|condition| condition["type"] == "Ready");
        json!({"status": ready.as_ref().filter(|_| is_current).map(|ready| ready["status"].clone()),
               "reason": ready.map(|ready| ready["reason"].clone())})
    }

    async fn becomes(&self, status: &str, when: &str) {
        Eventually::new(format!("{when}: the present state of the relay is ready={status}"))
            .within(Duration::from_secs(90))
            .matches(async || self.ready().await, |ready| ready["status"] == status)
            .await
            .unwrap();
    }

    /// A change that concerns no pod is carried out by the operator of this moment, and the pods are these.
    pub(crate) async fn is_served_by_the_same(&self, pods: &BTreeMap<String, u64>, when: &str) {
        let budget = self.path("apis/policy/v1", "poddisruptionbudgets", "otx");
        let had = self.cluster.api().get(&budget).await.is_ok();
        let change = json!({"spec": {"podDisruptionBudget": {"enabled": !had}}});
        self.cluster.api().merge(&self.relay(), &change).await.unwrap();
        Eventually::new(format!("{when}: the operator has taken the budget away or made it"))
            .within(Duration::from_mins(1))
            .matches(async || self.cluster.api().get(&budget).await.is_ok(), |has| *has != had)
            .await
            .unwrap();
        self.becomes("True", when).await;
        assert_eq!(&self.pods().await, pods, "{when}");
    }

    /// The relay's pods, those that are ending included: uid, and how often each was restarted.
    pub(crate) async fn pods(&self) -> BTreeMap<String, u64> {
        let selector = "app.kubernetes.io%2Fname%3Dthreatrelay%2Capp.kubernetes.io%2Fcomponent%3Drelay";
        let path = format!("/api/v1/namespaces/{}/pods?labelSelector={selector}", self.namespace);
        let list = self.cluster.api().get(&path).await.unwrap();
        let pods = list["items"].as_array().unwrap().iter();
        pods.map(|pod| {
            let restarts = pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or_default();
            (pod["metadata"]["uid"].as_str().unwrap().to_owned(), restarts)
        })
        .collect()
    }

    pub(crate) async fn is_replaced(&self, before: &BTreeMap<String, u64>) {
        let is_new =
            |pods: &BTreeMap<String, u64>| pods.len() == 2 && pods.keys().all(|pod| !before.contains_key(pod));
        let wait = Eventually::new("every pod is a new one").within(Duration::from_mins(1));
        wait.matches(async || self.pods().await, is_new).await.unwrap();
    }

    pub(crate) async fn delete_relay(&self) {
        self.cluster.api().delete(&self.relay()).await.unwrap();
    }

    /// Deletes the relay, and waits until what it consists of has gone with it, whether or not an operator is there.
    pub(crate) async fn remove_relay(&self) {
        self.delete_relay().await;
        self.is_empty().await;
    }

    pub(crate) async fn is_empty(&self) {
        let left = async || {
            let kinds = "deployments,services,configmaps,networkpolicies,poddisruptionbudgets,serviceaccounts";
            let selector = "--selector=app.kubernetes.io/name=threatrelay";
            self.cluster.kubectl(&["get", kinds, selector, "--namespace", &self.namespace, "--output=name"]).unwrap()
        };
        let wait = Eventually::new("nothing of the relay is left").within(Duration::from_mins(1));
        wait.matches(left, String::is_empty).await.unwrap();
    }
}
