//! Whether the names of the children are free or ours. An object that someone else made is never touched.

use kube::{Resource, ResourceExt};

use super::{Keys, Owner, Refused};
use crate::api::ThreatRelaySpec;
use crate::api::conditions::Reason;
use crate::build::has_pod_disruption_budget;
use crate::observed::Children;

pub(super) fn check(
    owner: &Owner,
    spec: &ThreatRelaySpec,
    keys: &Keys,
    (has_http_route, has_service_monitor): (bool, bool),
    children: &Children,
) -> Result<(), Refused> {
    let Children {
        service_account,
        config_map,
        secret,
        deployment,
        service,
        ingress,
        http_route,
        horizontal_pod_autoscaler,
        pod_disruption_budget,
        network_policy,
        service_monitor,
    } = children;
    let conflicts = [
        conflict("ServiceAccount", true, service_account.as_ref(), owner),
        conflict("ConfigMap", true, config_map.as_ref(), owner),
        conflict("Secret", matches!(keys, Keys::Managed(_)), secret.as_ref(), owner),
        conflict("Deployment", true, deployment.as_ref(), owner),
        conflict("Service", true, service.as_ref(), owner),
        conflict("Ingress", spec.ingress.is_some(), ingress.as_ref(), owner),
        conflict("HTTPRoute", has_http_route, http_route.as_ref(), owner),
        conflict("HorizontalPodAutoscaler", spec.autoscaling.is_some(), horizontal_pod_autoscaler.as_ref(), owner),
        conflict("PodDisruptionBudget", has_pod_disruption_budget(spec), pod_disruption_budget.as_ref(), owner),
        conflict("NetworkPolicy", spec.network_policy.enabled, network_policy.as_ref(), owner),
        conflict("ServiceMonitor", has_service_monitor, service_monitor.as_ref(), owner),
    ];
    let named: Vec<String> = conflicts.into_iter().flatten().collect();
    if named.is_empty() {
        return Ok(());
    }
    Err(Refused {
        reason: Reason::OwnershipConflict,
        message: format!(
            "{} in namespace {:?} belongs to someone else and is left alone; delete it, or give the ThreatRelay another \
             name",
            named.join(", "),
            owner.namespace
        ),
    })
}

/// Whether this object is controlled by that resource.
#[must_use]
pub fn is_owned(object: &impl Resource, uid: &str) -> bool {
    object.owner_references().iter().any(|reference| reference.controller == Some(true) && reference.uid == uid)
}

fn conflict(kind: &str, is_wanted: bool, live: Option<&impl Resource>, owner: &Owner) -> Option<String> {
    let live = live.filter(|live| is_wanted && !is_owned(*live, &owner.uid))?;
    Some(format!("{kind} {:?}", live.name_any()))
}
