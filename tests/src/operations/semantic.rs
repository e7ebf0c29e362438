//! Changes that mean something to people: to a number of pods, a budget, a way in, a key, a place to run. Several fields at
//! once where Kubernetes ties them together.

use serde_json::{Value, json};

use super::fields::Base::{self, Fixed, Full, Hs256, Minimal};

/// Name, from what, and what is merged over it.
#[must_use]
#[rustfmt::skip]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
pub(super) fn table() -> Vec<(&'static str, Base, Value)> {
    let key = |name: &str, key: &str| json!({"secretRef": {"name": name, "key": key}});
    let named = |name: &str, secret: &str| json!({"name": name, "secretRef": {"name": secret, "key": "a"}});
    let toleration = |more: Value| json!({"scheduling": {"tolerations": [more]}});
    let cidrs = |cidrs: Value| json!({"networkPolicy": {"egressCidrs": cidrs}});
    vec![
        // How many pods there are.
        ("pods/none", Fixed, json!({"replicas": 0})),
        ("pods/one-so-no-budget", Fixed, json!({"replicas": 1})),
        ("pods/two", Fixed, json!({"replicas": 2})),
        ("pods/by-default", Fixed, json!({"replicas": null})),
        ("pods/from-fixed-to-autoscaled", Fixed, json!({"replicas": null, "autoscaling": {"minReplicas": 2, "maxReplicas": 4}})),
        ("pods/from-autoscaled-to-fixed", Full, json!({"autoscaling": null, "replicas": 2})),
        ("pods/from-autoscaled-to-more", Full, json!({"autoscaling": null, "replicas": 4})),
        ("pods/autoscaled-between-equals", Full, json!({"autoscaling": {"minReplicas": 2, "maxReplicas": 2}})),
        ("pods/autoscaled-from-one", Full, json!({"autoscaling": {"minReplicas": 1, "maxReplicas": 3}})),
        ("pods/autoscaled-sooner", Full, json!({"autoscaling": {"targetCpuPercent": 20}})),
        ("pods/minimal-autoscaled", Minimal, json!({"autoscaling": {"maxReplicas": 3}})),
        ("pods/minimal-three", Minimal, json!({"replicas": 3})),
        // What a drain may take.
        ("budget/off", Fixed, json!({"podDisruptionBudget": {"enabled": false}})),
        ("budget/off-with-one-pod", Fixed, json!({"replicas": 1, "podDisruptionBudget": {"enabled": false}})),
        ("budget/minimal-off", Minimal, json!({"podDisruptionBudget": {"enabled": false}})),
        // What a pod needs.
        ("resources/guaranteed", Fixed, json!({"resources": {"requests": {"cpu": "500m", "memory": "128Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"}}})),
        ("resources/no-limit-of-cpu", Fixed, json!({"resources": {"limits": {"cpu": null}}})),
        ("resources/same-amounts-otherwise", Fixed, json!({"resources": {"requests": {"memory": "81920Ki"}, "limits": {"cpu": "2000m", "memory": "163840Ki"}}})),
        ("resources/minimal-large", Minimal, json!({"resources": {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}})),
        ("resources/least", Fixed, json!({"resources": {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"memory": "1Mi"}}})),
        // Where pods run.
        ("scheduling/architecture", Fixed, json!({"scheduling": {"nodeSelector": {"kubernetes.io/arch": "amd64"}}})),
        ("scheduling/architecture-instead", Fixed, json!({"scheduling": {"nodeSelector": {"disk": null, "kubernetes.io/arch": "arm64"}}})),
        ("scheduling/tolerates-all", Fixed, toleration(json!({"operator": "Exists"}))),
        ("scheduling/tolerates-a-key", Fixed, toleration(json!({"key": "gpu", "operator": "Exists"}))),
        ("scheduling/tolerates-for-a-while", Fixed, toleration(json!({"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}))),
        ("scheduling/prefers-not", Fixed, toleration(json!({"key": "spot", "value": "yes", "effect": "PreferNoSchedule"}))),
        ("scheduling/tolerates-two", Fixed, json!({"scheduling": {"tolerations": [{"key": "a", "operator": "Exists"}, {"key": "b", "operator": "Exists"}]}})),
        ("scheduling/tolerates-two-turned", Fixed, json!({"scheduling": {"tolerations": [{"key": "b", "operator": "Exists"}, {"key": "a", "operator": "Exists"}]}})),
        ("scheduling/nowhere-in-particular", Fixed, json!({"scheduling": null})),
        ("scheduling/minimal-priority", Minimal, json!({"scheduling": {"priorityClassName": "business"}})),
        // As whom a pod runs.
        ("security/one-number", Fixed, json!({"podSecurity": {"runAsUser": 1000, "fsGroup": 1000}})),
        ("security/highest", Fixed, json!({"podSecurity": {"runAsUser": 2_147_483_647, "fsGroup": 2_147_483_647}})),
        // The way in.
        ("ingress/off", Fixed, json!({"ingress": null})),
        ("ingress/on", Minimal, json!({"ingress": {"host": "otx.soc.example"}})),
        ("ingress/without-tls", Fixed, json!({"ingress": {"tls": {"enabled": false, "secretName": null}}})),
        ("ingress/with-the-controllers-certificate", Fixed, json!({"ingress": {"tls": {"secretName": null}}})),
        ("ingress/certificate-by-issuer", Fixed, json!({"ingress": {"annotations": {"cert-manager.io/cluster-issuer": "letsencrypt"}, "tls": {"secretName": "issued"}}})),
        ("ingress/annotations-replaced", Fixed, json!({"ingress": {"annotations": {"example.com/a": null, "example.com/b": "2"}}})),
        ("ingress/host-and-class", Fixed, json!({"ingress": {"host": "c.soc.example", "className": "nginx"}})),
        ("ingress/instead-of-gateway", Fixed, json!({"gateway": null})),
        ("gateway/instead-of-ingress", Fixed, json!({"ingress": null, "gateway": {"hostnames": ["otx.soc.example"]}})),
        ("gateway/two-hosts", Fixed, json!({"gateway": {"hostnames": ["a.gw.example", "b.gw.example"]}})),
        ("gateway/two-gateways", Fixed, json!({"gateway": {"parentRefs": [{"name": "public"}, {"name": "private", "namespace": "gateways"}]}})),
        ("gateway/on", Minimal, json!({"gateway": {"parentRefs": [{"name": "public"}], "hostnames": ["otx.gw.example"]}})),
        ("way-in/none", Fixed, json!({"ingress": null, "gateway": null})),
        // Keys.
        ("keys/none", Fixed, json!({"credentials": null})),
        ("keys/default-only", Fixed, json!({"credentials": {"named": null}})),
        ("keys/named-only", Fixed, json!({"credentials": {"default": null}})),
        ("keys/two-named", Fixed, json!({"credentials": {"named": [named("team-a", "otx-teams"), named("team-b", "otx-teams-2")]}})),
        ("keys/two-named-turned", Fixed, json!({"credentials": {"named": [named("team-b", "otx-teams-2"), named("team-a", "otx-teams")]}})),
        ("keys/named-exchanged", Fixed, json!({"credentials": {"named": [named("team-a", "otx-2")]}})),
        ("keys/all-from-one-secret", Fixed, json!({"credentials": {"default": key("otx", "a"), "named": [{"name": "team-a", "secretRef": {"name": "otx", "key": "b"}}]}})),
        ("keys/direct", Fixed, json!({"credentials": {"mode": "direct"}})),
        ("keys/direct-from-another-secret", Fixed, json!({"credentials": {"mode": "direct", "default": key("otx-2", "spare")}})),
        ("keys/minimal-managed", Minimal, json!({"credentials": {"default": key("otx", "main")}})),
        ("keys/minimal-direct", Minimal, json!({"credentials": {"mode": "direct", "default": key("otx", "main")}})),
        // Who may ask.
        ("callers/keys-fetched", Fixed, json!({"auth": {"jwks": null}})),
        ("callers/regions-by-default", Fixed, json!({"auth": {"jwks": null, "jwksHosts": null}})),
        ("callers/two-hosts", Fixed, json!({"auth": {"jwksHosts": ["jwks.example:8443", "jwks-2.example"]}})),
        ("callers/two-audiences", Fixed, json!({"auth": {"audiences": ["https://otx.soc.example", "https://otx.gw.example"]}})),
        ("callers/shared-secret", Fixed, json!({"auth": {"mode": "hs256", "jwks": null, "hs256SecretRef": {"name": "shared", "key": "main"}}})),
        ("callers/shared-secret-alone", Minimal, json!({"auth": {"mode": "hs256", "audiences": null, "hs256SecretRef": {"name": "shared", "key": "own"}}})),
        ("callers/from-shared-secret-to-keys", Hs256, json!({"auth": {"mode": "jwks", "hs256SecretRef": null}})),
        ("callers/strict", Fixed, json!({"auth": {"requireExp": true, "leeway": "0s"}})),
        // The network.
        ("network/open", Fixed, json!({"networkPolicy": {"enabled": false}})),
        ("network/anyone-may-ask", Fixed, json!({"networkPolicy": {"callerNamespaces": null}})),
        ("network/two-labels", Fixed, json!({"networkPolicy": {"callerNamespaces": {"team": "edge"}}})),
        ("network/nobody-else-monitors", Fixed, json!({"networkPolicy": {"monitoringNamespaces": null}})),
        ("network/blocks-of-both-families", Fixed, cidrs(json!(["192.0.2.0/24", "2001:db8::/32"]))),
        ("network/blocks-turned", Fixed, cidrs(json!(["2001:db8::/32", "192.0.2.0/24"]))),
        ("network/one-address", Fixed, cidrs(json!(["203.0.113.9/32"]))),
        ("network/minimal-open", Minimal, json!({"networkPolicy": {"enabled": false}})),
        ("network/minimal-callers", Minimal, json!({"networkPolicy": {"callerNamespaces": {"kubernetes.io/metadata.name": "edge"}}})),
        // OTX.
        ("upstream/direct", Fixed, json!({"upstream": {"proxy": null}})),
        ("upstream/proxy-by-name", Fixed, json!({"upstream": {"proxy": "http://proxy.example:3128"}})),
        ("upstream/its-own-authorities", Fixed, json!({"upstream": {"caBundle": null}})),
        ("upstream/itself", Fixed, json!({"upstream": {"baseUrl": null, "webUrl": null}})),
        ("upstream/patient", Fixed, json!({"upstream": {"connectTimeout": "1m", "callTimeout": "5m", "deadline": "5m"}})),
        ("upstream/impatient", Fixed, json!({"upstream": {"connectTimeout": "1ms", "callTimeout": "2ms", "deadline": "3ms"}})),
        ("upstream/minimal-through-a-proxy", Minimal, json!({"upstream": {"proxy": "http://192.0.2.7:3128"}})),
        // What is remembered.
        ("cache/off", Fixed, json!({"cache": {"enabled": false}})),
        ("cache/not-shared", Fixed, json!({"cache": {"shared": null}})),
        ("cache/shared-without-password", Fixed, json!({"cache": {"shared": {"passwordSecretRef": null}}})),
        ("cache/shared-over-tls", Fixed, json!({"cache": {"shared": {"url": "rediss://valkey.soc.svc:6380"}}})),
        ("cache/minimal-shared", Minimal, json!({"cache": {"shared": {"url": "redis://valkey.soc.svc"}}})),
        // What is told.
        ("traces/off", Fixed, json!({"telemetry": null})),
        ("traces/without-headers", Fixed, json!({"telemetry": {"otlp": {"headersSecretRef": null}}})),
        ("traces/to-a-service", Fixed, json!({"telemetry": {"otlp": {"endpoint": "http://collector.observability.svc:4318"}}})),
        ("traces/minimal-on", Minimal, json!({"telemetry": {"otlp": {"endpoint": "http://collector.observability.svc:4318"}}})),
        ("metrics/not-collected", Fixed, json!({"monitoring": null})),
        ("metrics/labels-replaced", Fixed, json!({"monitoring": {"serviceMonitor": {"labels": {"release": null, "team": "soc"}}}})),
        ("metrics/minimal-collected", Minimal, json!({"monitoring": {"serviceMonitor": {}}})),
        // The image.
        ("image/of-the-operator", Fixed, json!({"image": null})),
        ("image/tag-and-digest", Fixed, json!({"image": {"digest": format!("sha256:{}", "2".repeat(64))}})),
        ("image/digest-only", Fixed, json!({"image": {"tag": null, "digest": format!("sha256:{}", "3".repeat(64))}})),
        ("image/minimal-other-tag", Minimal, json!({"image": {"tag": "2.0.0"}})),
        ("image/minimal-always-pulled", Minimal, json!({"image": {"pullPolicy": "Always"}})),
        // Everything, nothing, and a stop.
        ("all/left-out", Full, everything_but_the_least()),
        ("all/asked-for", Minimal, Full.spec()),
        ("all/suspended", Fixed, json!({"suspend": true})),
        ("all/suspended-with-a-change", Fixed, json!({"suspend": true, "replicas": 4, "log": {"level": "warn"}})),
        ("all/minimal-suspended", Minimal, json!({"suspend": true})),
    ]
}

/// Takes all of [`Full`] away that [`Minimal`] does not have.
fn everything_but_the_least() -> Value {
    let mut away: Value = Full
        .spec()
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| (name.clone(), Value::Null))
        .collect::<serde_json::Map<_, _>>()
        .into();
    away["auth"] = json!({"jwksHosts": null, "requireExp": null, "leeway": null, "jwks": null});
    away
}
