//! The kinds of children: those that every cluster has, and those of optional APIs.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Resource;
use kube::api::{ApiResource, GroupVersionKind};

/// A kind by its type.
#[must_use]
pub fn of<K: Resource<DynamicType = ()>>() -> ApiResource {
    ApiResource::erase::<K>(&())
}

/// Kinds that every cluster has.
#[must_use]
pub fn always() -> [ApiResource; 9] {
    [
        of::<ServiceAccount>(),
        of::<ConfigMap>(),
        of::<Secret>(),
        of::<Service>(),
        of::<Deployment>(),
        of::<PodDisruptionBudget>(),
        of::<HorizontalPodAutoscaler>(),
        of::<NetworkPolicy>(),
        of::<Ingress>(),
    ]
}

/// `HTTPRoute` of the Gateway API.
#[must_use]
pub fn http_route() -> ApiResource {
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
    ApiResource::from_gvk_with_plural(&kind, "httproutes")
}

/// `ServiceMonitor` of the Prometheus operator.
#[must_use]
pub fn service_monitor() -> ApiResource {
    let kind = GroupVersionKind::gvk("monitoring.coreos.com", "v1", "ServiceMonitor");
    ApiResource::from_gvk_with_plural(&kind, "servicemonitors")
}

/// Kinds that a cluster may lack.
#[must_use]
pub fn optional() -> [ApiResource; 2] {
    [http_route(), service_monitor()]
}

/// Both.
pub fn all() -> impl Iterator<Item = ApiResource> {
    always().into_iter().chain(optional())
}
