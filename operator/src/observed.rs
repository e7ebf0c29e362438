//! What the cluster holds that matters to one resource, as it was just read: plain data, filled by the reads and used by
//! `validate`, `build` and `status`. Contents of Secrets are not printed.

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
