//! How the pods of a relay are, from the Deployment and its pods as they were just read. Pure.
//!
//! A Deployment whose controller has not seen its latest generation says nothing: what it reports is about the pods
//! before. What keeps pods from being ready is taken from the pods themselves, in the words of whoever refused. Where
//! nobody refused anything, a pod that takes longer than a start takes is named with what to look at.

use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::api::conditions::Reason;

/// Exit code of a relay that refuses its settings (`EX_CONFIG`).
const SETTINGS_REFUSED: i32 = 78;
/// A pod that is not ready for so long is told of.
const LATE: Duration = Duration::from_secs(20);
/// Times in a pod's status are of whole seconds.
const SECOND: Duration = Duration::from_secs(1);
/// A container that ran for so long since it last ended loops no more; the kubelet forgets its back-off after as long.
const LOOPS: Duration = Duration::from_mins(10);

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
    /// How long until a pod that is not ready is to be told of; then nothing changes that would be seen.
    pub patience: Option<Duration>,
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
    /// How the pods of a Deployment are at this moment, of which at least `wanted` are to run.
    #[must_use]
    pub fn of(deployment: &Deployment, pods: &[Pod], wanted: i32, now: Timestamp) -> Self {
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
            obstacle: if is_complete || !is_current { None } else { obstacle(&status, pods, now) },
            patience: staying(pods).filter_map(|pod| (LATE + SECOND).checked_sub(unready_for(pod, now)?)).min(),
        }
    }
}

/// Status, reason and message of a condition.
fn condition<'a>(status: &'a DeploymentStatus, type_: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let found = status.conditions.iter().flatten().find(|condition| condition.type_ == type_)?;
    let text = |text: &'a Option<String>| text.as_deref().unwrap_or_default();
    Some((&found.status, text(&found.reason), text(&found.message)))
}

fn obstacle(status: &DeploymentStatus, pods: &[Pod], now: Timestamp) -> Option<Obstacle> {
    let of_pods = staying(pods).filter_map(|pod| of_pod(pod, now));
    if let Some(worst) = of_pods.min_by_key(|obstacle| !obstacle.needs_somebody) {
        return Some(worst);
    }
    if let Some(("True", _, message)) = condition(status, "ReplicaFailure") {
        return Some(refusal(message));
    }
    let given_up = condition(status, "Progressing").filter(|(_, reason, _)| *reason == "ProgressDeadlineExceeded");
    if let Some(late) = staying(pods).find_map(|pod| late(pod, now)) {
        return Some(Obstacle { needs_somebody: given_up.is_some(), ..late });
    }
    given_up.map(|(_, _, message)| Obstacle {
        reason: Reason::DeploymentUnavailable,
        message: format!("{message} Look at the pods: kubectl describe pods, kubectl logs."),
        needs_somebody: true,
    })
}

/// A pod that is not ready for too long, though nothing is said to be wrong with it.
fn late(pod: &Pod, now: Timestamp) -> Option<Obstacle> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let since = now - unready_for(pod, now).filter(|age| *age >= LATE)?;
    let status = pod.status.as_ref()?;
    let state = status.container_statuses.iter().flatten().next().and_then(|container| container.state.as_ref());
    let waiting = state.and_then(|state| state.waiting.as_ref());
    let message = if state.is_some_and(|state| state.running.is_some()) {
        format!(
            "pod {name} runs and is not ready since {since:.0}: the relay does not answer /readyz with 200. Look at kubectl \
             logs {name}."
        )
    } else {
        format!(
            "pod {name} is not started since {since:.0} ({}): its image may be on its way, or a Secret or ConfigMap that it \
             mounts is not there or lacks a key. Look at the events of kubectl describe pod {name}.",
            waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or("no word of its container yet")
        )
    };
    Some(Obstacle { reason: Reason::PodsNotReady, message, needs_somebody: false })
}

/// The pods that are to stay.
fn staying(pods: &[Pod]) -> impl Iterator<Item = &Pod> {
    pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none())
}

/// For how long a pod that is not ready has not been.
fn unready_for(pod: &Pod, now: Timestamp) -> Option<Duration> {
    let conditions = pod.status.as_ref()?.conditions.iter().flatten();
    let unready =
        conditions.into_iter().find(|condition| condition.type_ == "Ready" && condition.status != "True")?;
    let since = unready.last_transition_time.as_ref().or(pod.metadata.creation_timestamp.as_ref())?;
    Some(since_then(since, now))
}

