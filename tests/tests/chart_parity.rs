//! The relay's chart makes what the operator makes: both are given the same specification, and what they render must be
//! the same objects, field by field, but for the differences that are named here with their reasons.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tests::chart::folder;
use tests::chart::helm::{BOTH, Helm, objects};
use tests::custom_resource::{full, list, merge, minimal, observed, policy, resource};
use threatrelay_operator::build::build;
use threatrelay_operator::validate::{Policy, validate};

/// Fields that only one of them has, and why that is right. A kind `*` is every kind.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("*", "/metadata/ownerReferences", "a chart's objects belong to the release, which Helm keeps itself"),
    ("*", "/metadata/labels/helm.sh~1chart", "which chart made it"),
    ("*", "/metadata/labels/app.kubernetes.io~1managed-by", "Helm here, the operator there"),
    (
        "*",
        "/metadata/labels/app.kubernetes.io~1version",
        "the operator labels nothing with a version, so that a new one writes nothing",
    ),
    (
        "Deployment",
        "/spec/template/metadata/labels/app.kubernetes.io~1managed-by",
        "the operator finds its pods by it",
    ),
    (
        "Deployment",
        "/spec/template/metadata/annotations/threatrelay.dev~1settings-hash",
        "two digests of one file; that it is there is checked apart",
    ),
    (
        "Deployment",
        "/spec/template/metadata/annotations/threatrelay.dev~1ca-hash",
        "a chart sees no ConfigMap of others; its notes say how to restart",
    ),
    (
        "Secret",
        "/metadata/annotations",
        "the operator notices by it that a key changed; pods take keys without a restart",
    ),
];

