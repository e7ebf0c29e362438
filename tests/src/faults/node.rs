//! One stand-in for the kubelet of a whole plane: every pod becomes what its namespace's pods are to be, at once. It
//! watches instead of asking, as hundreds of namespaces share the plane.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::operator::Health;
use crate::operator::kubelet::status;

/// How the pods of a namespace are, but for those that stay ready, by their uids.
type Rule = (Health, HashSet<String>);

/// A running stand-in. Ends when dropped.
pub struct Node {
    health: Arc<Mutex<HashMap<String, Rule>>>,
    client: Client,
    task: JoinHandle<()>,
}

impl Node {
    /// Looks after all pods; they are ready until told otherwise.
    #[must_use]
    pub fn start(client: Client) -> Self {
        let health: Arc<Mutex<HashMap<String, Rule>>> = Arc::default();
        let (wanted, watching) = (Arc::clone(&health), client.clone());
        let task = tokio::spawn(async move {
            let mut events =
                Box::pin(watcher::watcher(Api::<Pod>::all(watching.clone()), watcher::Config::default()));
            while let Some(event) = events.next().await {
                match event {
                    Ok(Event::Apply(pod) | Event::InitApply(pod)) => {
                        let health = of(&wanted, &pod);
                        tokio::spawn(look_after(watching.clone(), pod, health));
                    }
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(std::time::Duration::from_millis(200)).await,
                }
            }
        });
        Self { health, client, task }
    }

    /// From now on the pods of `namespace` are so.
    pub async fn set(&self, namespace: &str, health: Health) {
        self.health
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(namespace.to_owned(), (health, HashSet::new()));
        for pod in self.pods(namespace).await {
            let health = of(&self.health, &pod);
            look_after(self.client.clone(), pod, health).await;
        }
    }

    /// From now on new pods of `namespace` are so; those that are there stay ready.
    pub async fn set_for_new(&self, namespace: &str, health: Health) {
        let spared = self.pods(namespace).await.into_iter().filter_map(|pod| pod.metadata.uid).collect();
        let mut rules = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        rules.insert(namespace.to_owned(), (health, spared));
    }

    /// The pods of `namespace`; none when they cannot be read.
    pub async fn pods(&self, namespace: &str) -> Vec<Pod> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        pods.list(&kube::api::ListParams::default()).await.into_iter().flatten().collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn of(rules: &Mutex<HashMap<String, Rule>>, pod: &Pod) -> Health {
    let rules = rules.lock().unwrap_or_else(PoisonError::into_inner);
    match rules.get(&pod.namespace().unwrap_or_default()) {
        Some((health, spared)) if !pod.metadata.uid.as_ref().is_some_and(|uid| spared.contains(uid)) => {
            health.clone()
        }
        _ => Health::Ready,
    }
}

/// Errors are left to the pod's next change: pods come and go.
async fn look_after(client: Client, pod: Pod, health: Health) {
    let pods: Api<Pod> = Api::namespaced(client, &pod.namespace().unwrap_or_default());
    let name = pod.name_any();
    if pod.metadata.deletion_timestamp.is_some() {
        // A pod that no node runs needs no time to end.
        let _its_next_change = pods.delete(&name, &DeleteParams::default().grace_period(0)).await;
        return;
    }
    let pod = serde_json::to_value(pod).unwrap_or_default();
    let wanted = status(&pod, &health);
    let states = |status: &Value| -> (bool, Vec<(Value, Value)>) {
        let containers = status["containerStatuses"].as_array().into_iter().flatten();
        let mut conditions = status["conditions"].as_array().into_iter().flatten();
        let is_refused = conditions.any(|condition| condition["reason"] == "Unschedulable");
        (is_refused, containers.map(|container| (container["ready"].clone(), container["state"].clone())).collect())
    };
    if states(&pod["status"]) != states(&wanted) {
        let patch = Patch::Merge(json!({"status": wanted}));
        let _its_next_change = pods.patch_status(&name, &PatchParams::default(), &patch).await;
    }
}
