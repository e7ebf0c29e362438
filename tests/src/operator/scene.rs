//! One namespace with an operator of its own that works in it alone, so that tests run side by side on one plane.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Health, Kubelet, Operator, condition};
use crate::cluster::{Access, Api, ApiError, ControlPlane};
use crate::eventually::Eventually;
use crate::faultproxy::FaultProxy;

/// The longest that a state may take to come about.
const PATIENCE: Duration = Duration::from_secs(30);

/// The same for the garbage collector, which looks for kinds that are new to it every 30 seconds.
const COLLECTION: Duration = Duration::from_secs(90);

/// A namespace, its operator and its stand-in for the kubelet.
pub struct Scene {
    /// All rights, past the proxy.
    pub api: Api,
    /// The namespace.
    pub namespace: String,
    /// What the operator's requests pass through.
    pub proxy: FaultProxy,
    /// The operator.
    pub operator: Operator,
    /// The kubelet.
    pub kubelet: Kubelet,
}

impl Scene {
    /// Sets the scene on `plane`, where the CRD is installed. The operator elects no leader, unless `flags` say so.
    ///
    /// # Panics
    /// When it cannot be set.
    pub async fn new(plane: &ControlPlane, name: &str) -> Self {
        Self::with(plane, name, &[]).await
    }

    /// The same, with more flags for the operator.
    ///
    /// # Panics
    /// When it cannot be set.
    pub async fn with(plane: &ControlPlane, name: &str, flags: &[&str]) -> Self {
        Self::within(plane, plane.namespace(name).await.expect("a namespace"), flags).await
    }

    /// The same, in a namespace that is there.
    ///
    /// # Panics
    /// When it cannot be set.
    pub async fn within(plane: &ControlPlane, namespace: String, flags: &[&str]) -> Self {
        let api = plane.api().clone();
        let proxy = FaultProxy::start(api.access()).await.expect("a proxy");
        let flags = [&["--leader-election", "false"], flags].concat();
        let operator = Self::operator(proxy.access(), &namespace, &flags).await;
        let kubelet = Kubelet::start(api.clone(), namespace.clone(), Health::Ready);
        Self { api, namespace, proxy, operator, kubelet }
    }

    /// Another operator for a namespace.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn operator(access: &Access, namespace: &str, flags: &[&str]) -> Operator {
        let mut all = vec!["--namespaces", namespace, "--lease-namespace", namespace];
        all.extend(flags);
        Operator::start(access, &all).await
    }

    /// The path of an object of the namespace, of a resource such as `apps/v1/deployments` or `v1/services`.
    #[must_use]
    pub fn path(&self, resource: &str, name: &str) -> String {
        let (group, plural) = resource.rsplit_once('/').unwrap_or(("v1", resource));
        let root = if group == "v1" { "/api/v1".to_owned() } else { format!("/apis/{group}") };
        format!("{root}/namespaces/{}/{plural}/{name}", self.namespace)
    }

    /// The path of a `ThreatRelay`.
    #[must_use]
    pub fn relay(&self, name: &str) -> String {
        self.path("threatrelay.dev/v1alpha1/threatrelays", name)
    }

    /// Creates a `ThreatRelay`; `spec` is merged over the least that is needed.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn create(&self, name: &str, spec: Value) -> Value {
        let mut whole = json!({"auth": {"audiences": ["https://relay.example"]}});
        if let (Some(whole), Value::Object(spec)) = (whole.as_object_mut(), spec) {
            whole.extend(spec);
        }
        let object = json!({
            "apiVersion": "threatrelay.dev/v1alpha1", "kind": "ThreatRelay", "metadata": {"name": name}, "spec": whole,
        });
        self.api.create(&self.relay(""), &object).await.expect("a ThreatRelay")
    }

    /// Changes a `ThreatRelay`'s spec.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn change(&self, name: &str, spec: Value) -> Value {
        self.api.merge(&self.relay(name), &json!({"spec": spec})).await.expect("a changed ThreatRelay")
    }

    /// Creates a Secret with one key.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn secret(&self, name: &str, key: &str, value: &str) {
        let object =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {key: value}});
        self.api.create(&self.path("v1/secrets", ""), &object).await.expect("a Secret");
    }

    /// Waits until a condition of a relay, for its present generation, is `wanted`, as `True/Reconciled`.
    ///
    /// # Panics
    /// When it is not in time.
    pub async fn becomes(&self, name: &str, type_: &str, wanted: &str) -> Value {
        self.until(&format!("{name} is {type_}={wanted}"), async || {
            let relay = self.api.get(&self.relay(name)).await.map_err(|error| error.to_string())?;
            let is_current = relay["status"]["observedGeneration"] == relay["metadata"]["generation"];
            let is_so = is_current && condition(&relay, type_).starts_with(wanted);
            if is_so { Ok(relay) } else { Err(relay["status"].to_string()) }
        })
        .await
    }

    /// Waits until a relay is ready.
    ///
    /// # Panics
    /// When it is not in time.
    pub async fn ready(&self, name: &str) -> Value {
        self.becomes(name, "Ready", "True").await
    }

    /// Waits until an object is there, or is as `wanted`.
    ///
    /// # Panics
    /// When it is not in time.
    pub async fn object(&self, what: &str, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.until(what, async || match self.api.get(path).await {
            Ok(object) if wanted(&object) => Ok(object),
            Ok(object) => Err(object.to_string()),
            Err(error) => Err(error.to_string()),
        })
        .await
    }

    /// Waits until an object is gone.
    ///
    /// # Panics
    /// When it is not in time.
    pub async fn gone(&self, path: &str) {
        self.until_within(COLLECTION, &format!("{path} is gone"), async || match self.api.get(path).await {
            Err(error @ ApiError::Refused { .. }) if error.status() == Some(404) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }

    /// Waits for anything; a failure shows the end of the operator's log.
    ///
    /// # Panics
    /// When it does not come about in time.
    pub async fn until<T>(&self, what: &str, look: impl AsyncFnMut() -> Result<T, String>) -> T {
        self.until_within(PATIENCE, what, look).await
    }

    async fn until_within<T>(&self, limit: Duration, what: &str, look: impl AsyncFnMut() -> Result<T, String>) -> T {
        match Eventually::new(what).within(limit).every(Duration::from_millis(100)).ok(look).await {
            Ok(value) => value,
            Err(error) => {
                let log = self.operator.log();
                let lines: Vec<_> = log.lines().rev().take(30).collect();
                let end: Vec<_> = lines.into_iter().rev().collect();
                panic!("{error}\nthe operator said:\n{}", end.join("\n"))
            }
        }
    }

    /// Numbers of the writes that the operator has made so far.
    #[must_use]
    pub fn writes(&self) -> Vec<String> {
        use crate::faultproxy::call::Class;
        let all = self.proxy.trace().into_iter().filter(|entry| entry.call.class() == Class::Write);
        all.map(|entry| {
            let call = entry.call;
            format!("{:?} {} {} {} {:?}", call.verb, call.resource, call.name, call.subresource, entry.status)
        })
        .collect()
    }
}
