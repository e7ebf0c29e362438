//! The schema of `ThreatRelay`: every field says what it is and has bounds, and every rule refuses what it is to refuse,
//! evaluated without a cluster and by a real API server alike, which also takes every object that is built.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod bounds;
mod objects;
mod rules;
mod server;
mod walk;

use kube::CustomResourceExt;
use serde_json::{Value, json};
use tests::custom_resource::{merge, minimal};
use threatrelay_operator::api::ThreatRelay;

/// The definition as JSON.
fn definition() -> Value {
    serde_json::to_value(ThreatRelay::crd()).unwrap()
}

/// A resource with this name and spec.
fn resource(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "threatrelay.dev/v1alpha1", "kind": "ThreatRelay",
        "metadata": {"name": name, "namespace": "default"}, "spec": spec,
    })
}

/// The smallest valid spec with more in it: objects are merged, anything else is replaced, null is removed.
fn spec(more: &Value) -> Value {
    let mut spec = minimal();
    merge(&mut spec, more);
    spec
}
