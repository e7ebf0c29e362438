//! How the pods of a relay are, from the Deployment and its pods as they were just read. Pure.
//!
//! A Deployment whose controller has not seen its latest generation says nothing: what it reports is about the pods
//! before. What keeps pods from being ready is taken from the pods themselves, in the words of whoever refused.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::api::conditions::Reason;

/// Exit code of a relay that refuses its settings (`EX_CONFIG`).
const SETTINGS_REFUSED: i32 = 78;

/// How the pods are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Enough pods are ready to answer, of whichever template.
    pub is_available: bool,
    /// As many pods as wanted are available, and all are of the present template.
    pub is_complete: bool,
    /// Pods.
    pub replicas: i32,
    /// Pods that are ready.
    pub ready: i32,
    /// Pods that are wanted.
    pub wanted: i32,
    /// What keeps pods from being ready, and whether that ends only when somebody acts.
    pub obstacle: Option<Obstacle>,
}

/// What keeps pods from being ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// In a word.
    pub reason: Reason,
    /// In a sentence, with the next step.
    pub message: String,
    /// It does not end by itself.
    pub needs_somebody: bool,
}

impl Workload {
    /// How the pods of a Deployment are of which at least `wanted` are to run.
    #[must_use]
    pub fn of(deployment: &Deployment, pods: &[Pod], wanted: i32) -> Self {
        let status = deployment.status.clone().unwrap_or_default();
        let is_current = status.observed_generation >= deployment.metadata.generation;
        let count = |count: Option<i32>| count.unwrap_or(0);
        let is_available = condition(&status, "Available").is_some_and(|(truth, ..)| truth == "True");
        let all = count(status.replicas);
        let is_complete = is_current
            && count(status.updated_replicas) == all
            && count(status.available_replicas) >= wanted
            && all >= wanted;
        Self {
            is_available,
            is_complete,
            replicas: all,
            ready: count(status.ready_replicas),
            wanted,
            obstacle: if is_complete || !is_current { None } else { obstacle(&status, pods) },
        }
    }
}

/// Status, reason and message of a condition.
fn condition<'a>(status: &'a DeploymentStatus, type_: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let found = status.conditions.iter().flatten().find(|condition| condition.type_ == type_)?;
    let text = |text: &'a Option<String>| text.as_deref().unwrap_or_default();
    Some((&found.status, text(&found.reason), text(&found.message)))
}

fn obstacle(status: &DeploymentStatus, pods: &[Pod]) -> Option<Obstacle> {
    let of_pods = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).filter_map(of_pod);
    if let Some(worst) = of_pods.min_by_key(|obstacle| !obstacle.needs_somebody) {
        return Some(worst);
    }
    if let Some(("True", _, message)) = condition(status, "ReplicaFailure") {
        return Some(refusal(message));
    }
    let (_, reason, message) = condition(status, "Progressing")?;
    (reason == "ProgressDeadlineExceeded").then(|| Obstacle {
        reason: Reason::DeploymentUnavailable,
        message: format!("{message} Look at the pods: kubectl describe pods, kubectl logs."),
        needs_somebody: true,
    })
}

/// An object or pod that quota or admission refused, in their words.
pub(super) fn refusal(message: &str) -> Obstacle {
    let (reason, step) = if message.contains("exceeded quota") {
        (Reason::QuotaExceeded, "Raise the ResourceQuota of the namespace, or lower spec.resources or spec.replicas.")
    } else {
        (Reason::AdmissionDenied, "Change the spec or the policy that refuses it.")
    };
    Obstacle { reason, message: format!("{message}. {step}"), needs_somebody: true }
}

fn of_pod(pod: &Pod) -> Option<Obstacle> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let status = pod.status.as_ref()?;
    let unschedulable = status.conditions.iter().flatten().find(|condition| {
        condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable")
    });
    if let Some(condition) = unschedulable {
        let message = condition.message.as_deref().unwrap_or_default();
        return Some(Obstacle {
            reason: Reason::Unschedulable,
            message: format!(
                "no node takes pod {name}: {message} Look at spec.scheduling, spec.resources and the nodes."
            ),
            needs_somebody: false,
        });
    }
    status.container_statuses.iter().flatten().find_map(|container| of_container(name, container))
}

