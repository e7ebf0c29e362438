//! The life of the operator's process: leaders, waiting, probes, commands.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::time::Duration;

use serde_json::json;
use tests::cluster::ControlPlane;
use tests::eventually::Eventually;
use tests::operator::{Operator, Scene, install_crd};

const LONG: Duration = Duration::from_secs(45);

async fn ask(operator: &Operator, path: &str) -> (u16, String) {
    let url = format!("http://{}{path}", operator.admin().await);
    let answer = reqwest::get(url).await.unwrap();
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
    let metrics = ask(&operator, "/metrics").await.1;
    assert!(metrics.contains("leader_election_master_status{name=\"threatrelay-operator\"} 1"), "{metrics}");
}

#[tokio::test]
async fn of_two_one_leads_and_the_other_takes_over_when_it_is_killed_or_told_to_stop() {
    let plane = ControlPlane::start().await.unwrap();
    install_crd(&plane).await;
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
async fn a_leader_that_was_paused_ends_instead_of_writing_beside_the_new_one() {
    let plane = ControlPlane::start().await.unwrap();
    install_crd(&plane).await;
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
    let lease = plane.api().get(&lease).await;
    assert_eq!(lease.unwrap()["spec"]["leaseTransitions"], json!(1));
}
