//! Others who are in the way: their objects under our names, and their writes between our reads and writes.

use serde_json::{Value, json};
use tests::faultproxy::call::{Class, Verb};
use tests::faultproxy::plan::{Action, Commit, Match, Occurrence, Plan};
use tests::operator::{Scene, condition};

use super::{CHILDREN, all_of, everything, scene};

/// What somebody else may have made of each kind of child.
fn theirs(resource: &str) -> Value {
    let pod =
        json!({"metadata": {"labels": {"app": "theirs"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let selector = json!({"matchLabels": {"app": "theirs"}});
    match resource {
        "v1/services" => json!({"spec": {"ports": [{"port": 1}]}}),
        "apps/v1/deployments" => json!({"spec": {"replicas": 0, "selector": selector, "template": pod}}),
        "policy/v1/poddisruptionbudgets" => json!({"spec": {"maxUnavailable": 1, "selector": selector}}),
        "autoscaling/v2/horizontalpodautoscalers" => json!({"spec": {
            "maxReplicas": 2, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "theirs"},
        }}),
        "networking.k8s.io/v1/networkpolicies" => json!({"spec": {"podSelector": selector}}),
        "networking.k8s.io/v1/ingresses" => {
            json!({"spec": {"defaultBackend": {"service": {"name": "theirs", "port": {"number": 1}}}}})
        }
        _ => json!({}),
    }
}

/// Name of the relay that meets somebody else's object of this kind.
fn relay_of(resource: &str) -> String {
    format!("r-{}", resource.rsplit('/').next().unwrap())
}

#[tokio::test]
async fn a_foreign_object_of_any_kind_is_left_alone_nothing_is_made_beside_it_and_all_is_when_it_is_gone() {
    let scene = scene("foreign").await;
    scene.secret("otx", "api-key", "key-one").await;
    let mut foreign = Vec::new();
    for (resource, name) in CHILDREN {
        let (relay, collection) = (relay_of(resource), scene.path(resource, ""));
        let name = name.replacen('r', &relay, 1);
        let kind = scene.api.field(&collection, "/kind").await.unwrap();
        let (group, _) = resource.rsplit_once('/').unwrap();
        let mut object = theirs(resource);
        object["apiVersion"] = group.into();
        object["kind"] = kind.as_str().unwrap().trim_end_matches("List").into();
        object["metadata"] = json!({"name": name});
        let made = scene.api.create(&collection, &object).await.unwrap();
        foreign.push((resource, scene.path(resource, &name), made["metadata"]["uid"].clone()));
        let mut spec = everything();
        spec["ingress"]["host"] = format!("{relay}.soc.example").into();
        scene.create(&relay, spec).await;
    }
    for (resource, path, uid) in &foreign {
        let relay = scene.becomes(&relay_of(resource), "Ready", "False/OwnershipConflict").await;
        assert_eq!(condition(&relay, "Stalled"), "True/OwnershipConflict", "{resource}");
        let found = scene.api.get(path).await.unwrap();
        assert_eq!(&found["metadata"]["uid"], uid, "{resource}");
        assert!(
            !found["metadata"]["managedFields"].to_string().contains("threatrelay-operator"),
            "{resource}: {found}"
        );
        for (other, name) in CHILDREN.iter().filter(|(other, _)| other != resource) {
            let path = scene.path(other, &name.replacen('r', &relay_of(resource), 1));
            assert_eq!(scene.api.get(&path).await.unwrap_err().status(), Some(404), "{path}");
        }
    }
    for (_, path, _) in &foreign {
        scene.api.delete(path).await.unwrap();
    }
    for (resource, ..) in &foreign {
        scene.ready(&relay_of(resource)).await;
    }
}

/// Answers writes of a resource with 409.
fn conflict(scene: &Scene, resource: &str, subresource: &str, occurrence: Occurrence, commit: Commit) {
    let matching = Match {
        class: Some(Class::Write),
        resource: Some(resource.to_owned()),
        subresource: Some(subresource.to_owned()),
        ..Match::default()
    };
    scene.proxy.arm(Plan { matching, occurrence, action: Action::Answer { status: 409, retry_after: None, commit } });
}

/// A child is deleted, and the write that makes it again is told that somebody else was faster, truly or not.
pub(crate) async fn meets_another(scene: &Scene, resource: &str, name: &str) {
    let (path, plural) = (scene.path(resource, name), resource.rsplit('/').next().unwrap());
    for commit in [Commit::Before, Commit::After] {
        conflict(scene, plural, "", Occurrence::Nth(1), commit);
        let uid = scene.api.field(&path, "/metadata/uid").await.unwrap();
        scene.api.delete(&path).await.unwrap();
        scene.object(&format!("{resource} is back"), &path, |child| child["metadata"]["uid"] != uid).await;
        let is_struck = |entry: &tests::faultproxy::trace::Entry| entry.struck && entry.call.resource == plural;
        assert!(scene.proxy.trace().iter().any(is_struck), "no write of {plural} met a conflict");
    }
}

#[tokio::test]
async fn a_write_that_meets_another_is_decided_again_for_every_kind() {
    let scene = all_of("raced").await;
    for (resource, name) in CHILDREN {
        meets_another(&scene, resource, name).await;
    }
    conflict(&scene, "threatrelays", "status", Occurrence::Nth(1), Commit::Before);
    scene.change("r", json!({"log": {"level": "debug"}})).await;
    scene.ready("r").await;
    assert!(scene.proxy.trace().iter().any(|entry| entry.struck && entry.call.subresource == "status"));
    let events = scene.api.field(&scene.path("events.k8s.io/v1/events", ""), "/items").await.unwrap();
    let warned = |event: &&Value| {
        // The Deployment was gone for a moment: that is told, and has nothing to do with conflicts.
        event["type"] == "Warning"
            && event["reportingController"] == "threatrelay-operator"
            && event["reason"] != "DeploymentUnavailable"
    };
    assert_eq!(events.as_array().unwrap().iter().filter(warned).collect::<Vec<_>>(), Vec::<&Value>::new());
}

#[tokio::test]
async fn a_child_that_others_write_without_end_is_told_and_does_not_stop_the_others() {
    let scene = all_of("contended").await;
    conflict(&scene, "networkpolicies", "", Occurrence::From(1), Commit::Before);
    scene.api.delete(&scene.path("networking.k8s.io/v1/networkpolicies", "r")).await.unwrap();
    scene.change("r", json!({"ingress": {"host": "second.soc.example"}})).await;
    let relay = scene.becomes("r", "Ready", "False/Progressing").await;
    assert!(relay["status"].to_string().contains("changed by others faster than it can be read"), "{relay}");
    let ingress = scene.path("networking.k8s.io/v1/ingresses", "r");
    scene
        .object("the Ingress is changed", &ingress, |live| live["spec"]["rules"][0]["host"] == "second.soc.example")
        .await;
    let applied = |entry: &&tests::faultproxy::trace::Entry| entry.struck && entry.call.verb == Verb::Apply;
    assert!(scene.proxy.trace().iter().filter(applied).count() > 1);
    scene.proxy.disarm();
    scene.ready("r").await;
}
