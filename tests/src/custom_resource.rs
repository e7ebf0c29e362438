//! A `ThreatRelay` that says something in every section, the cluster in which all that it refers to is there, and the
//! step from both to objects. Names differ wherever two of them could be mixed up.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use threatrelay_operator::api::ThreatRelay;
use threatrelay_operator::build::{Objects, build};
use threatrelay_operator::observed::{Content, Observed, OptionalApis};
use threatrelay_operator::validate::{OperatorPods, Policy, Refused, validate};

use crate::tls::Authority;

/// A spec with every section, verified by an inline JWKS, with managed keys and autoscaling.
#[must_use]
pub fn full() -> Value {
    json!({
        "autoscaling": {"minReplicas": 2, "maxReplicas": 5, "targetCpuPercent": 75},
        "image": {"repository": "registry.example/threatrelay", "tag": "1.2.3", "pullPolicy": "Always"},
        "credentials": {
            "mode": "managed",
            "default": {"secretRef": {"name": "otx", "key": "main"}},
            "named": [{"name": "team-a", "secretRef": {"name": "otx-teams", "key": "a"}}],
        },
        "auth": {
            "audiences": ["https://otx.soc.example"], "jwksHosts": ["jwks.example:8443"], "requireExp": true,
            "leeway": "30s", "jwks": "{\"keys\":[]}",
        },
        "upstream": {
            "baseUrl": "https://otx.example", "webUrl": "https://web.example", "connectTimeout": "1s",
            "callTimeout": "9s", "deadline": "24s", "hourlyBudget": 5000, "proxy": "http://192.0.2.7:3128",
            "caBundle": {"configMapRef": {"name": "company-ca", "key": "bundle.pem"}},
        },
        "cache": {
            "maxBytes": 16_777_216, "generalTtl": "4m", "negativeTtl": "50s", "listingTtl": "23h", "maxStale": "2h",
            "shared": {
                "url": "redis://valkey.soc.svc:6379", "timeout": "40ms",
                "passwordSecretRef": {"name": "valkey", "key": "password"},
            },
        },
        "answers": "parity",
        "ingress": {
            "host": "otx.soc.example", "className": "traefik", "annotations": {"example.com/a": "1"},
            "tls": {"secretName": "otx-tls"},
        },
        "gateway": {
            "parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "https"}],
            "hostnames": ["otx.gw.example"],
        },
        "resources": {"requests": {"cpu": "100m", "memory": "80Mi"}, "limits": {"cpu": "2", "memory": "160Mi"}},
        "scheduling": {
            "nodeSelector": {"disk": "fast"}, "priorityClassName": "business",
            "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "soc", "effect": "NoExecute", "tolerationSeconds": 60}],
        },
        "podSecurity": {"runAsUser": 10001, "fsGroup": 10002},
        "networkPolicy": {
            "callerNamespaces": {"kubernetes.io/metadata.name": "traefik"},
            "monitoringNamespaces": {"kubernetes.io/metadata.name": "monitoring"},
            "egressCidrs": ["192.0.2.0/24"],
        },
        "monitoring": {"serviceMonitor": {"interval": "15s", "labels": {"release": "prometheus"}}},
        "telemetry": {
            "otlp": {"endpoint": "https://192.0.2.9:4318", "headersSecretRef": {"name": "collector", "key": "headers"}},
            "sampleRatio": "0.5", "recordObservables": true, "trustTraceparent": true,
        },
        "log": {"level": "debug", "format": "text"},
    })
}

/// The smallest spec.
#[must_use]
pub fn minimal() -> Value {
    json!({"auth": {"audiences": ["https://otx.soc.example"]}})
}

/// A resource named `soc-relay` in the namespace `soc`.
///
/// # Errors
/// When the types do not take the spec.
pub fn resource(spec: &Value) -> Result<ThreatRelay, serde_json::Error> {
    serde_json::from_value(json!({
        "apiVersion": "threatrelay.dev/v1alpha1", "kind": "ThreatRelay",
        "metadata": {"name": "soc-relay", "namespace": "soc", "uid": "7d1f", "generation": 1},
        "spec": spec,
    }))
}

/// A cluster that holds all that [`full`] and changes of it refer to, and no children yet.
#[must_use]
pub fn observed() -> Observed {
    let secret = |keys: &[&str]| {
        let content = |key: &str| Content::from(format!("value-of-{key}").into_bytes());
        Some(keys.iter().map(|key| ((*key).to_owned(), content(key))).collect::<BTreeMap<_, _>>())
    };
    let certificates =
        |keys: &[&str]| Some(keys.iter().map(|key| ((*key).to_owned(), Authority::new().pem().to_owned())).collect());
    Observed {
        secrets: ["otx", "otx-2", "otx-teams", "otx-teams-2", "valkey", "shared", "collector"]
            .iter()
            .enumerate()
            .map(|(at, name)| {
                let mut keys = secret(&["main", "spare", "a", "b", "password"]);
                if let Some(keys) = &mut keys {
                    keys.insert("own".to_owned(), Content::from(format!("own-{at}").into_bytes()));
                    keys.insert("headers".to_owned(), Content::from(b"authorization: Bearer t".to_vec()));
                    keys.insert("main".to_owned(), Content::from(format!("main-{at}").into_bytes()));
                    keys.insert("a".to_owned(), Content::from(format!("a-{at}").into_bytes()));
                }
                ((*name).to_owned(), keys)
            })
            .collect(),
        config_maps: ["company-ca", "company-ca-2"]
            .iter()
            .map(|name| ((*name).to_owned(), certificates(&["bundle.pem", "old.pem"])))
            .collect(),
        apis: OptionalApis { gateway: true, service_monitor: true },
        ..Observed::default()
    }
}

