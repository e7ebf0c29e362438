//! The life of an installation on a node, with Helm 3 and Helm 4: whatever is done to the operator, relays stay, stay
//! ready, and no pod of theirs is replaced; the relay's own chart is installed, changed and removed.
//!
//! `threatrelay-operator-0.0.9.tgz` stands for the release before this one, and is to be replaced by each that is
//! published.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod scene;

use tests::chart::helm::BOTH;

use scene::{CHART, RELAY_CHART, RELEASED, Scene, bed};

/// The relays' image is the same all the time, so that nothing is a reason to replace their pods.
const VALUES: [&str; 2] = ["--set", "relay.image.tag=0.1.0"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_stay_as_they_are_whatever_is_done_to_the_operator() {
    let bed = bed().await.lock().await;
    for helm in BOTH {
        let scene = Scene::new(&bed, helm).await;
        // The type is there already when the other Helm has been here; then it is taken over from that release.
        scene.helm(&[&["install", "otx", RELEASED, "--wait", "--take-ownership"], &VALUES[..]].concat());
        assert_eq!(scene.operator_image("otx").await, "ghcr.io/threatrelay/threatrelay-operator:0.0.9");
        scene.apply_relay().await;
        let pods = scene.pods().await;
        assert_eq!(pods.len(), 2, "{helm}");

        scene.helm(&["upgrade", "otx", CHART, "--wait", "--reset-then-reuse-values"]);
        assert_eq!(scene.operator_image("otx").await, "ghcr.io/threatrelay/threatrelay-operator:0.1.0");
        scene.helm(&["test", "otx"]);
        scene.is_served_by_the_same(&pods, "after the upgrade").await;

        scene.helm(&["rollback", "otx", "1", "--wait"]);
        assert_eq!(scene.operator_image("otx").await, "ghcr.io/threatrelay/threatrelay-operator:0.0.9");
        scene.is_served_by_the_same(&pods, "after the rollback").await;

        scene.helm(&["uninstall", "otx", "--wait"]);
        assert_eq!(scene.pods().await, pods, "{helm}: without an operator");

        scene.helm(&[&["install", "otx", CHART, "--wait"], &VALUES[..]].concat());
        scene.is_served_by_the_same(&pods, "after the return").await;

        scene.helm(&["uninstall", "otx", "--wait"]);
        scene.helm(&[&["install", "again", CHART, "--wait", "--take-ownership"], &VALUES[..]].concat());
        scene.is_served_by_the_same(&pods, "after the return under another name").await;

        scene.helm(&["uninstall", "again", "--wait"]);
        scene.remove_relay().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_of_one_namespace_leaves_others_alone() {
    let bed = bed().await.lock().await;
    let (own, other) = (Scene::new(&bed, "helm4").await, Scene::new(&bed, "helm4").await);
    let values = format!("watchNamespaces={{{}}}", own.namespace());
    own.helm(&[&["install", "otx", CHART, "--wait", "--take-ownership", "--set", &values], &VALUES[..]].concat());
    own.helm(&["test", "otx"]);
    other.create_relay().await;
    own.apply_relay().await;
    assert_eq!(other.reason().await, "Pending");
    other.delete_relay().await;
    own.remove_relay().await;
    own.helm(&["uninstall", "otx", "--wait"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_relay_alone_is_installed_changed_and_removed() {
    let bed = bed().await.lock().await;
    for helm in BOTH {
        let scene = Scene::new(&bed, helm).await;
        let audience = "auth.audiences={https://otx.soc.example}";
        let key = "credentials.default.secretRef.name=otx";
        scene.helm(&["install", "otx", RELAY_CHART, "--wait", "--set", audience, "--set", key]);
        scene.helm(&["test", "otx"]);
        let before = scene.pods().await;
        assert_eq!(before.len(), 2, "{helm}");

        scene.helm(&[
            "upgrade",
            "otx",
            RELAY_CHART,
            "--wait",
            "--reuse-values",
            "--set",
            "podDisruptionBudget.enabled=false",
        ]);
        assert_eq!(scene.pods().await, before, "{helm}: nothing in a pod has changed");
        scene.helm(&["upgrade", "otx", RELAY_CHART, "--wait", "--reuse-values", "--set", "log.level=debug"]);
        scene.is_replaced(&before).await;

        scene.helm(&["uninstall", "otx", "--wait"]);
        scene.is_empty().await;
    }
}
