//! The operator before a real API server: what it makes, keeps, removes and says. One plane for all; each test has a
//! namespace and an operator of its own.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::time::Duration;

use serde_json::{Value, json};
use tests::cluster::ControlPlane;
use tests::operator::{Health, Scene, condition, install_crd};
use tokio::sync::OnceCell;

async fn scene(name: &str) -> Scene {
    static PLANE: OnceCell<ControlPlane> = OnceCell::const_new();
    let plane = PLANE
        .get_or_init(async || {
            let plane = ControlPlane::start().await.unwrap();
            install_crd(&plane).await;
            plane
        })
        .await;
    Scene::new(plane, name).await
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
}

#[tokio::test]
async fn everything_switched_on_is_made_and_owned() {
    let scene = all_of("everything").await;
    let uid = scene.api.field(&scene.relay("r"), "/metadata/uid").await.unwrap();
    for (resource, name) in CHILDREN {
        let child = scene.api.get(&scene.path(resource, name)).await.unwrap();
        let owners = child["metadata"]["ownerReferences"].as_array().unwrap();
        assert!(owners.len() == 1 && owners[0]["uid"] == uid && owners[0]["controller"] == true, "{resource}");
    }
}

#[tokio::test]
async fn at_rest_nothing_is_written() {
    let scene = all_of("rest").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = scene.writes().len();
    tokio::time::sleep(Duration::from_secs(20)).await;
    let writes = scene.writes();
    assert!(writes.len() == before, "{:#?}", &writes[before..]);
}

#[tokio::test]
async fn a_child_that_is_deleted_comes_back() {
    let scene = all_of("deleted").await;
    for (resource, name) in CHILDREN {
        let path = scene.path(resource, name);
        let uid = scene.api.field(&path, "/metadata/uid").await.unwrap();
        scene.api.delete(&path).await.unwrap();
        scene.object(&format!("{resource} is back"), &path, |child| child["metadata"]["uid"] != uid).await;
    }
    scene.ready("r").await;
}