/// An administrator who allows every destination and one more registry.
#[must_use]
pub fn policy() -> Policy {
    Policy {
        image: "ghcr.io/threatrelay/threatrelay:0.1.0".to_owned(),
        allowed_repositories: vec!["registry.example/".to_owned()],
        allowed_destinations: vec!["*".to_owned()],
        pull_secrets: vec!["registry-login".to_owned()],
        operator: Some(OperatorPods {
            namespace: "threatrelay-system".to_owned(),
            labels: [("app.kubernetes.io/name".to_owned(), "threatrelay-operator".to_owned())].into(),
        }),
        ..Policy::default()
    }
}

/// The objects of a spec.
///
/// # Errors
/// When it is refused.
pub fn objects(spec: &Value, observed: &Observed) -> Result<Objects, Refused> {
    let relay = resource(spec).map_err(|error| Refused {
        reason: threatrelay_operator::api::conditions::Reason::InvalidSpec,
        message: error.to_string(),
    })?;
    Ok(build(&validate(&relay, observed, &policy())?))
}

/// Every object that there is, with the path of its collection, in the order in which they can be applied.
#[must_use]
pub fn list(objects: &Objects) -> Vec<(&'static str, Value)> {
    let Objects {
        service_account,
        config_map,
        secret,
        deployment,
        service,
        ingress,
        http_route,
        horizontal_pod_autoscaler,
        pod_disruption_budget,
        network_policy,
        service_monitor,
    } = objects;
    let all = [
        ("/api/v1/namespaces/soc/serviceaccounts", json!(service_account)),
        ("/api/v1/namespaces/soc/configmaps", json!(config_map)),
        ("/api/v1/namespaces/soc/secrets", json!(secret)),
        ("/apis/apps/v1/namespaces/soc/deployments", json!(deployment)),
        ("/api/v1/namespaces/soc/services", json!(service)),
        ("/apis/networking.k8s.io/v1/namespaces/soc/ingresses", json!(ingress)),
        ("/apis/gateway.networking.k8s.io/v1/namespaces/soc/httproutes", json!(http_route)),
        ("/apis/autoscaling/v2/namespaces/soc/horizontalpodautoscalers", json!(horizontal_pod_autoscaler)),
        ("/apis/policy/v1/namespaces/soc/poddisruptionbudgets", json!(pod_disruption_budget)),
        ("/apis/networking.k8s.io/v1/namespaces/soc/networkpolicies", json!(network_policy)),
        ("/apis/monitoring.coreos.com/v1/namespaces/soc/servicemonitors", json!(service_monitor)),
    ];
    all.into_iter().filter(|(_, object)| !object.is_null()).collect()
}

/// Merges `more` into `into`: objects key by key, anything else is replaced, null is removed.
pub fn merge(into: &mut Value, more: &Value) {
    let (Some(object), Some(more)) = (into.as_object_mut(), more.as_object()) else {
        into.clone_from(more);
        return;
    };
    for (key, value) in more {
        match object.get_mut(key) {
            _ if value.is_null() => drop(object.remove(key)),
            Some(there) if value.is_object() => merge(there, value),
            _ => drop(object.insert(key.clone(), value.clone())),
        }
    }
}

/// What `wanted` says and `stored` says otherwise, a line each; `is_same` compares what is no object and no list.
pub fn lost(
    wanted: &Value,
    stored: &Value,
    at: &str,
    is_same: &impl Fn(&Value, &Value) -> bool,
    found: &mut Vec<String>,
) {
    match (wanted, stored) {
        (Value::Object(wanted), Value::Object(stored)) => {
            for (key, value) in wanted {
                lost(value, stored.get(key).unwrap_or(&Value::Null), &format!("{at}/{key}"), is_same, found);
            }
        }
        (Value::Array(wanted), Value::Array(stored)) if wanted.len() == stored.len() => {
            for (index, (wanted, stored)) in wanted.iter().zip(stored).enumerate() {
                lost(wanted, stored, &format!("{at}/{index}"), is_same, found);
            }
        }
        _ if is_same(wanted, stored) => {}
        _ => found.push(format!("{at}: {wanted} is stored as {stored}")),
    }
}
