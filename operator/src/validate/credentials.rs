//! Where references to Secrets and `ConfigMap`s lead. What leads nowhere is named with what is there instead and the
//! next step; an OTX key that cannot be had keeps the value that our own Secret has for it.

use std::collections::BTreeMap;

use super::{About, Certificates, Finding, Keys, Owner};
use crate::api::ThreatRelaySpec;
use crate::api::conditions::Reason;
use crate::api::v1alpha1::{CredentialsMode, KeyRef};
use crate::build::annotations::{CA_HASH, digest};
use crate::observed::{Content, Observed};
use crate::validate::ownership::is_owned;

/// The file of callers whose token names no key.
const DEFAULT_FILE: &str = "default";

/// Every OTX key of a resource: its file, where it is, and the field that says so.
#[must_use]
pub fn references(spec: &ThreatRelaySpec) -> Vec<(&str, &KeyRef, String)> {
    let Some(credentials) = &spec.credentials else { return Vec::new() };
    let default = credentials
        .default
        .iter()
        .map(|key| (DEFAULT_FILE, &key.secret_ref, "spec.credentials.default.secretRef".to_owned()));
    let named = credentials
        .named
        .iter()
        .map(|key| (key.name.as_str(), &key.secret_ref, format!("spec.credentials.named[{}].secretRef", key.name)));
    default.chain(named).collect()
}

pub(super) fn keys(owner: &Owner, spec: &ThreatRelaySpec, observed: &Observed, findings: &mut Vec<Finding>) -> Keys {
    let Some(credentials) = &spec.credentials else { return Keys::InTokens };
    if credentials.mode == CredentialsMode::Direct {
        for (_, reference, field) in references(spec) {
            findings.extend(look(owner, reference, &field, observed).and_then(|found| check_key(&found)).err());
        }
        return Keys::Direct;
    }
    let own = observed.children.secret.as_ref().filter(|secret| is_owned(*secret, &owner.uid));
    let mut files = BTreeMap::new();
    for (file, reference, field) in references(spec) {
        let found = look(owner, reference, &field, observed).and_then(|found| {
            check_key(&found)?;
            found.content.ok_or_else(|| {
                let message =
                    format!("{field}: the operator does not read Secrets. Set spec.credentials.mode to direct.");
                finding(Reason::Forbidden, message)
            })
        });
        let content = match found {
            Ok(content) => Some(Content::from(without_last_break(content.expose()).to_vec())),
            Err(finding) => {
                findings.push(finding);
                let live = own.and_then(|secret| secret.data.as_ref()?.get(file));
                live.map(|live| Content::from(live.0.clone()))
            }
        };
        files.extend(content.map(|content| (file.to_owned(), content)));
    }
    Keys::Managed(files)
}

/// Secrets that pods mount themselves in every mode, with the fields that name them: the shared secret of `hs256`, the
/// password of the shared cache, the headers for the collector of traces.
pub fn mounted(spec: &ThreatRelaySpec) -> impl Iterator<Item = (&KeyRef, &'static str)> {
    let password = spec.cache.shared.as_ref().and_then(|shared| shared.password_secret_ref.as_ref());
    let headers = spec.telemetry.as_ref().and_then(|telemetry| telemetry.otlp.headers_secret_ref.as_ref());
    let all = [
        (spec.auth.hs256_secret_ref.as_ref(), "spec.auth.hs256SecretRef"),
        (password, "spec.cache.shared.passwordSecretRef"),
        (headers, "spec.telemetry.otlp.headersSecretRef"),
    ];
    all.into_iter().filter_map(|(reference, field)| Some((reference?, field)))
}

/// Whether they are there.
pub(super) fn check_mounted(owner: &Owner, spec: &ThreatRelaySpec, observed: &Observed, findings: &mut Vec<Finding>) {
    for (reference, field) in mounted(spec) {
        findings.extend(look(owner, reference, field, observed).and_then(|found| check_not_empty(&found)).err());
    }
}

