//! Every setting of the relay, in one table: its path, default, allowed form and meaning. The sources are checked
//! against it, the effective configuration is printed from it, and the documentation page is generated from it.
//! It is data and fails at nothing.

use super::form::Form;

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its place in the YAML file, e.g. `otx.baseUrl`.
    pub path: &'static str,
    /// Its value when no source gives one, in the form a source would use.
    pub default: Option<&'static str>,
    /// What is allowed.
    pub form: Form,
    /// What it is for, in one sentence.
    pub meaning: &'static str,
}

/// Start of the name of every environment variable the relay reads.
pub const PREFIX: &str = "THREATRELAY_";

impl Setting {
    /// The environment variable of this setting: `otx.baseUrl` is `THREATRELAY_OTX_BASE_URL`.
    #[must_use]
    pub fn variable(&self) -> String {
        let mut name = PREFIX.to_owned();
        for c in self.path.chars() {
            match c {
                '.' => name.push('_'),
                c if c.is_ascii_uppercase() => name.extend(['_', c]),
                c => name.push(c.to_ascii_uppercase()),
            }
        }
        name
    }
}

const fn row(path: &'static str, default: &'static str, form: Form, meaning: &'static str) -> Setting {
    Setting { path, default: Some(default), form, meaning }
}

const fn unset(path: &'static str, form: Form, meaning: &'static str) -> Setting {
    Setting { path, default: None, form, meaning }
}

const fn up_to(max: u64) -> Form {
    Form::Duration { zero: false, max }
}

const fn count(min: u64, max: u64) -> Form {
    Form::Count { min, max }
}

