//! `report`: what somebody who helps needs to see, in one JSON document: versions, resources, children, pods, events.
//! Secrets are there by name and the names of their keys; their data, and what else may hold a secret, is left out.

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use serde_json::{Value, json};

use crate::api::ThreatRelay;
use crate::client::{CallError, MANAGER, call, connect};
use crate::kinds;
use crate::metrics::Requests;

/// There is nothing to report.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReportError {
    /// No cluster.
    #[error("there is no way to a cluster: {0}; set KUBECONFIG")]
    Client(Box<kube::Error>),
    /// The server does not answer.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Collects the report. What this identity may not read is said in it, and no failure.
///
/// # Errors
/// [`ReportError`] when there is no API server.
pub(super) async fn collect(namespace: Option<&str>) -> Result<Value, ReportError> {
    let client = connect(&Requests::default()).await.map_err(|error| ReportError::Client(Box::new(error)))?;
    let server = call("ask for the version of the server", client.apiserver_version()).await?;
    let ours = format!("app.kubernetes.io/managed-by={MANAGER}");
    let mut report = json!({
        "operator": env!("CARGO_PKG_VERSION"),
        "server": server.git_version,
        "namespace": namespace,
    });
    let relay = kinds::of::<ThreatRelay>();
    report["threatrelays"] = list(&client, namespace, &relay, &ListParams::default()).await;
    for kind in kinds::all().chain([kinds::of::<k8s_openapi::api::core::v1::Pod>()]) {
        report[&kind.plural] = list(&client, namespace, &kind, &ListParams::default().labels(&ours)).await;
    }
    let events = kinds::of::<k8s_openapi::api::events::v1::Event>();
    let about_relays = ListParams::default().fields("regarding.kind=ThreatRelay");
    report["events"] = list(&client, namespace, &events, &about_relays).await;
    Ok(report)
}

async fn list(client: &Client, namespace: Option<&str>, kind: &ApiResource, params: &ListParams) -> Value {
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, kind),
        None => Api::all_with(client.clone(), kind),
    };
    match call(format!("list {}", kind.plural), api.list(params)).await {
        Ok(list) => {
            list.items.iter().map(|object| redacted(serde_json::to_value(object).unwrap_or_default())).collect()
        }
        Err(error) => json!({"error": error.to_string()}),
    }
}

/// An object without what may hold a secret.
fn redacted(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    for field in ["data", "stringData"] {
        if let Some(data) = object[field].as_object_mut() {
            data.values_mut().for_each(|value| *value = "[redacted]".into());
        }
        if object[field].is_null() {
            object.as_object_mut().map(|object| object.remove(field));
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_left_out_and_the_names_of_keys_stay() {
        let object = json!({
            "metadata": {
                "name": "otx", "managedFields": [{"manager": "m"}],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "canary", "kept": "yes"},
            },
            "data": {"default": "canary"}, "stringData": {"other": "canary"}, "spec": {"kept": 1},
        });
        let redacted = redacted(object);
        assert!(!redacted.to_string().contains("canary"), "{redacted}");
        assert_eq!(
            redacted,
            json!({
                "metadata": {"name": "otx", "annotations": {"kept": "yes"}},
                "data": {"default": "[redacted]"}, "stringData": {"other": "[redacted]"}, "spec": {"kept": 1},
            })
        );
    }
}
