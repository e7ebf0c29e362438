//! How the pods of a relay are, from the Deployment and its pods as they were just read. Pure.
//!
//! A Deployment whose controller has not seen its latest generation says nothing: what it reports is about the pods
//! before. What keeps pods from being ready is taken from the pods themselves, in the words of whoever refused. Where
//! nobody refused anything, a pod that takes longer than a start takes is named with what to look at.

use std::ops::RangeInclusive;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::api::conditions::Reason;
use crate::observed::is_rolled_out;

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
    /// There are as many pods as wanted, enough of them are available, and all are of the present template.
    pub is_complete: bool,
    /// Pods.
    pub replicas: i32,
    /// Pods that are ready.
    pub ready: i32,
    /// Pods that are wanted: the fixed number, or as many as there are within an autoscaler's bounds.
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
    /// How the pods of a Deployment are at this moment, of which so many are to run: exactly, where both bounds are one.
    #[must_use]
    pub fn of(deployment: &Deployment, pods: &[Pod], bounds: &RangeInclusive<i32>, now: Timestamp) -> Self {
        let status = deployment.status.clone().unwrap_or_default();
        let is_current = status.observed_generation >= deployment.metadata.generation;
        let count = |count: Option<i32>| count.unwrap_or(0);
        let is_available = condition(&status, "Available").is_some_and(|(truth, ..)| truth == "True");
        let all = count(status.replicas);
        let wanted = all.max(*bounds.start()).min(*bounds.end());
        let is_complete =
            is_rolled_out(deployment) && count(status.available_replicas) >= *bounds.start() && all == wanted;
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
#[path = "workload_tests.rs"]
mod tests;
