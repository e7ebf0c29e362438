//! What joins the two halves: the environment and the files that the operator gives a pod are a configuration that the
//! relay takes, and every setting of the relay is decided by a field, by the operator, or by its default for a reason.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use k8s_openapi::api::core::v1::Volume;
use kube::CustomResourceExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::custom_resource::{full, merge, minimal, objects, observed};
use threatrelay::config::form::Form;
use threatrelay::config::table::{SETTINGS, find};
use threatrelay::config::{Loaded, Origin, load};
use threatrelay_operator::api::ThreatRelay;
use threatrelay_operator::build::{MOUNT, Objects};

/// Settings that a field of the spec decides.
const FIELDS: &[(&str, &str)] = &[
    ("answers", "/answers"),
    ("otx.baseUrl", "/upstream/baseUrl"),
    ("otx.webUrl", "/upstream/webUrl"),
    ("otx.proxy", "/upstream/proxy"),
    ("otx.connectTimeout", "/upstream/connectTimeout"),
    ("otx.callTimeout", "/upstream/callTimeout"),
    ("otx.deadline", "/upstream/deadline"),
    ("otx.hourlyBudget", "/upstream/hourlyBudget"),
    ("auth.mode", "/auth/mode"),
    ("auth.audiences", "/auth/audiences"),
    ("auth.jwksHosts", "/auth/jwksHosts"),
    ("auth.requireExp", "/auth/requireExp"),
    ("auth.leeway", "/auth/leeway"),
    ("cache.enabled", "/cache/enabled"),
    ("cache.maxBytes", "/cache/maxBytes"),
    ("cache.generalTtl", "/cache/generalTtl"),
    ("cache.negativeTtl", "/cache/negativeTtl"),
    ("cache.listingTtl", "/cache/listingTtl"),
    ("cache.maxStale", "/cache/maxStale"),
    ("cache.shared.url", "/cache/shared/url"),
    ("cache.shared.timeout", "/cache/shared/timeout"),
    ("telemetry.otlp.endpoint", "/telemetry/otlp/endpoint"),
    ("telemetry.sampleRatio", "/telemetry/sampleRatio"),
    ("telemetry.recordObservables", "/telemetry/recordObservables"),
    ("telemetry.trustTraceparent", "/telemetry/trustTraceparent"),
    ("log.level", "/log/level"),
    ("log.format", "/log/format"),
];

/// Settings that the operator decides: what the pod is made of.
const OPERATOR: &[&str] = &[
    "listen",
    "adminListen",
    "otx.keysDir",
    "auth.jwksFile",
    "auth.hs256SecretFile",
    "extraCaFile",
    "cache.shared.passwordFile",
    "telemetry.otlp.headersFile",
    "shutdown.lameDuck",
    "shutdown.drain",
];

const TUNING: &str = "tuned for OTX itself; whoever needs another value runs the chart of the relay alone";
const FILTERS: &str = "no field of the spec; a relay that reads a file or an environment of its own has it";
const LIMITS: &str = "bounds what a caller may cost; memory limits of the pod are chosen for it";

/// Settings that stay at the relay's default, and why.
const DEFAULT_ONLY: &[(&str, &str)] = &[
    ("filter.authors", FILTERS),
    ("filter.ignoredAuthors", FILTERS),
    ("filter.maxAgeDays", FILTERS),
    ("filter.tlp", FILTERS),
    ("filter.subscribedOnly", FILTERS),
    ("verdict.trustedAuthors", FILTERS),
    ("otx.passiveDns", FILTERS),
    ("page.lookup", "opens the data path to browsers, which no field of the spec asks for"),
    ("otx.userAgent", "OTX knows the integration by it"),
    ("otx.maxConcurrentCalls", TUNING),
    ("otx.maxConcurrentCallsPerKey", TUNING),
    ("otx.maxAttempts", TUNING),
    ("otx.hedgeAfter", TUNING),
    ("otx.pageSize", TUNING),
    ("otx.maxAnswerBytes", TUNING),
    ("otx.maxPageBytes", TUNING),
    ("auth.allowPrivateJwks", "opens the relay to hosts of the cluster; an inline JWKS serves the purpose"),
    ("auth.jwksTimeout", TUNING),
    ("auth.jwksTtl", TUNING),
    ("auth.jwksMaxStale", TUNING),
    ("auth.jwksCooldown", TUNING),
    ("limits.bodyBytes", LIMITS),
    ("limits.uriBytes", LIMITS),
    ("limits.headerBytes", LIMITS),
    ("limits.headerCount", LIMITS),
    ("limits.observables", LIMITS),
    ("limits.connections", LIMITS),
    ("limits.concurrentRequests", LIMITS),
    ("limits.headerTimeout", LIMITS),
    ("limits.bodyTimeout", LIMITS),
    ("limits.idleTimeout", LIMITS),
];

