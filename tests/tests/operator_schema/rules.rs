//! The table of rules: for each, what passes at its edge and what it refuses, with the words of the refusal.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use threatrelay_operator::api::ThreatRelay;

use super::{definition, resource, spec};

/// A resource and what a rule says of it: nothing, or the message with which it refuses.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) spec: Value,
    pub(super) refusal: Option<&'static str>,
}

const REPLICAS: &str = "replicas and autoscaling exclude each other: remove one of them";
const NAME: &str = "metadata.name must be at most 63 lower-case letters";
const AUDIENCES: &str = "auth.audiences must name at least one accepted audience in jwks mode";
const HS256: &str = "hs256SecretRef is required in hs256 mode and not allowed in jwks mode";
const JWKS: &str = "jwks is not allowed in hs256 mode";
const CREDENTIALS: &str = "credentials must hold a default key or a named key";
const NAMED: &str = "the default key belongs into credentials.default";
const MIN_MAX: &str = "minReplicas must not be greater than maxReplicas";
const CONNECT: &str = "connectTimeout must not be longer than callTimeout";
const CALL: &str = "callTimeout must not be longer than deadline";
const SNIPPET: &str = "annotations must not hold *snippet* or */config-*";
const ANNOTATION: &str = "keys must be annotation keys";
const LABEL: &str = "keys must be label keys";
const TLS: &str = "secretName is not allowed when enabled is false";
const CPU: &str = "requests.cpu must not be greater than limits.cpu";
const MEMORY: &str = "requests.memory must not be greater than limits.memory";
const PRIORITY: &str = "priorityClassName must not be one of the system's";
const EXISTS: &str = "value is not allowed with the operator Exists";
const NO_KEY: &str = "without a key the operator must be Exists";
const SECONDS: &str = "tolerationSeconds needs the effect NoExecute";

/// Every case, of a relay named `otx` unless its name is the matter.
pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = specs()
        .into_iter()
        .map(|(more, refusal)| Case { name: "otx".to_owned(), spec: spec(&more), refusal })
        .collect();
    let names = [
        ("a".repeat(63), None),
        ("otx-1".into(), None),
        ("a".repeat(64), Some(NAME)),
        ("1otx".into(), Some(NAME)),
        ("o.tx".into(), Some(NAME)),
    ];
    cases.extend(names.map(|(name, refusal)| Case { name, spec: spec(&json!({})), refusal }));
    for (field, max) in DURATIONS {
        let at = |text: String| field.rsplit('.').fold(json!(text), |value, name| json!({name: value}));
        let mut lenient = json!({"upstream": {"connectTimeout": "1ms", "callTimeout": "2ms", "deadline": "5m"}});
        if *field == "upstream.connectTimeout" {
            lenient["upstream"]["callTimeout"] = "5m".into();
        }
        if field.starts_with("cache.shared") {
            lenient["cache"] = json!({"shared": {"url": "redis://valkey.example"}});
        }
        let mut case = |text: String, refusal| {
            let mut more = lenient.clone();
            super::merge(&mut more, &at(text));
            // The rules between time limits would speak first.
            if *field == "upstream.deadline" && refusal == Some("must be positive") {
                return;
            }
            cases.push(Case { name: "otx".to_owned(), spec: spec(&more), refusal });
        };
        let over = if *field == "auth.leeway" { "must be at most" } else { "must be positive" };
        case(format!("{max}s"), None);
        case(format!("{}s", max + 1), Some(over));
        case("0s".to_owned(), (over != "must be at most").then_some(over));
    }
    cases
}

/// Fields that hold a length of time, with the longest in seconds.
const DURATIONS: &[(&str, u64)] = &[
    ("auth.leeway", 600),
    ("upstream.connectTimeout", 60),
    ("upstream.callTimeout", 300),
    ("upstream.deadline", 300),
    ("cache.generalTtl", 86_400),
    ("cache.negativeTtl", 86_400),
    ("cache.listingTtl", 2_592_000),
    ("cache.maxStale", 604_800),
    ("cache.shared.timeout", 5),
    ("monitoring.serviceMonitor.interval", 3600),
];

