//! The same table on a real API server, and what only a server does: defaults, pruning, subresources, selection.

use std::time::Duration;

use serde_json::{Value, json};
use tests::cluster::ControlPlane;
use tests::eventually::Eventually;
use threatrelay_operator::api::ThreatRelay;
use tokio::sync::OnceCell;

use super::rules::{Case, cases};
use super::{definition, resource, spec};

pub(super) const RELAYS: &str = "/apis/threatrelay.dev/v1alpha1/namespaces/default/threatrelays";

/// The plane with the definition established.
pub(super) async fn plane() -> &'static ControlPlane {
    static PLANE: OnceCell<ControlPlane> = OnceCell::const_new();
    PLANE
        .get_or_init(async || {
            let plane = ControlPlane::start().await.unwrap();
            let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
            plane.api().create(path, &definition()).await.unwrap();
            Eventually::new("the definition is established")
                .within(Duration::from_secs(30))
                .ok(async || plane.api().get(RELAYS).await)
                .await
                .unwrap();
            plane
        })
        .await
}

/// The message of a refusal of a dry run, or the object.
async fn dry_run(plane: &ControlPlane, object: &Value) -> Result<Value, String> {
    let made = plane.api().create(&format!("{RELAYS}?dryRun=All"), object).await;
    made.map_err(|error| error.to_string())
}

#[tokio::test]
async fn the_api_server_agrees_with_the_table_of_rules() {
    let plane = plane().await;
    for Case { name, spec, refusal } in cases() {
        let said = dry_run(plane, &resource(&name, &spec)).await.err();
        match (refusal, said) {
            (None, None) => {}
            (Some(expected), Some(said)) if said.contains(expected) => {}
            (expected, said) => panic!("{name} {spec}\n expected {expected:?}\n got      {said:?}"),
        }
    }
}

#[tokio::test]
async fn the_server_fills_in_the_defaults_that_the_types_have() {
    let made = dry_run(plane().await, &resource("defaults", &spec(&json!({})))).await.unwrap();
    let relay: ThreatRelay = serde_json::from_value(resource("defaults", &spec(&json!({})))).unwrap();
    assert_eq!(made["spec"], serde_json::to_value(&relay.spec).unwrap());
}

#[tokio::test]
async fn a_resource_that_no_operator_has_seen_says_so() {
    let plane = plane().await;
    plane.api().create(RELAYS, &resource("unseen", &spec(&json!({})))).await.unwrap();
    let condition = plane.api().field(&format!("{RELAYS}/unseen"), "/status/conditions/0").await.unwrap();
    assert_eq!((&condition["type"], &condition["status"]), (&json!("Ready"), &json!("Unknown")));
    assert_eq!((&condition["reason"], &condition["message"]), (&json!("Pending"), &json!("Waiting for controller")));
}

#[tokio::test]
async fn it_is_scaled_and_selected_like_what_kubernetes_has_itself() {
    let plane = plane().await;
    plane.api().create(RELAYS, &resource("scaled", &spec(&json!({"replicas": 1})))).await.unwrap();
    plane.kubectl(&["scale", "trelay/scaled", "--replicas=4"]).unwrap();
    assert_eq!(plane.api().field(&format!("{RELAYS}/scaled"), "/spec/replicas").await.unwrap(), 4);
    let names = plane.kubectl(&["get", "trly", "--field-selector=spec.auth.mode=jwks", "-o", "name"]).unwrap();
    assert!(names.contains("threatrelay.threatrelay.dev/scaled"), "{names}");
    let none = plane.kubectl(&["get", "threatrelay", "--field-selector=spec.auth.mode=hs256", "-o", "name"]).unwrap();
    assert_eq!(none, "");
}

#[tokio::test]
async fn kubectl_explains_a_field_with_its_default_and_an_example() {
    let plane = plane().await;
    let text = Eventually::new("the schema is published")
        .ok(async || plane.kubectl(&["explain", "trelay.spec.upstream.callTimeout"]))
        .await
        .unwrap();
    for part in ["Default: `10s`", "Example: `15s`", "at most 5m"] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}
