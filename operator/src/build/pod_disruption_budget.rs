//! The disruption budget: a drain of nodes takes one pod at a time. A relay of one pod has none, for it would stop every
//! drain or allow what it is to prevent.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::labels::{metadata, pods_of};
use super::replicas;
use crate::api::ThreatRelaySpec;
use crate::validate::Validated;

/// Whether there is to be one.
#[must_use]
pub fn is_wanted(spec: &ThreatRelaySpec) -> bool {
    let fewest = match &spec.autoscaling {
        Some(autoscaling) => autoscaling.min_replicas,
        None => replicas(spec),
    };
    spec.pod_disruption_budget.enabled && fewest > 1
}

pub(super) fn build(validated: &Validated) -> Option<PodDisruptionBudget> {
    is_wanted(&validated.spec).then(|| PodDisruptionBudget {
        metadata: metadata(&validated.owner, validated.owner.name.clone()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            min_available: None,
            selector: Some(pods_of(&validated.owner.name)),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
        }),
        status: None,
    })
}
