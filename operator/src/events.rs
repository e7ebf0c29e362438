//! Events: what has changed, told once. They follow from two statuses, so a reconcile that changes nothing tells nothing.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType};

use crate::api::conditions::{AVAILABLE, READY, RECONCILING, Reason, STALLED, UPSTREAM_REACHABLE};

/// Reasons that are no news to anybody.
const QUIET: [Reason; 5] =
    [Reason::Progressing, Reason::Pending, Reason::NotRequested, Reason::NotProbed, Reason::Terminating];

/// Most bytes of an event's note.
const NOTE: usize = 1000;

/// The events of the step from one list of conditions to the next. A reason is told once, of whichever condition.
#[must_use]
pub fn transitions(before: &[Condition], after: &[Condition]) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    for now in after {
        let was = before.iter().find(|condition| condition.type_ == now.type_);
        let is_same = was.is_some_and(|was| was.status == now.status && was.reason == now.reason);
        let is_quiet = QUIET.iter().any(|reason| reason.word() == now.reason);
        if is_same || is_quiet || [RECONCILING, STALLED].contains(&&*now.type_) {
            continue;
        }
        let was_bad = was.is_some_and(|was| was.status == "False");
        let was_good = was.is_some_and(|was| was.status == "True");
        let (type_, reason) = match (&*now.type_, &*now.status) {
            (READY, "True") if now.reason == Reason::Reconciled.word() => (EventType::Normal, READY),
            (UPSTREAM_REACHABLE, "True") if was_bad => (EventType::Normal, &*now.reason),
            // Before its first pod is ready every relay is like that.
            (AVAILABLE, "False") if !was_good => continue,
            (READY, "Unknown") => (EventType::Normal, &*now.reason),
            (READY, _) | (_, "False") => (EventType::Warning, &*now.reason),
            _ => continue,
        };
        if events.iter().all(|told| told.reason != reason) {
            events.push(Event {
                type_,
                reason: reason.to_owned(),
                note: Some(shortened(&now.message)),
                action: "Reconcile".to_owned(),
                secondary: None,
            });
        }
    }
    events
}

fn shortened(text: &str) -> String {
    text[..text.floor_char_boundary(NOTE)].to_owned()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn condition(type_: &str, status: &str, reason: Reason) -> Condition {
        Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.word().to_owned(),
            message: format!("message of {type_}"),
            observed_generation: Some(1),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        }
    }

    fn told(before: &[Condition], after: &[Condition]) -> Vec<(EventType, String)> {
        transitions(before, after).into_iter().map(|event| (event.type_, event.reason)).collect()
    }

    #[test]
    fn only_steps_are_told_and_each_reason_once() {
        let ready = condition("Ready", "True", Reason::Reconciled);
        let missing = condition("Ready", "False", Reason::SecretNotFound);
        let unresolved = condition("CredentialsResolved", "False", Reason::SecretNotFound);
        let progressing = condition("Ready", "False", Reason::Progressing);
        let normal = |reason: &str| vec![(EventType::Normal, reason.to_owned())];
        let warning = |reason: &str| vec![(EventType::Warning, reason.to_owned())];
        let (was, now) = (std::slice::from_ref(&ready), std::slice::from_ref(&missing));
        assert_eq!(told(was, was), vec![]);
        assert_eq!(told(&[], was), normal("Ready"));
        assert_eq!(told(was, now), warning("SecretNotFound"));
        assert_eq!(told(was, &[unresolved, missing.clone()]), warning("SecretNotFound"));
        assert_eq!(told(was, &[progressing]), vec![]);
        assert_eq!(told(now, was), normal("Ready"));
    }

    #[test]
    fn otx_is_told_of_when_it_goes_and_when_it_comes_back() {
        let reachable = condition("UpstreamReachable", "True", Reason::OtxReachable);
        let refused = condition("UpstreamReachable", "False", Reason::OtxUnauthorized);
        let unknown = condition("UpstreamReachable", "Unknown", Reason::NotProbed);
        let (good, bad) = (std::slice::from_ref(&reachable), std::slice::from_ref(&refused));
        assert_eq!(told(good, bad), [(EventType::Warning, "OtxUnauthorized".to_owned())]);
        assert_eq!(told(bad, good), [(EventType::Normal, "OtxReachable".to_owned())]);
        assert_eq!(told(std::slice::from_ref(&unknown), good), vec![]);
        assert_eq!(told(good, &[unknown]), vec![]);
    }

    #[test]
    fn pods_that_are_lost_are_told_of_and_pods_that_are_not_there_yet_are_not() {
        let available = condition("Available", "True", Reason::DeploymentAvailable);
        let lost = condition("Available", "False", Reason::DeploymentUnavailable);
        let pending = condition("Available", "Unknown", Reason::Pending);
        let warning = [(EventType::Warning, "DeploymentUnavailable".to_owned())];
        assert_eq!(told(&[available], std::slice::from_ref(&lost)), warning);
        assert_eq!(told(&[pending], std::slice::from_ref(&lost)), vec![]);
        assert_eq!(told(&[], &[lost]), vec![]);
    }

    #[test]
    fn a_long_message_is_shortened() {
        let mut long = condition("Ready", "False", Reason::InvalidSpec);
        long.message = "ä".repeat(2000);
        let events = transitions(&[], &[long]);
        assert_eq!(events[0].note.as_ref().map(String::len), Some(1000));
    }
}
