//! What can go wrong with the real relay under the real operator on a real node: the resource names it within half a
//! minute of its being seen, never calls itself ready meanwhile, pods that serve go on serving, and what is mended leaves
//! nothing behind.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod images;
mod scene;

use serde_json::{Value, json};

use scene::Scene;

/// What is wrong with new pods of a relay.
struct Ailment {
    /// The change of the specification that brings it about; the sections as they were mend it.
    change: Value,
    /// Whether a pod shows it.
    sign: fn(&Value) -> bool,
    /// What `Ready` is then.
    told: &'static str,
    /// What its message says.
    words: &'static str,
    /// Whether nothing goes on before somebody acts.
    is_stalled: bool,
}

/// The relay runs another tag of its image: one of [`images`], or one that is not there.
fn another_image(tag: &str, sign: fn(&Value) -> bool, told: &'static str, words: &'static str) -> Ailment {
    Ailment { change: json!({"image": {"tag": tag}}), sign, told, words, is_stalled: false }
}

fn waits_for(pod: &Value, reason: &str) -> bool {
    pod.pointer("/status/containerStatuses/0/state/waiting/reason").is_some_and(|seen| seen == reason)
}

/// The old pod serves through all of it, nothing calls itself ready, and afterwards all is as before.
async fn old_pods_serve_through(prefix: &str, ailment: Ailment) {
    let scene = Scene::with(prefix, &json!({})).await;
    let (before, pods) = (scene.state().await, scene.restarts().await);
    let traffic = scene.traffic().await;
    scene.change(&ailment.change).await;
    let message = scene.is_told(ailment.sign, "Ready", ailment.told).await;
    assert!(message.contains(ailment.words), "{message}");
    assert_eq!(scene.condition("Available").await, "True/DeploymentAvailable");
    assert_eq!(scene.condition("Stalled").await.starts_with("True/"), ailment.is_stalled);
    assert_eq!(scene.state().await["status"]["version"], before["status"]["version"]);
    let sections = ailment.change.as_object().unwrap().keys();
    let mended: Value = sections.map(|section| (section.clone(), before["spec"][section].clone())).collect();
    scene.change(&mended).await;
    scene.is_again(&before).await;
    scene.pods_become("the old ones alone", |now| *now == pods).await;
    let tally = traffic.stop().await;
    assert!(tally.failures.is_empty(), "{tally}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_is_never_ready() {
    let runs = |pod: &Value| {
        let container = &pod["status"]["containerStatuses"][0];
        container["ready"] == false && !container["state"]["running"].is_null()
    };
    let ailment = another_image("never-ready", runs, "False/PodsNotReady", "does not answer /readyz with 200");
    old_pods_serve_through("never-ready", ailment).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_ends_again_and_again() {
    let loops = |pod: &Value| waits_for(pod, "CrashLoopBackOff");
    let words = "cannot listen on 192.0.2.1:9090";
    old_pods_serve_through("crash-loop", another_image("crashing", loops, "False/CrashLooping", words)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_is_no_relay() {
    let loops = |pod: &Value| waits_for(pod, "CrashLoopBackOff");
    let words = "unexpected argument 'serve'";
    old_pods_serve_through("no-relay", another_image("no-relay", loops, "False/CrashLooping", words)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_is_not_there_and_may_not_be_pulled() {
    let lacks = |pod: &Value| waits_for(pod, "ErrImageNeverPull");
    let ailment = another_image("absent", lacks, "False/ImagePullFailed", "threatrelay:absent");
    old_pods_serve_through("never-pulled", ailment).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_cannot_be_pulled() {
    let lacks = |pod: &Value| waits_for(pod, "ErrImagePull") || waits_for(pod, "ImagePullBackOff");
    let change = json!({"image": {"tag": "absent", "pullPolicy": "IfNotPresent"}});
    let ailment = another_image("absent", lacks, "False/ImagePullFailed", "threatrelay:absent");
    old_pods_serve_through("unpullable", Ailment { change, ..ailment }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_the_relay_refuses() {
    let ailment = Ailment {
        // Pods that run take the keys up without a restart, and keep those they have; the level makes new pods.
        change: json!({"auth": {"jwks": r#"{"keys": []}"#}, "log": {"level": "debug"}}),
        sign: |pod| {
            let container = &pod["status"]["containerStatuses"][0];
            ["state", "lastState"].iter().any(|state| container[state]["terminated"]["exitCode"] == 78)
        },
        told: "False/SettingsRefused",
        words: "auth.jwksFile",
        is_stalled: true,
    };
    old_pods_serve_through("refused", ailment).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_otx_no_longer_accepts() {
    let scene = Scene::with("revoked", &json!({})).await;
    let (before, pods) = (scene.state().await, scene.restarts().await);
    scene.serve_otx(&["--fault", "any:403"]).await;
    let message = scene.becomes("UpstreamReachable", "False/OtxUnauthorized").await;
    assert!(message.contains("default"), "{message}");
    assert_eq!(scene.condition("Ready").await, "False/OtxUnauthorized");
    assert_eq!(scene.condition("Available").await, "True/DeploymentAvailable");
    scene.serve_otx(&[]).await;
    scene.is_again(&before).await;
    scene.pods_become("the old ones alone", |now| *now == pods).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_starts_slowly() {
    let scene = Scene::with("slow", &json!({})).await;
    let before = scene.state().await;
    let traffic = scene.traffic().await;
    scene.change(&json!({"image": {"tag": "slow"}})).await;
    let runs = |pod: &Value| pod["status"]["containerStatuses"][0]["started"] == false;
    scene.is_told(runs, "Ready", "False/PodsNotReady").await;
    scene.becomes("Ready", "True/Reconciled").await;
    scene.pods_become("the new one alone, never ended", |now| now.values().eq(&[0])).await;
    scene.change(&json!({"image": null})).await;
    scene.is_again(&before).await;
    let tally = traffic.stop().await;
    assert!(tally.failures.is_empty(), "{tally}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_is_gone_while_the_relay_runs() {
    let scene = Scene::with("secret", &json!({})).await;
    let (before, pods) = (scene.state().await, scene.restarts().await);
    let traffic = scene.traffic().await;
    scene.lose_key().await;
    let message = scene.is_told(|_| true, "Ready", "False/SecretNotFound").await;
    assert!(message.contains("/otx"), "{message}");
    assert_eq!(scene.condition("CredentialsResolved").await, "False/SecretNotFound");
    assert_eq!(scene.condition("Available").await, "True/DeploymentAvailable");
    scene.store_key().await;
    scene.is_again(&before).await;
    scene.pods_become("the old ones alone", |now| *now == pods).await;
    let tally = traffic.stop().await;
    assert!(tally.failures.is_empty(), "{tally}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_is_gone_and_that_only_new_pods_miss() {
    let credentials = json!({"mode": "direct", "default": {"secretRef": {"name": "otx"}}});
    let scene = Scene::with("direct", &json!({"credentials": credentials})).await;
    let before = scene.state().await;
    let traffic = scene.traffic().await;
    scene.lose_key().await;
    scene.change(&json!({"log": {"level": "debug"}})).await;
    let waits = |pod: &Value| waits_for(pod, "ContainerCreating");
    let message = scene.is_told(waits, "Ready", "False/PodsNotReady").await;
    assert!(message.contains("a Secret or ConfigMap that it mounts is not there"), "{message}");
    assert_eq!(scene.condition("Available").await, "True/DeploymentAvailable");
    scene.store_key().await;
    scene.becomes("Ready", "True/Reconciled").await;
    scene.change(&json!({"log": {"level": before["spec"]["log"]["level"]}})).await;
    scene.is_again(&before).await;
    let tally = traffic.stop().await;
    assert!(tally.failures.is_empty(), "{tally}");
}