pub(super) fn certificates(
    owner: &Owner,
    spec: &ThreatRelaySpec,
    observed: &Observed,
    findings: &mut Vec<Finding>,
) -> Certificates {
    let Some(bundle) = &spec.upstream.ca_bundle else { return Certificates::None };
    let reference = &bundle.config_map_ref;
    let at = format!("ConfigMap {:?}", format!("{}/{}", owner.namespace, reference.name));
    let field = "spec.upstream.caBundle.configMapRef";
    let (reason, message) = match observed.config_maps.get(&reference.name) {
        None => return Certificates::Missing(live_ca_hash(observed)),
        Some(None) => (Reason::ConfigMapNotFound, format!("{at} is not there. Create it, or correct {field}.name.")),
        Some(Some(texts)) => match texts.get(&reference.key) {
            None => (Reason::ConfigMapNotFound, missing_key(&at, &reference.key, texts.keys(), field)),
            Some(text) if !text.contains("-----BEGIN CERTIFICATE-----") => (
                Reason::ConfigMapKeyInvalid,
                format!("key {:?} of {at} holds no PEM certificate. Write one into it.", reference.key),
            ),
            Some(text) => return Certificates::Known(digest([text.as_bytes()])),
        },
    };
    findings.push(finding(reason, message));
    Certificates::Missing(live_ca_hash(observed))
}

fn live_ca_hash(observed: &Observed) -> Option<String> {
    let template = &observed.children.deployment.as_ref()?.spec.as_ref()?.template;
    template.metadata.as_ref()?.annotations.as_ref()?.get(CA_HASH).cloned()
}

/// What a reference leads to: nothing to say about a Secret that was not looked at.
struct Found<'a> {
    at: String,
    content: Option<&'a Content>,
}

fn look<'a>(owner: &Owner, reference: &KeyRef, field: &str, observed: &'a Observed) -> Result<Found<'a>, Finding> {
    let KeyRef { name, key } = reference;
    let secret = format!("Secret {:?}", format!("{}/{name}", owner.namespace));
    let at = format!("key {key:?} of {secret}");
    match observed.secrets.get(name) {
        None => Ok(Found { at, content: None }),
        Some(None) => Err(finding(
            Reason::SecretNotFound,
            format!("{secret} is not there. Create it with the key {key:?}, or correct {field}.name."),
        )),
        Some(Some(keys)) => match keys.get(key) {
            Some(content) => Ok(Found { at, content: Some(content) }),
            None => Err(finding(Reason::SecretKeyMissing, missing_key(&secret, key, keys.keys(), field))),
        },
    }
}

fn check_not_empty(found: &Found<'_>) -> Result<(), Finding> {
    match found.content.map(Content::expose) {
        Some(bytes) if bytes.trim_ascii().is_empty() => {
            Err(finding(Reason::SecretKeyEmpty, format!("{} is empty. Write the value into it.", found.at)))
        }
        _ => Ok(()),
    }
}

/// What the relay takes as a key: visible ASCII in one line.
fn check_key(found: &Found<'_>) -> Result<(), Finding> {
    check_not_empty(found)?;
    match found.content.map(Content::expose) {
        Some(bytes) if !without_last_break(bytes).iter().all(u8::is_ascii_graphic) => Err(finding(
            Reason::SecretKeyInvalid,
            format!(
                "{} holds what no OTX key has: spaces, several lines or other than ASCII. Write the bare key into it.",
                found.at
            ),
        )),
        _ => Ok(()),
    }
}

fn without_last_break(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

fn missing_key<'a>(at: &str, key: &str, there: impl Iterator<Item = &'a String>, field: &str) -> String {
    let there: Vec<String> = there.map(|name| format!("{name:?}")).collect();
    let there = if there.is_empty() { "it is empty".to_owned() } else { format!("it has: {}", there.join(", ")) };
    format!("{at} has no key {key:?} ({there}). Correct {field}.key, or add the key.")
}

fn finding(reason: Reason, message: String) -> Finding {
    Finding { about: About::Credentials, reason, message }
}
