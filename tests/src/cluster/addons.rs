//! What a cluster gets only on request, because it costs memory and time: traefik for Ingress and Gateway API, and
//! metrics-server for a `HorizontalPodAutoscaler`.

use std::net::SocketAddr;

use serde_json::Value;

use super::control_plane::StartError;
use super::image::Image;
use super::node::{Cluster, manifest, rollout};
use super::programs::{Program, locate};

/// Where traefik listens inside the cluster.
#[derive(Debug, Clone, Copy)]
pub struct Traefik {
    /// Plain HTTP.
    pub http: SocketAddr,
    /// TLS, ended there.
    pub https: SocketAddr,
}

impl Cluster {
    /// Adds the Gateway API's types and traefik, with Ingress class and `GatewayClass` both named `traefik`.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn add_traefik(&self) -> Result<Traefik, StartError> {
        self.load(&Image::of("traefik", locate("traefik")?))?;
        self.add_gateway_api()?;
        self.apply(&manifest("traefik.yaml"))?;
        let looked = async || rollout(self.api(), "traefik", "traefik").await;
        self.ready("traefik is rolled out", "kubelet", looked).await?;
        let service = self.api().get("/api/v1/namespaces/traefik/services/traefik").await?;
        let address = service.pointer("/spec/clusterIP").and_then(Value::as_str).and_then(|ip| ip.parse().ok());
        let address =
            address.ok_or_else(|| StartError::Tool { tool: "traefik".into(), output: service.to_string() })?;
        Ok(Traefik { http: SocketAddr::new(address, 80), https: SocketAddr::new(address, 443) })
    }

    /// Adds the Gateway API's types alone.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn add_gateway_api(&self) -> Result<(), StartError> {
        self.apply(&Program::named("gateway-api")?.folder()?)
    }

    /// Adds metrics-server and waits until the metrics API answers. Values of a pod come about 15 s after its start.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn add_metrics_server(&self) -> Result<(), StartError> {
        self.load(&Image::of("metrics-server", locate("metrics-server")?))?;
        self.apply(&manifest("metrics-server.yaml"))?;
        let looked = async || self.api().get("/apis/metrics.k8s.io/v1beta1/nodes").await;
        self.ready("the metrics API answers", "kube-apiserver", looked).await.map(drop)
    }
}
