//! The life of the operator's process: leaders, waiting, probes, commands.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::time::Duration;

use serde_json::{Value, json};
use tests::cluster::ControlPlane;
use tests::eventually::Eventually;
use tests::faultproxy::FaultProxy;
use tests::faultproxy::call::{Class, Verb};
use tests::faultproxy::plan::{Action, Commit, Match, Occurrence, Plan};
use tests::faults::place::Place;
use tests::faults::turmoil::{account, grant};
use tests::operator::{Operator, Scene, install_crd, plane};

const LONG: Duration = Duration::from_secs(45);

async fn ask(operator: &Operator, path: &str) -> (u16, String) {
    let url = format!("http://{}{path}", operator.admin().await);
    let answer = reqwest::Client::builder().no_proxy().build().unwrap().get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn is_ready(operator: &Operator) {
    Eventually::new("the operator is ready")
        .within(LONG)
        .matches(async || ask(operator, "/readyz").await, |(status, _)| *status == 200)
        .await
        .unwrap();
}

#[tokio::test]
async fn without_the_crd_it_waits_says_so_and_goes_on_when_it_comes() {
    let plane = ControlPlane::start().await.unwrap();
    let operator = Operator::start(plane.api().access(), &["--lease-namespace", "default"]).await;
    Eventually::new("the operator says what it waits for")
        .within(LONG)
        .matches(
            async || ask(&operator, "/readyz").await,
            |(status, text)| *status == 503 && text.contains("the CRD"),
        )
        .await
        .unwrap();
    assert_eq!(ask(&operator, "/livez").await.0, 200);
    install_crd(&plane).await;
    is_ready(&operator).await;
    let leads = "leader_election_master_status{name=\"threatrelay-operator\"} 1";
    Eventually::new("it says that it leads")
        .within(LONG)
        .matches(async || ask(&operator, "/metrics").await.1, |metrics| metrics.contains(leads))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_watch_that_failed_and_goes_on_leaves_the_operator_ready() {
    let plane = plane().await;
    let namespace = plane.namespace("unready").await.unwrap();
    let proxy = FaultProxy::start(plane.api().access()).await.unwrap();
    let matching = Match { class: Some(Class::Watch), resource: Some("services".to_owned()), ..Match::default() };
    let action = Action::Answer { status: 503, retry_after: None, commit: Commit::Before };
    proxy.arm(Plan { matching, occurrence: Occurrence::Nth(1), action });
    let operator = Scene::operator(proxy.access(), &namespace, &["--leader-election", "false"]).await;
    operator.logs("watching failed", LONG).await;
    is_ready(&operator).await;
}

#[tokio::test]
async fn of_two_one_leads_and_the_other_takes_over_when_it_is_killed_or_told_to_stop() {
    let plane = plane().await;
    let namespace = plane.namespace("leaders").await.unwrap();
    let start = async || Scene::operator(plane.api().access(), &namespace, &[]).await;
    let first = start().await;
    first.logs("\"leading\"", LONG).await;
    let second = start().await;
    is_ready(&second).await;
    assert!(!second.log().contains("\"leading\""));
    first.kill().await;
    second.logs("\"leading\"", LONG).await;

    let third = start().await;
    is_ready(&third).await;
    let mut second = second;
    second.signal("TERM").await;
    assert_eq!(second.ended(LONG).await, Some(0));
    assert!(second.log().contains("lease released"), "{}", second.log());
    third.logs("\"leading\"", Duration::from_secs(10)).await;
}

#[tokio::test]
async fn who_waits_for_the_lease_knows_what_there_is_and_takes_over_without_listing_it() {
    let plane = plane().await;
    let namespace = plane.namespace("standby").await.unwrap();
    let first = Scene::operator(plane.api().access(), &namespace, &[]).await;
    first.logs("\"leading\"", LONG).await;
    let proxy = FaultProxy::start(plane.api().access()).await.unwrap();
    let second = Scene::operator(proxy.access(), &namespace, &[]).await;
    is_ready(&second).await;
    let lists = || {
        let listed = proxy.trace().into_iter().filter(|entry| entry.call.verb == Verb::List);
        listed.map(|entry| entry.call.resource).collect::<Vec<_>>()
    };
    let before = lists();
    for resource in ["threatrelays", "secrets", "deployments", "pods"] {
        assert!(before.iter().any(|listed| listed == resource), "{resource} is not among {before:?}");
    }
    // What comes while nobody leads is known, too.
    first.kill().await;
    plane.api().create(&relays(&namespace), &relay("r")).await.unwrap();
    second.logs("\"leading\"", LONG).await;
    let service = format!("/api/v1/namespaces/{namespace}/services/r");
    Eventually::new("the new leader makes what was asked for before")
        .within(LONG)
        .ok(async || plane.api().get(&service).await)
        .await
        .unwrap();
    let of_watches = |lists: Vec<String>| lists.into_iter().filter(|resource| resource != "pods").collect::<Vec<_>>();
    assert_eq!(of_watches(lists()), of_watches(before), "it listed again after it was elected");
}

#[tokio::test]
async fn requests_and_the_queue_are_counted_under_the_names_of_gos_client() {
    let scene = Scene::new(plane().await, "counted").await;
    scene.create("r", json!({})).await;
    scene.ready("r").await;
    let value = async |start: &str, also: &str| {
        let metrics = ask(&scene.operator, "/metrics").await.1;
        let line = metrics.lines().find(|line| line.starts_with(start) && line.contains(also));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
    };
    for (start, also) in [
        ("rest_client_requests_total{", "code=\"200\""),
        ("rest_client_requests_total{", "method=\"PATCH\""),
        ("rest_client_requests_total{", "host=\"127.0.0.1:"),
        ("rest_client_request_duration_seconds_count{", "verb=\"GET\""),
        ("workqueue_adds_total{", "name=\"threatrelay\""),
        ("workqueue_queue_duration_seconds_count{", "controller=\"threatrelay\""),
        ("workqueue_work_duration_seconds_count{", "controller=\"threatrelay\""),
    ] {
        assert!(value(start, also).await.is_some_and(|value| value >= 1.0), "{start} {also}");
    }
    Eventually::new("nothing waits")
        .within(LONG)
        .matches(async || value("workqueue_depth{", "").await, |depth| *depth == Some(0.0))
        .await
        .unwrap();
    assert_eq!(value("workqueue_retries_total{", "").await, Some(0.0));
    let matching = Match { resource: Some("services".to_owned()), class: Some(Class::Read), ..Match::default() };
    let action = Action::Answer { status: 500, retry_after: None, commit: Commit::Before };
    scene.proxy.arm(Plan { matching, occurrence: Occurrence::Nth(1), action });
    scene.change("r", json!({"log": {"level": "debug"}})).await;
    Eventually::new("a failure is tried again")
        .within(LONG)
        .matches(async || value("workqueue_retries_total{", "").await, |retries| *retries == Some(1.0))
        .await
        .unwrap();
    assert!(value("rest_client_requests_total{", "code=\"500\"").await.is_some_and(|count| count >= 1.0));
}

fn relays(namespace: &str) -> String {
    format!("/apis/threatrelay.dev/v1alpha1/namespaces/{namespace}/threatrelays")
}

fn relay(name: &str) -> Value {
    json!({
        "apiVersion": "threatrelay.dev/v1alpha1", "kind": "ThreatRelay", "metadata": {"name": name},
        "spec": {"auth": {"audiences": ["https://relay.example"]}},
    })
}

#[tokio::test]
async fn a_leader_that_was_paused_ends_instead_of_writing_beside_the_new_one() {
    let plane = plane().await;
    let namespace = plane.namespace("paused").await.unwrap();
    let start = async || Scene::operator(plane.api().access(), &namespace, &[]).await;
    let mut first = start().await;
    first.logs("\"leading\"", LONG).await;
    let second = start().await;
    is_ready(&second).await;
    first.signal("STOP").await;
    second.logs("\"leading\"", LONG).await;
    first.signal("CONT").await;
    assert_eq!(first.ended(LONG).await, Some(1));
    let lease = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/threatrelay-operator");
    assert_eq!(plane.api().field(&lease, "/spec/leaseTransitions").await.unwrap(), json!(1));
}

#[tokio::test]
async fn a_right_on_the_lease_that_is_missing_is_told_and_its_return_is_enough() {
    let plane = plane().await;
    let namespace = plane.namespace("lease-rights").await.unwrap();
    let access = account(plane.api(), &namespace).await;
    let without = async |right: Option<&str>| {
        let right: Option<Place> = right.map(|verb| format!("{verb}-leases-1").parse().unwrap());
        grant(plane.api(), &namespace, right.as_ref()).await;
    };
    without(Some("create")).await;
    let mut first = Scene::operator(&access, &namespace, &[]).await;
    first.logs("cannot create resource", LONG).await;
    without(Some("get")).await;
    first.logs("cannot get resource", LONG).await;
    without(None).await;
    first.logs("\"leading\"", LONG).await;

    without(Some("update")).await;
    assert_eq!(first.ended(LONG).await, Some(1), "who cannot renew has to end");
    assert!(first.log().contains("cannot update resource"), "{}", first.log());
    let second = Scene::operator(&access, &namespace, &[]).await;
    second.logs("cannot update resource", LONG).await;
    without(None).await;
    second.logs("\"leading\"", LONG).await;
}

#[tokio::test]
async fn the_commands_say_whether_a_cluster_is_fit_and_report_without_secrets() {
    let plane = plane().await;
    let namespace = plane.namespace("commands").await.unwrap();
    let run = async |arguments: &[&str]| {
        let all = [arguments, &["--namespace", &namespace]].concat();
        Operator::command(plane.api().access(), if arguments[0] == "report" { &all } else { arguments }).await
    };
    let (code, text) = run(&["check", "--pre"]).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("ok    CRD threatrelays.threatrelay.dev"), "{text}");
    assert!(text.contains("warn  kind HTTPRoute") && text.contains("ok    rights, all namespaces"), "{text}");

    let labels = json!({"app.kubernetes.io/managed-by": "threatrelay-operator"});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "labels": labels}, "stringData": {"default": "canary"}});
    plane.api().create(&format!("/api/v1/namespaces/{namespace}/secrets"), &secret).await.unwrap();
    let (code, text) = run(&["report"]).await;
    assert_eq!(code, Some(0), "{text}");
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["secrets"][0]["data"], json!({"default": "[redacted]"}));
    assert!(!text.contains("canary") && !text.contains("Y2FuYXJ5"), "{text}");
}

#[tokio::test]
async fn the_crd_is_printed_as_it_is_installed() {
    let plane = plane().await;
    let (code, text) = Operator::command(plane.api().access(), &["crd"]).await;
    assert!(code == Some(0) && text.contains("kind: CustomResourceDefinition"), "{text}");
}
