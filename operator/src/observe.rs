//! Reads what matters to a resource: the Secrets and `ConfigMaps` that it names, its children, the pods of its relay. Gives pure data;
//! what is absent is absent there too, and only an API that cannot be asked is an error. Always read from the API server,
//! never from a cache: a cache may be empty after a restart.

use k8s_openapi::Resource;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::{Client, ResourceExt};

use crate::api::ThreatRelay;
use crate::api::v1alpha1::CredentialsMode;
use crate::build::names;
use crate::client::{CallError, call};
use crate::observed::{Children, Content, Observed, OptionalApis};
use crate::{discovery, kinds, validate};

/// An object that a resource names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `Secret` or `ConfigMap`.
    pub kind: &'static str,
    /// Its name; its namespace is the resource's.
    pub name: String,
}

/// What a resource names, each thing once.
#[must_use]
pub fn references(relay: &ThreatRelay) -> Vec<Reference> {
    let spec = &relay.spec;
    let keys = validate::references(spec).into_iter().map(|(_, key, _)| key);
    let mounted = validate::mounted(spec).map(|(key, _)| key);
    let secrets = keys.chain(mounted).map(|key| (Secret::KIND, &key.name));
    let bundle = spec.upstream.ca_bundle.iter().map(|bundle| (ConfigMap::KIND, &bundle.config_map_ref.name));
    let mut all: Vec<Reference> = Vec::new();
    for (kind, name) in secrets.chain(bundle) {
        let reference = Reference { kind, name: name.clone() };
        if !all.contains(&reference) {
            all.push(reference);
        }
    }
    all
}

/// Reads what matters to `relay`. Of the user's Secrets none is read in mode `direct`, and where the operator is not to
/// read Secrets no Secret at all.
///
/// # Errors
/// [`CallError`] when the API cannot be asked.
#[tracing::instrument(name = "read", skip_all)]
pub async fn observe(
    client: &Client,
    relay: &ThreatRelay,
    apis: OptionalApis,
    read_secrets: bool,
) -> Result<Observed, CallError> {
    let (namespace, name) = (relay.namespace().unwrap_or_default(), relay.name_any());
    let at = Place { client, namespace: &namespace };
    let is_direct = relay.spec.credentials.as_ref().is_some_and(|keys| keys.mode == CredentialsMode::Direct);
    let mut observed = Observed { apis, ..Observed::default() };
    for Reference { kind, name } in references(relay) {
        if kind == ConfigMap::KIND {
            let map = at.read::<ConfigMap>(&name).await?;
            observed.config_maps.insert(name, map.map(|map| map.data.unwrap_or_default()));
        } else if read_secrets && !is_direct {
            let secret = at.read::<Secret>(&name).await?;
            let content = |secret: Secret| {
                let data = secret.data.unwrap_or_default().into_iter();
                data.map(|(key, value)| (key, Content::from(value.0))).collect()
            };
            observed.secrets.insert(name, secret.map(content));
        }
    }
    observed.children = Children {
        service_account: at.read(&name).await?,
        config_map: at.read(&names::settings(&name)).await?,
        secret: if read_secrets { at.read(&names::keys(&name)).await? } else { None },
        deployment: at.read(&name).await?,
        service: at.read(&name).await?,
        ingress: at.read(&name).await?,
        http_route: at.read_optional(&kinds::http_route(), apis, &name).await?,
        horizontal_pod_autoscaler: at.read(&name).await?,
        pod_disruption_budget: at.read(&name).await?,
        network_policy: at.read(&name).await?,
        service_monitor: at.read_optional(&kinds::service_monitor(), apis, &name).await?,
    };
    Ok(observed)
}

/// The pods with these labels.
///
/// # Errors
/// [`CallError`] when the API cannot be asked.
#[tracing::instrument(skip_all)]
pub async fn pods(client: &Client, namespace: &str, selector: &str) -> Result<Vec<Pod>, CallError> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    Ok(call("list the relay's pods", pods.list(&ListParams::default().labels(selector))).await?.items)
}

/// A namespace that is read.
struct Place<'a> {
    client: &'a Client,
    namespace: &'a str,
}

impl Place<'_> {
    async fn read<K>(&self, name: &str) -> Result<Option<K>, CallError>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), self.namespace);
        call(format!("get {} \"{name}\"", K::kind(&())), api.get_opt(name)).await
    }

    async fn read_optional(
        &self,
        kind: &ApiResource,
        apis: OptionalApis,
        name: &str,
    ) -> Result<Option<DynamicObject>, CallError> {
        if !discovery::has(apis, kind) {
            return Ok(None);
        }
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), self.namespace, kind);
        call(format!("get {} \"{name}\"", kind.kind), api.get_opt(name)).await
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use serde_json::json;

    use super::*;

    #[test]
    fn everything_that_a_resource_names_is_a_reference_and_each_once() {
        let spec = serde_json::from_value(json!({
            "credentials": {
                "default": {"secretRef": {"name": "keys", "key": "a"}},
                "named": [
                    {"name": "x", "secretRef": {"name": "keys", "key": "b"}},
                    {"name": "y", "secretRef": {"name": "others", "key": "a"}},
                ],
            },
            "auth": {"mode": "hs256", "hs256SecretRef": {"name": "shared-secret", "key": "s"}},
            "cache": {"shared": {"url": "redis://v.example", "passwordSecretRef": {"name": "valkey", "key": "p"}}},
            "upstream": {"caBundle": {"configMapRef": {"name": "ca", "key": "ca.crt"}}},
        }));
        let found = references(&ThreatRelay::new("r", spec.unwrap()));
        let found: Vec<_> = found.iter().map(|reference| (reference.kind, &*reference.name)).collect();
        assert_eq!(
            found,
            [
                ("Secret", "keys"),
                ("Secret", "others"),
                ("Secret", "shared-secret"),
                ("Secret", "valkey"),
                ("ConfigMap", "ca"),
            ]
        );
    }
}
