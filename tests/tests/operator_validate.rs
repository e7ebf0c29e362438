//! What is refused, what is only found wanting, and the number of pods on the way between fixed and autoscaled.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Secret, Service, ServiceAccount};
use kube::Resource;
use serde_json::{Value, json};
use tests::custom_resource::{full, merge, minimal, observed, policy, resource};
use threatrelay_operator::api::conditions::Reason;
use threatrelay_operator::observe::references;
use threatrelay_operator::observed::{Content, Observed, OptionalApis};
use threatrelay_operator::validate::{About, Certificates, Keys, Policy, Refused, Validated, validate};

fn changed(more: &Value) -> Value {
    let mut spec = full();
    merge(&mut spec, more);
    spec
}

fn validated(spec: &Value, observed: &Observed, policy: &Policy) -> Result<Validated, Refused> {
    validate(&resource(spec).unwrap(), observed, policy)
}

/// The findings of a spec in a changed cluster.
fn findings(spec: &Value, change: impl FnOnce(&mut Observed)) -> Vec<(About, Reason, String)> {
    let mut observed = observed();
    change(&mut observed);
    let validated = validated(spec, &observed, &policy()).unwrap();
    validated.findings.into_iter().map(|found| (found.about, found.reason, found.message)).collect()
}

fn content(text: &[u8]) -> BTreeMap<String, Content> {
    BTreeMap::from([("main".to_owned(), Content::from(text.to_vec()))])
}

#[test]
fn a_cluster_that_holds_everything_gives_no_finding() {
    assert_eq!(findings(&full(), |_| {}), []);
    assert_eq!(findings(&minimal(), |_| {}), []);
}

#[test]
fn the_keys_that_a_relay_gets_are_counted() {
    let in_direct_mode = json!({"credentials": {"mode": "direct"}});
    for (spec, expected) in [(minimal(), 0), (full(), 2), (changed(&in_direct_mode), 2)] {
        let validated = validated(&spec, &observed(), &policy()).unwrap();
        assert_eq!(validated.keys.count(&validated.spec), expected, "{:?}", validated.keys);
    }
}

#[test]
fn a_reference_that_leads_nowhere_is_named_with_the_next_step() {
    let keys =
        |names: &[&str]| Some(names.iter().map(|name| ((*name).to_owned(), Content::from(b"k".to_vec()))).collect());
    let otx = |secret: Option<BTreeMap<String, Content>>| {
        findings(&full(), |observed| drop(observed.secrets.insert("otx".into(), secret)))
    };
    for (secret, reason, message) in [
        (
            None,
            Reason::SecretNotFound,
            r#"Secret "soc/otx" is not there. Create it with the key "main", or correct spec.credentials.default.secretRef.name."#,
        ),
        (
            keys(&["apikey", "note"]),
            Reason::SecretKeyMissing,
            r#"Secret "soc/otx" has no key "main" (it has: "apikey", "note"). Correct spec.credentials.default.secretRef.key, or add the key."#,
        ),
        (
            keys(&[]),
            Reason::SecretKeyMissing,
            r#"Secret "soc/otx" has no key "main" (it is empty). Correct spec.credentials.default.secretRef.key, or add the key."#,
        ),
        (
            Some(content(b" \n")),
            Reason::SecretKeyEmpty,
            r#"key "main" of Secret "soc/otx" is empty. Write the value into it."#,
        ),
        (
            Some(content(b"two\nlines")),
            Reason::SecretKeyInvalid,
            r#"key "main" of Secret "soc/otx" holds what no OTX key has: spaces, several lines or other than ASCII. Write the bare key into it."#,
        ),
        (
            Some(content(b"\xff\xfe")),
            Reason::SecretKeyInvalid,
            r#"key "main" of Secret "soc/otx" holds what no OTX key has: spaces, several lines or other than ASCII. Write the bare key into it."#,
        ),
    ] {
        assert_eq!(otx(secret), [(About::Credentials, reason, message.to_owned())]);
    }
}

#[test]
fn other_references_are_looked_at_too() {
    let password = findings(&full(), |observed| drop(observed.secrets.insert("valkey".into(), None)));
    assert_eq!(password.iter().map(|found| found.1).collect::<Vec<_>>(), [Reason::SecretNotFound]);
    assert!(password[0].2.ends_with("spec.cache.shared.passwordSecretRef.name."), "{}", password[0].2);
    for (texts, reason) in [
        (None, Reason::ConfigMapNotFound),
        (Some(BTreeMap::new()), Reason::ConfigMapNotFound),
        (Some(BTreeMap::from([("bundle.pem".to_owned(), "no certificate".to_owned())])), Reason::ConfigMapKeyInvalid),
    ] {
        let found = findings(&full(), |observed| drop(observed.config_maps.insert("company-ca".into(), texts)));
        assert_eq!(found.iter().map(|found| found.1).collect::<Vec<_>>(), [reason]);
    }
}

