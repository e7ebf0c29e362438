//! The operator before a real API server: what it makes, keeps, removes and says. One plane for all; each test has a
//! namespace and an operator of its own.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod asleep;
mod children;
mod conflicts;
mod later;
mod scaling;
mod status;
mod traces;
mod upgrade;

use serde_json::{Value, json};
use tests::operator::{Scene, plane};

async fn scene(name: &str) -> Scene {
    Scene::new(plane().await, name).await
}

/// The children of a relay `r` with everything switched on: resource and name.
const CHILDREN: [(&str, &str); 9] = [
    ("v1/serviceaccounts", "r"),
    ("v1/configmaps", "r-settings"),
    ("v1/secrets", "r-otx-keys"),
    ("v1/services", "r"),
    ("apps/v1/deployments", "r"),
    ("policy/v1/poddisruptionbudgets", "r"),
    ("autoscaling/v2/horizontalpodautoscalers", "r"),
    ("networking.k8s.io/v1/networkpolicies", "r"),
    ("networking.k8s.io/v1/ingresses", "r"),
];

fn everything() -> Value {
    json!({
        "autoscaling": {"minReplicas": 2, "maxReplicas": 4},
        "credentials": {"default": {"secretRef": {"name": "otx"}}},
        "ingress": {"host": "otx.soc.example", "className": "traefik"},
        "resources": {"requests": {"cpu": "1000m", "memory": "64Mi"}},
    })
}

async fn all_of(name: &str) -> Scene {
    let scene = scene(name).await;
    scene.secret("otx", "api-key", "key-one").await;
    scene.create("r", everything()).await;
    scene.ready("r").await;
    scene
}
