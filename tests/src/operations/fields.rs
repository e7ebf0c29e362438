//! What each field of the spec is for: the fields of the children that it decides. The one table of it: the suite
//! `operator_fields` changes each field in the pure steps, the campaign of operations on a real API server. A field of the
//! schema without a row is an error there.

use std::collections::{BTreeMap, BTreeSet};

use kube::CustomResourceExt;
use serde_json::{Map, Value, json};
use threatrelay_operator::api::ThreatRelay;
use threatrelay_operator::build::Objects;

use crate::custom_resource::{full, list, merge, minimal};

/// From what a field is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Base {
    /// [`full`].
    Full,
    /// A fixed number of pods.
    Fixed,
    /// Tokens with a shared secret.
    Hs256,
    /// Digest instead of tag.
    Digest,
    /// [`minimal`].
    Minimal,
}

impl Base {
    /// The spec.
    #[must_use]
    pub fn spec(self) -> Value {
        let more = match self {
            Self::Full => json!({}),
            Self::Fixed => json!({"autoscaling": null, "replicas": 3}),
            Self::Hs256 => {
                json!({"auth": {"mode": "hs256", "jwks": null, "hs256SecretRef": {"name": "shared", "key": "main"}}})
            }
            Self::Digest => json!({"image": {"tag": null, "digest": format!("sha256:{}", "0".repeat(64))}}),
            Self::Minimal => return minimal(),
        };
        let mut spec = full();
        merge(&mut spec, &more);
        spec
    }
}

/// A field, another value of it, and what that changes in the children.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its path in the spec; `[]` is the first item of a list.
    pub path: &'static str,
    /// From what it is changed.
    pub base: Base,
    /// The other value.
    pub other: Value,
    places: &'static [&'static str],
}

impl Field {
    /// What it decides, as pointers into [`children`].
    #[must_use]
    pub fn places(&self) -> BTreeSet<String> {
        self.places.iter().map(|place| place.replace("CONTAINER", CONTAINER).replace("POD", POD)).collect()
    }
}