#[tokio::test]
async fn what_is_ours_is_repaired_and_what_is_not_stays() {
    let scene = all_of("drift").await;
    for (resource, name) in CHILDREN {
        let path = scene.path(resource, name);
        let edit = json!({"metadata": {
            "labels": {"app.kubernetes.io/managed-by": "somebody", "theirs": "kept"}, "annotations": {"theirs.example/a": "kept"},
        }});
        scene.api.merge(&path, &edit).await.unwrap();
        let child = scene
            .object(&format!("{resource} is repaired"), &path, |child| {
                child["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "threatrelay-operator"
            })
            .await;
        assert_eq!(child["metadata"]["labels"]["theirs"], "kept", "{resource}");
        assert_eq!(child["metadata"]["annotations"]["theirs.example/a"], "kept", "{resource}");
    }
    let path = scene.path("apps/v1/deployments", "r");
    let sidecar = json!([{"op": "add", "path": "/spec/template/spec/containers/-", "value": {"name": "sidecar", "image": "i"}}]);
    scene.api.send(reqwest::Method::PATCH, &path, Some(("application/json-patch+json", &sidecar))).await.unwrap();
    scene
        .api
        .merge(&path, &json!({"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}}))
        .await
        .unwrap();
    let repaired = scene
        .object("the pod template is repaired", &path, |live| {
            live["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] != 1
        })
        .await;
    let containers = repaired["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    assert!(containers.iter().any(|container| container["name"] == "sidecar"), "{containers:?}");
}

#[tokio::test]
async fn what_is_switched_off_is_removed_and_nothing_else() {
    let scene = all_of("switched").await;
    let off = json!({"ingress": null, "networkPolicy": {"enabled": false}, "podDisruptionBudget": {"enabled": false}, "credentials": null});
    scene.change("r", off).await;
    for resource in
        ["networking.k8s.io/v1/ingresses", "networking.k8s.io/v1/networkpolicies", "policy/v1/poddisruptionbudgets"]
    {
        scene.gone(&scene.path(resource, "r")).await;
    }
    scene.gone(&scene.path("v1/secrets", "r-otx-keys")).await;
    scene.api.get(&scene.path("v1/secrets", "otx")).await.unwrap();
    scene.ready("r").await;
}

#[tokio::test]
async fn a_deleted_resource_leaves_nothing_but_what_is_the_users() {
    let scene = all_of("leaves").await;
    scene.api.delete(&scene.relay("r")).await.unwrap();
    for (resource, name) in CHILDREN {
        scene.gone(&scene.path(resource, name)).await;
    }
    scene.api.get(&scene.path("v1/secrets", "otx")).await.unwrap();
}

#[tokio::test]
async fn a_foreign_object_of_the_same_name_is_left_alone_until_it_is_gone() {
    let scene = scene("foreign").await;
    let path = scene.path("v1/services", "");
    let theirs =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "r"}, "spec": {"ports": [{"port": 1}]}});
    let made = scene.api.create(&path, &theirs).await.unwrap();
    scene.create("r", json!({})).await;
    let relay = scene.becomes("r", "Ready", "False/OwnershipConflict").await;
    assert_eq!(condition(&relay, "Stalled"), "True/OwnershipConflict");
    let path = scene.path("v1/services", "r");
    let version = scene.api.field(&path, "/metadata/resourceVersion").await.unwrap();
    assert_eq!(version, made["metadata"]["resourceVersion"]);
    scene.api.delete(&path).await.unwrap();
    scene.ready("r").await;
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
async fn a_rotated_key_reaches_our_secret_and_rolls_no_pod() {
    let scene = all_of("rotation").await;
    let deployment = scene.path("apps/v1/deployments", "r");
    let template = scene.api.field(&deployment, "/spec/template").await.unwrap();
    scene.api.merge(&scene.path("v1/secrets", "otx"), &json!({"stringData": {"api-key": "key-two"}})).await.unwrap();
    let keys = scene.path("v1/secrets", "r-otx-keys");
    scene.object("the new key is in our Secret", &keys, |keys| keys["data"]["default"] == "a2V5LXR3bw==").await;
    assert_eq!(scene.api.field(&deployment, "/spec/template").await.unwrap(), template);
}

#[tokio::test]
async fn a_suspended_resource_is_left_alone_until_it_is_resumed() {
    let scene = all_of("suspended").await;
    scene.change("r", json!({"suspend": true})).await;
    scene.becomes("r", "Ready", "Unknown/Paused").await;
    let service = scene.path("v1/services", "r");
    scene.api.delete(&service).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    scene.gone(&service).await;
    scene.change("r", json!({"suspend": false})).await;
    scene.ready("r").await;
    scene.api.get(&service).await.unwrap();
}

#[tokio::test]
async fn replicas_pass_to_the_autoscaler_and_back_without_a_jump() {
    let scene = scene("scaling").await;
    scene.create("r", json!({"replicas": 3})).await;
    scene.ready("r").await;
    let deployment = scene.path("apps/v1/deployments", "r");
    scene.change("r", json!({"replicas": null, "autoscaling": {"minReplicas": 2, "maxReplicas": 5}})).await;
    scene.ready("r").await;
    assert_eq!(scene.api.field(&deployment, "/spec/replicas").await.unwrap(), 3);
    scene.api.merge(&format!("{deployment}/scale"), &json!({"spec": {"replicas": 5}})).await.unwrap();
    scene.object("the relay reports five", &scene.relay("r"), |relay| relay["status"]["readyReplicas"] == 5).await;
    assert_eq!(scene.api.field(&deployment, "/spec/replicas").await.unwrap(), 5);
    scene.change("r", json!({"replicas": 4, "autoscaling": null})).await;
    scene.gone(&scene.path("autoscaling/v2/horizontalpodautoscalers", "r")).await;
    scene.object("four are wanted", &deployment, |live| live["spec"]["replicas"] == 4).await;
    assert!(!scene.writes().iter().any(|write| write.contains("scale")), "the operator never scales by subresource");
}

#[tokio::test]
async fn an_optional_api_that_is_missing_is_a_condition_and_one_event() {
    let scene = scene("optional").await;
    scene
        .create("r", json!({"gateway": {"parentRefs": [{"name": "public"}], "hostnames": ["otx.soc.example"]}}))
        .await;
    scene.becomes("r", "RouteAccepted", "False/GatewayApiNotInstalled").await;
    scene.becomes("r", "Ready", "False/GatewayApiNotInstalled").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let events = scene.api.get(&scene.path("events.k8s.io/v1/events", "")).await.unwrap();
    let told = events["items"].as_array().unwrap().iter().filter(|event| event["reason"] == "GatewayApiNotInstalled");
    assert_eq!(told.count(), 1);
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
async fn a_namespace_that_ends_is_not_held_up() {
    let scene = all_of("ending").await;
    let path = format!("/api/v1/namespaces/{}", scene.namespace);
    scene.api.delete(&path).await.unwrap();
    scene.gone(&path).await;
    assert!(!scene.operator.log().contains("\"level\":\"ERROR\""), "{}", scene.operator.log());
}
