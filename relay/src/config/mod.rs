//! Settings, resolved: every value valid, every default applied. [`load`] reads them from the environment, then the
//! YAML file, then the table of defaults, or says all that is wrong. Nothing here is a secret; secrets are paths to
//! files.

pub mod form;
pub mod problem;
mod raw;
mod resolve;
pub mod table;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::HeaderValue;
use url::Url;

use crate::ctim::Tlp;

pub use problem::{Errors, Origin, Problem};
pub use raw::CONFIG_VARIABLE;

/// What [`load`] gives.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The effective configuration.
    pub config: Config,
    /// What works but is probably not meant, one line each.
    pub warnings: Vec<String>,
    /// Every setting with its value and where it came from, in documentation order.
    pub settings: Vec<EffectiveSetting>,
}

/// A setting as it took effect. None holds a secret: secrets stand in files, and a URL with credentials is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveSetting {
    /// Its path in the YAML file.
    pub path: &'static str,
    /// Its environment variable.
    pub variable: String,
    /// Its value as a source wrote it, lists comma-separated; `None` when it is not set.
    pub value: Option<String>,
    /// Where the value came from.
    pub source: Origin,
}

/// Reads the settings. A variable of the environment beats the file, the file beats the default; an empty text counts
/// as not given. `file` is the file named on the command line; without it `THREATRELAY_CONFIG` may name one.
///
/// # Errors
/// Everything that is wrong, not only the first thing.
pub fn load(file: Option<&Path>, env: impl Iterator<Item = (String, String)>) -> Result<Loaded, Errors> {
    let mut problems = Vec::new();
    let (from_environment, named) = raw::from_environment(env, &mut problems);
    let mut given = match file.or(named.as_deref()) {
        Some(file) => raw::from_file(file, &mut problems),
        None => raw::Given::new(),
    };
    given.extend(from_environment);
    resolve::resolve(&given, problems)
}

/// The environment of this process for [`load`], with unreadable characters replaced.
pub fn process_environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
}

/// The effective configuration of a relay.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address of the relay endpoints.
    pub listen: SocketAddr,
    /// Address of probes, metrics and the log level.
    pub admin_listen: SocketAddr,
    /// How much an answer says.
    pub answers: Answers,
    /// Which pulses rich answers show.
    pub filter: Filter,
    /// What verdicts are founded on.
    pub verdict: Verdict,
    /// What browsers are shown.
    pub page: Page,
    /// How OTX is asked.
    pub otx: Otx,
    /// Who may ask.
    pub auth: Auth,
    /// PEM certificates trusted for OTX and JWKS beside the built-in roots.
    pub extra_ca_file: Option<PathBuf>,
    /// What is remembered.
    pub cache: Cache,
    /// What one caller may cost.
    pub limits: Limits,
    /// How a stop goes.
    pub shutdown: Shutdown,
    /// What is traced.
    pub telemetry: Telemetry,
    /// What is logged.
    pub log: Log,
}

/// How much an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// Exactly the original relay's documents.
    Parity,
    /// The original's documents and what else is known.
    Rich,
}

/// Which of the pulses that hold an observable are shown: all, unless something is set.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only pulses of these authors; of all when empty.
    pub authors: Vec<String>,
    /// No pulses of these authors.
    pub ignored_authors: Vec<String>,
    /// No pulses that have not changed for so many days.
    pub max_age_days: Option<u32>,
    /// No pulses of a more restricted colour; one without a colour counts as red.
    pub tlp: Option<Tlp>,
    /// Only pulses that the key's account subscribes to.
    pub subscribed_only: bool,
}

/// What verdicts are founded on.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Authors whose word alone suffices to call something malicious.
    pub trusted_authors: Vec<String>,
}

/// What browsers are shown at `/`.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// With a form to look up one observable.
    pub lookup: bool,
}

/// How OTX is asked.
#[derive(Clone, Debug)]
pub struct Otx {
    /// API origin, with an optional path prefix, without a trailing slash in its path.
    pub base_url: Url,
    /// Origin of links for people.
    pub web_url: Url,
    /// Directory with one file a key; `default` is the key of tokens that name none.
    pub keys_dir: Option<PathBuf>,
    /// `User-Agent` sent to OTX.
    pub user_agent: HeaderValue,
    /// HTTP(S) proxy to OTX.
    pub proxy: Option<Url>,
    /// Time to a TCP and TLS connection.
    pub connect_timeout: Duration,
    /// Time for one call, body included.
    pub call_timeout: Duration,
    /// Time for all calls of one relay request.
    pub deadline: Duration,
    /// Calls per key and hour.
    pub hourly_budget: u32,
    /// Calls under way at once, all keys together.
    pub max_concurrent_calls: usize,
    /// Calls under way at once for one key.
    pub max_concurrent_calls_per_key: usize,
    /// Tries of one call, the first included.
    pub max_attempts: u32,
    /// A second try is started beside a call that takes longer than this; off when absent.
    pub hedge_after: Option<Duration>,
    /// Newest records of passive DNS that are told of an observable; it is not asked where this is 0.
    pub passive_dns: usize,
    /// Rows asked for in one listing page.
    pub page_size: u32,
    /// Largest answer taken, decompressed, that is held whole.
    pub max_answer_bytes: usize,
    /// Largest listing page taken, decompressed; it is read as a stream.
    pub max_page_bytes: usize,
}

