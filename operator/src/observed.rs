//! What the cluster holds that matters to one resource, as it was just read: plain data, filled by the reads and used by
//! `validate`, `build`, `apply` and `status`. Contents of Secrets are not printed.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::DynamicObject;

/// What was read for one resource.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Referenced Secrets by name: their keys, or `None` for one that is not there. A Secret that was not looked at
    /// (`credentials.mode: direct`) has no entry, and what the resource says of it is believed.
    pub secrets: BTreeMap<String, Option<BTreeMap<String, Content>>>,
    /// Referenced `ConfigMap`s by name: their texts, or `None` for one that is not there.
    pub config_maps: BTreeMap<String, Option<BTreeMap<String, String>>>,
    /// Which optional APIs there are.
    pub apis: OptionalApis,
    /// The objects that carry the names of the resource's children, whoever they belong to.
    pub children: Children,
    /// The relay's pods.
    pub pods: Vec<Pod>,
}

/// APIs that a cluster may lack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptionalApis {
    /// `HTTPRoute` of the Gateway API.
    pub gateway: bool,
    /// `ServiceMonitor` of the Prometheus operator.
    pub service_monitor: bool,
}

/// Live objects by kind.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each field is named after its kind")]
pub struct Children {
    pub service_account: Option<ServiceAccount>,
    pub config_map: Option<ConfigMap>,
    pub secret: Option<Secret>,
    pub deployment: Option<Deployment>,
    pub service: Option<Service>,
    pub ingress: Option<Ingress>,
    pub http_route: Option<DynamicObject>,
    pub horizontal_pod_autoscaler: Option<HorizontalPodAutoscaler>,
    pub pod_disruption_budget: Option<PodDisruptionBudget>,
    pub network_policy: Option<NetworkPolicy>,
    pub service_monitor: Option<DynamicObject>,
}

/// Whether all pods of a Deployment are of its present template, as far as its controller has seen it.
#[must_use]
pub fn is_rolled_out(deployment: &Deployment) -> bool {
    let status = deployment.status.as_ref();
    let is_seen = status.and_then(|status| status.observed_generation) >= deployment.metadata.generation;
    let count = |count: Option<i32>| count.unwrap_or(0);
    is_seen && status.is_none_or(|status| count(status.updated_replicas) == count(status.replicas))
}

/// The value of one key of a Secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Content(Vec<u8>);

impl Content {
    /// The bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use serde_json::json;

    use super::*;

    #[test]
    fn a_deployment_is_rolled_out_when_all_its_pods_are_of_what_its_controller_has_seen() {
        let of = |status| {
            let spec = json!({"selector": {}, "template": {}});
            serde_json::from_value(json!({"metadata": {"generation": 2}, "spec": spec, "status": status})).unwrap()
        };
        for (seen, updated, all, expected) in
            [(2, 2, 2, true), (3, 0, 0, true), (1, 2, 2, false), (2, 1, 2, false), (2, 1, 3, false), (2, 0, 1, false)]
        {
            let status = json!({"observedGeneration": seen, "updatedReplicas": updated, "replicas": all});
            assert_eq!(is_rolled_out(&of(status.clone())), expected, "{status}");
        }
        assert!(!is_rolled_out(&of(json!(null))), "nobody has seen it");
    }
}
