//! What a cluster gets only later, and what it got before there were rules: each on a plane of its own.

use std::time::Duration;

use serde_json::{Value, json};
use tests::cluster::ControlPlane;
use tests::eventually::Eventually;
use tests::operator::{Scene, condition, install_crd, install_optional};

use super::conflicts::meets_another;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const RELAYS: &str = "threatrelays.threatrelay.dev";
/// Optional kinds are looked for every 24 to 36 seconds.
const LOOK: Duration = Duration::from_mins(1);

#[tokio::test]
async fn optional_apis_that_come_later_are_used_without_a_restart() {
    let plane = ControlPlane::start().await.unwrap();
    install_crd(&plane).await;
    let scene = Scene::new(&plane, "later").await;
    let gateway = json!({"parentRefs": [{"name": "edge"}], "hostnames": ["otx.soc.example"]});
    let monitor = json!({"serviceMonitor": {"interval": "30s"}});
    let both = json!({"gateway": gateway, "monitoring": monitor});
    for name in ["r", "theirs"] {
        scene.create(name, both.clone()).await;
        scene.becomes(name, "Ready", "False/GatewayApiNotInstalled").await;
    }
    install_optional(&plane).await;
    let children = [
        ("gateway.networking.k8s.io/v1/httproutes", "HTTPRoute"),
        ("monitoring.coreos.com/v1/servicemonitors", "ServiceMonitor"),
    ];
    // Somebody is faster with the names of the second relay.
    for (resource, kind) in children {
        let (api_version, _) = resource.rsplit_once('/').unwrap();
        let object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "theirs"}, "spec": {}});
        let collection = scene.path(resource, "");
        let created = Eventually::new(format!("a {kind} can be made"))
            .ok(async || plane.api().create(&collection, &object).await);
        created.await.unwrap();
    }
    for (resource, kind) in children {
        let path = scene.path(resource, "r");
        Eventually::new(format!("there is a {kind}"))
            .within(LOOK)
            .ok(async || scene.api.get(&path).await)
            .await
            .unwrap();
    }
    let relay = scene.becomes("r", "RouteAccepted", "Unknown").await;
    assert_eq!(condition(&relay, "Ready"), "True/Reconciled");
    scene.becomes("theirs", "Ready", "False/OwnershipConflict").await;
    for (resource, kind) in children {
        let found = scene.api.get(&scene.path(resource, "theirs")).await.unwrap();
        assert!(!found["metadata"]["managedFields"].to_string().contains("threatrelay-operator"), "{kind}: {found}");
        // What is deleted is seen, though the watch began late.
        meets_another(&scene, resource, "r").await;
    }
    scene.change("r", json!({"gateway": null, "monitoring": {"serviceMonitor": null}})).await;
    for (resource, _) in children {
        scene.gone(&scene.path(resource, "r")).await;
    }
    scene.change("r", both).await;
    for (resource, kind) in children {
        scene.object(&format!("the {kind} is there again"), &scene.path(resource, "r"), |_| true).await;
    }
    for (resource, _) in children {
        scene.api.delete(&scene.path(resource, "theirs")).await.unwrap();
    }
    scene.ready("theirs").await;
}

#[tokio::test]
async fn a_resource_that_cannot_be_read_is_told_and_stops_no_other() {
    let plane = ControlPlane::start().await.unwrap();
    install_crd(&plane).await;
    // As an older, laxer definition would have let it in.
    let path = format!("{DEFINITIONS}/{RELAYS}");
    let strict = plane.api().get(&path).await.unwrap();
    let free = |properties: Value| json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": properties});
    let auth = free(json!({"mode": {"type": "string"}}));
    let schema = free(json!({"spec": free(json!({"auth": auth})), "status": free(json!({}))}));
    let lax = json!([{"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema", "value": schema}]);
    let send = async |schema: &Value| {
        plane.api().send(reqwest::Method::PATCH, &path, Some(("application/json-patch+json", schema))).await.unwrap()
    };
    send(&lax).await;
    let namespace = plane.namespace("unreadable").await.unwrap();
    let bad = json!({
        "apiVersion": "threatrelay.dev/v1alpha1", "kind": "ThreatRelay", "metadata": {"name": "bad"},
        "spec": {"answers": 5, "auth": {"audiences": ["https://relay.example"]}},
    });
    let collection = format!("/apis/threatrelay.dev/v1alpha1/namespaces/{namespace}/threatrelays");
    let stored =
        Eventually::new("the laxer definition is in force").ok(async || plane.api().create(&collection, &bad).await);
    stored.await.unwrap();
    let mut again = lax.clone();
    again[0]["value"] = strict.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap().clone();
    send(&again).await;

    let scene = Scene::within(&plane, namespace, &[]).await;
    let other = json!({"apiVersion": "threatrelay.dev/v1alpha1", "kind": "ThreatRelay", "metadata": {"name": "worse"}, "spec": {"answers": 5}});
    let in_force = Eventually::new("the strict definition is in force again");
    let refuses =
        async || plane.api().create(&format!("{collection}?dryRun=All"), &other).await.err().map(|e| e.status());
    in_force.matches(refuses, |status| *status == Some(Some(422))).await.unwrap();
    scene.create("good", json!({})).await;
    scene.ready("good").await;
    let relay = scene.becomes("bad", "Ready", "False/InvalidSpec").await;
    assert!(relay["status"].to_string().contains("cannot be read"), "{relay}");
    assert_eq!(condition(&relay, "Stalled"), "True/InvalidSpec");
    scene.change("good", json!({"replicas": 3})).await;
    scene
        .object("three are wanted", &scene.path("apps/v1/deployments", "good"), |live| live["spec"]["replicas"] == 3)
        .await;
    scene.change("bad", json!({"answers": "rich"})).await;
    scene.ready("bad").await;
    let no_longer = |relay: &Value| condition(relay, "Stalled").is_empty();
    scene.object("it is stalled no longer", &scene.relay("bad"), no_longer).await;
}