/// Who may ask.
#[derive(Clone, Debug)]
pub struct Auth {
    /// How tokens are verified.
    pub mode: AuthMode,
    /// `exp` must be present.
    pub require_exp: bool,
    /// Clock difference allowed for `exp` and `nbf`.
    pub leeway: Duration,
}

/// How tokens are verified.
#[derive(Clone, Debug)]
pub enum AuthMode {
    /// RS256 configuration tokens, keys by JWKS.
    Jwks(Jwks),
    /// HS256 with a shared secret (the original's older form).
    Hs256 {
        /// File that holds the shared secret.
        secret_file: PathBuf,
    },
}

/// Where RS256 keys come from.
#[derive(Clone, Debug)]
pub struct Jwks {
    /// Accepted `aud` values, at least one.
    pub audiences: Vec<String>,
    /// Allowed `jwks_host` claims, `host` or `host:port`, exact.
    pub hosts: Vec<String>,
    /// Keys from a file instead of a fetch.
    pub file: Option<PathBuf>,
    /// Allowed names may resolve to private or loopback addresses.
    pub allow_private: bool,
    /// Time for one JWKS fetch.
    pub timeout: Duration,
    /// Age at which fetched keys are fetched again.
    pub ttl: Duration,
    /// Age up to which fetched keys serve while the host cannot be asked.
    pub max_stale: Duration,
    /// Shortest time between two fetches that an unknown `kid` causes.
    pub cooldown: Duration,
}

/// What is remembered.
#[derive(Clone, Debug)]
pub struct Cache {
    /// Off: every request asks OTX anew.
    pub enabled: bool,
    /// Bytes held in memory.
    pub max_bytes: u64,
    /// Age of an answer about an indicator that has pulses.
    pub general_ttl: Duration,
    /// Age of an answer that knew nothing.
    pub negative_ttl: Duration,
    /// Age of a pulse's listing; its key changes when the pulse does.
    pub listing_ttl: Duration,
    /// Age up to which an answer serves when OTX cannot be asked.
    pub max_stale: Duration,
    /// A second tier shared by replicas.
    pub shared: Option<SharedCache>,
}

/// A Valkey or Redis server shared by replicas.
#[derive(Clone, Debug)]
pub struct SharedCache {
    /// `redis://` or `rediss://` URL without credentials.
    pub url: Url,
    /// File that holds the password.
    pub password_file: Option<PathBuf>,
    /// Longest time one access may take.
    pub timeout: Duration,
}

/// What one caller may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Request body bytes.
    pub body_bytes: usize,
    /// Request target bytes.
    pub uri_bytes: usize,
    /// Bytes of all request headers.
    pub header_bytes: usize,
    /// Number of request headers.
    pub header_count: usize,
    /// Observables in one request.
    pub observables: usize,
    /// Connections open at once.
    pub connections: usize,
    /// Requests under way at once.
    pub concurrent_requests: usize,
    /// Time to send the request headers.
    pub header_timeout: Duration,
    /// Time to send the request body.
    pub body_timeout: Duration,
    /// Time between two requests of a connection.
    pub idle_timeout: Duration,
}

/// How a stop goes.
#[derive(Clone, Debug)]
pub struct Shutdown {
    /// Time between not being ready and not accepting any more.
    pub lame_duck: Duration,
    /// Time that requests under way get to end.
    pub drain: Duration,
}

/// What is traced.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// Where traces are sent; none are made without.
    pub otlp: Option<Otlp>,
    /// Share of requests that are traced, 0 to 1.
    pub sample_ratio: f64,
    /// Traces tell what was asked about.
    pub record_observables: bool,
    /// A caller's `traceparent` is the parent of its request and not only a link.
    pub trust_traceparent: bool,
}

/// An OTLP collector.
#[derive(Clone, Debug)]
pub struct Otlp {
    /// Its origin, with an optional path prefix, without `/v1/traces`.
    pub endpoint: Url,
    /// File with headers for it.
    pub headers_file: Option<PathBuf>,
}

/// What is logged.
#[derive(Clone, Debug)]
pub struct Log {
    /// `tracing` filter directives.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// JSON unless standard error is a terminal.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}