/// Writes the files of a pod as a kubelet does, and reads them as the relay does.
fn loaded(objects: &Objects) -> Loaded {
    let folder = TempDir::new().unwrap();
    let here = folder.path().to_str().unwrap();
    let pod = objects.deployment.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
    let container = &pod.containers[0];
    for mount in container.volume_mounts.iter().flatten() {
        let target = mount.mount_path.replace(MOUNT, here);
        let volume = pod.volumes.iter().flatten().find(|volume| volume.name == mount.name).unwrap();
        fs::create_dir_all(&target).unwrap();
        for (file, content) in files(volume, objects) {
            let content = String::from_utf8(content).unwrap().replace(MOUNT, here);
            fs::write(Path::new(&target).join(file), content).unwrap();
        }
    }
    let environment: Vec<_> = container
        .env
        .iter()
        .flatten()
        .map(|variable| (variable.name.clone(), variable.value.as_deref().unwrap().replace(MOUNT, here)))
        .collect();
    load(None, environment.into_iter()).unwrap_or_else(|errors| panic!("the relay refuses its settings: {errors}"))
}

/// The files of a volume, from our objects or those of the user.
fn files(volume: &Volume, objects: &Objects) -> BTreeMap<String, Vec<u8>> {
    let observed = observed();
    let secret = |name: &str| -> BTreeMap<String, Vec<u8>> {
        match &objects.secret {
            Some(own) if own.metadata.name.as_deref() == Some(name) => {
                own.data.clone().unwrap().into_iter().map(|(key, value)| (key, value.0)).collect()
            }
            _ => {
                let users = observed.secrets[name].clone().unwrap();
                users.into_iter().map(|(key, value)| (key, value.expose().to_vec())).collect()
            }
        }
    };
    let config_map = |name: &str| -> BTreeMap<String, Vec<u8>> {
        let own = &objects.config_map;
        let texts = if own.metadata.name.as_deref() == Some(name) {
            own.data.clone().unwrap()
        } else {
            observed.config_maps[name].clone().unwrap()
        };
        texts.into_iter().map(|(key, text)| (key, text.into_bytes())).collect()
    };
    let chosen =
        |all: BTreeMap<String, Vec<u8>>, items: &Option<Vec<k8s_openapi::api::core::v1::KeyToPath>>| match items {
            None => all,
            Some(items) => items.iter().map(|item| (item.path.clone(), all[&item.key].clone())).collect(),
        };
    if let Some(source) = &volume.secret {
        return chosen(secret(source.secret_name.as_deref().unwrap()), &source.items);
    }
    if let Some(source) = &volume.config_map {
        return chosen(config_map(&source.name), &source.items);
    }
    let sources = volume.projected.as_ref().unwrap().sources.iter().flatten();
    let secrets = sources.map(|source| source.secret.as_ref().unwrap());
    secrets.flat_map(|source| chosen(secret(&source.name), &source.items)).collect()
}

/// The full resource, changed.
fn changed(more: &Value) -> Value {
    let mut spec = full();
    merge(&mut spec, more);
    spec
}

fn hs256() -> Value {
    changed(&json!({"auth": {"mode": "hs256", "jwks": null, "hs256SecretRef": {"name": "shared", "key": "main"}}}))
}

#[test]
fn the_relay_takes_what_the_operator_writes_and_has_nothing_to_warn_of() {
    let direct = changed(&json!({"credentials": {"mode": "direct"}}));
    for spec in [minimal(), full(), direct, hs256()] {
        loaded(&objects(&spec, &observed()).unwrap());
    }
}

#[test]
fn every_field_arrives_at_its_setting() {
    let spec = full();
    let loaded = loaded(&objects(&spec, &observed()).unwrap());
    for (path, pointer) in FIELDS {
        let Some(wanted) = spec.pointer(pointer) else { continue };
        let setting = loaded.settings.iter().find(|setting| setting.path == *path).unwrap();
        let wanted = match wanted {
            Value::String(text) => text.clone(),
            Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
            other => other.to_string(),
        };
        assert_eq!(setting.value.as_ref(), Some(&wanted), "{path}");
        assert!(matches!(setting.source, Origin::File { .. }), "{path}");
    }
}

