//! On any provider's nodes pods run from our own images, reach each other by name, and are within kubectl's reach.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::time::Instant;

use tests::cluster::Cluster;
use tests::eventually::Eventually;
use tokio::sync::OnceCell;

async fn cluster() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    let start = async || {
        let begun = Instant::now();
        let cluster = Cluster::start().await.unwrap();
        println!("ready after {:?}", begun.elapsed());
        cluster
    };
    CLUSTER.get_or_init(start).await
}

#[tokio::test]
async fn a_restricted_pod_answers_through_its_service_by_address_and_by_name() {
    let cluster = cluster().await;
    let namespace = cluster.restricted_namespace("service").await.unwrap();
    let address = cluster.serve(&namespace, "web", &[8080]).await.unwrap();
    let answered = Eventually::new("the Service answers")
        .ok(async || cluster.fetch(address, "/").await.map_err(|error| error.to_string()))
        .await
        .unwrap();
    assert_eq!(answered.0, 200);
    assert!(answered.1.starts_with("pod=web-"), "{}", answered.1);
    let asked = format!("/fetch?u=http://web.{namespace}.svc.cluster.local:8080/");
    let by_name = Eventually::new("the pod reaches its Service by name")
        .matches(
            async || cluster.fetch(address, &asked).await.map_err(|e| e.to_string()),
            |answer| answer.as_ref().is_ok_and(|(status, _)| *status == 200),
        )
        .await
        .unwrap()
        .unwrap();
    assert!(by_name.1.starts_with("200 pod=web-"), "{}", by_name.1);
}

#[tokio::test]
async fn kubectl_logs_and_exec_reach_pods() {
    let cluster = cluster().await;
    let namespace = cluster.restricted_namespace("exec").await.unwrap();
    let address = cluster.serve(&namespace, "web", &[8080]).await.unwrap();
    let printed =
        cluster.kubectl(&["-n", &namespace, "exec", "deployment/web", "--", "/probe", "resolve", "web"]).unwrap();
    assert_eq!(printed.trim(), address.ip().to_string());
    cluster.kubectl(&["-n", &namespace, "logs", "deployment/web"]).unwrap();
}