/// Specifications, with what only values say.
fn cases() -> Vec<(&'static str, Value, Value)> {
    let plain = |more: Value| {
        let mut spec = minimal();
        merge(&mut spec, &more);
        spec
    };
    let case = |name, more| (name, plain(more), json!({}));
    let otx = json!({"secretRef": {"name": "otx", "key": "main"}});
    let named = json!([{"name": "team-a", "secretRef": {"name": "otx-teams", "key": "a"}}]);
    let full_without = |more: Value| {
        let mut spec = full();
        merge(&mut spec, &json!({"credentials": {"mode": "direct"}, "image": null}));
        merge(&mut spec, &more);
        spec
    };
    let monitored = json!({"monitoring": {"serviceMonitor": {"enabled": true}}});
    vec![
        case("plain", json!({})),
        case("one pod", json!({"replicas": 1})),
        case("no pod", json!({"replicas": 0})),
        case(
            "the original's answers",
            json!({"answers": "parity", "log": {"level": "info,hyper=warn", "format": "text"}}),
        ),
        case("autoscaling", json!({"autoscaling": {"maxReplicas": 5}})),
        case(
            "autoscaling from one",
            json!({"autoscaling": {"minReplicas": 1, "maxReplicas": 3, "targetCpuPercent": 70}}),
        ),
        case("ingress", json!({"ingress": {"host": "otx.soc.example"}})),
        case(
            "ingress and tls",
            json!({"ingress": {
                "host": "otx.soc.example", "className": "traefik", "annotations": {"example.com/a": "1"},
                "tls": {"secretName": "otx-tls"},
            }}),
        ),
        case("ingress behind tls", json!({"ingress": {"host": "otx.soc.example", "tls": {"enabled": false}}})),
        case(
            "gateway",
            json!({"gateway": {"parentRefs": [{"name": "public"}], "hostnames": ["a.example", "b.example"]}}),
        ),
        case("no network policy", json!({"networkPolicy": {"enabled": false}})),
        case(
            "network policy",
            json!({
                "networkPolicy": {"callerNamespaces": {"a": "1"}, "monitoringNamespaces": {"b": "2"}, "egressCidrs": ["2001:db8::/32"]},
                "auth": {"jwksHosts": ["jwks.example:8443", "b.example", "c.example:444"]},
            }),
        ),
        case(
            "destinations",
            json!({
                "upstream": {"baseUrl": "http://[2001:db8::1]:8000", "proxy": "http://proxy.example"},
                "cache": {"shared": {"url": "rediss://192.0.2.4"}},
                "telemetry": {"otlp": {"endpoint": "http://proxy.example:80"}},
            }),
        ),
        case("a mirror of OTX", json!({"upstream": {"baseUrl": "http://otx.alienvault.com"}})),
        case("a default key", json!({"credentials": {"mode": "direct", "default": otx}})),
        case("named keys", json!({"credentials": {"mode": "direct", "default": otx, "named": named}})),
        (
            "keys in a secret of its own",
            plain(json!({"credentials": {"default": otx, "named": named}})),
            json!({"credentials": {"default": null, "named": null, "keys": {"default": "main-0", "team-a": "a-2"}}}),
        ),
        case("hs256", json!({"auth": {"mode": "hs256", "hs256SecretRef": {"name": "shared", "key": "own"}}})),
        case("inline key set", json!({"auth": {"jwks": "{\"keys\":[\n ]}", "requireExp": true, "leeway": "0s"}})),
        (
            "monitoring",
            plain(json!({"monitoring": {"serviceMonitor": {"labels": {"release": "prometheus"}}}})),
            monitored.clone(),
        ),
        case(
            "telemetry",
            json!({"telemetry": {
                "otlp": {"endpoint": "https://collector.example", "headersSecretRef": {"name": "collector", "key": "headers"}},
                "sampleRatio": "0.25", "recordObservables": true,
            }}),
        ),
        case(
            "scheduling",
            json!({
                "scheduling": {"tolerations": [{"key": "a", "value": "b"}, {"operator": "Exists"}], "nodeSelector": {"a": "b"}},
                "resources": {"limits": {"cpu": "2"}}, "podSecurity": {"runAsUser": 1_000_700_000, "fsGroup": 10001},
            }),
        ),
        case(
            "certificates",
            json!({"upstream": {"caBundle": {"configMapRef": {"name": "company-ca", "key": "bundle.pem"}}}}),
        ),
        ("everything", full_without(json!({})), monitored),
    ]
}

/// What the operator makes, with no pod of its own that policies would have to let in.
fn built(spec: &Value) -> Vec<Value> {
    let policy = Policy { operator: None, ..policy() };
    let relay = resource(spec).unwrap();
    let objects = build(&validate(&relay, &observed(), &policy).unwrap());
    list(&objects).into_iter().map(|(_, object)| object).collect()
}

/// What the chart makes of the specification as values.
fn rendered(helm: &Helm, spec: &Value, more: &Value) -> Vec<Value> {
    let mut values = spec.clone();
    if let Some(credentials) = values.get_mut("credentials").and_then(Value::as_object_mut) {
        credentials.remove("mode");
    }
    let own = json!({"fullnameOverride": "soc-relay", "imagePullSecrets": [{"name": "registry-login"}]});
    merge(&mut values, &own);
    merge(&mut values, more);
    let text = helm.template(&folder("threatrelay"), "soc-relay", &values.to_string()).unwrap();
    objects(&text).unwrap().into_iter().filter(|object| object["kind"] != "Pod").collect()
}