fn row(path: &'static str, base: Base, other: Value, places: &'static [&'static str]) -> Field {
    Field { path, base, other, places }
}

const POD: &str = "/Deployment/spec/template/spec";
const CONTAINER: &str = "/Deployment/spec/template/spec/containers/0";

/// Every field that holds a value.
#[must_use]
#[rustfmt::skip]
pub fn table() -> Vec<Field> {
    use Base::{Digest, Fixed, Full, Hs256};
    vec![
        row("replicas", Fixed, json!(4), &["/Deployment/spec/replicas"]),
        row("autoscaling.minReplicas", Full, json!(3), &["/HorizontalPodAutoscaler/spec/minReplicas"]),
        row("autoscaling.maxReplicas", Full, json!(6), &["/HorizontalPodAutoscaler/spec/maxReplicas"]),
        row("autoscaling.targetCpuPercent", Full, json!(50), &["/HorizontalPodAutoscaler/spec/metrics/0/resource/target/averageUtilization"]),
        row("image.repository", Full, json!("registry.example/other"), &["CONTAINER/image"]),
        row("image.tag", Full, json!("1.2.4"), &["CONTAINER/image"]),
        row("image.digest", Digest, json!(format!("sha256:{}", "1".repeat(64))), &["CONTAINER/image"]),
        row("image.pullPolicy", Full, json!("Never"), &["CONTAINER/imagePullPolicy"]),
        row("credentials.mode", Full, json!("direct"), &["/Secret", "POD/volumes/1/projected", "POD/volumes/1/secret"]),
        row("credentials.default.secretRef.name", Full, json!("otx-2"), &["/Secret/data/default"]),
        row("credentials.default.secretRef.key", Full, json!("spare"), &["/Secret/data/default"]),
        row("credentials.named[].name", Full, json!("team-b"), &["/Secret/data/team-a", "/Secret/data/team-b"]),
        row("credentials.named[].secretRef.name", Full, json!("otx-teams-2"), &["/Secret/data/team-a"]),
        row("credentials.named[].secretRef.key", Full, json!("b"), &["/Secret/data/team-a"]),
        row("auth.mode", Full, json!("hs256"), &["/settings/auth/mode"]),
        row("auth.audiences", Full, json!(["https://b.example"]), &["/settings/auth/audiences/0"]),
        row("auth.jwksHosts", Full, json!(["jwks.example:9443"]), &[
            "/NetworkPolicy/spec/egress/1/ports/1/port", "/settings/auth/jwksHosts/0"]),
        row("auth.jwks", Full, json!("{\"keys\":[{}]}"), &["/ConfigMap/data/jwks.json"]),
        row("auth.requireExp", Full, json!(false), &["/settings/auth/requireExp"]),
        row("auth.leeway", Full, json!("10s"), &["/settings/auth/leeway"]),
        row("auth.hs256SecretRef.name", Hs256, json!("otx-2"), &["POD/volumes/3/secret/secretName"]),
        row("auth.hs256SecretRef.key", Hs256, json!("spare"), &["POD/volumes/3/secret/items/0/key"]),
        row("upstream.baseUrl", Full, json!("https://otx.example:8443/api"), &[
            "/NetworkPolicy/spec/egress/4/ports/0/port", "/settings/otx/baseUrl"]),
        row("upstream.webUrl", Full, json!("https://b.example"), &["/settings/otx/webUrl"]),
        row("upstream.connectTimeout", Full, json!("500ms"), &["/settings/otx/connectTimeout"]),
        row("upstream.callTimeout", Full, json!("8s"), &["/settings/otx/callTimeout"]),
        row("upstream.deadline", Full, json!("20s"), &["/settings/otx/deadline"]),
        row("upstream.hourlyBudget", Full, json!(1), &["/settings/otx/hourlyBudget"]),
        row("upstream.proxy", Full, json!("http://192.0.2.8:3128"), &[
            "/NetworkPolicy/spec/egress/2/to/0/ipBlock/cidr", "/settings/otx/proxy"]),
        row("upstream.caBundle.configMapRef.name", Full, json!("company-ca-2"), &[
            "/Deployment/spec/template/metadata/annotations/threatrelay.dev~1ca-hash", "POD/volumes/2/configMap/name"]),
        row("upstream.caBundle.configMapRef.key", Full, json!("old.pem"), &[
            "/Deployment/spec/template/metadata/annotations/threatrelay.dev~1ca-hash", "POD/volumes/2/configMap/items/0/key"]),
        row("cache.enabled", Full, json!(false), &["/settings/cache/enabled"]),
        row("cache.maxBytes", Full, json!(65536), &["/settings/cache/maxBytes"]),
        row("cache.generalTtl", Full, json!("1m"), &["/settings/cache/generalTtl"]),
        row("cache.negativeTtl", Full, json!("1m"), &["/settings/cache/negativeTtl"]),
        row("cache.listingTtl", Full, json!("1m"), &["/settings/cache/listingTtl"]),
        row("cache.maxStale", Full, json!("1m"), &["/settings/cache/maxStale"]),
        row("cache.shared.url", Full, json!("redis://valkey.soc.svc:6380"), &[
            "/NetworkPolicy/spec/egress/5/ports/0/port", "/settings/cache/shared/url"]),
        row("cache.shared.passwordSecretRef.name", Full, json!("shared"), &["POD/volumes/3/secret/secretName"]),
        row("cache.shared.passwordSecretRef.key", Full, json!("main"), &["POD/volumes/3/secret/items/0/key"]),
        row("cache.shared.timeout", Full, json!("1s"), &["/settings/cache/shared/timeout"]),
        row("answers", Full, json!("rich"), &["/settings/answers"]),
        row("ingress.host", Full, json!("b.soc.example"), &["/Ingress/spec/rules/0/host", "/Ingress/spec/tls/0/hosts/0"]),
        row("ingress.className", Full, json!("nginx"), &["/Ingress/spec/ingressClassName"]),
        row("ingress.annotations", Full, json!({"example.com/a": "2"}), &["/Ingress/metadata/annotations/example.com~1a"]),
        row("ingress.tls.enabled", Full, json!(false), &["/Ingress/spec/tls"]),
        row("ingress.tls.secretName", Full, json!("b-tls"), &["/Ingress/spec/tls/0/secretName"]),
        row("gateway.parentRefs[].name", Full, json!("b"), &["/HTTPRoute/spec/parentRefs/0/name"]),
        row("gateway.parentRefs[].namespace", Full, json!("b"), &["/HTTPRoute/spec/parentRefs/0/namespace"]),
        row("gateway.parentRefs[].sectionName", Full, json!("b"), &["/HTTPRoute/spec/parentRefs/0/sectionName"]),
        row("gateway.hostnames", Full, json!(["b.gw.example"]), &["/HTTPRoute/spec/hostnames/0"]),
        row("resources.requests.cpu", Full, json!("1"), &["CONTAINER/resources/requests/cpu"]),
        row("resources.requests.memory", Full, json!("90Mi"), &["CONTAINER/resources/requests/memory"]),
        row("resources.limits.cpu", Full, json!("3"), &["CONTAINER/resources/limits/cpu"]),
        row("resources.limits.memory", Full, json!("1Gi"), &["CONTAINER/resources/limits/memory"]),
        row("scheduling.nodeSelector", Full, json!({"disk": "slow"}), &["POD/nodeSelector/disk"]),
        row("scheduling.priorityClassName", Full, json!("low"), &["POD/priorityClassName"]),
        row("scheduling.tolerations[].key", Full, json!("b"), &["POD/tolerations/0/key"]),
        row("scheduling.tolerations[].operator", Full, json!("Exists"), &["POD/tolerations/0/operator"]),
        row("scheduling.tolerations[].value", Full, json!("b"), &["POD/tolerations/0/value"]),
        row("scheduling.tolerations[].effect", Full, json!("NoSchedule"), &["POD/tolerations/0/effect"]),
        row("scheduling.tolerations[].tolerationSeconds", Full, json!(5), &["POD/tolerations/0/tolerationSeconds"]),
        row("podSecurity.runAsUser", Full, json!(7), &["POD/securityContext/runAsUser"]),
        row("podSecurity.fsGroup", Full, json!(7), &["POD/securityContext/fsGroup", "POD/securityContext/runAsGroup"]),
        row("networkPolicy.enabled", Full, json!(false), &["/NetworkPolicy"]),
        row("networkPolicy.callerNamespaces", Full, json!({"a": "b"}), &[
            "/NetworkPolicy/spec/ingress/0/from/0/namespaceSelector/matchLabels/a",
            "/NetworkPolicy/spec/ingress/0/from/0/namespaceSelector/matchLabels/kubernetes.io~1metadata.name"]),
        row("networkPolicy.monitoringNamespaces", Full, json!({"a": "b"}), &[
            "/NetworkPolicy/spec/ingress/1/from/1/namespaceSelector/matchLabels/a",
            "/NetworkPolicy/spec/ingress/1/from/1/namespaceSelector/matchLabels/kubernetes.io~1metadata.name"]),
        row("networkPolicy.egressCidrs", Full, json!(["198.51.100.0/24"]), &["/NetworkPolicy/spec/egress/6/to/0/ipBlock/cidr"]),
        row("podDisruptionBudget.enabled", Full, json!(false), &["/PodDisruptionBudget"]),
        row("monitoring.serviceMonitor.interval", Full, json!("1m"), &["/ServiceMonitor/spec/endpoints/0/interval"]),
        row("monitoring.serviceMonitor.labels", Full, json!({"release": "b"}), &["/ServiceMonitor/metadata/labels/release"]),
        row("telemetry.otlp.endpoint", Full, json!("https://192.0.2.9:4319"), &[
            "/NetworkPolicy/spec/egress/3/ports/0/port", "/settings/telemetry/otlp/endpoint"]),
        row("telemetry.otlp.headersSecretRef.name", Full, json!("shared"), &["POD/volumes/4/secret/secretName"]),
        row("telemetry.otlp.headersSecretRef.key", Full, json!("main"), &["POD/volumes/4/secret/items/0/key"]),
        row("telemetry.sampleRatio", Full, json!("0"), &["/settings/telemetry/sampleRatio"]),
        row("telemetry.recordObservables", Full, json!(false), &["/settings/telemetry/recordObservables"]),
        row("telemetry.trustTraceparent", Full, json!(false), &["/settings/telemetry/trustTraceparent"]),
        row("log.level", Full, json!("warn"), &["/settings/log/level"]),
        row("log.format", Full, json!("json"), &["/settings/log/format"]),
        // It is the driver that stops; what is built is the same.
        row("suspend", Full, json!(true), &[]),
    ]
}

/// The fields of the schema that hold values themselves, by path, with their schema.
#[must_use]
pub fn leaves() -> BTreeMap<String, Value> {
    let mut leaves = BTreeMap::new();
    collect("", &schema(), &mut leaves);
    leaves
}

/// The schema of the spec.
#[must_use]
pub fn schema() -> Value {
    let definition = serde_json::to_value(ThreatRelay::crd()).unwrap_or_default();
    definition.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec").cloned().unwrap_or_default()
}

fn collect(path: &str, schema: &Value, leaves: &mut BTreeMap<String, Value>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if field.get("properties").is_some() {
            collect(&path, field, leaves);
        } else if field["items"].get("properties").is_some() {
            collect(&format!("{path}[]"), &field["items"], leaves);
        } else {
            leaves.insert(path, field.clone());
        }
    }
}

