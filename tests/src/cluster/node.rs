//! The second level: a Kubernetes with nodes, on which pods run.
//!
//! It is brought up here ([`Cluster::start_local`]) or by kind ([`Cluster::join`]); a suite that uses nothing of
//! [`Cluster::plane`] runs on either, as [`PROVIDER`] says. Images come from files ([`Image`]) or archives; nothing is
//! pulled. Addresses inside are reached through loopback ports of this process ([`Cluster::forward`]).

use std::env;
use std::fmt::{Display, Write};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::api::{Api, ApiError};
use super::control_plane::{ControlPlane, StartError, finished, kubectl};
use super::image::Image;
use super::kind::{Joined, Kind};
use crate::eventually::{Eventually, TimedOut};

/// Who provides the cluster of [`Cluster::start`]: `local` or `kind`.
pub const PROVIDER: &str = "THREATRELAY_TEST_PROVIDER";

/// A running cluster. Dropping a local one ends everything in it, containers included; one of kind is only left.
pub struct Cluster {
    provider: Provider,
}

pub(super) enum Provider {
    Local(Box<ControlPlane>),
    Kind(Joined),
}

impl Cluster {
    /// The cluster that [`PROVIDER`] asks for: one of its own in a sandbox, or kind's, which is there already.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start() -> Result<Self, StartError> {
        match env::var(PROVIDER).unwrap_or_default().as_str() {
            "" | "local" => Self::start_local().await,
            "kind" => Self::join(&Kind::located()?).await,
            other => Err(StartError::Provider(other.into())),
        }
    }

    pub(super) fn of(provider: Provider) -> Self {
        Self { provider }
    }

    /// The control plane of a local cluster; none is within reach on kind.
    #[must_use]
    pub fn plane(&self) -> Option<&ControlPlane> {
        match &self.provider {
            Provider::Local(plane) => Some(plane),
            Provider::Kind(_) => None,
        }
    }

    /// A client with all rights.
    #[must_use]
    pub fn api(&self) -> &Api {
        match &self.provider {
            Provider::Local(plane) => plane.api(),
            Provider::Kind(joined) => &joined.api,
        }
    }

    /// A kubeconfig with all rights, for programs.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        match &self.provider {
            Provider::Local(plane) => plane.kubeconfig(),
            Provider::Kind(joined) => joined.kubeconfig(),
        }
    }

    /// Runs kubectl with all rights.
    ///
    /// # Errors
    /// When it is not built, or fails; the text is what it printed.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String, StartError> {
        match &self.provider {
            Provider::Local(plane) => plane.kubectl(arguments),
            Provider::Kind(joined) => kubectl(&joined.kubeconfig(), arguments),
        }
    }

    /// A loopback address whose connections are carried to a pod, a Service or the node, as long as the cluster lives.
    ///
    /// # Errors
    /// Those of binding on 127.0.0.1.
    pub fn forward(&self, inside: SocketAddr) -> io::Result<SocketAddr> {
        match &self.provider {
            Provider::Local(plane) => plane.sandbox().forward(inside),
            Provider::Kind(joined) => joined.forward(inside),
        }
    }

    /// Makes `image` known to the nodes.
    ///
    /// # Errors
    /// When its files cannot be read or the nodes refuse it.
    pub fn load(&self, image: &Image) -> Result<(), StartError> {
        let folder = tempfile::tempdir()?;
        let archive = folder.path().join("image.tar");
        image.archive(&archive)?;
        self.load_archive(&archive)
    }

    /// Makes the images of an archive known to the nodes: one written by `docker save`, `buildah push docker-archive:`
    /// or [`Image::archive`].
    ///
    /// # Errors
    /// When the nodes refuse it.
    pub fn load_archive(&self, archive: &Path) -> Result<(), StartError> {
        match &self.provider {
            Provider::Local(plane) => {
                let mut ctr = plane.sandbox().command("ctr");
                ctr.args(["--namespace", "k8s.io", "images", "import", "--snapshotter", "overlayfs"]).arg(archive);
                finished("ctr images import", &ctr.output()?).map(drop)
            }
            Provider::Kind(joined) => joined.kind.load_archive(archive),
        }
    }

    /// Applies the objects of a file or a folder of YAML files, server-side.
    ///
    /// # Errors
    /// What kubectl printed.
    pub fn apply(&self, file: &Path) -> Result<(), StartError> {
        let file = file.display().to_string();
        self.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &file]).map(drop)
    }

    /// Waits up to 60 s for a step of a start; the error has the end of the log of `program`, where this process has it.
    pub(super) async fn ready<T, S: Display>(
        &self,
        what: &str,
        program: &str,
        look: impl AsyncFnMut() -> Result<T, S>,
    ) -> Result<T, StartError> {
        match &self.provider {
            Provider::Local(plane) => plane.ready(what, program, look).await,
            Provider::Kind(_) => Eventually::new(what)
                .within(Duration::from_mins(1))
                .ok(look)
                .await
                .map_err(|what| StartError::NotReady { what, log: String::new() }),
        }
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
        let outside = self.forward(address)?;
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
