//! The status: what was seen, put into conditions. Pure; the moment is passed in. [`differs`] says whether it is worth
//! a write: order and times are not.

mod workload;

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

pub use self::workload::{Obstacle, Workload};
use crate::api::conditions::{
    self, AVAILABLE, CREDENTIALS_RESOLVED, READY, RECONCILING, ROUTE_ACCEPTED, Reason, STALLED, Truth,
    UPSTREAM_REACHABLE,
};
use crate::api::v1alpha1::ThreatRelayStatus;
use crate::broken::{self, Defect};
use crate::client::CallError;
use crate::probe::{Look, Verdict};

/// Most bytes of a message.
const MESSAGE: usize = 1024;
/// A later look at OTX that says the same is written no more often than this.
const LOOKS: Duration = Duration::from_mins(10);

/// What a reconcile came to know of a relay.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Generation that was acted upon.
    pub generation: Option<i64>,
    /// The status before.
    pub before: &'a ThreatRelayStatus,
    /// How far it came.
    pub outcome: Outcome,
    /// The Secrets and `ConfigMaps` that the resource names.
    pub references: Resolved,
    /// The pods, where there is a Deployment of ours.
    pub workload: Option<Workload>,
    /// The way in from outside.
    pub route: Route,
    /// What was last seen of OTX.
    pub look: Option<Look>,
    /// Where the relay is reached.
    pub url: Option<String>,
    /// Label selector of the pods.
    pub selector: String,
    /// Version of the relay.
    pub version: Option<String>,
    /// OTX keys that it holds.
    pub keys: i32,
}

/// How far a reconcile came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All children are as wanted.
    Applied,
    /// All are, except one of a kind that the cluster lacks.
    AppliedWithout(Reason, String),
    /// The resource is suspended.
    Suspended,
    /// It is not, and that does or does not end by itself.
    Hindered(Obstacle),
}

/// The references of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// All are there.
    Yes,
    /// There are none.
    NotRequested,
    /// Something is missing.
    No(Reason, String),
    /// Not looked at.
    Unknown,
}

/// The way in from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// None is wanted.
    NotRequested,
    /// A controller has taken it up.
    Accepted(String),
    /// No controller has said anything yet.
    Waiting(String),
    /// It cannot be, or a controller refuses it.
    Refused(Reason, String),
}

type Verdicts = (Truth, Reason, String);

/// The status that these facts amount to.
#[must_use]
pub fn compute(facts: &Facts<'_>, now: Timestamp) -> ThreatRelayStatus {
    let mut list = facts.before.conditions.clone();
    let mut set = |type_: &str, (truth, reason, message): Verdicts| {
        let message = shortened(message);
        conditions::set(&mut list, type_, (truth, reason, message), facts.generation, now);
    };
    let ready = ready(facts);
    let is_under_way = matches!(ready, (Truth::False, Reason::Progressing, _));
    let stalled = stalled(facts);
    set(READY, ready.clone());
    set(AVAILABLE, available(facts.workload.as_ref()));
    set(CREDENTIALS_RESOLVED, resolved(&facts.references));
    set(ROUTE_ACCEPTED, route(&facts.route));
    set(UPSTREAM_REACHABLE, upstream(facts));
    if is_under_way {
        set(RECONCILING, (Truth::True, ready.1, ready.2));
    }
    if let Some((reason, message)) = &stalled {
        set(STALLED, (Truth::True, *reason, message.clone()));
    }
    if !is_under_way {
        conditions::remove(&mut list, RECONCILING);
    }
    if stalled.is_none() {
        conditions::remove(&mut list, STALLED);
    }
    let workload = facts.workload.as_ref();
    ThreatRelayStatus {
        conditions: list,
        observed_generation: facts.generation,
        url: facts.url.clone(),
        replicas: workload.map(|workload| workload.replicas),
        ready_replicas: workload.map(|workload| workload.ready),
        readiness: workload.map(|workload| format!("{}/{}", workload.ready, workload.wanted.max(workload.replicas))),
        selector: Some(facts.selector.clone()),
        version: facts.version.clone(),
        keys: Some(facts.keys),
        last_check: facts.look.as_ref().map(|look| Time(look.at)).or_else(|| facts.before.last_check.clone()),
    }
}