const WEB: &[&str] = &["https", "http"];
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// All settings, in the order they are documented.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    row("listen", "0.0.0.0:9090", Form::Address, "Address of the relay endpoints."),
    row("adminListen", "0.0.0.0:9091", Form::Address, "Address of probes, metrics and the log level."),
    row("answers", "rich", Form::OneOf(&["parity", "rich"]),
        "How much an answer says: `parity` gives exactly the original relay's documents, `rich` more of what OTX knows."),

    unset("filter.authors", Form::List, "Only pulses of these authors are shown; those of all when not set."),
    unset("filter.ignoredAuthors", Form::List, "Pulses of these authors are not shown."),
    unset("filter.maxAgeDays", count(1, 36_500), "Pulses that have not changed for so many days are not shown."),
    unset("filter.tlp", Form::OneOf(&["white", "green", "amber", "red"]),
        "Pulses of a more restricted colour than this are not shown; one without a colour counts as red."),
    row("filter.subscribedOnly", "false", Form::Switch,
        "Whether only pulses are shown that the key's OTX account subscribes to, by themselves or by their author."),
    row("verdict.trustedAuthors", "AlienVault", Form::List,
        "Authors whose pulse alone suffices to call an observable malicious."),

    row("page.lookup", "false", Form::Switch,
        "Whether the page at `/` has a form to look up one observable with a token."),

    row("otx.baseUrl", "https://otx.alienvault.com", Form::Url(WEB),
        "Origin of the OTX API, with an optional path prefix; plain `http` is allowed with a warning at start."),
    unset("otx.webUrl", Form::Url(WEB), "Origin of the links for people; `otx.baseUrl` when not set."),
    unset("otx.keysDir", Form::Directory,
        "Directory with one OTX key a file, used instead of the key in the token: the file `default`, or the one that the token's claim `key_ref` names."),
    row("otx.userAgent", "SecureX Threat Response Integrations <tr-integrations-support@cisco.com>", Form::Header,
        "`User-Agent` sent to OTX."),
    unset("otx.proxy", Form::Url(WEB), "HTTP proxy on the way to OTX."),
    row("otx.connectTimeout", "2s", up_to(MINUTE), "Time to a TCP and TLS connection."),
    row("otx.callTimeout", "10s", up_to(5 * MINUTE), "Time for one call to OTX, body included."),
    row("otx.deadline", "25s", up_to(5 * MINUTE), "Time for all calls of one relay request."),
    row("otx.hourlyBudget", "10000", count(1, 10_000_000), "Calls to OTX per key and hour."),
    row("otx.maxConcurrentCalls", "256", count(1, 65_536), "Calls to OTX under way at once, all keys together."),
    row("otx.maxConcurrentCallsPerKey", "64", count(1, 65_536), "Calls to OTX under way at once for one key."),
    row("otx.maxAttempts", "3", count(1, 10), "Tries of one call, the first included."),
    unset("otx.hedgeAfter", up_to(MINUTE),
        "A second try is started beside a call that takes longer than this; never when not set."),
    row("otx.passiveDns", "0", count(0, 100),
        "Newest records of OTX's passive DNS that are told of an address or a name, which is one more call for each; none when 0."),
    row("otx.pageSize", "10000", count(1, 100_000), "Rows asked for in one page of a pulse's listing."),
    row("otx.maxAnswerBytes", "8388608", count(64 * KIB, GIB), "Largest OTX answer that is held whole, decompressed."),
    row("otx.maxPageBytes", "33554432", count(64 * KIB, 4 * GIB), "Largest listing page, decompressed; it is read as a stream."),

    row("auth.mode", "jwks", Form::OneOf(&["jwks", "hs256"]),
        "How tokens are verified: `jwks` for RS256 configuration tokens, `hs256` for a shared secret."),
    unset("auth.audiences", Form::List, "Accepted `aud` claims, compared exactly; required in `jwks` mode."),
    row("auth.jwksHosts", "visibility.amp.cisco.com,visibility.eu.amp.cisco.com,visibility.apjc.amp.cisco.com", Form::Hosts,
        "Accepted `jwks_host` claims, compared exactly; keys are fetched from no other host."),
    unset("auth.jwksFile", Form::File, "JWKS document with the verification keys, instead of a fetch."),
    row("auth.allowPrivateJwks", "false", Form::Switch,
        "Whether an accepted `jwks_host` may resolve to a private or loopback address."),
    row("auth.requireExp", "false", Form::Switch, "Whether a token without `exp` is refused."),
    unset("auth.hs256SecretFile", Form::File, "File with the shared secret; required in `hs256` mode."),
    row("auth.leeway", "60s", Form::Duration { zero: true, max: 10 * MINUTE },
        "Clock difference allowed for `exp`, `nbf` and `iat`."),
    row("auth.jwksTimeout", "5s", up_to(MINUTE), "Time for one JWKS fetch."),
    row("auth.jwksTtl", "10m", up_to(24 * HOUR), "Age at which fetched keys are fetched again."),
    row("auth.jwksMaxStale", "1h", up_to(7 * 24 * HOUR), "Age up to which fetched keys serve while their host cannot be asked."),
    row("auth.jwksCooldown", "60s", up_to(HOUR), "Shortest time between two fetches that an unknown `kid` causes."),

    unset("extraCaFile", Form::Certificates, "PEM certificates trusted for OTX and JWKS beside the built-in roots."),

    row("cache.enabled", "true", Form::Switch, "Whether OTX answers are remembered."),
    row("cache.maxBytes", "33554432", count(64 * KIB, 64 * GIB), "Bytes of answers held in memory."),
    row("cache.generalTtl", "5m", up_to(24 * HOUR), "Age of an answer about an indicator that has pulses."),
    row("cache.negativeTtl", "60s", up_to(24 * HOUR), "Age of an answer that knew nothing."),
    row("cache.listingTtl", "24h", up_to(30 * 24 * HOUR), "Age of a pulse's listing; a changed pulse is a new listing."),
    row("cache.maxStale", "1h", up_to(7 * 24 * HOUR), "Age up to which an answer serves while OTX cannot be asked."),
    unset("cache.shared.url", Form::Url(&["redis", "rediss"]), "Valkey or Redis server that replicas share answers through."),
    unset("cache.shared.passwordFile", Form::File, "File with the password of the shared cache."),
    row("cache.shared.timeout", "50ms", up_to(5), "Longest time one access to the shared cache may take."),

    row("limits.bodyBytes", "1048576", count(KIB, 64 * MIB), "Bytes of a request body."),
    row("limits.uriBytes", "8192", count(256, 64 * KIB), "Bytes of a request target."),
    row("limits.headerBytes", "32768", count(8 * KIB, MIB), "Bytes of all headers of a request."),
    row("limits.headerCount", "100", count(10, 1_000), "Number of headers of a request."),
    row("limits.observables", "1000", count(1, 100_000), "Observables in one request."),
    row("limits.connections", "1024", count(1, 1_000_000), "Connections open at once."),
    row("limits.concurrentRequests", "256", count(1, 1_000_000), "Requests under way at once."),
    row("limits.headerTimeout", "10s", up_to(5 * MINUTE), "Time to send the headers of a request, from its first byte on."),
    row("limits.bodyTimeout", "15s", up_to(10 * MINUTE), "Time to send the body of a request."),
    row("limits.idleTimeout", "75s", up_to(HOUR),
        "Time that a connection may be silent between two requests; longer than the proxy in front keeps idle connections."),

    row("shutdown.lameDuck", "5s", Form::Duration { zero: true, max: 5 * MINUTE },
        "Time between not being ready and not accepting any more connections."),
    row("shutdown.drain", "25s", up_to(HOUR), "Time that requests under way get to end."),

    unset("telemetry.otlp.endpoint", Form::Url(WEB),
        "Collector that traces are sent to by OTLP over HTTP, without `/v1/traces`; no traces are made when not set."),
    unset("telemetry.otlp.headersFile", Form::File,
        "File with headers for the collector, such as its token, one `name: value` a line; read at start."),
    row("telemetry.sampleRatio", "1", Form::Ratio, "Share of requests that are traced."),
    row("telemetry.recordObservables", "false", Form::Switch, "Whether traces tell what was asked about."),
    row("telemetry.trustTraceparent", "false", Form::Switch,
        "Whether a request goes on with the trace that its `traceparent` names, instead of a link to it."),

    row("log.level", "info", Form::Filter, "Filter of log lines."),
    row("log.format", "auto", Form::OneOf(&["auto", "json", "text"]),
        "How a log line looks; `auto` is `text` on a terminal and `json` elsewhere."),
];