fn of_container(pod: &str, container: &ContainerStatus) -> Option<Obstacle> {
    let state = container.state.as_ref();
    let waiting = state.and_then(|state| state.waiting.as_ref());
    let why = waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or_default();
    let ended = state
        .and_then(|state| state.terminated.as_ref())
        .or_else(|| container.last_state.as_ref().and_then(|state| state.terminated.as_ref()));
    if container.ready {
        return None;
    }
    match (why, ended) {
        ("ImagePullBackOff" | "ErrImagePull" | "InvalidImageName" | "ErrImageNeverPull", _) => {
            let said = waiting.and_then(|waiting| waiting.message.as_deref()).unwrap_or(why);
            Some(Obstacle {
                reason: Reason::ImagePullFailed,
                message: format!(
                    "pod {pod} cannot get its image: {said}. Look at spec.image and the registry's credentials."
                ),
                needs_somebody: false,
            })
        }
        ("CreateContainerConfigError" | "CreateContainerError", _) => {
            let said = waiting.and_then(|waiting| waiting.message.as_deref()).unwrap_or(why);
            Some(Obstacle {
                reason: Reason::DeploymentUnavailable,
                message: format!("pod {pod} cannot be started: {said}"),
                needs_somebody: false,
            })
        }
        (_, Some(ended)) if ended.exit_code == SETTINGS_REFUSED => Some(Obstacle {
            reason: Reason::SettingsRefused,
            message: format!("the relay refuses its settings: {}", last_words(ended.message.as_deref())),
            needs_somebody: true,
        }),
        ("CrashLoopBackOff", Some(ended)) => Some(Obstacle {
            reason: Reason::CrashLooping,
            message: format!(
                "pod {pod} ended {} times, last with code {}: {}",
                container.restart_count,
                ended.exit_code,
                last_words(ended.message.as_deref().or(ended.reason.as_deref()))
            ),
            needs_somebody: false,
        }),
        _ => None,
    }
}

