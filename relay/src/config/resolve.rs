//! From given texts to a valid [`Config`]: defaults filled in, every value read in its form, the rules between
//! settings checked. All problems are collected; a `Config` comes out only when there is none.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderValue;
use url::Url;

use super::form::{Text, Value};
use super::problem::{Errors, Origin, Problem};
use super::raw::Given;
use super::table::{SETTINGS, Setting, find};
use super::{
    Answers, Auth, AuthMode, Cache, Config, EffectiveSetting, Filter, Jwks, Limits, Loaded, Log, LogFormat, Otlp,
    Otx, Page, SharedCache, Shutdown, Telemetry, Verdict,
};
use crate::auth::resolver::is_public;
use crate::ctim::Tlp;

const PARITY: &str = "has no effect while answers is parity";
const UNTRACED: &str = "has no effect without telemetry.otlp.endpoint";
/// Shortest HS256 secret without a warning, in bytes (RFC 7518 section 3.2).
const HS256_BYTES: u64 = 32;

/// Reads every setting and joins them to a [`Config`].
///
/// # Errors
/// All problems, those of the sources first.
pub fn resolve(given: &Given, mut problems: Vec<Problem>) -> Result<Loaded, Errors> {
    let values = Values::read(given, &mut problems);
    values.check_together(&mut problems);
    if !problems.is_empty() {
        return Err(Errors(problems));
    }
    Ok(Loaded { config: values.config()?, warnings: values.warnings()?, settings: values.settings() })
}

