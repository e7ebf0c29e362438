//! The `ServiceMonitor`: the metrics of the admin port, for the Prometheus operator.

use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::json;

use super::labels::{metadata, selector};
use crate::validate::Validated;

pub(super) fn build(validated: &Validated) -> Option<DynamicObject> {
    let wanted = validated.spec.monitoring.service_monitor.as_ref().filter(|_| validated.has_service_monitor)?;
    let name = &validated.owner.name;
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("monitoring.coreos.com", "v1", "ServiceMonitor"));
    let mut monitor = DynamicObject::new(name, &kind).data(json!({"spec": {
        "selector": {"matchLabels": selector(name)},
        "endpoints": [{"port": "admin", "path": "/metrics", "interval": wanted.interval}],
    }}));
    let mut metadata = metadata(&validated.owner, name.clone());
    if let Some(labels) = &mut metadata.labels {
        // Ours are how the object is found again.
        for (key, value) in &wanted.labels {
            labels.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    monitor.metadata = metadata;
    Some(monitor)
}