/// The end of what a container said, in one line.
fn last_words(message: Option<&str>) -> String {
    let line = message.unwrap_or_default().lines().map(str::trim).rfind(|line| !line.is_empty());
    let Some(line) = line else { return "it left no message; see kubectl logs --previous".to_owned() };
    // A log line of the relay is JSON; people want its text.
    let event: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    event["message"].as_str().unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use serde_json::{Value, json};

    use super::*;

    fn deployment(generation: i64, status: &Value) -> Deployment {
        serde_json::from_value(json!({
            "metadata": {"generation": generation},
            "spec": {"selector": {}, "template": {}},
            "status": status,
        }))
        .unwrap()
    }

    fn rolled_out(generation: i64) -> Value {
        json!({
            "observedGeneration": generation, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2,
            "availableReplicas": 2, "conditions": [{"type": "Available", "status": "True"}],
        })
    }

    fn pod(container: &Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p"},
            "status": {"containerStatuses": [container]},
        }))
        .unwrap()
    }

    fn container(state: &Value, last: &Value) -> Value {
        json!({
            "name": "relay", "image": "i", "imageID": "", "ready": false, "restartCount": 3,
            "state": state, "lastState": last,
        })
    }

    #[test]
    fn a_rolled_out_deployment_is_complete() {
        let workload = Workload::of(&deployment(3, &rolled_out(3)), &[], 2);
        assert!(workload.is_complete && workload.is_available && workload.obstacle.is_none(), "{workload:?}");
    }

    #[test]
    fn what_is_not_rolled_out_is_not_complete() {
        let changed = |field: &str, value: Value| {
            let mut status = rolled_out(3);
            status[field] = value;
            status
        };
        for (case, status) in [
            ("the controller has not seen the latest generation", rolled_out(2)),
            ("a pod is of the old template", changed("updatedReplicas", json!(1))),
            ("a pod is not available", changed("availableReplicas", json!(1))),
            ("a pod is missing", changed("replicas", json!(1))),
            ("a pod too many is of the old template", changed("replicas", json!(3))),
            ("nothing is reported", Value::Null),
        ] {
            assert!(!Workload::of(&deployment(3, &status), &[], 2).is_complete, "{case}");
        }
    }

    #[test]
    fn more_pods_than_the_autoscalers_least_are_complete() {
        let status = json!({
            "observedGeneration": 3, "replicas": 5, "updatedReplicas": 5, "readyReplicas": 5, "availableReplicas": 4,
        });
        assert!(Workload::of(&deployment(3, &status), &[], 2).is_complete);
    }

    #[test]
    fn what_keeps_pods_from_being_ready_is_told_in_its_own_words() {
        let waiting = |reason: &str, message: &str| json!({"waiting": {"reason": reason, "message": message}});
        let ended = |code: i32, message: &str| json!({"terminated": {"exitCode": code, "message": message}});
        let refused = r#"{"level":"ERROR","message":"auth.audiences is required"}"#;
        for (state, last, reason, words, needs_somebody) in [
            (waiting("ImagePullBackOff", "no such tag"), json!({}), Reason::ImagePullFailed, "no such tag", false),
            (
                waiting("CrashLoopBackOff", ""),
                ended(78, refused),
                Reason::SettingsRefused,
                "auth.audiences is required",
                true,
            ),
            (ended(78, "plain words\n"), json!({}), Reason::SettingsRefused, "plain words", true),
            (waiting("CrashLoopBackOff", ""), ended(101, "one\ntwo"), Reason::CrashLooping, "code 101: two", false),
            (waiting("CrashLoopBackOff", ""), ended(137, ""), Reason::CrashLooping, "no message", false),
            (
                waiting("CreateContainerConfigError", "secret \"x\" not found"),
                json!({}),
                Reason::DeploymentUnavailable,
                "secret \"x\"",
                false,
            ),
        ] {
            let pods = [pod(&container(&state, &last))];
            let status = json!({"observedGeneration": 3, "replicas": 1, "updatedReplicas": 1});
            let obstacle = Workload::of(&deployment(3, &status), &pods, 1).obstacle.unwrap();
            assert_eq!((obstacle.reason, obstacle.needs_somebody), (reason, needs_somebody), "{state}");
            assert!(obstacle.message.contains(words), "{}", obstacle.message);
        }
    }

    #[test]
    fn pods_that_are_never_made_are_told_of_by_the_deployment() {
        for (message, reason) in [
            ("pods \"x\" is forbidden: exceeded quota: q, requested: pods=1", Reason::QuotaExceeded),
            ("pods \"x\" is forbidden: violates PodSecurity", Reason::AdmissionDenied),
        ] {
            let status = json!({
                "observedGeneration": 3,
                "conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}],
            });
            let obstacle = Workload::of(&deployment(3, &status), &[], 1).obstacle.unwrap();
            assert!(obstacle.reason == reason && obstacle.message.starts_with(message), "{obstacle:?}");
        }
    }

    #[test]
    fn a_pod_that_no_node_takes_is_told_of() {
        let pod = serde_json::from_value(json!({
            "metadata": {"name": "p"},
            "status": {"conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"},
            ]},
        }));
        let obstacle = of_pod(&pod.unwrap()).unwrap();
        assert!(obstacle.reason == Reason::Unschedulable && obstacle.message.contains("0/1 nodes"), "{obstacle:?}");
    }

    #[test]
    fn a_pod_that_is_starting_is_no_obstacle() {
        for state in [json!({"waiting": {"reason": "ContainerCreating"}}), json!({"running": {}})] {
            assert_eq!(of_pod(&pod(&container(&state, &json!({})))), None);
        }
    }
}