/// The children by kind as JSON, the settings file among them as what it says.
#[must_use]
pub fn children(objects: &Objects) -> Value {
    let of_kind = |object: Value| (object["kind"].as_str().unwrap_or_default().to_owned(), object);
    let mut all: Value = list(objects).into_iter().map(|(_, object)| of_kind(object)).collect::<Map<_, _>>().into();
    let text = all.pointer_mut("/ConfigMap/data/config.yaml").map(Value::take);
    all["settings"] = text.and_then(|text| serde_saphyr::from_str(text.as_str()?).ok()).unwrap_or_default();
    all
}

/// Where two values differ, as pointers to the first difference on each way down.
pub fn differences(one: &Value, two: &Value, at: &str, found: &mut BTreeSet<String>) {
    match (one, two) {
        _ if one == two => {}
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                let null = Value::Null;
                let (a, b) = (a.get(key).unwrap_or(&null), b.get(key).unwrap_or(&null));
                differences(a, b, &format!("{at}/{}", key.replace('/', "~1")), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differences(a, b, &format!("{at}/{index}"), found);
            }
        }
        _ => drop(found.insert(at.to_owned())),
    }
}

/// What a spec says at a path, in the first item of lists.
#[must_use]
pub fn get<'a>(spec: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(spec, |place, name| match name.strip_suffix("[]") {
        Some(name) => place.get(name)?.get(0),
        None => place.get(name),
    })
}

/// Sets the field at a path, in the first item of lists.
pub fn set(spec: &mut Value, path: &str, value: Value) {
    let mut place = spec;
    for name in path.split('.') {
        let (name, is_list) = name.strip_suffix("[]").map_or((name, false), |name| (name, true));
        if place.is_null() {
            *place = Value::Object(Map::new());
        }
        place = &mut place[name];
        if is_list {
            if place.get(0).is_none() {
                *place = json!([null]);
            }
            place = &mut place[0];
        }
    }
    *place = value;
}

/// Takes the field at a path away, if it is there, in the first item of lists.
pub fn remove(spec: &mut Value, path: &str) {
    if get(spec, path).is_none() {
        return;
    }
    let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
    let names = section.split('.').filter(|name| !name.is_empty());
    let place = names.fold(spec, |place, name| match name.strip_suffix("[]") {
        Some(name) => &mut place[name][0],
        None => &mut place[name],
    });
    if let Some(fields) = place.as_object_mut() {
        fields.remove(name);
    }
}