/// The time since then; none where the clocks disagree.
fn since_then(Time(then): &Time, now: Timestamp) -> Duration {
    if *then > now { Duration::ZERO } else { now.duration_since(*then).unsigned_abs() }
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

fn of_pod(pod: &Pod, now: Timestamp) -> Option<Obstacle> {
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
    status.container_statuses.iter().flatten().find_map(|container| of_container(name, container, now))
}

fn of_container(pod: &str, container: &ContainerStatus, now: Timestamp) -> Option<Obstacle> {
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
        (
            "ImagePullBackOff"
            | "ErrImagePull"
            | "InvalidImageName"
            | "ErrImageNeverPull"
            | "ImageInspectError"
            | "RegistryUnavailable"
            | "SignatureValidationFailed",
            _,
        ) => {
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
                message: format!("pod {pod} cannot be started: {said}. Look at kubectl describe pod {pod}."),
                needs_somebody: false,
            })
        }
        (_, Some(ended)) if ended.exit_code == SETTINGS_REFUSED => Some(Obstacle {
            reason: Reason::SettingsRefused,
            message: format!(
                "the relay refuses its settings: {}. Correct what it names in the spec, or in the Secret or ConfigMap \
                 that the spec names.",
                last_words(ended)
            ),
            needs_somebody: true,
        }),
        (why, Some(ended)) if why == "CrashLoopBackOff" || loops(container, ended, now) => Some(Obstacle {
            reason: Reason::CrashLooping,
            message: format!(
                "pod {pod} ended {} times, last with code {}: {}. Look at kubectl logs {pod} --previous, spec.image and \
                 spec.resources.",
                container.restart_count,
                ended.exit_code,
                last_words(ended)
            ),
            needs_somebody: false,
        }),
        _ => None,
    }
}

/// Between two ends a container that loops runs for a while; that is no progress.
fn loops(container: &ContainerStatus, ended: &ContainerStateTerminated, now: Timestamp) -> bool {
    container.restart_count >= 2 && ended.finished_at.as_ref().is_some_and(|end| since_then(end, now) < LOOPS)
}

