//! The traces of reconciles, as a collector gets them.

use std::time::Duration;

use serde_json::json;
use tests::eventually::Eventually;
use tests::faultproxy::plan::{Action, Commit, Match, Occurrence, Plan};
use tests::operator::Scene;
use tests::otlp::{Collector, Span};

use super::{everything, plane};

async fn traced(name: &str) -> (Collector, Scene) {
    let collector = Collector::start().await;
    let scene = Scene::with(plane().await, name, &["--otlp-endpoint", collector.url()]).await;
    (collector, scene)
}

/// Waits for a reconcile among whose steps is one of this kind.
async fn reconcile_with(collector: &Collector, is_it: impl Fn(&Span) -> bool) -> (Span, Vec<Span>) {
    let look = async || {
        let spans = collector.spans();
        let step = spans.iter().find(|span| is_it(span)).cloned();
        let root = step.and_then(|step| spans.iter().find(|span| span.id == step.parent).cloned());
        let root = root.ok_or_else(|| format!("{spans:#?}"))?;
        let steps = spans.into_iter().filter(|span| span.parent == root.id).collect();
        Ok::<_, String>((root, steps))
    };
    let wait =
        Eventually::new("the trace has arrived").within(Duration::from_secs(30)).every(Duration::from_millis(200));
    wait.ok(look).await.unwrap()
}

#[tokio::test]
async fn a_reconcile_is_a_trace_of_its_steps_and_tells_no_secret() {
    let (collector, scene) = traced("traced").await;
    scene.secret("otx", "api-key", "canary-of-a-key").await;
    scene.create("r", everything()).await;
    scene.ready("r").await;
    let is_made = |span: &Span| span.name == "apply" && span.get("kind") == "ServiceAccount";
    let (root, steps) = reconcile_with(&collector, is_made).await;
    assert_eq!((&*root.name, &*root.parent), ("reconcile", ""));
    assert_eq!((root.get("threatrelay.name"), root.get("namespace")), ("r", &*scene.namespace));
    assert_eq!(root.resource["service.name"], "threatrelay-operator");
    let names: Vec<_> = steps.iter().map(|span| format!("{} {}", span.name, span.get("kind"))).collect();
    let expected = [
        "read ",
        "validate ",
        "build ",
        "apply ServiceAccount",
        "apply ConfigMap",
        "apply Secret",
        "apply Service",
        "apply Deployment",
        "apply PodDisruptionBudget",
        "apply HorizontalPodAutoscaler",
        "apply NetworkPolicy",
        "apply Ingress",
        "pods ",
        "status ",
    ];
    assert_eq!(names, expected);
    assert!(steps.iter().all(|step| step.trace_id == root.trace_id));

    scene.change("r", json!({"ingress": null})).await;
    let (_, steps) = reconcile_with(&collector, |span| span.name == "prune").await;
    let pruned = steps.iter().find(|span| span.name == "prune").unwrap();
    assert_eq!(pruned.get("kind"), "Ingress");
    assert!(!collector.was_told("canary-of-a-key"));
}

#[tokio::test]
async fn a_reconcile_that_fails_says_why_in_a_word() {
    let (collector, scene) = traced("failing").await;
    let matching = Match { resource: Some("services".to_owned()), ..Match::default() };
    let action = Action::Answer { status: 500, retry_after: None, commit: Commit::Before };
    scene.proxy.arm(Plan { matching, occurrence: Occurrence::From(1), action });
    scene.create("r", json!({})).await;
    let failed = async || {
        let spans = collector.spans();
        let root = spans.iter().find(|span| span.name == "reconcile").cloned();
        root.ok_or_else(|| format!("{spans:#?}"))
    };
    let wait =
        Eventually::new("the trace has arrived").within(Duration::from_secs(30)).every(Duration::from_millis(200));
    let root = wait.ok(failed).await.unwrap();
    assert_eq!((root.get("error.type"), root.get("outcome")), ("api_error", "error"));
    assert_eq!(format!("{:?}", root.status), "Error");
}