/// Values by path, each with the text it was read from; a setting without one is absent.
struct Values(BTreeMap<&'static str, (Value, Text, Origin)>);

impl Values {
    fn read(given: &Given, problems: &mut Vec<Problem>) -> Self {
        let mut values = BTreeMap::new();
        for setting in SETTINGS {
            let default = || setting.default.map(|text| (Text::One(text.to_owned()), Origin::Default));
            let Some((text, origin)) = given.get(setting.path).cloned().or_else(default) else { continue };
            match setting.form.parse(&text) {
                Ok(value) => {
                    values.insert(setting.path, (value, text, origin));
                }
                Err(why) => problems.push(Problem::Invalid { setting, origin, why }),
            }
        }
        Self(values)
    }

    fn optional<T: FromValue>(&self, path: &'static str) -> Result<Option<T>, Problem> {
        match self.0.get(path) {
            Some((value, ..)) => T::from_value(value).map(Some).ok_or(Problem::Table { path }),
            None => Ok(None),
        }
    }

    fn get<T: FromValue>(&self, path: &'static str) -> Result<T, Problem> {
        self.optional(path)?.ok_or(Problem::Table { path })
    }

    fn is_given(&self, path: &str) -> bool {
        self.0.get(path).is_some_and(|(_, _, origin)| *origin != Origin::Default)
    }

    /// The rules between settings. A setting that was refused by itself takes part in none.
    fn check_together(&self, problems: &mut Vec<Problem>) {
        let refused = |problems: &[Problem], path: &str| {
            problems.iter().any(|problem| matches!(problem, Problem::Invalid { setting, .. } if setting.path == path))
        };
        // Half a file is read like a whole one; what seems to be missing may stand in the other half.
        let is_whole = !problems.iter().any(|p| matches!(p, Problem::Unreadable { .. } | Problem::NotYaml { .. }));
        let mode: Option<&str> = self.optional("auth.mode").ok().flatten().filter(|_| is_whole);
        let needed = [
            (
                "jwks",
                "auth.audiences",
                "without it a token made for another relay would be accepted here",
                "https://relay.example.com, the origin that module_type.json names",
            ),
            ("hs256", "auth.hs256SecretFile", "hs256 mode verifies tokens with it", "/etc/threatrelay/hs256/secret"),
        ];
        for (in_mode, path, why, example) in needed {
            if mode == Some(in_mode)
                && !self.0.contains_key(path)
                && !refused(problems, path)
                && let Some(setting) = find(path)
            {
                problems.push(Problem::Missing { setting, why, example });
            }
        }
        if let (Ok(Some(false)), Ok(Some(hosts)), false) = (
            self.optional("auth.allowPrivateJwks"),
            self.optional::<Vec<String>>("auth.jwksHosts"),
            self.0.contains_key("auth.jwksFile"),
        ) {
            for host in hosts.iter().filter(|host| ip_of(host).is_some_and(|ip| !is_public(ip))) {
                self.conflict(
                    "auth.jwksHosts",
                    problems,
                    format!("{host} is not public; set auth.allowPrivateJwks to true if it is meant"),
                );
            }
        }
        if let (Ok(Some(listen)), Ok(Some(admin))) =
            (self.optional::<SocketAddr>("listen"), self.optional::<SocketAddr>("adminListen"))
            && listen.port() == admin.port()
            && listen.port() != 0
            && (listen.ip() == admin.ip() || listen.ip().is_unspecified() || admin.ip().is_unspecified())
        {
            self.conflict(
                "adminListen",
                problems,
                format!("{admin} and listen {listen} take the same port; give one of them another"),
            );
        }
    }

    fn conflict(&self, path: &str, problems: &mut Vec<Problem>, why: String) {
        if let (Some(setting), Some((_, _, origin))) = (find(path), self.0.get(path)) {
            problems.push(Problem::Conflict { setting, origin: origin.clone(), why });
        }
    }

    fn warnings(&self) -> Result<Vec<String>, Problem> {
        let mut warnings = Vec::new();
        let mut warn = |path: &str, why: &str| {
            if let Some(setting) = find(path) {
                warnings.push(format!("{} ({}): {why}", setting.path, setting.variable()));
            }
        };
        if self.get::<Url>("otx.baseUrl")?.scheme() == "http" {
            warn("otx.baseUrl", "is plain http, so OTX keys travel unencrypted; use https outside of tests");
        }
        let mode: &str = self.get("auth.mode")?;
        let parity = self.get::<&str>("answers")? == "parity";
        let untraced = !self.is_given("telemetry.otlp.endpoint");
        let idle = [
            ("auth.hs256SecretFile", mode == "jwks", "has no effect in jwks mode"),
            ("auth.audiences", mode == "hs256", "has no effect in hs256 mode"),
            ("auth.jwksFile", mode == "hs256", "has no effect in hs256 mode"),
            ("auth.jwksHosts", mode == "hs256", "has no effect in hs256 mode"),
            (
                "auth.jwksHosts",
                mode == "jwks" && self.is_given("auth.jwksFile"),
                "has no effect beside auth.jwksFile",
            ),
            ("cache.shared.url", !self.get("cache.enabled")?, "has no effect while cache.enabled is false"),
            (
                "cache.shared.passwordFile",
                !self.is_given("cache.shared.url"),
                "has no effect without cache.shared.url",
            ),
            ("filter.authors", parity, PARITY),
            ("filter.ignoredAuthors", parity, PARITY),
            ("filter.maxAgeDays", parity, PARITY),
            ("filter.tlp", parity, PARITY),
            ("filter.subscribedOnly", parity, PARITY),
            ("verdict.trustedAuthors", parity, PARITY),
            ("otx.passiveDns", parity, PARITY),
            ("telemetry.otlp.headersFile", untraced, UNTRACED),
            ("telemetry.sampleRatio", untraced, UNTRACED),
            ("telemetry.recordObservables", untraced, UNTRACED),
            ("telemetry.trustTraceparent", untraced, UNTRACED),
        ];
        for (path, has_no_effect, why) in idle {
            if has_no_effect && self.is_given(path) {
                warn(path, why);
            }
        }
        if let Some(secret) = self.optional::<PathBuf>("auth.hs256SecretFile")?
            && mode == "hs256"
            && secret.metadata().is_ok_and(|file| file.len() < HS256_BYTES)
        {
            warn("auth.hs256SecretFile", "holds fewer than 32 bytes, which can be guessed; use 64 random characters");
        }
        Ok(warnings)
    }

    fn settings(&self) -> Vec<EffectiveSetting> {
        let setting = |setting: &Setting| {
            let shown = match setting.path {
                "otx.webUrl" if !self.0.contains_key(setting.path) => "otx.baseUrl",
                path => path,
            };
            EffectiveSetting {
                path: setting.path,
                variable: setting.variable(),
                value: self.0.get(shown).map(|(_, text, _)| text.to_string()),
                source: self.0.get(setting.path).map_or(Origin::Default, |(_, _, origin)| origin.clone()),
            }
        };
        SETTINGS.iter().map(setting).collect()
    }

    fn config(&self) -> Result<Config, Problem> {
        let base_url: Url = self.get("otx.baseUrl")?;
        let is_parity = self.get::<&str>("answers")? == "parity";
        Ok(Config {
            listen: self.get("listen")?,
            admin_listen: self.get("adminListen")?,
            answers: match self.get("answers")? {
                "rich" => Answers::Rich,
                _ => Answers::Parity,
            },
            filter: self.filter()?,
            verdict: Verdict { trusted_authors: self.get("verdict.trustedAuthors")? },
            page: Page { lookup: self.get("page.lookup")? },
            otx: Otx {
                web_url: self.optional("otx.webUrl")?.unwrap_or_else(|| base_url.clone()),
                base_url,
                keys_dir: self.optional("otx.keysDir")?,
                user_agent: self.get("otx.userAgent")?,
                proxy: self.optional("otx.proxy")?,
                connect_timeout: self.get("otx.connectTimeout")?,
                call_timeout: self.get("otx.callTimeout")?,
                deadline: self.get("otx.deadline")?,
                hourly_budget: self.get("otx.hourlyBudget")?,
                max_concurrent_calls: self.get("otx.maxConcurrentCalls")?,
                max_concurrent_calls_per_key: self.get("otx.maxConcurrentCallsPerKey")?,
                max_attempts: self.get("otx.maxAttempts")?,
                hedge_after: self.optional("otx.hedgeAfter")?,
                passive_dns: if is_parity { 0 } else { self.get("otx.passiveDns")? },
                page_size: self.get("otx.pageSize")?,
                max_answer_bytes: self.get("otx.maxAnswerBytes")?,
                max_page_bytes: self.get("otx.maxPageBytes")?,
            },
            auth: Auth {
                mode: self.auth_mode()?,
                require_exp: self.get("auth.requireExp")?,
                leeway: self.get("auth.leeway")?,
            },
            extra_ca_file: self.optional("extraCaFile")?,
            cache: Cache {
                enabled: self.get("cache.enabled")?,
                max_bytes: self.get("cache.maxBytes")?,
                general_ttl: self.get("cache.generalTtl")?,
                negative_ttl: self.get("cache.negativeTtl")?,
                listing_ttl: self.get("cache.listingTtl")?,
                max_stale: self.get("cache.maxStale")?,
                shared: self.shared_cache()?,
            },
            limits: Limits {
                body_bytes: self.get("limits.bodyBytes")?,
                uri_bytes: self.get("limits.uriBytes")?,
                header_bytes: self.get("limits.headerBytes")?,
                header_count: self.get("limits.headerCount")?,
                observables: self.get("limits.observables")?,
                connections: self.get("limits.connections")?,
                concurrent_requests: self.get("limits.concurrentRequests")?,
                header_timeout: self.get("limits.headerTimeout")?,
                body_timeout: self.get("limits.bodyTimeout")?,
                idle_timeout: self.get("limits.idleTimeout")?,
            },
            shutdown: Shutdown { lame_duck: self.get("shutdown.lameDuck")?, drain: self.get("shutdown.drain")? },
            telemetry: Telemetry {
                otlp: self.otlp()?,
                sample_ratio: self.get("telemetry.sampleRatio")?,
                record_observables: self.get("telemetry.recordObservables")?,
                trust_traceparent: self.get("telemetry.trustTraceparent")?,
            },
            log: Log {
                level: self.get("log.level")?,
                format: match self.get("log.format")? {
                    "json" => LogFormat::Json,
                    "text" => LogFormat::Text,
                    _ => LogFormat::Auto,
                },
            },
        })
    }

    /// Parity shows what the original showed.
    fn filter(&self) -> Result<Filter, Problem> {
        if self.get::<&str>("answers")? == "parity" {
            return Ok(Filter::default());
        }
        Ok(Filter {
            authors: self.optional("filter.authors")?.unwrap_or_default(),
            ignored_authors: self.optional("filter.ignoredAuthors")?.unwrap_or_default(),
            max_age_days: self.optional("filter.maxAgeDays")?,
            tlp: self.optional::<&str>("filter.tlp")?.and_then(Tlp::parse),
            subscribed_only: self.get("filter.subscribedOnly")?,
        })
    }

    fn auth_mode(&self) -> Result<AuthMode, Problem> {
        if self.get::<&str>("auth.mode")? == "hs256" {
            return Ok(AuthMode::Hs256 { secret_file: self.get("auth.hs256SecretFile")? });
        }
        Ok(AuthMode::Jwks(Jwks {
            audiences: self.get("auth.audiences")?,
            hosts: self.get("auth.jwksHosts")?,
            file: self.optional("auth.jwksFile")?,
            allow_private: self.get("auth.allowPrivateJwks")?,
            timeout: self.get("auth.jwksTimeout")?,
            ttl: self.get("auth.jwksTtl")?,
            max_stale: self.get("auth.jwksMaxStale")?,
            cooldown: self.get("auth.jwksCooldown")?,
        }))
    }

    fn otlp(&self) -> Result<Option<Otlp>, Problem> {
        let Some(endpoint) = self.optional("telemetry.otlp.endpoint")? else { return Ok(None) };
        Ok(Some(Otlp { endpoint, headers_file: self.optional("telemetry.otlp.headersFile")? }))
    }

    fn shared_cache(&self) -> Result<Option<SharedCache>, Problem> {
        let Some(url) = self.optional("cache.shared.url")? else { return Ok(None) };
        Ok(Some(SharedCache {
            url,
            password_file: self.optional("cache.shared.passwordFile")?,
            timeout: self.get("cache.shared.timeout")?,
        }))
    }
}

/// The address of a `host` or `host:port` entry that is no name.
fn ip_of(host: &str) -> Option<IpAddr> {
    let literal = |text: &str| text.trim_matches(['[', ']']).parse().ok();
    literal(host).or_else(|| host.rsplit_once(':').and_then(|(host, _)| literal(host)))
}

/// The types a [`Value`] can give; `None` when the table says otherwise.
trait FromValue: Sized {
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! from_value {
    ($($variant:ident => $($type:ty),+);+ $(;)?) => {$($(
        impl FromValue for $type {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::$variant(inner) => inner.clone().try_into().ok(),
                    _ => None,
                }
            }
        }
    )+)+};
}

from_value! {
    Address => SocketAddr;
    Word => &'static str;
    Url => Url;
    Path => PathBuf;
    Header => HeaderValue;
    Filter => String;
    Duration => Duration;
    Count => u32, u64, usize;
    Switch => bool;
    Ratio => f64;
    List => Vec<String>;
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
