//! The words of the status: condition types and the closed set of reasons, and how a condition is put into the list.
//! Texts for people are written where the facts are; programs rely on the words here.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// Summary: the relay serves as the resource describes it.
pub const READY: &str = "Ready";
/// Enough pods are ready to answer.
pub const AVAILABLE: &str = "Available";
/// Every Secret and `ConfigMap` key that the resource names is there.
pub const CREDENTIALS_RESOLVED: &str = "CredentialsResolved";
/// The Ingress or `HTTPRoute` is attached.
pub const ROUTE_ACCEPTED: &str = "RouteAccepted";
/// OTX answers the relay; unknown until it was looked at.
pub const UPSTREAM_REACHABLE: &str = "UpstreamReachable";
/// Only while true: a change is under way (kstatus).
pub const RECONCILING: &str = "Reconciling";
/// Only while true: nothing goes on until someone acts (kstatus).
pub const STALLED: &str = "Stalled";

/// Why a condition is as it is. Closed: programs may match on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No operator has looked at the resource yet (the schema's default).
    Pending,
    /// All is as described.
    Reconciled,
    /// A change is under way.
    Progressing,
    /// The resource is suspended.
    Paused,
    /// The resource, or its namespace, is being deleted.
    Terminating,
    /// The resource asks for nothing in this respect.
    NotRequested,
    /// Not looked at yet.
    NotProbed,
    /// A referenced Secret is not there.
    SecretNotFound,
    /// A referenced Secret lacks the key.
    SecretKeyMissing,
    /// The key of a referenced Secret holds nothing.
    SecretKeyEmpty,
    /// The key of a referenced Secret holds what cannot be an OTX key.
    SecretKeyInvalid,
    /// A referenced `ConfigMap`, or its key, is not there.
    ConfigMapNotFound,
    /// The key of a referenced `ConfigMap` holds no certificate.
    ConfigMapKeyInvalid,
    /// OTX accepted the key.
    OtxReachable,
    /// OTX refused the key.
    OtxUnauthorized,
    /// OTX asks for a pause.
    OtxRateLimited,
    /// OTX cannot be reached, or does not answer as it should.
    OtxUnreachable,
    /// Enough pods are ready.
    DeploymentAvailable,
    /// Too few pods are ready.
    DeploymentUnavailable,
    /// The relay refuses its settings.
    SettingsRefused,
    /// Pods start and end again and again.
    CrashLooping,
    /// A pod takes longer to be ready than a start takes, and nothing says why.
    PodsNotReady,
    /// A node cannot get the image.
    ImagePullFailed,
    /// No node takes a pod.
    Unschedulable,
    /// A quota refuses an object or a pod.
    QuotaExceeded,
    /// Admission refuses an object or a pod.
    AdmissionDenied,
    /// The operator may not do what it has to.
    Forbidden,
    /// The API server cannot be asked.
    ApiUnavailable,
    /// The cluster has no Gateway API.
    GatewayApiNotInstalled,
    /// The route is attached.
    RouteAccepted,
    /// The route is not attached, or not yet.
    RouteNotAccepted,
    /// The cluster has no `ServiceMonitor` type.
    ServiceMonitorCrdMissing,
    /// An object with the name of one of ours belongs to someone else.
    OwnershipConflict,
    /// The operator allows no such image.
    ImageNotAllowed,
    /// The operator allows no such destination.
    DestinationNotAllowed,
    /// The resource contradicts itself in a way that the schema does not see.
    InvalidSpec,
}

impl Reason {
    /// Every reason, for documentation and tests.
    pub const ALL: &[Self] = &[
        Self::Pending,
        Self::Reconciled,
        Self::Progressing,
        Self::Paused,
        Self::Terminating,
        Self::NotRequested,
        Self::NotProbed,
        Self::SecretNotFound,
        Self::SecretKeyMissing,
        Self::SecretKeyEmpty,
        Self::SecretKeyInvalid,
        Self::ConfigMapNotFound,
        Self::ConfigMapKeyInvalid,
        Self::OtxReachable,
        Self::OtxUnauthorized,
        Self::OtxRateLimited,
        Self::OtxUnreachable,
        Self::DeploymentAvailable,
        Self::DeploymentUnavailable,
        Self::SettingsRefused,
        Self::CrashLooping,
        Self::PodsNotReady,
        Self::ImagePullFailed,
        Self::Unschedulable,
        Self::QuotaExceeded,
        Self::AdmissionDenied,
        Self::Forbidden,
        Self::ApiUnavailable,
        Self::GatewayApiNotInstalled,
        Self::RouteAccepted,
        Self::RouteNotAccepted,
        Self::ServiceMonitorCrdMissing,
        Self::OwnershipConflict,
        Self::ImageNotAllowed,
        Self::DestinationNotAllowed,
        Self::InvalidSpec,
    ];