fn ready(facts: &Facts<'_>) -> Verdicts {
    match &facts.outcome {
        Outcome::Suspended => {
            let message = "spec.suspend is true: nothing is created, repaired or removed. Set it to false to go on";
            return (Truth::Unknown, Reason::Paused, message.to_owned());
        }
        Outcome::Hindered(Obstacle { reason, message, .. }) => return (Truth::False, *reason, message.clone()),
        Outcome::Applied | Outcome::AppliedWithout(..) => {}
    }
    let Some(workload) = &facts.workload else {
        return (Truth::False, Reason::Progressing, "the Deployment is being made".to_owned());
    };
    if let Some(Obstacle { reason, message, .. }) = &workload.obstacle {
        return (Truth::False, *reason, message.clone());
    }
    let Workload { ready, wanted, .. } = workload;
    if !workload.is_complete && !broken::is(Defect::ReadyBeforePods) {
        return (
            Truth::False,
            Reason::Progressing,
            format!("pods are being replaced, started or ended: {ready} of {wanted} ready"),
        );
    }
    if let Route::Refused(reason, message) = &facts.route {
        return (Truth::False, *reason, message.clone());
    }
    if let (Truth::False, reason @ Reason::OtxUnauthorized, message) = upstream(facts) {
        return (Truth::False, reason, message);
    }
    match &facts.outcome {
        Outcome::AppliedWithout(reason, message) => (Truth::True, *reason, message.clone()),
        _ => (Truth::True, Reason::Reconciled, format!("{ready} of {wanted} pods ready")),
    }
}

/// What does not end by itself.
fn stalled(facts: &Facts<'_>) -> Option<(Reason, String)> {
    if let Outcome::Hindered(obstacle) = &facts.outcome {
        return obstacle.needs_somebody.then(|| (obstacle.reason, obstacle.message.clone()));
    }
    if facts.outcome == Outcome::Suspended {
        return None;
    }
    let obstacle = facts.workload.as_ref().and_then(|workload| workload.obstacle.as_ref());
    obstacle.filter(|obstacle| obstacle.needs_somebody).map(|obstacle| (obstacle.reason, obstacle.message.clone()))
}

fn available(workload: Option<&Workload>) -> Verdicts {
    match workload {
        None => (Truth::Unknown, Reason::Pending, "there is no Deployment yet".to_owned()),
        // Kubernetes calls a Deployment of no pods available.
        Some(Workload { wanted: 0, ready: 0, .. }) => {
            let message = "no pod answers: spec.replicas is 0. Raise it to serve";
            (Truth::False, Reason::DeploymentUnavailable, message.to_owned())
        }
        Some(Workload { is_available: true, ready, .. }) => {
            (Truth::True, Reason::DeploymentAvailable, format!("{ready} pods answer"))
        }
        Some(Workload { ready, wanted, .. }) => {
            let message = format!("{ready} of {wanted} pods ready: too few to answer");
            (Truth::False, Reason::DeploymentUnavailable, message)
        }
    }
}

fn resolved(references: &Resolved) -> Verdicts {
    match references {
        Resolved::Yes => (Truth::True, Reason::Reconciled, "all references are there".to_owned()),
        Resolved::NotRequested => {
            (Truth::True, Reason::NotRequested, "the resource refers to no Secret or ConfigMap".to_owned())
        }
        Resolved::No(reason, message) => (Truth::False, *reason, message.clone()),
        Resolved::Unknown => (Truth::Unknown, Reason::Pending, "the references were not looked at".to_owned()),
    }
}

