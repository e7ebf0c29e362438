//! A stand-in for the kubelet: gives the pods of a namespace the status that a node would, by patching it. Runs as a
//! task until dropped.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::cluster::Api;

/// How pods are.
#[derive(Debug, Clone, PartialEq)]
pub enum Health {
    /// They run and are ready.
    Ready,
    /// They run and are not.
    NeverReady,
    /// They end with this code and this message, again and again.
    CrashLoop(i32, String),
    /// Their image cannot be had.
    ImagePullBackOff,
    /// No node takes them, for this reason.
    Unschedulable(&'static str),
}

/// A running stand-in.
#[derive(Debug)]
pub struct Kubelet {
    health: Arc<Mutex<Health>>,
    task: JoinHandle<()>,
}

impl Kubelet {
    /// Looks after the pods of `namespace`.
    #[must_use]
    pub fn start(api: Api, namespace: String, health: Health) -> Self {
        let health = Arc::new(Mutex::new(health));
        let wanted = Arc::clone(&health);
        let task = tokio::spawn(async move {
            loop {
                let health = wanted.lock().unwrap_or_else(PoisonError::into_inner).clone();
                look_after(&api, &namespace, &health).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        Self { health, task }
    }

    /// From now on pods are so.
    pub fn set(&self, health: Health) {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Errors are left to the next look: pods come and go.
async fn look_after(api: &Api, namespace: &str, health: &Health) {
    let path = format!("/api/v1/namespaces/{namespace}/pods");
    let Ok(list) = api.get(&path).await else { return };
    for pod in list["items"].as_array().into_iter().flatten() {
        let pod_path = format!("{path}/{}", pod["metadata"]["name"].as_str().unwrap_or_default());
        if !pod["metadata"]["deletionTimestamp"].is_null() {
            // A pod that no node runs needs no time to end.
            let _next_look = api.delete(&format!("{pod_path}?gracePeriodSeconds=0")).await;
            continue;
        }
        let status = status(pod, health);
        let is_so = ["phase", "containerStatuses"].iter().all(|field| pod["status"][field] == status[field]);
        if !is_so {
            let _next_look = api.merge(&format!("{pod_path}/status"), &json!({"status": status})).await;
        }
    }
}

/// The status of `pod` on a node where pods are so.
pub(crate) fn status(pod: &Value, health: &Health) -> Value {
    let is_ready = *health == Health::Ready;
    let at = &pod["metadata"]["creationTimestamp"];
    if let Health::Unschedulable(why) = health {
        let condition = json!({
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why, "lastTransitionTime": at,
        });
        return json!({"phase": "Pending", "conditions": [condition]});
    }
    let (state, last) = match health {
        Health::Ready | Health::NeverReady | Health::Unschedulable(_) => {
            (json!({"running": {"startedAt": at}}), json!({}))
        }
        Health::ImagePullBackOff => {
            (json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}), json!({}))
        }
        Health::CrashLoop(code, message) => (
            json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting"}}),
            json!({"terminated": {"exitCode": code, "message": message, "reason": "Error", "startedAt": at, "finishedAt": at}}),
        ),
    };
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let containers: Vec<Value> = containers
        .map(|container| {
            json!({
                "name": container["name"], "image": container["image"], "imageID": "", "ready": is_ready,
                "started": is_ready, "restartCount": if last == json!({}) { 0 } else { 3 }, "state": state, "lastState": last,
            })
        })
        .collect();
    let condition = |type_: &str, is_so: bool| json!({"type": type_, "status": if is_so { "True" } else { "False" }, "lastTransitionTime": at});
    let phase = if matches!(health, Health::ImagePullBackOff) { "Pending" } else { "Running" };
    json!({
        "phase": phase,
        "conditions": [
            condition("PodScheduled", true), condition("Initialized", true),
            condition("ContainersReady", is_ready), condition("Ready", is_ready),
        ],
        "containerStatuses": containers,
    })
}
