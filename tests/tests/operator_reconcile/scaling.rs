//! Who decides the number of pods: a fixed number, an autoscaler, and whoever scales by hand, one after the other and at
//! once. Whatever the order, no number but a wanted one is ever stored.

use std::time::Duration;

use serde_json::{Value, json};
use tests::faultproxy::call::Verb;
use tests::faultproxy::plan::{Action, Match, Occurrence, Plan};
use tests::operator::Scene;

use super::{plane, scene};

#[tokio::test]
async fn the_number_of_pods_passes_to_the_autoscaler_and_back_and_nobodys_scaling_is_undone() {
    let scene = scene("scaling").await;
    let deployment = scene.path("apps/v1/deployments", "r");
    scene.create("r", json!({"replicas": 3})).await;
    scene.ready("r").await;
    let begun = scene.api.field(&deployment, "/metadata/resourceVersion").await.unwrap();

    // While the operator's write is on its way, somebody scales: what it decided on is no longer so.
    delay_the_next_write(&scene);
    let autoscaling = json!({"minReplicas": 2, "maxReplicas": 6});
    scene.change("r", json!({"replicas": null, "autoscaling": autoscaling, "log": {"level": "debug"}})).await;
    struck(&scene).await;
    by_hand(&scene, 4).await;
    autoscaler_is(&scene, true).await;
    holds(&scene, 4).await;

    // The autoscaler's controller takes the field over.
    autoscales(&scene, 5).await;
    holds(&scene, 5).await;
    by_hand(&scene, 6).await;
    holds(&scene, 6).await;

    // Back to a fixed number, while the autoscaler has a last word.
    delay_the_next_write(&scene);
    scene.change("r", json!({"replicas": 4, "autoscaling": null})).await;
    struck(&scene).await;
    autoscales(&scene, 5).await;
    scene.object("four are wanted", &deployment, |live| live["spec"]["replicas"] == 4).await;
    autoscaler_is(&scene, false).await;
    scene.ready("r").await;
    by_hand(&scene, 2).await;
    scene.object("four are wanted again", &deployment, |live| live["spec"]["replicas"] == 4).await;

    // And once more to the autoscaler, which never has had this number.
    scene.change("r", json!({"replicas": null, "autoscaling": autoscaling})).await;
    autoscaler_is(&scene, true).await;
    holds(&scene, 4).await;
    autoscales(&scene, 5).await;
    holds(&scene, 5).await;
    assert_eq!(numbers_since(&scene, &begun).await, [4, 5, 6, 5, 4, 2, 4, 5]);
}

#[tokio::test]
async fn an_autoscaled_relay_starts_at_its_least() {
    let scene = scene("least").await;
    scene.create("r", json!({"autoscaling": {"minReplicas": 3, "maxReplicas": 6}})).await;
    scene.ready("r").await;
    let deployment = scene.path("apps/v1/deployments", "r");
    assert_eq!(scene.api.field(&deployment, "/spec/replicas").await.unwrap(), 3);
}

/// Has the operator's next write of the Deployment arrive later.
fn delay_the_next_write(scene: &Scene) {
    let matching = Match { verb: Some(Verb::Apply), resource: Some("deployments".to_owned()), ..Match::default() };
    scene.proxy.arm(Plan { matching, occurrence: Occurrence::Nth(1), action: Action::Delay { millis: 4000 } });
}

/// Waits until that write is on its way.
async fn struck(scene: &Scene) {
    let before = scene.proxy.trace().iter().filter(|entry| entry.struck && entry.status.is_some()).count();
    scene
        .until("the write is on its way", async || {
            let struck = scene.proxy.trace().iter().filter(|entry| entry.struck).count();
            if struck > before { Ok(()) } else { Err(format!("{struck} of {before}")) }
        })
        .await;
}

/// As `kubectl scale deployment`.
async fn by_hand(scene: &Scene, replicas: i32) {
    let namespace = format!("--namespace={}", scene.namespace);
    let scale = ["scale", "deployment", "r", &namespace, &format!("--replicas={replicas}")];
    plane().await.kubectl(&scale).unwrap();
}

/// As the controller of `HorizontalPodAutoscaler`s.
async fn autoscales(scene: &Scene, replicas: i32) {
    let path = scene.path("apps/v1/deployments", "r/scale?fieldManager=kube-controller-manager");
    scene.api.merge(&path, &json!({"spec": {"replicas": replicas}})).await.unwrap();
}

async fn autoscaler_is(scene: &Scene, there: bool) {
    let path = scene.path("autoscaling/v2/horizontalpodautoscalers", "r");
    if there {
        scene.object("there is an autoscaler", &path, |_| true).await;
    } else {
        scene.gone(&path).await;
    }
}

/// Waits until the operator has seen this number, and finds it unchanged.
async fn holds(scene: &Scene, replicas: i32) {
    let relay = scene.relay("r");
    scene.object("the relay reports the pods", &relay, |relay| relay["status"]["readyReplicas"] == replicas).await;
    scene.ready("r").await;
    let deployment = scene.path("apps/v1/deployments", "r");
    assert_eq!(scene.api.field(&deployment, "/spec/replicas").await.unwrap(), replicas);
}

/// Every number of pods that was stored since a version, in order, each once in a row.
async fn numbers_since(scene: &Scene, version: &Value) -> Vec<i64> {
    let query = format!("?watch=true&timeoutSeconds=1&resourceVersion={}", version.as_str().unwrap());
    let path = scene.path("apps/v1/deployments", &query);
    let text = tokio::time::timeout(Duration::from_secs(10), scene.api.text(reqwest::Method::GET, &path, None));
    let text = text.await.unwrap().unwrap();
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut numbers: Vec<_> = events.filter_map(|event| event["object"]["spec"]["replicas"].as_i64()).collect();
    numbers.dedup();
    // The first is the number that was there.
    if numbers.first() == Some(&3) { numbers.split_off(1) } else { numbers }
}
