//! One namespace with all that operations refer to and one resource in it, and the waits on what becomes of both.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::operation::world;
use crate::faults::ground::Ground;
use crate::faults::history::{Chronicle, Key};
use crate::faults::masks::{Mask, OF_WAYS, State, differences, state, without};

/// Name of the resource.
pub const NAME: &str = "soc-relay";
/// The longest until a change has come to its end, with dozens of others under way on two processors.
pub const PATIENCE: Duration = Duration::from_mins(4);
/// So long a state must last to count as an end.
const QUIET: Duration = Duration::from_millis(1200);
/// The same where nobody knows yet what the end is.
const REST: Duration = Duration::from_secs(4);

/// A namespace.
pub struct Stage {
    ground: Arc<Ground>,
    /// Its name.
    pub namespace: String,
    /// What happens in it.
    pub chronicle: watch::Receiver<Chronicle>,
}

impl Stage {
    /// Makes one, with the Secrets and `ConfigMap`s of [`world`].
    ///
    /// # Panics
    /// When the API server refuses.
    pub async fn set(ground: &Arc<Ground>) -> Self {
        let namespace = ground.name();
        let chronicle = ground.history.open(&namespace);
        let made = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        ground.api.create("/api/v1/namespaces", &made).await.expect("a namespace");
        let stage = Self { ground: Arc::clone(ground), namespace, chronicle };
        let objects = objects();
        let create = async |plural: &str, object: &Value| {
            stage.ground.api.create(&stage.path("v1", plural), object).await.expect("a Secret or ConfigMap");
        };
        join_all(objects.iter().map(|(plural, object)| create(plural, object))).await;
        stage
    }

    /// The path of an object of the namespace, such as `v1` and `secrets/otx`.
    #[must_use]
    pub fn path(&self, version: &str, object: &str) -> String {
        let root = if version == "v1" { "api" } else { "apis" };
        format!("/{root}/{version}/namespaces/{}/{object}", self.namespace)
    }

    /// Path of the resource.
    #[must_use]
    pub fn relay(&self) -> String {
        self.path("threatrelay.dev/v1alpha1", &format!("threatrelays/{NAME}"))
    }

    /// Creates the resource.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn create(&self, spec: &Value) {
        let object = json!({
            "apiVersion": "threatrelay.dev/v1alpha1", "kind": "ThreatRelay", "metadata": {"name": NAME}, "spec": spec,
        });
        let created = self.ground.api.create(&self.path("threatrelay.dev/v1alpha1", "threatrelays"), &object).await;
        created.expect("a ThreatRelay");
    }

    /// Replaces its spec.
    ///
    /// # Errors
    /// Why it is refused.
    pub async fn change(&self, spec: &Value) -> Result<(), String> {
        let patch = json!([{"op": "replace", "path": "/spec", "value": spec}]);
        let body = ("application/json-patch+json", &patch);
        let changed = self.ground.api.send(Method::PATCH, &self.relay(), Some(body)).await;
        let changed = changed.map_err(|error| error.to_string())?;
        // What was known of it is about the past until the watch has told of the change.
        let wanted = changed["metadata"]["generation"].as_i64();
        let is_told = |chronicle: &Chronicle| {
            chronicle.relays().any(|relay| relay["metadata"]["generation"].as_i64() >= wanted)
        };
        let told = tokio::time::timeout(PATIENCE, self.chronicle.clone().wait_for(is_told)).await.is_ok();
        if told { Ok(()) } else { Err("the change is not told to watchers".to_owned()) }
    }

    /// What there is, comparable with another way to it.
    #[must_use]
    pub fn state(&self, masks: &[Mask]) -> State {
        self.state_of(&self.chronicle.borrow(), masks)
    }

    fn state_of(&self, chronicle: &Chronicle, masks: &[Mask]) -> State {
        without(without(state(chronicle.live(), &self.namespace), OF_WAYS), masks)
    }

    /// An object as it is.
    #[must_use]
    pub fn live(&self, kind: &str, name: &str) -> Option<Arc<Value>> {
        let key: Key = (kind.to_owned(), name.to_owned());
        self.chronicle.borrow().live().get(&key).cloned()
    }

    /// Waits until it is at rest in just this state.
    ///
    /// # Errors
    /// What differs when patience ends.
    pub async fn becomes(&self, expected: &State, masks: &[Mask]) -> Result<(), Vec<String>> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut chronicle = self.chronicle.clone();
        let is_so = |chronicle: &Chronicle| {
            chronicle.is_current() && !chronicle.is_under_way() && self.state_of(chronicle, masks) == *expected
        };
        loop {
            if tokio::time::timeout_at(deadline, chronicle.wait_for(is_so)).await.is_err() {
                return Err(self.what_differs(expected, masks));
            }
            tokio::time::sleep(QUIET).await;
            if is_so(&chronicle.borrow()) {
                return Ok(());
            }
        }
    }

    fn what_differs(&self, expected: &State, masks: &[Mask]) -> Vec<String> {
        let mut lines = differences(expected, &self.state(masks));
        if lines.is_empty() {
            lines.push("the status is not of the present generation, or a change does not end".to_owned());
        }
        lines
    }

    /// Waits until nothing happens any more.
    ///
    /// # Errors
    /// When patience ends.
    pub async fn rests(&self) -> Result<(), Vec<String>> {
        let deadline = Instant::now() + PATIENCE;
        let mut since = Instant::now();
        let mut before = 0;
        while since.elapsed() < REST {
            let now = {
                let chronicle = self.chronicle.borrow();
                let is_busy = !chronicle.is_current() || chronicle.is_under_way();
                if is_busy { usize::MAX } else { chronicle.seen.len() }
            };
            if now != before || now == usize::MAX {
                (before, since) = (now, Instant::now());
            }
            if Instant::now() > deadline {
                return Err(vec![format!("{} does not come to rest", self.namespace)]);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Waits until two are at rest in the same state.
    ///
    /// # Errors
    /// What differs when patience ends.
    pub async fn ends_as(&self, other: &Self, masks: &[Mask]) -> Result<(), Vec<String>> {
        let deadline = Instant::now() + PATIENCE;
        let is_at_rest = |stage: &Self| {
            let chronicle = stage.chronicle.borrow();
            chronicle.relays().next().is_some() && chronicle.is_current() && !chronicle.is_under_way()
        };
        let mut since: Option<Instant> = None;
        while since.is_none_or(|since| since.elapsed() < QUIET) {
            let is_so = is_at_rest(self) && is_at_rest(other) && self.state(masks) == other.state(masks);
            since = if is_so { since.or_else(|| Some(Instant::now())) } else { None };
            if Instant::now() > deadline {
                return Err(self.what_differs(&other.state(masks), masks));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Ends it: the resource and with it the children go, what is left goes with the plane.
    pub async fn clear(self) {
        self.ground.history.close(&self.namespace);
        let _may_be_absent = self.ground.api.delete(&self.relay()).await;
    }
}

/// The Secrets and `ConfigMap`s of [`world`], with the names of their collections.
fn objects() -> Vec<(&'static str, Value)> {
    use base64::Engine;
    let encoded = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let secrets = world().secrets.iter().map(|(name, keys)| {
        let keys = keys.iter().flatten().map(|(key, content)| (key.clone(), json!(encoded(content.expose()))));
        let data: serde_json::Map<_, _> = keys.collect();
        ("secrets", json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}))
    });
    let config_maps = world().config_maps.iter().map(|(name, texts)| {
        ("configmaps", json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": texts}))
    });
    secrets.chain(config_maps).collect()
}