fn route(route: &Route) -> Verdicts {
    match route {
        Route::NotRequested => {
            (Truth::True, Reason::NotRequested, "neither spec.ingress nor spec.gateway is set".to_owned())
        }
        Route::Accepted(message) => (Truth::True, Reason::RouteAccepted, message.clone()),
        Route::Waiting(message) => (Truth::Unknown, Reason::RouteNotAccepted, message.clone()),
        Route::Refused(reason, message) => (Truth::False, *reason, message.clone()),
    }
}

fn upstream(facts: &Facts<'_>) -> Verdicts {
    let names = |keys: &[String]| keys.join(", ");
    match facts.look.as_ref().map(|look| &look.verdict) {
        None => (Truth::Unknown, Reason::NotProbed, "no pod is ready to be asked".to_owned()),
        Some(Verdict::Unknown(why)) => (Truth::Unknown, Reason::NotProbed, why.clone()),
        Some(Verdict::Reachable(keys)) => {
            (Truth::True, Reason::OtxReachable, format!("OTX accepts {keys} of {keys} keys"))
        }
        Some(Verdict::Unauthorized(keys)) => {
            let message = format!(
                "OTX refuses the key in slot {}. Put a valid key into the Secret that spec.credentials names for it",
                names(keys)
            );
            (Truth::False, Reason::OtxUnauthorized, message)
        }
        Some(Verdict::RateLimited(keys)) => {
            let message =
                format!("OTX throttles the key in slot {}. Wait, or spread the load over more keys", names(keys));
            (Truth::False, Reason::OtxRateLimited, message)
        }
        Some(Verdict::Unreachable(why)) => {
            let message = format!("{why}. Look at spec.upstream, the NetworkPolicy and the way out of the cluster");
            (Truth::False, Reason::OtxUnreachable, message)
        }
    }
}

/// The status of a resource that cannot be read.
#[must_use]
pub fn unreadable(before: &[Condition], generation: Option<i64>, error: &str, now: Timestamp) -> ThreatRelayStatus {
    let message = shortened(format!(
        "the resource cannot be read: {error}. Correct it, or install the CRD of this operator's version"
    ));
    let mut list = before.to_vec();
    conditions::set(&mut list, READY, (Truth::False, Reason::InvalidSpec, message.clone()), generation, now);
    conditions::set(&mut list, STALLED, (Truth::True, Reason::InvalidSpec, message), generation, now);
    conditions::remove(&mut list, RECONCILING);
    ThreatRelayStatus { conditions: list, observed_generation: generation, ..ThreatRelayStatus::default() }
}

/// What to do about a right that the operator lacks.
#[must_use]
pub fn forbidden(error: &CallError) -> String {
    format!("{error}. Give the operator the right; its chart's role has all it needs")
}

/// The status of a resource about which something could not be read for want of a right. What was known before stays.
#[must_use]
pub fn unread(
    before: &ThreatRelayStatus,
    generation: Option<i64>,
    error: &CallError,
    now: Timestamp,
) -> ThreatRelayStatus {
    let message = shortened(forbidden(error));
    let mut status = ThreatRelayStatus { observed_generation: generation, ..before.clone() };
    let list = &mut status.conditions;
    conditions::set(list, READY, (Truth::False, Reason::Forbidden, message.clone()), generation, now);
    conditions::set(list, STALLED, (Truth::True, Reason::Forbidden, message), generation, now);
    conditions::remove(list, RECONCILING);
    status
}

/// Whether the second status says something that the first does not.
#[must_use]
pub fn differs(before: &ThreatRelayStatus, after: &ThreatRelayStatus) -> bool {
    let is_newer = match (&before.last_check, &after.last_check) {
        (Some(Time(before)), Some(Time(after))) => after.duration_since(*before).unsigned_abs() >= LOOKS,
        (before, after) => before != after,
    };
    is_newer || timeless(before) != timeless(after)
}

fn timeless(status: &ThreatRelayStatus) -> ThreatRelayStatus {
    let mut status = status.clone();
    status.last_check = None;
    for condition in &mut status.conditions {
        condition.last_transition_time = Time(Timestamp::UNIX_EPOCH);
    }
    status.conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    status
}

fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MESSAGE));
    text
}

#[cfg(test)]
mod tests;