#[test]
fn what_was_not_looked_at_is_believed_in_direct_mode_and_refused_to_managed_keys() {
    let unread = |observed: &mut Observed| observed.secrets.clear();
    assert_eq!(findings(&changed(&json!({"credentials": {"mode": "direct"}})), unread), []);
    let managed: Vec<_> = findings(&full(), unread).into_iter().map(|found| found.1).collect();
    assert_eq!(managed, [Reason::Forbidden, Reason::Forbidden]);
}

#[test]
fn missing_apis_leave_their_object_out_and_say_so() {
    let mut observed = observed();
    observed.apis = OptionalApis::default();
    let validated = validated(&full(), &observed, &policy()).unwrap();
    let found: Vec<_> = validated.findings.iter().map(|found| (found.about, found.reason)).collect();
    assert_eq!(
        found,
        [(About::Route, Reason::GatewayApiNotInstalled), (About::Monitoring, Reason::ServiceMonitorCrdMissing)]
    );
    assert!(!validated.has_http_route && !validated.has_service_monitor);
}

/// Metadata of a child that a resource with this uid controls.
fn controlled_by<K: Resource<DynamicType = ()> + Default>(uid: &str) -> K {
    let mut object = K::default();
    let owner = json!([{"apiVersion": "threatrelay.dev/v1alpha1", "kind": "ThreatRelay", "name": "soc-relay", "uid": uid, "controller": true}]);
    object.meta_mut().name = Some("soc-relay".to_owned());
    object.meta_mut().owner_references = serde_json::from_value(owner).unwrap();
    object
}

#[test]
fn an_object_of_someone_else_is_left_alone_and_named() {
    let mut observed = observed();
    observed.children.service_account = Some(controlled_by::<ServiceAccount>("7d1f"));
    validated(&full(), &observed, &policy()).unwrap();
    observed.children.service = Some(controlled_by::<Service>("an-earlier-life"));
    observed.children.service_account = Some(ServiceAccount::default());
    let refused = validated(&full(), &observed, &policy()).unwrap_err();
    assert_eq!(refused.reason, Reason::OwnershipConflict);
    assert!(
        refused.message.contains(r#"Service "soc-relay" in namespace "soc" belongs to someone else"#),
        "{refused}"
    );
    assert!(refused.message.starts_with("ServiceAccount"), "{refused}");
}

#[test]
fn an_object_that_is_not_wanted_may_be_anyones() {
    let mut observed = observed();
    observed.children.secret = Some(Secret::default());
    assert!(validated(&full(), &observed, &policy()).is_err());
    validated(&changed(&json!({"credentials": {"mode": "direct"}})), &observed, &policy()).unwrap();
}

#[test]
fn images_and_destinations_need_the_operators_leave() {
    let strict = Policy { allowed_destinations: vec![], allowed_repositories: vec![], ..policy() };
    let narrow = |more: &Value| {
        let mut spec = minimal();
        merge(&mut spec, more);
        spec
    };
    let allow = |destination: &str| Policy { allowed_destinations: vec![destination.to_owned()], ..strict.clone() };
    let url = narrow(&json!({"upstream": {"baseUrl": "https://otx.evil.example:8443"}}));
    for (spec, policy, refusal) in [
        (minimal(), strict.clone(), None),
        (narrow(&json!({"upstream": {"baseUrl": "https://otx.alienvault.com/api"}})), strict.clone(), None),
        (
            narrow(&json!({"upstream": {"baseUrl": "http://otx.alienvault.com"}})),
            strict.clone(),
            Some(Reason::DestinationNotAllowed),
        ),
        (
            narrow(&json!({"upstream": {"baseUrl": "http://otx.alienvault.com:443"}})),
            strict.clone(),
            Some(Reason::DestinationNotAllowed),
        ),
        (
            narrow(&json!({"upstream": {"proxy": "http://192.0.2.7:3128"}})),
            strict.clone(),
            Some(Reason::DestinationNotAllowed),
        ),
        (
            narrow(&json!({"cache": {"shared": {"url": "redis://valkey.soc.svc"}}})),
            strict.clone(),
            Some(Reason::DestinationNotAllowed),
        ),
        (
            narrow(&json!({"cache": {"shared": {"url": "redis://valkey.soc.svc"}}})),
            allow("valkey.soc.svc:6379"),
            None,
        ),
        (url.clone(), strict.clone(), Some(Reason::DestinationNotAllowed)),
        (url.clone(), allow("otx.evil.example"), None),
        (url.clone(), allow("*.example"), None),
        (url.clone(), allow("*"), None),
        (url.clone(), allow("evil.example"), Some(Reason::DestinationNotAllowed)),
        (url.clone(), allow("*evil.example"), Some(Reason::DestinationNotAllowed)),
        (url, allow("otx.evil.example:443"), Some(Reason::DestinationNotAllowed)),
        (narrow(&json!({"image": {"tag": "0.2.0"}})), strict.clone(), None),
        (
            narrow(&json!({"image": {"repository": "evil.example/relay"}})),
            strict.clone(),
            Some(Reason::ImageNotAllowed),
        ),
        (
            narrow(&json!({"image": {"repository": "registry.example.evil/relay"}})),
            Policy { allowed_repositories: vec!["registry.example/".into()], ..strict.clone() },
            Some(Reason::ImageNotAllowed),
        ),
        (narrow(&json!({"auth": {"jwksHosts": ["1.2.3"]}})), strict.clone(), Some(Reason::InvalidSpec)),
        (narrow(&json!({"auth": {"jwksHosts": ["jwks.example:70000"]}})), strict.clone(), Some(Reason::InvalidSpec)),
        (narrow(&json!({"auth": {"jwksHosts": ["jwks.example:443"]}})), strict.clone(), None),
    ] {
        let said = validated(&spec, &observed(), &policy).err().map(|refused| refused.reason);
        assert_eq!(said, refusal, "{spec}");
    }
}

#[test]
fn an_image_is_the_operators_changed_where_the_resource_says_so() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let own = format!("reg.example:5000/relay:1.0@{digest}");
    let policy =
        Policy { image: own.clone(), allowed_repositories: vec!["reg.example:5000/other".into()], ..policy() };
    for (image, expected) in [
        (json!(null), own.clone()),
        (json!({}), own.clone()),
        (json!({"tag": "2.0"}), "reg.example:5000/relay:2.0".to_owned()),
        (json!({"digest": digest}), format!("reg.example:5000/relay@{digest}")),
        (json!({"repository": "reg.example:5000/other"}), format!("reg.example:5000/other:1.0@{digest}")),
    ] {
        let validated = validated(&changed(&json!({"image": null})), &observed(), &policy).unwrap();
        let spec = if image.is_null() {
            validated.spec
        } else {
            let mut spec = validated.spec;
            spec.image = serde_json::from_value(image).unwrap();
            spec
        };
        let again = validate(&resource(&serde_json::to_value(spec).unwrap()).unwrap(), &observed(), &policy).unwrap();
        assert_eq!(again.image.reference, expected);
    }
}

