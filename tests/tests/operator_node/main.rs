//! The operator on a real node, in a pod with no right but its own: what a user applies becomes a relay that answers, and
//! whatever is changed under load, no caller is let down.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod scene;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::eventually::Eventually;
use tests::fake_otx::SECOND_KEY;

use scene::{OPERATOR, Scene, bed};

/// Between two requests of a caller: traffic that is steady and leaves the machine to the cluster.
const PAUSE: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_becomes_ready_and_answers_through_its_ingress() {
    let scene = Scene::with("example", json!({})).await;
    let ask = scene.ask();
    let answer =
        Eventually::new("the Ingress's host answers").within(Duration::from_secs(30)).ok(async || ask().await);
    assert_eq!(answer.await.unwrap(), ["203.0.113.31"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_key_is_used_by_the_running_pods_and_no_request_fails() {
    let scene = served("rotate", json!({})).await;
    let pods = scene.pods().await;
    let traffic = scene.traffic(2, PAUSE);
    scene.store_key(SECOND_KEY).await;
    let begun = Instant::now();
    // The kubelet looks every 5 to 7.5 s here; then the relay has 10 s.
    let only_new =
        |calls: &std::collections::BTreeMap<String, u64>| calls.len() == 1 && calls.contains_key("relay-demo-two");
    // A look takes what was called since the one before.
    let wait = Eventually::new("every call carries the new key").within(Duration::from_secs(30));
    let wait = wait.every(Duration::from_millis(500));
    wait.matches(async || scene.take_calls_by_key().await, only_new).await.unwrap();
    println!("the new key is used by all after {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let tally = traffic.stop().await;
    assert!(tally.failures.is_empty(), "{tally}");
    assert_eq!(scene.pods().await, pods);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_setting_is_rolled_out_and_no_request_fails() {
    let scene = served("setting", json!({})).await;
    let before = scene.pods().await;
    let traffic = scene.traffic(2, PAUSE);
    scene.change(json!({"log": {"level": "debug"}})).await;
    let is_new = |pods: &std::collections::BTreeMap<String, u64>| {
        pods.len() == before.len() && pods.keys().all(|pod| !before.contains_key(pod))
    };
    scene.until("every pod is a new one", async || scene.pods().await, is_new).await;
    scene.ready();
    let tally = traffic.stop().await;
    println!("{tally}");
    assert!(tally.failures.is_empty(), "{tally}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_are_changed_by_hand_and_by_load_and_no_request_fails() {
    let scene = served("scale", json!({})).await;
    bed().await.cluster().add_metrics_server().await.unwrap();
    let traffic = scene.traffic(4, Duration::from_millis(5));
    for wanted in [3, 2] {
        scene.kubectl(&["scale", "threatrelay/otx", &format!("--replicas={wanted}")]);
        scene.until("there are as many pods", async || scene.pods().await.len(), |count| *count == wanted).await;
    }
    scene.ready();
    let autoscaling = json!({"minReplicas": 2, "maxReplicas": 3, "targetCpuPercent": 5});
    scene.change(json!({"replicas": null, "autoscaling": autoscaling})).await;
    let path = scene.path("apis/apps/v1", "deployments", "otx");
    let mut fewest = u64::MAX;
    let looked = async || {
        let deployment = bed().await.cluster().api().get(&path).await.unwrap();
        fewest = fewest.min(deployment["spec"]["replicas"].as_u64().unwrap());
        (deployment["spec"]["replicas"].clone(), deployment["status"]["readyReplicas"].clone())
    };
    scene.until("the autoscaler has made a third pod ready", looked, |(_, ready)| *ready == 3).await;
    assert!(fewest >= 2, "the hand-over left {fewest} replicas");
    let tally = traffic.stop().await;
    println!("{tally}");
    assert!(tally.failures.is_empty(), "{tally}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_version_of_the_operator_takes_over_and_leaves_the_pods_alone() {
    let scene = served("upgrade", json!({})).await;
    let pods = scene.pods().await;
    let traffic = scene.traffic(2, PAUSE);
    let cluster = bed().await.cluster();
    let next = json!({"spec": {"template": {"metadata": {"annotations": {"version": "next"}}}}});
    cluster.api().merge(OPERATOR, &next).await.unwrap();
    cluster.rolled_out("threatrelay-system", "threatrelay-operator").await.unwrap();
    scene.change(json!({"podDisruptionBudget": {"enabled": false}})).await;
    let budgets = async || scene.kubectl(&["get", "poddisruptionbudgets", "--output=name"]);
    scene.until("the next operator has removed the budget", budgets, String::is_empty).await;
    let tally = traffic.stop().await;
    assert!(tally.failures.is_empty(), "{tally}");
    assert_eq!(scene.pods().await, pods);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_relay_leaves_nothing() {
    let scene = served("delete", json!({})).await;
    let kinds = scene.added().iter().filter_map(|name| name.split('/').next()).collect::<Vec<_>>().join(" ");
    for kind in ["deployment.apps", "ingress.networking.k8s.io", "secret", "networkpolicy.networking.k8s.io"] {
        assert!(kinds.contains(kind), "{kind} is not among {kinds}");
    }
    scene.kubectl(&["delete", "threatrelay", "otx"]);
    scene.until("nothing is left", async || scene.added(), Vec::is_empty).await;
}

/// A relay that has answered once through its Ingress.
async fn served(prefix: &str, changes: Value) -> Scene {
    let scene = Scene::with(prefix, changes).await;
    let ask = scene.ask();
    Eventually::new("the Ingress's host answers")
        .within(Duration::from_secs(30))
        .ok(async || ask().await)
        .await
        .unwrap();
    scene
}
