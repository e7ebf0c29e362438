//! The `HTTPRoute`: all paths of its host names, to the relay's endpoints. Defaults of the Gateway API are written out,
//! so that what is applied is what is stored.

use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

use super::HTTP_PORT;
use super::labels::metadata;
use crate::api::v1alpha1::ParentRef;
use crate::validate::Validated;

const GROUP: &str = "gateway.networking.k8s.io";

pub(super) fn build(validated: &Validated) -> Option<DynamicObject> {
    let gateway = validated.spec.gateway.as_ref().filter(|_| validated.has_http_route)?;
    let name = &validated.owner.name;
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1", "HTTPRoute"));
    let mut route = DynamicObject::new(name, &kind).data(json!({"spec": {
        "parentRefs": gateway.parent_refs.iter().map(parent).collect::<Vec<_>>(),
        "hostnames": gateway.hostnames,
        "rules": [{
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
            "backendRefs": [{"group": "", "kind": "Service", "name": name, "port": HTTP_PORT, "weight": 1}],
        }],
    }}));
    route.metadata = metadata(&validated.owner, name.clone());
    Some(route)
}

fn parent(parent: &ParentRef) -> Value {
    let mut value = json!({"group": GROUP, "kind": "Gateway", "name": parent.name});
    for (field, text) in [("namespace", &parent.namespace), ("sectionName", &parent.section_name)] {
        if let Some(text) = text {
            value[field] = json!(text);
        }
    }
    value
}
