//! What the status and events say, and what they say it about.

use serde_json::{Value, json};
use tests::operator::{Health, Scene, condition};

use super::{all_of, scene};

#[tokio::test]
async fn a_minimal_resource_becomes_ready_and_says_so_everywhere() {
    let scene = scene("minimal").await;
    scene.create("r", json!({})).await;
    let relay = scene.ready("r").await;
    for (type_, expected) in [
        ("Ready", "True/Reconciled"),
        ("Available", "True/DeploymentAvailable"),
        ("CredentialsResolved", "True/NotRequested"),
        ("RouteAccepted", "True/NotRequested"),
        ("UpstreamReachable", "Unknown/NotProbed"),
    ] {
        assert_eq!(condition(&relay, type_), expected, "{type_}");
    }
    assert_eq!((&relay["status"]["readiness"], &relay["status"]["replicas"]), (&json!("2/2"), &json!(2)));
    let is_told = async || told(&scene, "Ready").await.pop().ok_or("no event tells it".to_owned());
    scene.until("that it is ready is told", is_told).await;
    assert_eq!(told(&scene, "DeploymentUnavailable").await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_missing_secret_is_named_and_taken_up_when_it_comes() {
    let scene = scene("missing").await;
    scene.create("r", json!({"credentials": {"default": {"secretRef": {"name": "otx"}}}})).await;
    let relay = scene.becomes("r", "CredentialsResolved", "False/SecretNotFound").await;
    assert!(relay["status"].to_string().contains("otx"), "{relay}");
    scene.secret("otx", "other", "x").await;
    scene.becomes("r", "CredentialsResolved", "False/SecretKeyMissing").await;
    scene.api.merge(&scene.path("v1/secrets", "otx"), &json!({"stringData": {"api-key": "k"}})).await.unwrap();
    scene.ready("r").await;
}

#[tokio::test]
async fn a_suspended_resource_is_left_alone_until_it_is_resumed() {
    let scene = all_of("suspended").await;
    scene.change("r", json!({"suspend": true})).await;
    scene.becomes("r", "Ready", "Unknown/Paused").await;
    let service = scene.path("v1/services", "r");
    scene.api.delete(&service).await.unwrap();
    // One that is not suspended is made meanwhile.
    scene.create("other", json!({})).await;
    scene.ready("other").await;
    scene.gone(&service).await;
    scene.change("r", json!({"suspend": false})).await;
    scene.ready("r").await;
    scene.api.get(&service).await.unwrap();
}

#[tokio::test]
async fn an_optional_api_that_is_missing_is_a_condition_and_one_event() {
    let scene = scene("optional").await;
    scene
        .create("r", json!({"gateway": {"parentRefs": [{"name": "public"}], "hostnames": ["otx.soc.example"]}}))
        .await;
    scene.becomes("r", "RouteAccepted", "False/GatewayApiNotInstalled").await;
    scene.becomes("r", "Ready", "False/GatewayApiNotInstalled").await;
    scene.change("r", json!({"replicas": 3})).await;
    scene.object("there are three pods", &scene.relay("r"), |relay| relay["status"]["readyReplicas"] == 3).await;
    scene.becomes("r", "Ready", "False/GatewayApiNotInstalled").await;
    assert_eq!(told(&scene, "GatewayApiNotInstalled").await.len(), 1);
}

#[tokio::test]
async fn what_keeps_pods_from_being_ready_is_in_the_status() {
    let scene = scene("pods").await;
    scene.kubelet.set(Health::CrashLoop(78, "auth.audiences is required".to_owned()));
    scene.create("r", json!({})).await;
    let relay = scene.becomes("r", "Ready", "False/SettingsRefused").await;
    assert!(relay["status"].to_string().contains("auth.audiences is required"), "{relay}");
    scene.kubelet.set(Health::ImagePullBackOff);
    scene.becomes("r", "Ready", "False/ImagePullFailed").await;
    scene.kubelet.set(Health::Ready);
    scene.ready("r").await;
}

#[tokio::test]
async fn what_a_quota_refuses_is_in_the_status() {
    let scene = scene("quota").await;
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "0"}}});
    scene.api.create(&scene.path("v1/resourcequotas", ""), &quota).await.unwrap();
    scene.create("r", json!({})).await;
    scene.becomes("r", "Ready", "False/QuotaExceeded").await;
}

#[tokio::test]
async fn what_is_refused_is_told_makes_nothing_and_is_made_when_it_is_corrected() {
    let scene = scene("refused").await;
    scene.create("r", json!({"image": {"repository": "other.example/relay"}})).await;
    let relay = scene.becomes("r", "Ready", "False/ImageNotAllowed").await;
    assert_eq!(condition(&relay, "Stalled"), "True/ImageNotAllowed");
    assert_eq!(condition(&relay, "Available"), "Unknown/Pending");
    let event = scene
        .until("the refusal is told", async || {
            told(&scene, "ImageNotAllowed").await.pop().ok_or("no such event".to_owned())
        })
        .await;
    assert!(event["type"] == "Warning" && event["note"].as_str().unwrap().contains("other.example/relay"), "{event}");
    for resource in ["v1/serviceaccounts", "apps/v1/deployments", "v1/services"] {
        assert_eq!(scene.api.get(&scene.path(resource, "r")).await.unwrap_err().status(), Some(404), "{resource}");
    }
    scene.change("r", json!({"image": null})).await;
    let relay = scene.ready("r").await;
    assert_eq!(condition(&relay, "Stalled"), "");
    // It is refused again while pods run: they stay.
    let deployment = scene.path("apps/v1/deployments", "r");
    let before = scene.api.field(&deployment, "/metadata/generation").await.unwrap();
    scene.change("r", json!({"image": {"repository": "other.example/relay"}})).await;
    let relay = scene.becomes("r", "Ready", "False/ImageNotAllowed").await;
    assert_eq!(condition(&relay, "Available"), "True/DeploymentAvailable");
    assert_eq!(scene.api.field(&deployment, "/metadata/generation").await.unwrap(), before);
}

/// The events with this reason.
async fn told(scene: &Scene, reason: &str) -> Vec<Value> {
    let mut events = scene.api.field(&scene.path("events.k8s.io/v1/events", ""), "/items").await.unwrap();
    events.as_array_mut().unwrap().drain(..).filter(|event| event["reason"] == reason).collect()
}