/// The end of what a container said, in one line: its last error, else its last line, else the word of the kubelet.
fn last_words(ended: &ContainerStateTerminated) -> String {
    let said = ended.message.as_deref().unwrap_or_default();
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let error = lines().filter_map(|line| line.strip_prefix("error: ")).next_back();
    let Some(line) = error.or_else(|| lines().next_back()) else {
        let word = ended.reason.as_deref().filter(|reason| !["Error", "Completed"].contains(reason));
        return word.unwrap_or("it left no message").to_owned();
    };
    // A log line of the relay is JSON; people want its text, and of a panic what it was about.
    let event: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    let words: Vec<_> = ["message", "reason"].iter().filter_map(|field| event[field].as_str()).collect();
    if words.is_empty() { line.trim_end_matches('.').to_owned() } else { words.join(": ") }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use serde_json::{Value, json};

    use super::*;

    fn noon() -> Timestamp {
        "2026-01-01T12:00:00Z".parse().unwrap()
    }

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
        let workload = Workload::of(&deployment(3, &rolled_out(3)), &[], 2, noon());
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
            assert!(!Workload::of(&deployment(3, &status), &[], 2, noon()).is_complete, "{case}");
        }
    }

    #[test]
    fn more_pods_than_the_autoscalers_least_are_complete() {
        let status = json!({
            "observedGeneration": 3, "replicas": 5, "updatedReplicas": 5, "readyReplicas": 5, "availableReplicas": 4,
        });
        assert!(Workload::of(&deployment(3, &status), &[], 2, noon()).is_complete);
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
            let obstacle = Workload::of(&deployment(3, &status), &pods, 1, noon()).obstacle.unwrap();
            assert_eq!((obstacle.reason, obstacle.needs_somebody), (reason, needs_somebody), "{state}");
            assert!(obstacle.message.contains(words), "{}", obstacle.message);
        }
    }

    /// What a Deployment that waits for this pod is hindered by, at noon.
    fn hindered_by(pod: Value) -> (Option<Duration>, Option<Obstacle>) {
        let status = json!({"observedGeneration": 3, "replicas": 1, "updatedReplicas": 1});
        let workload = Workload::of(&deployment(3, &status), &[serde_json::from_value(pod).unwrap()], 1, noon());
        (workload.patience, workload.obstacle)
    }

    #[test]
    fn a_container_that_ends_again_and_again_loops_while_it_runs_too() {
        let ended = |at: &str| json!({"terminated": {"exitCode": 1, "message": "x", "finishedAt": at}});
        let running = json!({"running": {"startedAt": "2026-01-01T11:59:59Z"}});
        for (restarts, at, expected) in [
            (2, "2026-01-01T11:59:58Z", Some(Reason::CrashLooping)),
            (1, "2026-01-01T11:59:58Z", None),
            (9, "2026-01-01T11:49:58Z", None),
        ] {
            let mut container = container(&running, &ended(at));
            container["restartCount"] = restarts.into();
            let (_, found) =
                hindered_by(json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [container]}}));
            assert_eq!(found.map(|obstacle| obstacle.reason), expected, "{restarts} {at}");
        }
    }

    #[test]
    fn of_many_last_lines_the_error_is_told() {
        for (message, reason, expected) in [
            ("error: no such command\n\nFor more, try --help.", "Error", "last with code 2: no such command. Look"),
            (r#"{"level":"ERROR","message":"panic","reason":"no luck"}"#, "Error", "panic: no luck. Look"),
            ("a line.", "Error", "a line. Look"),
            ("", "OOMKilled", "OOMKilled. Look"),
            ("", "Error", "it left no message. Look"),
        ] {
            let ended = json!({"terminated": {"exitCode": 2, "message": message, "reason": reason}});
            let found = of_pod(&pod(&container(&json!({"waiting": {"reason": "CrashLoopBackOff"}}), &ended)), noon());
            assert!(found.as_ref().is_some_and(|found| found.message.contains(expected)), "{found:?}");
        }
    }

    #[test]
    fn a_pod_that_takes_longer_than_a_start_is_told_with_what_to_look_at() {
        let unready = |since: &str, state: Value| {
            json!({"metadata": {"name": "p"}, "status": {
                "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": since}],
                "containerStatuses": [container(&state, &json!({}))],
            }})
        };
        let running = || json!({"running": {"startedAt": "2026-01-01T11:00:00Z"}});
        let waiting = || json!({"waiting": {"reason": "ContainerCreating"}});
        for (since, state, words) in [
            ("2026-01-01T11:59:40Z", running(), Some("kubectl logs p")),
            ("2026-01-01T11:59:40Z", waiting(), Some("(ContainerCreating)")),
            ("2026-01-01T11:59:41Z", running(), None),
            ("2026-01-01T12:00:01Z", running(), None),
        ] {
            let (patience, found) = hindered_by(unready(since, state));
            assert_eq!(patience.is_some(), found.is_none() || since.ends_with("40Z"), "{since}");
            let told = found.as_ref().map(|found| (found.reason, found.needs_somebody));
            assert_eq!(told, words.map(|_| (Reason::PodsNotReady, false)), "{since}");
            assert!(found.is_none_or(|found| found.message.contains(words.unwrap_or_default())), "{since}");
        }
    }

    #[test]
    fn a_pod_that_is_late_when_its_deployment_gave_up_needs_somebody() {
        let status = json!({
            "observedGeneration": 3, "replicas": 1, "updatedReplicas": 1,
            "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "m"}],
        });
        let late = serde_json::from_value(json!({"metadata": {"name": "p"}, "status": {
            "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T11:00:00Z"}],
        }}));
        for (pods, reason) in
            [(vec![late.unwrap()], Reason::PodsNotReady), (Vec::new(), Reason::DeploymentUnavailable)]
        {
            let obstacle = Workload::of(&deployment(3, &status), &pods, 1, noon()).obstacle.unwrap();
            assert_eq!((obstacle.reason, obstacle.needs_somebody), (reason, true));
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
            let obstacle = Workload::of(&deployment(3, &status), &[], 1, noon()).obstacle.unwrap();
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
        let obstacle = of_pod(&pod.unwrap(), noon()).unwrap();
        assert!(obstacle.reason == Reason::Unschedulable && obstacle.message.contains("0/1 nodes"), "{obstacle:?}");
    }

    #[test]
    fn a_pod_that_is_starting_is_no_obstacle() {
        for state in [json!({"waiting": {"reason": "ContainerCreating"}}), json!({"running": {}})] {
            assert_eq!(of_pod(&pod(&container(&state, &json!({}))), noon()), None);
        }
    }
}