#[rustfmt::skip]
fn specs() -> Vec<(Value, Option<&'static str>)> {
    let key = json!({"name": "otx"});
    let hs256 = json!({"auth": {"mode": "hs256", "audiences": null, "hs256SecretRef": key}});
    let with = |base: &Value, more: Value| { let mut all = base.clone(); super::merge(&mut all, &more); all };
    let toleration = |toleration: Value| json!({"scheduling": {"tolerations": [toleration]}});
    let annotated = |annotation: &str| json!({"ingress": {"host": "otx.soc.example", "annotations": {annotation: "x"}}});
    vec![
        (json!({}), None),
        (json!({"replicas": 3}), None),
        (json!({"autoscaling": {"maxReplicas": 3}}), None),
        (json!({"replicas": 3, "autoscaling": {"maxReplicas": 3}}), Some(REPLICAS)),
        (json!({"autoscaling": {"minReplicas": 3, "maxReplicas": 3}}), None),
        (json!({"autoscaling": {"minReplicas": 4, "maxReplicas": 3}}), Some(MIN_MAX)),
        (json!({"autoscaling": {"maxReplicas": 1}}), Some(MIN_MAX)),
        (json!({"auth": null}), Some(AUDIENCES)),
        (json!({"auth": {"audiences": []}}), Some(AUDIENCES)),
        (hs256.clone(), None),
        (with(&hs256, json!({"auth": {"hs256SecretRef": null}})), Some(HS256)),
        (with(&hs256, json!({"auth": {"jwks": "{\"keys\":[]}"}})), Some(JWKS)),
        (json!({"auth": {"hs256SecretRef": key}}), Some(HS256)),
        (json!({"auth": {"jwks": "{\"keys\":[]}"}}), None),
        (json!({"credentials": {}}), Some(CREDENTIALS)),
        (json!({"credentials": {"default": {"secretRef": key}}}), None),
        (json!({"credentials": {"named": [{"name": "team-a", "secretRef": key}]}}), None),
        (json!({"credentials": {"named": [{"name": "default", "secretRef": key}]}}), Some(NAMED)),
        (json!({"upstream": {"connectTimeout": "11s"}}), Some(CONNECT)),
        (json!({"upstream": {"callTimeout": "26s"}}), Some(CALL)),
        (json!({"upstream": {"connectTimeout": "10s", "callTimeout": "10000ms"}}), None),
        (annotated("cert-manager.io/cluster-issuer"), None),
        (annotated("nginx.ingress.kubernetes.io/configuration-snippet"), Some(SNIPPET)),
        (annotated("nginx.org/server-snippets"), Some(SNIPPET)),
        (annotated("haproxy.org/Backend-Config-Snippet"), Some(SNIPPET)),
        (annotated("haproxy-ingress.github.io/config-backend"), Some(SNIPPET)),
        (annotated("two words"), Some(ANNOTATION)),
        (json!({"ingress": {"host": "otx.soc.example", "tls": {"enabled": false}}}), None),
        (json!({"ingress": {"host": "otx.soc.example", "tls": {"enabled": false, "secretName": "t"}}}), Some(TLS)),
        (json!({"resources": {"requests": {"cpu": "2000m"}, "limits": {"cpu": "2"}}}), None),
        (json!({"resources": {"requests": {"cpu": "2001m"}, "limits": {"cpu": "2"}}}), Some(CPU)),
        (json!({"resources": {"requests": {"memory": "128Mi"}}}), None),
        (json!({"resources": {"requests": {"memory": "129Mi"}}}), Some(MEMORY)),
        (json!({"scheduling": {"priorityClassName": "business-critical"}}), None),
        (json!({"scheduling": {"priorityClassName": "system-cluster-critical"}}), Some(PRIORITY)),
        (json!({"scheduling": {"nodeSelector": {"kubernetes.io/arch": "amd64"}}}), None),
        (json!({"scheduling": {"nodeSelector": {"/arch": "amd64"}}}), Some(LABEL)),
        (json!({"networkPolicy": {"callerNamespaces": {"a b": "c"}}}), Some(LABEL)),
        (json!({"networkPolicy": {"monitoringNamespaces": {"a b": "c"}}}), Some(LABEL)),
        (json!({"monitoring": {"serviceMonitor": {"labels": {"a b": "c"}}}}), Some(LABEL)),
        (toleration(json!({"key": "k", "value": "v"})), None),
        (toleration(json!({"operator": "Exists"})), None),
        (toleration(json!({"key": "k", "operator": "Exists", "value": "v"})), Some(EXISTS)),
        (toleration(json!({"value": "v"})), Some(NO_KEY)),
        (toleration(json!({"key": "k", "effect": "NoExecute", "tolerationSeconds": 0})), None),
        (toleration(json!({"key": "k", "effect": "NoSchedule", "tolerationSeconds": 60})), Some(SECONDS)),
        (toleration(json!({"key": "k", "tolerationSeconds": 60})), Some(SECONDS)),
    ]
}

#[test]
fn every_rule_refuses_what_it_is_to_refuse_without_a_cluster() {
    for Case { name, spec, refusal } in cases() {
        let relay: ThreatRelay = serde_json::from_value(resource(&name, &spec)).unwrap();
        let said = relay.validate_cel().err().map(|errors| errors.to_string());
        match (refusal, said) {
            (None, None) => {}
            (Some(expected), Some(said)) if said.contains(expected) => {}
            (expected, said) => panic!("{name} {spec}\n expected {expected:?}\n got      {said:?}"),
        }
    }
}

#[test]
fn every_rule_of_the_schema_has_a_case_that_it_refuses() {
    fn collect(value: &Value, messages: &mut BTreeSet<String>) {
        for rule in value["x-kubernetes-validations"].as_array().into_iter().flatten() {
            messages.insert(rule["message"].as_str().unwrap().to_owned());
        }
        let children = value.as_object().into_iter().flatten().map(|(_, child)| child);
        children.chain(value.as_array().into_iter().flatten()).for_each(|child| collect(child, messages));
    }
    let mut messages = BTreeSet::new();
    collect(&definition()["spec"]["versions"][0]["schema"], &mut messages);
    let refusals: Vec<_> = cases().into_iter().filter_map(|case| case.refusal).collect();
    for message in messages {
        assert!(refusals.iter().any(|refusal| message.contains(refusal)), "no case is refused by: {message}");
    }
}