    /// The word in the status.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Reconciled => "Reconciled",
            Self::Progressing => "Progressing",
            Self::Paused => "Paused",
            Self::Terminating => "Terminating",
            Self::NotRequested => "NotRequested",
            Self::NotProbed => "NotProbed",
            Self::SecretNotFound => "SecretNotFound",
            Self::SecretKeyMissing => "SecretKeyMissing",
            Self::SecretKeyEmpty => "SecretKeyEmpty",
            Self::SecretKeyInvalid => "SecretKeyInvalid",
            Self::ConfigMapNotFound => "ConfigMapNotFound",
            Self::ConfigMapKeyInvalid => "ConfigMapKeyInvalid",
            Self::OtxReachable => "OtxReachable",
            Self::OtxUnauthorized => "OtxUnauthorized",
            Self::OtxRateLimited => "OtxRateLimited",
            Self::OtxUnreachable => "OtxUnreachable",
            Self::DeploymentAvailable => "DeploymentAvailable",
            Self::DeploymentUnavailable => "DeploymentUnavailable",
            Self::SettingsRefused => "SettingsRefused",
            Self::CrashLooping => "CrashLooping",
            Self::PodsNotReady => "PodsNotReady",
            Self::ImagePullFailed => "ImagePullFailed",
            Self::Unschedulable => "Unschedulable",
            Self::QuotaExceeded => "QuotaExceeded",
            Self::AdmissionDenied => "AdmissionDenied",
            Self::Forbidden => "Forbidden",
            Self::ApiUnavailable => "ApiUnavailable",
            Self::GatewayApiNotInstalled => "GatewayApiNotInstalled",
            Self::RouteAccepted => "RouteAccepted",
            Self::RouteNotAccepted => "RouteNotAccepted",
            Self::ServiceMonitorCrdMissing => "ServiceMonitorCrdMissing",
            Self::OwnershipConflict => "OwnershipConflict",
            Self::ImageNotAllowed => "ImageNotAllowed",
            Self::DestinationNotAllowed => "DestinationNotAllowed",
            Self::InvalidSpec => "InvalidSpec",
        }
    }
}

/// Whether something is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It is.
    True,
    /// It is not.
    False,
    /// It is not known.
    Unknown,
}

impl Truth {
    /// The word in the status.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// Puts a condition into the list, in the place of the one of its type. The time of the last transition is kept unless
/// the status changes. The list stays ordered by type, so that the order in which conditions are set does not show.
pub fn set(
    conditions: &mut Vec<Condition>,
    type_: &str,
    (truth, reason, message): (Truth, Reason, String),
    generation: Option<i64>,
    now: Timestamp,
) {
    let before = conditions.iter().position(|condition| condition.type_ == type_).map(|at| conditions.remove(at));
    let since =
        before.filter(|before| before.status == truth.word()).map_or(Time(now), |same| same.last_transition_time);
    conditions.push(Condition {
        type_: type_.to_owned(),
        status: truth.word().to_owned(),
        reason: reason.word().to_owned(),
        message,
        observed_generation: generation,
        last_transition_time: since,
    });
    conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
}

/// Takes a condition out of the list.
pub fn remove(conditions: &mut Vec<Condition>, type_: &str) {
    conditions.retain(|condition| condition.type_ != type_);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap_or_default()
    }

    fn put(conditions: &mut Vec<Condition>, type_: &str, truth: Truth, second: i64) {
        set(conditions, type_, (truth, Reason::Reconciled, String::new()), Some(1), at(second));
    }

    #[test]
    fn the_time_of_a_transition_stays_until_the_status_changes() {
        let mut list = Vec::new();
        put(&mut list, READY, Truth::True, 1);
        put(&mut list, READY, Truth::True, 2);
        assert_eq!(list.iter().map(|c| c.last_transition_time.0).collect::<Vec<_>>(), [at(1)]);
        put(&mut list, READY, Truth::False, 3);
        assert_eq!(list.iter().map(|c| c.last_transition_time.0).collect::<Vec<_>>(), [at(3)]);
    }

    #[test]
    fn the_order_of_setting_does_not_show() {
        let (mut one, mut two) = (Vec::new(), Vec::new());
        for type_ in [READY, AVAILABLE, STALLED] {
            put(&mut one, type_, Truth::True, 1);
        }
        for type_ in [STALLED, READY, AVAILABLE] {
            put(&mut two, type_, Truth::True, 1);
        }
        assert_eq!(one, two);
        remove(&mut one, STALLED);
        assert_eq!(one.iter().map(|c| c.type_.as_str()).collect::<Vec<_>>(), [AVAILABLE, READY]);
    }

    #[test]
    fn the_operators_page_explains_every_reason_and_every_condition_and_no_other() {
        let page = include_str!("../../../docs/operator.md");
        // The words that begin the rows of the first table after a heading.
        let rows = |heading: &str| -> Vec<&str> {
            let lines = page.split(heading).nth(1).unwrap_or_default().lines();
            let table = lines.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
            table.filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect()
        };
        let reasons: Vec<_> = Reason::ALL.iter().map(|reason| reason.word()).collect();
        assert_eq!(rows("### Reasons"), reasons);
        let mut conditions =
            vec![READY, AVAILABLE, CREDENTIALS_RESOLVED, ROUTE_ACCEPTED, UPSTREAM_REACHABLE, RECONCILING, STALLED];
        conditions.sort_unstable();
        let mut told = rows("## What the status says");
        told.sort_unstable();
        assert_eq!(told, conditions);
    }

    #[test]
    fn reasons_are_distinct_words_that_the_schema_takes() {
        let mut words: Vec<_> = Reason::ALL.iter().map(|reason| reason.word()).collect();
        assert!(words.iter().all(|word| word.len() <= 64 && word.bytes().all(|byte| byte.is_ascii_alphabetic())));
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Reason::ALL.len());
    }
}
