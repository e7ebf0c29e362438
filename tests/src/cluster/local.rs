//! The cluster this crate brings up itself: a control plane, and one node in the same sandbox.
//!
//! containerd, kubelet, kube-proxy and the scheduler run beside the control plane; CoreDNS runs as a pod. The kubelet
//! joins with the credential of `node1` and has no other right. The start is complete when the node is ready and cluster
//! DNS answers; a step that fails is told with the log of its program.

use serde_json::Value;

use super::api::Api;
use super::control_plane::{ControlPlane, History, StartError};
use super::debian;
use super::image::Image;
use super::node::{Cluster, Provider, manifest, rollout};
use super::programs::locate;
use super::sandbox::Level;
use super::settings::{containerd_flags, kubelet_flags, proxy_flags, scheduler_flags, write_node_settings};

impl Cluster {
    /// Starts one in a sandbox of this process, and waits until pods can run and resolve names.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start_local() -> Result<Self, StartError> {
        debian::require(debian::NODE)?;
        let (probe, coredns) = (locate("probe")?, locate("coredns")?);
        let scheduler = locate("kube-scheduler")?;
        let (kubelet, proxy) = (locate("kubelet")?, locate("kube-proxy")?);
        let plane = ControlPlane::start_with(Level::Node, History::default()).await?;
        let (sandbox, folder) = (plane.sandbox(), plane.sandbox().folder());
        write_node_settings(folder, sandbox.name())?;

        sandbox.spawn("containerd", "containerd", containerd_flags(folder))?;
        let socket = folder.join("mounts/run/containerd/containerd.sock");
        let looked = async || if socket.exists() { Ok(()) } else { Err(format!("no {}", socket.display())) };
        plane.ready("containerd listens", "containerd", looked).await?;
        sandbox.spawn("kube-scheduler", scheduler, scheduler_flags(folder))?;
        sandbox.spawn("kube-proxy", proxy, proxy_flags(folder))?;
        sandbox.spawn("kubelet", kubelet, kubelet_flags(folder))?;

        let cluster = Self::of(Provider::Local(Box::new(plane)));
        cluster.load(&Image::of("pause", &probe))?;
        cluster.load(&Image::of("probe", &probe))?;
        cluster.load(&Image::of("coredns", &coredns))?;
        cluster.apply(&manifest("coredns.yaml"))?;
        cluster.ready("the node is ready", "kubelet", async || node_ready(cluster.api()).await).await?;
        let dns = async || rollout(cluster.api(), "kube-system", "coredns").await;
        cluster.ready("cluster DNS is rolled out", "kubelet", dns).await?;
        Ok(cluster)
    }
}

async fn node_ready(api: &Api) -> Result<(), String> {
    let node = api.get("/api/v1/nodes/node1").await.map_err(|error| error.to_string())?;
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready").cloned().unwrap_or_default();
    if ready["status"] == "True" { Ok(()) } else { Err(ready.to_string()) }
}
