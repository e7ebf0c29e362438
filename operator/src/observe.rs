//! Reads what a resource names: Secrets and `ConfigMaps` of its namespace, and the pods of its relay. Gives pure data;
//! what is absent is absent there too, and only an API that cannot be asked is an error. Always read from the API server,
//! never from a cache: a cache may be empty after a restart.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::{Api, ListParams};
use k8s_openapi::Resource;
use kube::Client;

use crate::api::ThreatRelay;
use crate::api::v1alpha1::CredentialsMode;
use crate::client::{CallError, call};
use crate::observed::Observed;

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
    let keys = spec.credentials.iter().flat_map(|credentials| {
        let default = credentials.default.iter().map(|default| &default.secret_ref);
        default.chain(credentials.named.iter().map(|named| &named.secret_ref))
    });
    let shared = spec.cache.shared.iter().filter_map(|shared| shared.password_secret_ref.as_ref());
    let secrets = keys.chain(&spec.auth.hs256_secret_ref).chain(shared).map(|key| (Secret::KIND, &key.name));
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

/// Reads what `relay` names. In mode `direct`, and where the operator is not to read Secrets, none is read.
///
/// # Errors
/// [`CallError`] when the API cannot be asked.
#[tracing::instrument(skip_all)]
pub async fn observe(client: &Client, relay: &ThreatRelay, read_secrets: bool) -> Result<Observed, CallError> {
    let namespace = relay.metadata.namespace.as_deref().unwrap_or_default();
    let is_direct = relay.spec.credentials.as_ref().is_some_and(|keys| keys.mode == CredentialsMode::Direct);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let mut observed = Observed::default();
    for Reference { kind, name } in references(relay) {
        let what = format!("get {kind} \"{name}\"");
        if kind == ConfigMap::KIND {
            if let Some(map) = call(what, maps.get_opt(&name)).await? {
                observed.config_maps.insert(name, map.data.unwrap_or_default());
            }
        } else if read_secrets
            && !is_direct
            && let Some(secret) = call(what, secrets.get_opt(&name)).await?
        {
            let data = secret.data.unwrap_or_default().into_iter();
            let data = data.map(|(key, value)| (key, value.0.into())).collect::<BTreeMap<_, _>>();
            observed.secrets.insert(name, data);
        }
    }
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
