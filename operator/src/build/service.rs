//! The Service: the relay's endpoints, and the admin port for metrics, which no route leads to.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::labels::{metadata, selector};
use super::{ADMIN_PORT, HTTP_PORT};
use crate::validate::Validated;

pub(super) fn build(validated: &Validated) -> Service {
    let name = &validated.owner.name;
    Service {
        metadata: metadata(&validated.owner, name.clone()),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(selector(name)),
            ports: Some(vec![port("http", HTTP_PORT), port("admin", ADMIN_PORT)]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

fn port(name: &str, port: i32) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port,
        protocol: Some("TCP".to_owned()),
        app_protocol: Some("http".to_owned()),
        target_port: Some(IntOrString::String(name.to_owned())),
        node_port: None,
    }
}