#[test]
fn a_key_that_cannot_be_had_keeps_the_value_it_has() {
    let mut own = controlled_by::<Secret>("7d1f");
    own.data = Some(
        [("default", "old"), ("team-a", "old-a"), ("gone", "x")]
            .map(|(name, value)| (name.to_owned(), ByteString(value.as_bytes().to_vec())))
            .into(),
    );
    let mut observed = observed();
    observed.children.secret = Some(own);
    observed.secrets.insert("otx".into(), None);
    observed
        .secrets
        .insert("otx-teams".into(), Some(BTreeMap::from([("a".to_owned(), Content::from(b"new-a\r\n".to_vec()))])));
    let Keys::Managed(files) = validated(&full(), &observed, &policy()).unwrap().keys else { unreachable!() };
    let files: Vec<_> = files.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(files, [("default", &b"old"[..]), ("team-a", b"new-a")]);
}

#[test]
fn certificates_that_are_missing_roll_no_pod() {
    let mut observed = observed();
    observed.config_maps.insert("company-ca".into(), None);
    let mut live = controlled_by::<Deployment>("7d1f");
    let template = json!({"metadata": {"annotations": {"threatrelay.dev/ca-hash": "digest-of-before"}}});
    live.spec = serde_json::from_value(json!({"selector": {}, "template": template})).unwrap();
    observed.children.deployment = Some(live);
    let ca = validated(&full(), &observed, &policy()).unwrap().ca;
    assert_eq!(ca, Certificates::Missing(Some("digest-of-before".to_owned())));
}

#[test]
fn every_object_that_a_resource_names_is_read() {
    fn names(place: &str, value: &Value, found: &mut Vec<String>) {
        if place == "secretRef" || place.ends_with("SecretRef") || place == "configMapRef" {
            found.push(value["name"].as_str().unwrap().to_owned());
        }
        match value {
            Value::Object(fields) => fields.iter().for_each(|(place, value)| names(place, value, found)),
            Value::Array(items) => items.iter().for_each(|item| names("", item, found)),
            _ => {}
        }
    }
    let hs256 = json!({"auth": {"mode": "hs256", "jwks": null, "hs256SecretRef": {"name": "shared", "key": "main"}}});
    for spec in [full(), changed(&hs256)] {
        let mut named = Vec::new();
        names("", &spec, &mut named);
        let read = references(&resource(&spec).unwrap()).into_iter().map(|reference| reference.name);
        let (mut named, mut read) = (named, read.collect::<Vec<_>>());
        named.sort();
        read.sort();
        assert_eq!(read, named);
        assert!(read.len() >= 5, "{read:?}");
    }
}

#[test]
fn a_secret_is_in_no_message_and_in_no_debug_text() {
    let mut observed = observed();
    for secret in observed.secrets.values_mut() {
        for content in secret.iter_mut().flat_map(BTreeMap::values_mut) {
            *content = Content::from(b"canary canary".to_vec());
        }
    }
    let validated = validated(&full(), &observed, &policy()).unwrap();
    assert_eq!(validated.findings.len(), 2);
    assert!(!format!("{observed:?}{validated:?}").contains("canary"));
}