/// By kind, without what may differ, and with embedded texts as what they mean.
fn normal(objects: Vec<Value>) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for mut object in objects {
        let kind = object["kind"].as_str().unwrap().to_owned();
        for (_, pointer, _) in ALLOWED.iter().filter(|(of, ..)| *of == "*" || *of == kind) {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            if let Some(parent) = object.pointer_mut(parent).and_then(Value::as_object_mut) {
                parent.remove(&name.replace("~1", "/"));
            }
        }
        for pointer in ["/metadata/annotations", "/spec/template/metadata/annotations"] {
            if object.pointer(pointer).is_some_and(|left| left == &json!({})) {
                *object.pointer_mut(pointer).unwrap() = Value::Null;
            }
        }
        if let Some(text) = object.pointer("/data/config.yaml").and_then(Value::as_str) {
            object["data"]["config.yaml"] = serde_saphyr::from_str(text).unwrap();
        }
        assert!(all.insert(kind.clone(), without_nulls(object)).is_none(), "two of {kind}");
    }
    all
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// The first place where they differ.
fn difference(at: &str, chart: &Value, operator: &Value) -> Option<String> {
    match (chart, operator) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let names: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
            let of = |map: &serde_json::Map<String, Value>, name: &str| map.get(name).cloned().unwrap_or_default();
            names.into_iter().find_map(|name| difference(&format!("{at}/{name}"), &of(ours, name), &of(theirs, name)))
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => ours
            .iter()
            .zip(theirs)
            .enumerate()
            .find_map(|(index, (ours, theirs))| difference(&format!("{at}/{index}"), ours, theirs)),
        _ => (chart != operator).then(|| format!("{at}: the chart has {chart}, the operator {operator}")),
    }
}

#[test]
fn the_chart_makes_what_the_operator_makes() {
    for name in BOTH {
        let helm = Helm::named(name).unwrap();
        for (case, spec, more) in cases() {
            let operator = normal(built(&spec));
            let chart = normal(rendered(&helm, &spec, &more));
            let kinds = |of: &BTreeMap<String, Value>| of.keys().cloned().collect::<Vec<_>>();
            assert_eq!(kinds(&chart), kinds(&operator), "{name}, {case}");
            for (kind, ours) in &chart {
                assert_eq!(difference(kind, ours, &operator[kind]), None, "{name}, {case}");
            }
        }
    }
}

#[test]
fn only_settings_that_are_read_at_the_start_roll_the_pods() {
    let helm = Helm::named("helm3").unwrap();
    let hash = |more: Value| {
        let mut spec = minimal();
        merge(&mut spec, &more);
        let rendered = rendered(&helm, &spec, &json!({}));
        let deployment = rendered.into_iter().find(|object| object["kind"] == "Deployment").unwrap();
        let hash = deployment["spec"]["template"]["metadata"]["annotations"]["threatrelay.dev/settings-hash"].clone();
        assert_eq!(hash.as_str().map(str::len), Some(16));
        hash
    };
    let keys = |key: &str| json!({"credentials": {"keys": {"default": key}}, "auth": {"jwks": format!("{{\"keys\":[], \"x\":\"{key}\"}}")}});
    assert_eq!(hash(keys("one")), hash(keys("two")));
    assert_ne!(hash(json!({})), hash(json!({"log": {"level": "debug"}})));
}

#[test]
fn every_allowed_difference_is_one() {
    let helm = Helm::named("helm3").unwrap();
    let (spec, more) =
        cases().into_iter().find_map(|(name, spec, more)| (name == "everything").then_some((spec, more))).unwrap();
    let keys = json!({"credentials": {"default": null, "named": null, "keys": {"default": "main-0"}}});
    let mut with_keys = more.clone();
    merge(&mut with_keys, &keys);
    let mut managed = spec.clone();
    merge(&mut managed, &json!({"credentials": {"mode": "managed"}}));
    let (chart, operator) = (rendered(&helm, &spec, &with_keys), built(&managed));
    for (kind, pointer, why) in ALLOWED {
        let of = |objects: &[Value]| -> Vec<Value> {
            let chosen = objects.iter().filter(|object| *kind == "*" || object["kind"] == *kind);
            chosen.map(|object| object.pointer(pointer).cloned().unwrap_or_default()).collect()
        };
        assert!(!why.is_empty());
        assert_ne!(of(&chart), of(&operator), "{kind} {pointer} does not differ: take it from the list");
    }
}
