//! The Ingress: one host, all paths, to the relay's endpoints.

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend, IngressSpec,
    IngressTLS, ServiceBackendPort,
};

use super::labels::metadata;
use crate::validate::Validated;

pub(super) fn build(validated: &Validated) -> Option<Ingress> {
    let wanted = validated.spec.ingress.as_ref()?;
    let name = &validated.owner.name;
    let mut metadata = metadata(&validated.owner, name.clone());
    metadata.annotations = (!wanted.annotations.is_empty()).then(|| wanted.annotations.clone());
    let path = HTTPIngressPath {
        path: Some("/".to_owned()),
        path_type: "Prefix".to_owned(),
        backend: IngressBackend {
            service: Some(IngressServiceBackend {
                name: name.clone(),
                port: Some(ServiceBackendPort { name: Some("http".to_owned()), number: None }),
            }),
            resource: None,
        },
    };
    let tls = IngressTLS { hosts: Some(vec![wanted.host.clone()]), secret_name: wanted.tls.secret_name.clone() };
    Some(Ingress {
        metadata,
        spec: Some(IngressSpec {
            ingress_class_name: wanted.class_name.clone(),
            rules: Some(vec![IngressRule {
                host: Some(wanted.host.clone()),
                http: Some(HTTPIngressRuleValue { paths: vec![path] }),
            }]),
            tls: wanted.tls.enabled.then(|| vec![tls]),
            default_backend: None,
        }),
        status: None,
    })
}
