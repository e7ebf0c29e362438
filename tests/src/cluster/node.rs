//! The second level: a control plane with one node, on which pods run.
//!
//! containerd, kubelet, kube-proxy and the scheduler run in the control plane's sandbox; CoreDNS runs as a pod. The
//! kubelet joins with the credential of `node1` and has no other right. Images come from files ([`Image`]) or archives;
//! nothing is pulled. The start is complete when the node is ready and cluster DNS answers.

use std::fmt::Write;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::api::{Api, ApiError};
use super::control_plane::{ControlPlane, History, StartError, finished};
use super::debian;
use super::image::Image;
use super::programs::locate;
use super::sandbox::{Level, Sandbox};
use super::settings::{kubelet_flags, proxy_flags, scheduler_flags, write_node_settings};
use crate::eventually::{Eventually, TimedOut};

/// A running single-node cluster. Dropping it ends everything in it, containers included.
pub struct Cluster {
    plane: ControlPlane,
}

impl Cluster {
    /// Starts one and waits until pods can run and resolve names.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start() -> Result<Self, StartError> {
        debian::require(debian::NODE)?;
        let (probe, coredns) = (locate("probe")?, locate("coredns")?);
        let scheduler = locate("kube-scheduler")?;
        let (kubelet, proxy) = (locate("kubelet")?, locate("kube-proxy")?);
        let plane = ControlPlane::start_with(Level::Node, History::default()).await?;
        let cluster = Self { plane };
        let (sandbox, folder) = (cluster.sandbox(), cluster.sandbox().folder());
        write_node_settings(folder, sandbox.name())?;

        let mut command = sandbox.command("containerd");
        command.arg("--config").arg(folder.join("containerd.toml"));
        sandbox.spawn("containerd", command)?;
        let socket = folder.join("mounts/run/containerd/containerd.sock");
        let looked = async || if socket.exists() { Ok(()) } else { Err(format!("no {}", socket.display())) };
        cluster.plane.ready("containerd listens", "containerd", looked).await?;
        cluster.load(&Image::of("pause", &probe))?;

        let mut command = sandbox.command(scheduler);
        command.args(scheduler_flags(folder));
        sandbox.spawn("kube-scheduler", command)?;
        let mut command = sandbox.command(kubelet);
        command.args(kubelet_flags(folder));
        sandbox.spawn("kubelet", command)?;
        let mut command = sandbox.command(proxy);
        command.args(proxy_flags(folder));
        sandbox.spawn("kube-proxy", command)?;
        cluster.load(&Image::of("probe", &probe))?;
        cluster.load(&Image::of("coredns", &coredns))?;
        cluster.apply(&manifest("coredns.yaml"))?;
        cluster.plane.ready("the node is ready", "kubelet", async || node_ready(cluster.api()).await).await?;
        let dns = async || rollout(cluster.api(), "kube-system", "coredns").await;
        cluster.plane.ready("cluster DNS is rolled out", "kubelet", dns).await?;
        Ok(cluster)
    }

    /// The control plane.
    #[must_use]
    pub fn plane(&self) -> &ControlPlane {
        &self.plane
    }

    /// A client with all rights.
    #[must_use]
    pub fn api(&self) -> &Api {
        self.plane.api()
    }

    /// Where everything runs.
    #[must_use]
    pub fn sandbox(&self) -> &Sandbox {
        self.plane.sandbox()
    }

    /// Makes `image` known to the node.
    ///
    /// # Errors
    /// When its files cannot be read or containerd refuses it.
    pub fn load(&self, image: &Image) -> Result<(), StartError> {
        let folder = self.sandbox().folder().join("images");
        fs::create_dir_all(&folder)?;
        let archive = folder.join(format!("{}.tar", image.name().replace(['/', ':'], "_")));
        image.archive(&archive)?;
        self.load_archive(&archive)?;
        Ok(fs::remove_file(archive)?)
    }

    /// Makes the images of an archive known to the node: one written by `docker save`, `buildah push docker-archive:`
    /// or [`Image::archive`].
    ///
    /// # Errors
    /// When containerd refuses it.
    pub fn load_archive(&self, archive: &Path) -> Result<(), StartError> {
        let mut ctr = self.sandbox().command("ctr");
        ctr.args(["--namespace", "k8s.io", "images", "import", "--snapshotter", "overlayfs"]).arg(archive);
        finished("ctr images import", &ctr.output()?).map(drop)
    }

    /// Applies the objects of a file or a folder of YAML files, server-side.
    ///
    /// # Errors
    /// What kubectl printed.
    pub fn apply(&self, file: &Path) -> Result<(), StartError> {
        let file = file.display().to_string();
        self.plane.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &file]).map(drop)
    }

    /// Waits until all replicas of a Deployment run its present template and are available.
    ///
    /// # Errors
    /// [`TimedOut`] after 60 s, with the Deployment's state and its pods' as last seen.
    pub async fn rolled_out(&self, namespace: &str, name: &str) -> Result<(), TimedOut> {
        Eventually::new(format!("Deployment {namespace}/{name} is rolled out"))
            .within(Duration::from_mins(1))
            .ok(async || rollout(self.api(), namespace, name).await)
            .await
    }

    /// One HTTP GET from this process to an address in the cluster (a pod, a Service or the node), on a new connection:
    /// status and body.
    ///
    /// # Errors
    /// Those of connecting and reading.
    pub async fn fetch(&self, address: SocketAddr, path_and_query: &str) -> Result<(u16, String), FetchError> {
        let outside = self.sandbox().forward(address)?;
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
        let response = http.get(format!("http://{outside}{path_and_query}")).send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }
}

/// Why [`Cluster::fetch`] had no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No way into the cluster.
    #[error(transparent)]
    Forward(#[from] io::Error),
    /// No HTTP answer.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
}

/// A file or folder below `tests/cluster/manifests`.
#[must_use]
pub fn manifest(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/manifests").join(name)
}

async fn node_ready(api: &Api) -> Result<(), String> {
    let node = api.get("/api/v1/nodes/node1").await.map_err(|error| error.to_string())?;
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready").cloned().unwrap_or_default();
    if ready["status"] == "True" { Ok(()) } else { Err(ready.to_string()) }
}

pub(super) async fn rollout(api: &Api, namespace: &str, name: &str) -> Result<(), String> {
    let said = |error: ApiError| error.to_string();
    let deployment =
        api.get(&format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}")).await.map_err(said)?;
    let wanted = &deployment["spec"]["replicas"];
    let status = &deployment["status"];
    let current = status["observedGeneration"] == deployment["metadata"]["generation"];
    let reached = |field: &str| status[field] == *wanted || (*wanted == 0 && status[field].is_null());
    if current && reached("updatedReplicas") && reached("availableReplicas") && reached("replicas") {
        return Ok(());
    }
    let pods = api.get(&format!("/api/v1/namespaces/{namespace}/pods")).await.map_err(said)?;
    let mut seen = status.to_string();
    for pod in pods["items"].as_array().into_iter().flatten() {
        let (pod, containers) = (&pod["metadata"]["name"], &pod["status"]["containerStatuses"]);
        let _ = write!(seen, "\n  {pod}: {}", containers[0]["state"]);
        if containers[0]["ready"] == false {
            let log =
                format!("/api/v1/namespaces/{namespace}/pods/{}/log?tailLines=5", pod.as_str().unwrap_or_default());
            let log = api.text(reqwest::Method::GET, &log, None).await.unwrap_or_else(|error| error.to_string());
            let _ = write!(seen, "\n  {}", log.trim_end().replace('\n', "\n  "));
        }
    }
    Err(seen)
}
