//! The relay's configuration file: every setting that a field of the resource decides, and those that the pod decides.
//! What is not here has the relay's own default.

use serde::Serialize;

use super::{ADMIN_PORT, HTTP_PORT};
use crate::api::v1alpha1::AuthMode;
use crate::validate::{Certificates, Keys, Validated};

/// Folder of all mounted files.
pub const MOUNT: &str = "/etc/threatrelay";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Settings<'a> {
    listen: String,
    admin_listen: String,
    answers: &'static str,
    otx: Otx<'a>,
    auth: Auth<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_ca_file: Option<String>,
    cache: Cache<'a>,
    shutdown: Shutdown,
    #[serde(skip_serializing_if = "Option::is_none")]
    telemetry: Option<Telemetry<'a>>,
    log: Log<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Otx<'a> {
    base_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    web_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys_dir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<&'a str>,
    connect_timeout: &'a str,
    call_timeout: &'a str,
    deadline: &'a str,
    hourly_budget: i32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Auth<'a> {
    mode: &'static str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    audiences: &'a [String],
    jwks_hosts: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_file: Option<String>,
    require_exp: bool,
    leeway: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hs256_secret_file: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cache<'a> {
    enabled: bool,
    max_bytes: i64,
    general_ttl: &'a str,
    negative_ttl: &'a str,
    listing_ttl: &'a str,
    max_stale: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    shared: Option<Shared<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shared<'a> {
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_file: Option<String>,
    timeout: &'a str,
}

/// Both together end well before the pod's grace period does.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shutdown {
    lame_duck: &'static str,
    drain: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Telemetry<'a> {
    otlp: Otlp<'a>,
    sample_ratio: &'a str,
    record_observables: bool,
    trust_traceparent: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Otlp<'a> {
    endpoint: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers_file: Option<String>,
}

#[derive(Serialize)]
struct Log<'a> {
    level: &'a str,
    format: &'static str,
}

/// The text of the file.
pub(super) fn text(validated: &Validated) -> String {
    let spec = &validated.spec;
    let (upstream, auth, cache) = (&spec.upstream, &spec.auth, &spec.cache);
    let file = |path: &str| format!("{MOUNT}/{path}");
    let settings = Settings {
        listen: format!("0.0.0.0:{HTTP_PORT}"),
        admin_listen: format!("0.0.0.0:{ADMIN_PORT}"),
        answers: spec.answers.word(),
        otx: Otx {
            base_url: &upstream.base_url,
            web_url: upstream.web_url.as_deref(),
            keys_dir: (validated.keys != Keys::InTokens).then(|| file("keys")),
            proxy: upstream.proxy.as_deref(),
            connect_timeout: &upstream.connect_timeout,
            call_timeout: &upstream.call_timeout,
            deadline: &upstream.deadline,
            hourly_budget: upstream.hourly_budget,
        },
        auth: Auth {
            mode: match auth.mode {
                AuthMode::Jwks => "jwks",
                AuthMode::Hs256 => "hs256",
            },
            audiences: &auth.audiences,
            jwks_hosts: &auth.jwks_hosts,
            jwks_file: auth.jwks.as_ref().map(|_| file("config/jwks.json")),
            require_exp: auth.require_exp,
            leeway: &auth.leeway,
            hs256_secret_file: auth.hs256_secret_ref.as_ref().map(|_| file("hs256/secret")),
        },
        extra_ca_file: (validated.ca != Certificates::None).then(|| file("ca/ca.crt")),
        cache: Cache {
            enabled: cache.enabled,
            max_bytes: cache.max_bytes,
            general_ttl: &cache.general_ttl,
            negative_ttl: &cache.negative_ttl,
            listing_ttl: &cache.listing_ttl,
            max_stale: &cache.max_stale,
            shared: cache.shared.as_ref().map(|shared| Shared {
                url: &shared.url,
                password_file: shared.password_secret_ref.as_ref().map(|_| file("shared-cache/password")),
                timeout: &shared.timeout,
            }),
        },
        shutdown: Shutdown { lame_duck: "5s", drain: "25s" },
        telemetry: spec.telemetry.as_ref().map(|telemetry| Telemetry {
            otlp: Otlp {
                endpoint: &telemetry.otlp.endpoint,
                headers_file: telemetry.otlp.headers_secret_ref.as_ref().map(|_| file("otlp/headers")),
            },
            sample_ratio: &telemetry.sample_ratio,
            record_observables: telemetry.record_observables,
            trust_traceparent: telemetry.trust_traceparent,
        }),
        log: Log { level: &spec.log.level, format: spec.log.format.word() },
    };
    // Texts, numbers and switches: there is nothing that YAML could not hold.
    serde_saphyr::to_string(&settings).unwrap_or_default()
}
