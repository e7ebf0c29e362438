//! The real operator as a process before a real control plane, and what a test needs beside it: resources, waits on
//! their conditions, a stand-in for the kubelet (a control plane has no node), a fault proxy where one is wanted.
#![expect(clippy::expect_used, clippy::panic, reason = "what cannot be set up ends the test, with the step's name")]

pub mod installed;
pub(crate) mod kubelet;
pub mod node;
mod process;
mod scene;

pub use kubelet::{Health, Kubelet};
pub use process::Operator;
pub use scene::Scene;

use std::time::Duration;

use serde_json::{Value, json};
use threatrelay_operator::kinds;
use tokio::sync::OnceCell;

use crate::cluster::ControlPlane;
use crate::cluster::programs::Program;
use crate::eventually::Eventually;

/// Installs the CRD and waits until the API server serves it.
///
/// # Panics
/// When it is refused.
pub async fn install_crd(plane: &ControlPlane) {
    use kube::CustomResourceExt;
    let crd = serde_json::to_value(threatrelay_operator::api::ThreatRelay::crd()).expect("the CRD");
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/threatrelays.threatrelay.dev";
    plane.api().apply(path, &crd).await.expect("the CRD");
    Eventually::new("the CRD is served")
        .ok(async || plane.api().get("/apis/threatrelay.dev/v1alpha1/threatrelays").await)
        .await
        .expect("the CRD");
}

/// Installs the optional kinds and waits until they are served: an operator looks for them at its start, and then only
/// twice a minute.
///
/// # Panics
/// When they are refused.
pub async fn install_optional(plane: &ControlPlane) {
    let gateway = Program::named("gateway-api").and_then(Program::folder).expect("the types of the Gateway API");
    let applied = plane.kubectl(&["apply", "--server-side", "-f", &gateway.display().to_string()]);
    applied.expect("the types of the Gateway API");
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    plane.api().create(definitions, &service_monitors()).await.expect("the type of the Prometheus operator");
    for kind in kinds::optional() {
        let path = format!("/apis/{}/{}", kind.api_version, kind.plural);
        let served = Eventually::new(format!("{path} is served")).within(Duration::from_secs(30));
        served.ok(async || plane.api().get(&path).await).await.expect("the optional kinds");
    }
}

/// A control plane with the CRD that the tests of a process share; it is started by the first who asks.
///
/// # Panics
/// When it cannot be started.
pub async fn plane() -> &'static ControlPlane {
    static PLANE: OnceCell<ControlPlane> = OnceCell::const_new();
    PLANE
        .get_or_init(async || {
            let plane = ControlPlane::start().await.expect("a control plane");
            install_crd(&plane).await;
            plane
        })
        .await
}

/// Status and reason of a condition, as `True/Reconciled`; empty without one.
#[must_use]
pub fn condition(resource: &Value, type_: &str) -> String {
    let conditions = resource["status"]["conditions"].as_array();
    let found = conditions.into_iter().flatten().find(|condition| condition["type"] == type_);
    found.map_or_else(String::new, |found| {
        let said = |field: &str| found[field].as_str().unwrap_or_default();
        format!("{}/{}", said("status"), said("reason"))
    })
}

/// The Prometheus operator's type, as far as it matters who may touch it.
fn service_monitors() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "servicemonitors.monitoring.coreos.com"},
        "spec": {
            "group": "monitoring.coreos.com", "scope": "Namespaced",
            "names": {"kind": "ServiceMonitor", "plural": "servicemonitors"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
}
