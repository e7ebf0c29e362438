//! The children: made, kept, removed.

use std::time::Duration;

use serde_json::json;
use tests::eventually::Eventually;

use super::{CHILDREN, all_of, everything};

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
    let mut before = 0;
    let count = async || {
        let since = std::mem::replace(&mut before, scene.writes().len());
        before - since
    };
    let wait = Eventually::new("the writes end").within(Duration::from_secs(30)).every(Duration::from_secs(1));
    wait.matches(count, |written| *written == 0).await.unwrap();
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
async fn what_is_switched_off_is_removed_and_nothing_else_and_what_is_switched_on_again_comes_back() {
    let scene = all_of("switched").await;
    for (spec, resource, name) in [
        (json!({"ingress": null}), "networking.k8s.io/v1/ingresses", "r"),
        (json!({"networkPolicy": {"enabled": false}}), "networking.k8s.io/v1/networkpolicies", "r"),
        (json!({"podDisruptionBudget": {"enabled": false}}), "policy/v1/poddisruptionbudgets", "r"),
        (json!({"autoscaling": null}), "autoscaling/v2/horizontalpodautoscalers", "r"),
        (json!({"credentials": null}), "v1/secrets", "r-otx-keys"),
    ] {
        scene.change("r", spec).await;
        scene.gone(&scene.path(resource, name)).await;
    }
    let is_left = ["v1/serviceaccounts", "v1/configmaps", "v1/services", "apps/v1/deployments"];
    for (resource, name) in CHILDREN.iter().filter(|(resource, _)| is_left.contains(resource)) {
        scene.api.get(&scene.path(resource, name)).await.unwrap();
    }
    scene.api.get(&scene.path("v1/secrets", "otx")).await.unwrap();
    scene.ready("r").await;

    let mut on = everything();
    for section in ["networkPolicy", "podDisruptionBudget"] {
        on[section] = json!({"enabled": true});
    }
    scene.change("r", on).await;
    for (resource, name) in CHILDREN {
        scene.object(&format!("{resource} is there again"), &scene.path(resource, name), |_| true).await;
    }
    scene.ready("r").await;
}

#[tokio::test]
async fn keys_that_are_given_up_stay_while_a_pod_that_mounts_them_is_left() {
    let scene = all_of("given-up").await;
    let (keys, quotas) = (scene.path("v1/secrets", "r-otx-keys"), scene.path("v1/resourcequotas", ""));
    // The pods that serve have no successors: there is no room for one more.
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": "2"}},
    });
    scene.api.create(&quotas, &quota).await.unwrap();
    let quota = scene.path("v1/resourcequotas", "full");
    scene.object("both pods are counted", &quota, |quota| quota["status"]["used"]["pods"] == "2").await;
    scene.change("r", json!({"credentials": null})).await;
    scene.becomes("r", "Ready", "False/QuotaExceeded").await;
    scene.api.get(&keys).await.unwrap();
    scene.api.delete(&quota).await.unwrap();
    scene.gone(&keys).await;
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
async fn a_namespace_that_ends_is_not_held_up() {
    let scene = all_of("ending").await;
    let path = format!("/api/v1/namespaces/{}", scene.namespace);
    scene.api.delete(&path).await.unwrap();
    scene.gone(&path).await;
    assert!(!scene.operator.log().contains("\"level\":\"ERROR\""), "{}", scene.operator.log());
}
