//! What each field of the spec is for: change it, and exactly the named fields of the children change. A field of the
//! schema that is not in the table is an error, so the table is complete.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;

use kube::CustomResourceExt;
use serde_json::{Map, Value, json};
use tests::custom_resource::{full, list, merge, objects, observed};
use threatrelay_operator::api::ThreatRelay;
use threatrelay_operator::observed::Observed;

/// From what a field is changed.
#[derive(Clone, Copy, Debug)]
enum Base {
    /// [`full`].
    Full,
    /// A fixed number of pods.
    Fixed,
    /// Tokens with a shared secret.
    Hs256,
    /// Digest instead of tag.
    Digest,
}

impl Base {
    fn spec(self) -> Value {
        let more = match self {
            Self::Full => json!({}),
            Self::Fixed => json!({"autoscaling": null, "replicas": 3}),
            Self::Hs256 => {
                json!({"auth": {"mode": "hs256", "jwks": null, "hs256SecretRef": {"name": "shared", "key": "main"}}})
            }
            Self::Digest => json!({"image": {"tag": null, "digest": format!("sha256:{}", "0".repeat(64))}}),
        };
        let mut spec = full();
        merge(&mut spec, &more);
        spec
    }
}

/// A field, its other value, and what changes in the children.
struct Row(&'static str, Base, Value, &'static [&'static str]);

const POD: &str = "/Deployment/spec/template/spec";
const CONTAINER: &str = "/Deployment/spec/template/spec/containers/0";

#[rustfmt::skip]
fn table() -> Vec<Row> {
    use Base::{Digest, Fixed, Full, Hs256};
    vec![
        Row("replicas", Fixed, json!(4), &["/Deployment/spec/replicas"]),
        Row("autoscaling.minReplicas", Full, json!(3), &["/HorizontalPodAutoscaler/spec/minReplicas"]),
        Row("autoscaling.maxReplicas", Full, json!(6), &["/HorizontalPodAutoscaler/spec/maxReplicas"]),
        Row("autoscaling.targetCpuPercent", Full, json!(50), &["/HorizontalPodAutoscaler/spec/metrics/0/resource/target/averageUtilization"]),
        Row("image.repository", Full, json!("registry.example/other"), &["CONTAINER/image"]),
        Row("image.tag", Full, json!("1.2.4"), &["CONTAINER/image"]),
        Row("image.digest", Digest, json!(format!("sha256:{}", "1".repeat(64))), &["CONTAINER/image"]),
        Row("image.pullPolicy", Full, json!("Never"), &["CONTAINER/imagePullPolicy"]),
        Row("credentials.mode", Full, json!("direct"), &["/Secret", "POD/volumes/1/projected", "POD/volumes/1/secret"]),
        Row("credentials.default.secretRef.name", Full, json!("otx-2"), &["/Secret/data/default"]),
        Row("credentials.default.secretRef.key", Full, json!("spare"), &["/Secret/data/default"]),
        Row("credentials.named[].name", Full, json!("team-b"), &["/Secret/data/team-a", "/Secret/data/team-b"]),
        Row("credentials.named[].secretRef.name", Full, json!("otx-teams-2"), &["/Secret/data/team-a"]),
        Row("credentials.named[].secretRef.key", Full, json!("b"), &["/Secret/data/team-a"]),
        Row("auth.mode", Full, json!("hs256"), &["/settings/auth/mode"]),
        Row("auth.audiences", Full, json!(["https://b.example"]), &["/settings/auth/audiences/0"]),
        Row("auth.jwksHosts", Full, json!(["jwks.example:9443"]), &[
            "/NetworkPolicy/spec/egress/1/ports/1/port", "/settings/auth/jwksHosts/0"]),
        Row("auth.jwks", Full, json!("{\"keys\":[{}]}"), &["/ConfigMap/data/jwks.json"]),
        Row("auth.requireExp", Full, json!(false), &["/settings/auth/requireExp"]),
        Row("auth.leeway", Full, json!("10s"), &["/settings/auth/leeway"]),
        Row("auth.hs256SecretRef.name", Hs256, json!("otx-2"), &["POD/volumes/3/secret/secretName"]),
        Row("auth.hs256SecretRef.key", Hs256, json!("spare"), &["POD/volumes/3/secret/items/0/key"]),
        Row("upstream.baseUrl", Full, json!("https://otx.example:8443/api"), &[
            "/NetworkPolicy/spec/egress/4/ports/0/port", "/settings/otx/baseUrl"]),
        Row("upstream.webUrl", Full, json!("https://b.example"), &["/settings/otx/webUrl"]),
        Row("upstream.connectTimeout", Full, json!("500ms"), &["/settings/otx/connectTimeout"]),
        Row("upstream.callTimeout", Full, json!("8s"), &["/settings/otx/callTimeout"]),
        Row("upstream.deadline", Full, json!("20s"), &["/settings/otx/deadline"]),
        Row("upstream.hourlyBudget", Full, json!(1), &["/settings/otx/hourlyBudget"]),
        Row("upstream.proxy", Full, json!("http://192.0.2.8:3128"), &[
            "/NetworkPolicy/spec/egress/2/to/0/ipBlock/cidr", "/settings/otx/proxy"]),
        Row("upstream.caBundle.configMapRef.name", Full, json!("company-ca-2"), &[
            "/Deployment/spec/template/metadata/annotations/threatrelay.dev~1ca-hash", "POD/volumes/2/configMap/name"]),
        Row("upstream.caBundle.configMapRef.key", Full, json!("old.pem"), &[
            "/Deployment/spec/template/metadata/annotations/threatrelay.dev~1ca-hash", "POD/volumes/2/configMap/items/0/key"]),
        Row("cache.enabled", Full, json!(false), &["/settings/cache/enabled"]),
        Row("cache.maxBytes", Full, json!(65536), &["/settings/cache/maxBytes"]),
        Row("cache.generalTtl", Full, json!("1m"), &["/settings/cache/generalTtl"]),
        Row("cache.negativeTtl", Full, json!("1m"), &["/settings/cache/negativeTtl"]),
        Row("cache.listingTtl", Full, json!("1m"), &["/settings/cache/listingTtl"]),
        Row("cache.maxStale", Full, json!("1m"), &["/settings/cache/maxStale"]),
        Row("cache.shared.url", Full, json!("redis://valkey.soc.svc:6380"), &[
            "/NetworkPolicy/spec/egress/5/ports/0/port", "/settings/cache/shared/url"]),
        Row("cache.shared.passwordSecretRef.name", Full, json!("shared"), &["POD/volumes/3/secret/secretName"]),
        Row("cache.shared.passwordSecretRef.key", Full, json!("main"), &["POD/volumes/3/secret/items/0/key"]),
        Row("cache.shared.timeout", Full, json!("1s"), &["/settings/cache/shared/timeout"]),
        Row("answers", Full, json!("rich"), &["/settings/answers"]),
        Row("ingress.host", Full, json!("b.soc.example"), &["/Ingress/spec/rules/0/host", "/Ingress/spec/tls/0/hosts/0"]),
        Row("ingress.className", Full, json!("nginx"), &["/Ingress/spec/ingressClassName"]),
        Row("ingress.annotations", Full, json!({"example.com/a": "2"}), &["/Ingress/metadata/annotations/example.com~1a"]),
        Row("ingress.tls.enabled", Full, json!(false), &["/Ingress/spec/tls"]),
        Row("ingress.tls.secretName", Full, json!("b-tls"), &["/Ingress/spec/tls/0/secretName"]),
        Row("gateway.parentRefs[].name", Full, json!("b"), &["/HTTPRoute/spec/parentRefs/0/name"]),
        Row("gateway.parentRefs[].namespace", Full, json!("b"), &["/HTTPRoute/spec/parentRefs/0/namespace"]),
        Row("gateway.parentRefs[].sectionName", Full, json!("b"), &["/HTTPRoute/spec/parentRefs/0/sectionName"]),
        Row("gateway.hostnames", Full, json!(["b.gw.example"]), &["/HTTPRoute/spec/hostnames/0"]),
        Row("resources.requests.cpu", Full, json!("1"), &["CONTAINER/resources/requests/cpu"]),
        Row("resources.requests.memory", Full, json!("90Mi"), &["CONTAINER/resources/requests/memory"]),
        Row("resources.limits.cpu", Full, json!("3"), &["CONTAINER/resources/limits/cpu"]),
        Row("resources.limits.memory", Full, json!("1Gi"), &["CONTAINER/resources/limits/memory"]),
        Row("scheduling.nodeSelector", Full, json!({"disk": "slow"}), &["POD/nodeSelector/disk"]),
        Row("scheduling.priorityClassName", Full, json!("low"), &["POD/priorityClassName"]),
        Row("scheduling.tolerations[].key", Full, json!("b"), &["POD/tolerations/0/key"]),
        Row("scheduling.tolerations[].operator", Full, json!("Exists"), &["POD/tolerations/0/operator"]),
        Row("scheduling.tolerations[].value", Full, json!("b"), &["POD/tolerations/0/value"]),
        Row("scheduling.tolerations[].effect", Full, json!("NoSchedule"), &["POD/tolerations/0/effect"]),
        Row("scheduling.tolerations[].tolerationSeconds", Full, json!(5), &["POD/tolerations/0/tolerationSeconds"]),
        Row("podSecurity.runAsUser", Full, json!(7), &["POD/securityContext/runAsUser"]),
        Row("podSecurity.fsGroup", Full, json!(7), &["POD/securityContext/fsGroup", "POD/securityContext/runAsGroup"]),
        Row("networkPolicy.enabled", Full, json!(false), &["/NetworkPolicy"]),
        Row("networkPolicy.callerNamespaces", Full, json!({"a": "b"}), &[
            "/NetworkPolicy/spec/ingress/0/from/0/namespaceSelector/matchLabels/a",
            "/NetworkPolicy/spec/ingress/0/from/0/namespaceSelector/matchLabels/kubernetes.io~1metadata.name"]),
        Row("networkPolicy.monitoringNamespaces", Full, json!({"a": "b"}), &[
            "/NetworkPolicy/spec/ingress/1/from/1/namespaceSelector/matchLabels/a",
            "/NetworkPolicy/spec/ingress/1/from/1/namespaceSelector/matchLabels/kubernetes.io~1metadata.name"]),
        Row("networkPolicy.egressCidrs", Full, json!(["198.51.100.0/24"]), &["/NetworkPolicy/spec/egress/6/to/0/ipBlock/cidr"]),
        Row("podDisruptionBudget.enabled", Full, json!(false), &["/PodDisruptionBudget"]),
        Row("monitoring.serviceMonitor.interval", Full, json!("1m"), &["/ServiceMonitor/spec/endpoints/0/interval"]),
        Row("monitoring.serviceMonitor.labels", Full, json!({"release": "b"}), &["/ServiceMonitor/metadata/labels/release"]),
        Row("telemetry.otlp.endpoint", Full, json!("https://192.0.2.9:4319"), &[
            "/NetworkPolicy/spec/egress/3/ports/0/port", "/settings/telemetry/otlp/endpoint"]),
        Row("telemetry.otlp.headersSecretRef.name", Full, json!("shared"), &["POD/volumes/4/secret/secretName"]),
        Row("telemetry.otlp.headersSecretRef.key", Full, json!("main"), &["POD/volumes/4/secret/items/0/key"]),
        Row("telemetry.sampleRatio", Full, json!("0"), &["/settings/telemetry/sampleRatio"]),
        Row("telemetry.recordObservables", Full, json!(false), &["/settings/telemetry/recordObservables"]),
        Row("telemetry.trustTraceparent", Full, json!(false), &["/settings/telemetry/trustTraceparent"]),
        Row("log.level", Full, json!("warn"), &["/settings/log/level"]),
        Row("log.format", Full, json!("json"), &["/settings/log/format"]),
        // It is the driver that stops; what is built is the same.
        Row("suspend", Full, json!(true), &[]),
    ]
}

/// The children by kind as JSON, the settings file among them as what it says.
fn children(spec: &Value, observed: &Observed) -> Value {
    let objects = objects(spec, observed).unwrap_or_else(|refused| panic!("{spec}: {refused}"));
    let of_kind = |object: Value| (object["kind"].as_str().unwrap().to_owned(), object);
    let mut all: Value = list(&objects).into_iter().map(|(_, object)| of_kind(object)).collect::<Map<_, _>>().into();
    let text = all.pointer_mut("/ConfigMap/data/config.yaml").unwrap().take();
    all["settings"] = serde_saphyr::from_str(text.as_str().unwrap()).unwrap();
    all
}

/// Where two values differ, as pointers to the first difference on each way down.
fn differences(one: &Value, two: &Value, at: &str, found: &mut BTreeSet<String>) {
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

/// Sets the field at a path, in the first item of lists.
fn set(spec: &mut Value, path: &str, value: Value) {
    let mut place = spec;
    for name in path.split('.') {
        let (name, is_list) = name.strip_suffix("[]").map_or((name, false), |name| (name, true));
        if place.is_null() {
            *place = Value::Object(Map::new());
        }
        place = &mut place[name];
        if is_list {
            place = &mut place[0];
        }
    }
    *place = value;
}

/// Whether a digest changed, and its removal from what changed.
fn took(found: &mut BTreeSet<String>, hash: &str) -> bool {
    found.remove(hash)
}

#[test]
fn a_changed_field_changes_what_it_is_for_and_nothing_else() {
    let observed = observed();
    for Row(path, base, value, expected) in table() {
        let before = base.spec();
        let mut after = before.clone();
        set(&mut after, path, value);
        assert_ne!(before, after, "{path} is not changed");
        let mut found = BTreeSet::new();
        differences(&children(&before, &observed), &children(&after, &observed), "", &mut found);
        let settings_hash =
            took(&mut found, "/Deployment/spec/template/metadata/annotations/threatrelay.dev~1settings-hash");
        let keys_hash = took(&mut found, "/Secret/metadata/annotations/threatrelay.dev~1keys-hash");
        let expected: BTreeSet<_> =
            expected.iter().map(|place| place.replace("CONTAINER", CONTAINER).replace("POD", POD)).collect();
        assert_eq!(found, expected, "{path} from {base:?}");
        let touches = |start: &str| found.iter().any(|place| place.starts_with(start));
        assert_eq!(settings_hash, touches("/settings"), "{path}: the pods are rolled exactly for other settings");
        assert_eq!(keys_hash, touches("/Secret/data"), "{path}: the digest of the keys");
    }
}

#[test]
fn every_field_of_the_schema_is_in_the_table() {
    fn collect(path: &str, schema: &Value, leaves: &mut BTreeSet<String>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            if field.get("properties").is_some() {
                collect(&path, field, leaves);
            } else if field["items"].get("properties").is_some() {
                collect(&format!("{path}[]"), &field["items"], leaves);
            } else {
                leaves.insert(path);
            }
        }
    }
    let definition = serde_json::to_value(ThreatRelay::crd()).unwrap();
    let spec = definition.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec").unwrap();
    let mut leaves = BTreeSet::new();
    collect("", spec, &mut leaves);
    let rows = table();
    assert_eq!(leaves, rows.iter().map(|row| row.0.to_owned()).collect());
    assert_eq!(leaves.len(), rows.len(), "a field has two rows");
}

#[test]
fn a_section_that_is_left_out_leaves_its_objects_out() {
    let observed = observed();
    for (section, gone) in [
        ("ingress", &["/Ingress"][..]),
        ("gateway", &["/HTTPRoute"]),
        ("monitoring", &["/ServiceMonitor"]),
        ("autoscaling", &["/HorizontalPodAutoscaler", "/Deployment/spec/replicas"]),
    ] {
        let mut spec = full();
        merge(&mut spec, &json!({section: null}));
        let mut found = BTreeSet::new();
        differences(&children(&full(), &observed), &children(&spec, &observed), "", &mut found);
        assert_eq!(found, gone.iter().map(|place| (*place).to_owned()).collect(), "{section}");
    }
}
