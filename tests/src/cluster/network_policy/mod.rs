//! A test double of a network plugin: enforces the cluster's network policies with nftables.
//!
//! It watches policies, pods and namespaces; after every change it renders all rules anew (`ruleset.rs`) and replaces
//! the table in one transaction. It proves what our policies *say*, by the rules of the API's documentation; it does not
//! prove what a given vendor's plugin does. Failures to read or to load are kept and told by [`Enforcer::state`].

mod policy;
mod ruleset;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Notify;

use super::api::{Api, ApiError};
use super::control_plane::finished;
use super::node::Cluster;

const POLICIES: &str = "/apis/networking.k8s.io/v1/networkpolicies";
const PODS: &str = "/api/v1/pods";
const NAMESPACES: &str = "/api/v1/namespaces";

/// Enforces policies until it is dropped; the rules loaded last then stay.
pub struct Enforcer {
    state: Arc<Mutex<Loaded>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// What was loaded last.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// How many times rules were replaced.
    pub times: u64,
    /// The rules.
    pub rules: String,
    /// What went wrong since then.
    pub error: Option<String>,
}

impl Enforcer {
    /// Begins to enforce in `cluster`, which it keeps alive.
    ///
    /// # Errors
    /// When the cluster is not a local one, or is being stopped.
    pub fn start(cluster: &Arc<Cluster>) -> std::io::Result<Self> {
        let plane = cluster.plane().ok_or_else(|| std::io::Error::other("only a local cluster's network is here"))?;
        let changed = Arc::new(Notify::new());
        let state = Arc::new(Mutex::new(Loaded::default()));
        let runtime = plane.sandbox().runtime()?;
        let mut tasks: Vec<_> = [POLICIES, PODS, NAMESPACES]
            .into_iter()
            .map(|path| runtime.spawn(watch(cluster.api().clone(), path, Arc::clone(&changed))))
            .collect();
        tasks.push(runtime.spawn(enforce(Arc::clone(cluster), changed, Arc::clone(&state))));
        Ok(Self { state, tasks })
    }

    /// What is loaded now.
    #[must_use]
    pub fn state(&self) -> Loaded {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Enforcer {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Tells of every change of the objects at `path`, and of every new beginning of the watch.
async fn watch(api: Api, path: &'static str, changed: Arc<Notify>) {
    loop {
        changed.notify_one();
        if let Ok(mut events) = api.open(reqwest::Method::GET, &format!("{path}?watch=1"), None).await {
            while let Ok(Some(_part)) = events.chunk().await {
                changed.notify_one();
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn enforce(cluster: Arc<Cluster>, changed: Arc<Notify>, state: Arc<Mutex<Loaded>>) {
    loop {
        changed.notified().await;
        let rules = match read(cluster.api()).await {
            Ok(read) => read.ruleset(),
            Err(error) => {
                state.lock().unwrap_or_else(PoisonError::into_inner).error = Some(error.to_string());
                tokio::time::sleep(Duration::from_millis(100)).await;
                changed.notify_one();
                continue;
            }
        };
        if state.lock().unwrap_or_else(PoisonError::into_inner).rules == rules {
            continue;
        }
        let (text, node) = (rules.clone(), Arc::clone(&cluster));
        let loaded = tokio::task::spawn_blocking(move || load(&node, &text)).await;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        match loaded {
            Ok(Ok(())) => *state = Loaded { times: state.times + 1, rules, error: None },
            Ok(Err(error)) => state.error = Some(error),
            Err(error) => state.error = Some(error.to_string()),
        }
    }
}

async fn read(api: &Api) -> Result<ruleset::State, ApiError> {
    Ok(ruleset::State {
        policies: items(api, POLICIES).await?,
        pods: items(api, PODS).await?,
        namespaces: items(api, NAMESPACES).await?,
    })
}

async fn items<T: DeserializeOwned>(api: &Api, path: &str) -> Result<Vec<T>, ApiError> {
    let mut list = api.get(path).await?;
    let items = list.get_mut("items").map(Value::take).unwrap_or_default();
    serde_json::from_value(items).map_err(|source| ApiError::NotJson { path: path.into(), source })
}

fn load(cluster: &Cluster, rules: &str) -> Result<(), String> {
    let plane = cluster.plane().ok_or("the cluster is not a local one")?;
    let mut nft = plane.sandbox().command("nft");
    nft.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = nft.spawn().map_err(|error| error.to_string())?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(rules.as_bytes()).map_err(|error| error.to_string())?;
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    finished("nft", &output).map(drop).map_err(|error| format!("{error}\n{rules}"))
}
