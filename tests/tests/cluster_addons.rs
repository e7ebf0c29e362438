//! The add-ons: Ingress and Gateway API by traefik, with TLS; CPU values and scaling by metrics-server.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::cluster::pki::Authority;
use tests::cluster::{Cluster, Memory, Traefik};
use tests::eventually::Eventually;
use tokio::sync::OnceCell;

async fn cluster() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER.get_or_init(async || Cluster::start_local().await.unwrap()).await
}

async fn traefik() -> Traefik {
    static TRAEFIK: OnceCell<Traefik> = OnceCell::const_new();
    let add = async || {
        let begun = Instant::now();
        let traefik = cluster().await.add_traefik().await.unwrap();
        println!(
            "traefik ready after {:?}; {}",
            begun.elapsed(),
            Memory::of(cluster().await.plane().unwrap().sandbox())
        );
        traefik
    };
    *TRAEFIK.get_or_init(add).await
}

#[tokio::test]
async fn an_ingress_serves_its_host_and_no_other_and_shows_its_address() {
    let (cluster, traefik) = (cluster().await, traefik().await);
    let namespace = cluster.restricted_namespace("ingress").await.unwrap();
    cluster.serve(&namespace, "web", &[8080]).await.unwrap();
    let path = format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses/web");
    cluster.api().apply(&path, &ingress("plain.example", None)).await.unwrap();
    let (status, body) = eventually_served(traefik.http, "plain.example", None).await;
    assert_eq!(status, 200);
    assert!(body.starts_with("pod=web-"), "{body}");
    let (status, _) = get(traefik.http, "other.example", None).await.unwrap();
    assert_eq!(status, 404);
    Eventually::new("the Ingress has an address")
        .matches(
            async || cluster.api().field(&path, "/status/loadBalancer/ingress/0/ip").await.map_err(|e| e.to_string()),
            |ip| ip.as_ref().is_ok_and(|ip| ip == "10.200.0.1"),
        )
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn an_ingress_ends_tls_with_the_certificate_of_its_secret() {
    let (cluster, traefik) = (cluster().await, traefik().await);
    let namespace = cluster.restricted_namespace("tls").await.unwrap();
    cluster.serve(&namespace, "web", &[8080]).await.unwrap();
    let authority = Authority::new("test").unwrap();
    let (certificate, key) = authority
        .certificate(&["secure.example"], ("secure.example", None), rcgen::ExtendedKeyUsagePurpose::ServerAuth)
        .unwrap();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "web-tls"}, "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate, "tls.key": key},
    });
    cluster.api().apply(&format!("/api/v1/namespaces/{namespace}/secrets/web-tls"), &secret).await.unwrap();
    let path = format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses/web");
    cluster.api().apply(&path, &ingress("secure.example", Some("web-tls"))).await.unwrap();
    let (status, body) = eventually_served(traefik.https, "secure.example", Some(&authority.pem)).await;
    assert_eq!(status, 200);
    assert!(body.starts_with("pod=web-"), "{body}");
}

#[tokio::test]
async fn a_gateway_accepts_a_route_and_serves_it() {
    let (cluster, traefik) = (cluster().await, traefik().await);
    let namespace = cluster.restricted_namespace("gateway").await.unwrap();
    cluster.serve(&namespace, "web", &[8080]).await.unwrap();
    let objects = format!("/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}");
    let gateway = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "edge"},
        "spec": {
            "gatewayClassName": "traefik",
            "listeners": [{"name": "http", "protocol": "HTTP", "port": 8000}],
        },
    });
    cluster.api().apply(&format!("{objects}/gateways/edge"), &gateway).await.unwrap();
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "web"},
        "spec": {
            "parentRefs": [{"name": "edge"}],
            "hostnames": ["routed.example"],
            "rules": [{"backendRefs": [{"name": "web", "port": 8080}]}],
        },
    });
    cluster.api().apply(&format!("{objects}/httproutes/web"), &route).await.unwrap();
    let (status, _) = eventually_served(traefik.http, "routed.example", None).await;
    assert_eq!(status, 200);
    let conditions = async || {
        let conditions =
            cluster.api().field(&format!("{objects}/httproutes/web"), "/status/parents/0/conditions").await;
        let list = conditions.unwrap_or_default();
        let list = list.as_array().cloned().unwrap_or_default();
        let mut reached: Vec<_> =
            list.iter().map(|c| format!("{}={}", c["type"], c["status"]).replace('"', "")).collect();
        reached.sort();
        reached
    };
    Eventually::new("the route is accepted and resolved")
        .matches(conditions, |states| states.starts_with(&["Accepted=True".into(), "ResolvedRefs=True".into()]))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_autoscaler_reads_cpu_values_and_scales_out_under_load() {
    let cluster = cluster().await;
    cluster.add_metrics_server().await.unwrap();
    let namespace = cluster.restricted_namespace("scale").await.unwrap();
    let address = cluster.serve(&namespace, "web", &[8080]).await.unwrap();
    let autoscaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 1, "maxReplicas": 2,
            "metrics": [{"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}],
        },
    });
    let path = format!("/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/web");
    cluster.api().apply(&path, &autoscaler).await.unwrap();
    let begun = Instant::now();
    Eventually::new("the autoscaler wants two replicas")
        .within(Duration::from_secs(90))
        .ok(async || {
            let burnt = cluster.fetch(address, "/burn?ms=1000").await.map(|answer| answer.0);
            let status = cluster.api().field(&path, "/status").await.map_err(|error| error.to_string())?;
            if status["desiredReplicas"] == 2 { Ok(()) } else { Err(format!("burn {burnt:?}, {status}")) }
        })
        .await
        .unwrap();
    println!("scaled out after {:?}; {}", begun.elapsed(), Memory::of(cluster.plane().unwrap().sandbox()));
}

fn ingress(host: &str, secret: Option<&str>) -> Value {
    let mut ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"},
        "spec": {
            "ingressClassName": "traefik",
            "rules": [{"host": host, "http": {"paths": [{
                "path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 8080}}},
            }]}}],
        },
    });
    if let Some(secret) = secret {
        ingress["spec"]["tls"] = json!([{"hosts": [host], "secretName": secret}]);
    }
    ingress
}

async fn eventually_served(address: SocketAddr, host: &str, authority: Option<&str>) -> (u16, String) {
    Eventually::new(format!("{host} is served"))
        .within(Duration::from_secs(30))
        .ok(async || match get(address, host, authority).await {
            Ok((404, body)) => Err(format!("404 {body}")),
            Ok(answer) => Ok(answer),
            Err(error) => Err(format!("{error:?}")),
        })
        .await
        .unwrap()
}

/// One GET by host name, over TLS when an authority is given to trust.
async fn get(address: SocketAddr, host: &str, authority: Option<&str>) -> Result<(u16, String), reqwest::Error> {
    let outside = cluster().await.forward(address).unwrap();
    let mut http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).resolve(host, outside);
    if let Some(authority) = authority {
        http = http.tls_certs_only([reqwest::Certificate::from_pem(authority.as_bytes())?]);
    }
    let scheme = if authority.is_some() { "https" } else { "http" };
    let response = http.build()?.get(format!("{scheme}://{host}:{}/", outside.port())).send().await?;
    Ok((response.status().as_u16(), response.text().await?))
}