#[test]
fn every_setting_is_decided_by_a_field_the_operator_or_its_default() {
    let settings_of = |spec: &Value| loaded(&objects(spec, &observed()).unwrap()).settings;
    let written: Vec<_> = settings_of(&full()).into_iter().chain(settings_of(&hs256())).collect();
    for setting in SETTINGS {
        let path = setting.path;
        let homes = [
            FIELDS.iter().any(|(name, _)| *name == path),
            OPERATOR.contains(&path),
            DEFAULT_ONLY.iter().any(|(name, _)| *name == path),
        ];
        assert_eq!(
            homes.iter().filter(|is_home| **is_home).count(),
            1,
            "{path} belongs into exactly one list: {homes:?}"
        );
        let is_written =
            written.iter().any(|setting| setting.path == path && matches!(setting.source, Origin::File { .. }));
        assert_eq!(is_written, !homes[2], "{path}: written into the file?");
    }
    let listed = FIELDS.iter().map(|(name, _)| *name).chain(OPERATOR.iter().copied());
    for path in listed.chain(DEFAULT_ONLY.iter().map(|(name, _)| *name)) {
        assert!(find(path).is_some(), "{path} is no setting");
    }
}

/// The schema of a field of the spec.
fn schema_of(pointer: &str) -> Value {
    let definition = serde_json::to_value(ThreatRelay::crd()).unwrap();
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    let path = pointer.replace('/', "/properties/");
    definition.pointer(&format!("{spec}{path}")).unwrap_or_else(|| panic!("no field {pointer}")).clone()
}

#[test]
fn a_field_and_its_setting_have_the_same_default() {
    for (path, pointer) in FIELDS {
        let default = schema_of(pointer).get("default").cloned();
        let shown = default.map(|default| match default {
            Value::String(text) => text,
            Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
            other => other.to_string(),
        });
        let relays = find(path).unwrap().default;
        match *path {
            // No pod has a terminal.
            "log.format" => assert_eq!((shown.as_deref(), relays), (Some("json"), Some("auto"))),
            // Must be given.
            "auth.audiences" => assert_eq!((shown.as_deref(), relays), (Some(""), None)),
            _ => assert_eq!(shown.as_deref(), relays, "{path}"),
        }
    }
}

#[test]
fn a_field_takes_nothing_that_its_setting_refuses() {
    for (path, pointer) in FIELDS {
        let schema = schema_of(pointer);
        match find(path).unwrap().form {
            Form::Duration { zero, max } => {
                let rule = schema["x-kubernetes-validations"][0]["rule"].as_str().unwrap();
                assert!(rule.contains(&format!("duration(self) <= duration('{max}s')")), "{path}: {rule}");
                assert_eq!(rule.contains("> duration('0s')"), !zero, "{path}: {rule}");
            }
            Form::Count { min, max } => {
                let bound = |name: &str| schema[name].as_f64().unwrap();
                #[expect(clippy::cast_precision_loss, reason = "bounds are far below 2^52")]
                let (min, max) = (min as f64, max as f64);
                assert!(bound("minimum") >= min && bound("maximum") <= max, "{path}");
            }
            Form::OneOf(words) => {
                for word in schema["enum"].as_array().unwrap() {
                    assert!(words.contains(&word.as_str().unwrap()), "{path}: {word}");
                }
            }
            _ => {}
        }
    }
}

#[test]
fn a_pod_has_time_to_end_what_is_under_way() {
    let objects = objects(&minimal(), &observed()).unwrap();
    let config = loaded(&objects).config;
    let grace = objects.deployment.spec.unwrap().template.spec.unwrap().termination_grace_period_seconds.unwrap();
    let needed = (config.shutdown.lame_duck + config.shutdown.drain).as_secs();
    assert!(u64::try_from(grace).unwrap() >= needed + 5, "{grace} s for {needed} s");
}

#[test]
fn the_ports_of_the_pod_are_where_the_relay_listens() {
    let objects = objects(&minimal(), &observed()).unwrap();
    let config = loaded(&objects).config;
    let pod = objects.deployment.spec.unwrap().template.spec.unwrap();
    let ports: Vec<_> = pod.containers[0].ports.iter().flatten().map(|port| port.container_port).collect();
    assert_eq!(ports, [i32::from(config.listen.port()), i32::from(config.admin_listen.port())]);
}
