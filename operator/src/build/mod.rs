//! From a validated resource to the objects that make it so, one file a kind. Pure and total: the same input gives the
//! same bytes, nothing is asked and nothing fails. Names, labels and fields are the interface between the operator and
//! whoever looks at a cluster.

pub mod annotations;
mod config_map;
mod deployment;
mod horizontal_pod_autoscaler;
mod http_route;
mod ingress;
mod labels;
pub mod names;
mod network_policy;
mod pod_disruption_budget;
mod secret;
mod service;
mod service_account;
mod service_monitor;
mod settings;
mod volumes;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::DynamicObject;

use crate::api::ThreatRelaySpec;
use crate::validate::Validated;
pub use deployment::{ADMIN_PORT, HTTP_PORT};
pub use labels::{labels, selector};
pub use pod_disruption_budget::is_wanted as has_pod_disruption_budget;
pub use settings::MOUNT;

/// The objects of one resource. What is `None` is not wanted.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each field is named after its kind")]
pub struct Objects {
    pub service_account: ServiceAccount,
    pub config_map: ConfigMap,
    pub secret: Option<Secret>,
    pub deployment: Deployment,
    pub service: Service,
    pub ingress: Option<Ingress>,
    pub http_route: Option<DynamicObject>,
    pub horizontal_pod_autoscaler: Option<HorizontalPodAutoscaler>,
    pub pod_disruption_budget: Option<PodDisruptionBudget>,
    pub network_policy: Option<NetworkPolicy>,
    pub service_monitor: Option<DynamicObject>,
}

/// Builds them.
#[must_use]
pub fn build(validated: &Validated) -> Objects {
    let config_map = config_map::build(validated);
    Objects {
        service_account: service_account::build(validated),
        secret: secret::build(validated),
        deployment: deployment::build(validated, &config_map),
        service: service::build(validated),
        ingress: ingress::build(validated),
        http_route: http_route::build(validated),
        horizontal_pod_autoscaler: horizontal_pod_autoscaler::build(validated),
        pod_disruption_budget: pod_disruption_budget::build(validated),
        network_policy: network_policy::build(validated),
        service_monitor: service_monitor::build(validated),
        config_map,
    }
}

/// The number of pods, where it is fixed.
fn replicas(spec: &ThreatRelaySpec) -> i32 {
    spec.replicas.unwrap_or(2)
}

/// Where the relay is reached from outside.
#[must_use]
pub fn url(spec: &ThreatRelaySpec) -> Option<String> {
    if let Some(ingress) = &spec.ingress {
        let scheme = if ingress.tls.enabled { "https" } else { "http" };
        return Some(format!("{scheme}://{}", ingress.host));
    }
    spec.gateway.as_ref()?.hostnames.first().map(|host| format!("https://{host}"))
}