/// The setting at this path.
#[must_use]
pub fn find(path: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.path == path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_variable_is_the_path_in_upper_snake_case() {
        let variable = |path| find(path).map(Setting::variable);
        assert_eq!(variable("listen").as_deref(), Some("THREATRELAY_LISTEN"));
        assert_eq!(variable("otx.baseUrl").as_deref(), Some("THREATRELAY_OTX_BASE_URL"));
        assert_eq!(variable("auth.hs256SecretFile").as_deref(), Some("THREATRELAY_AUTH_HS256_SECRET_FILE"));
        assert_eq!(variable("cache.shared.passwordFile").as_deref(), Some("THREATRELAY_CACHE_SHARED_PASSWORD_FILE"));
    }

    #[test]
    fn no_two_settings_share_a_path_or_a_variable() {
        let paths: BTreeSet<_> = SETTINGS.iter().map(|setting| setting.path).collect();
        let variables: BTreeSet<_> = SETTINGS.iter().map(Setting::variable).collect();
        assert_eq!((paths.len(), variables.len()), (SETTINGS.len(), SETTINGS.len()));
    }

    #[test]
    fn every_default_has_the_form_its_setting_allows() {
        for setting in SETTINGS {
            if let Some(default) = setting.default {
                let parsed = setting.form.parse_text(default);
                assert!(parsed.is_ok(), "{}: {:?}", setting.path, parsed.err());
            }
        }
    }

    #[test]
    fn every_meaning_is_a_sentence() {
        for Setting { path, meaning, .. } in SETTINGS {
            assert!(meaning.ends_with('.') && !meaning.contains('\n'), "{path}: {meaning}");
        }
    }
}
