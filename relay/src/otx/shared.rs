//! The second tier, shared by replicas: a Valkey or Redis server. It can only help: while it is dead or slow every
//! access is a miss, costs at most its own timeout, and is counted. Names are hashes, so that a listing of its keys
//! tells no observable; values carry a format version and are read back strictly.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, IntoConnectionInfo, TlsCertificates};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::breaker::{Breaker, Outcome};
use super::cache::{GeneralKey, ListingKey};
use super::listing::Listing;
use super::metrics::Metrics;
use super::types::General;
use crate::config;

/// Changes whenever the bytes of a value change their meaning.
const FORMAT: u8 = 3;
/// Larger values would take longer than the timeout to come back.
const LARGEST_VALUE: usize = 4 * 1024 * 1024;
/// Between two tries to connect; also the rest after a time-out.
const PAUSE: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The tier. Must be made inside a Tokio runtime.
pub(super) struct SharedTier {
    link: Arc<Link>,
    slow: Breaker,
    timeout: Duration,
    _keeper: AbortOnDropHandle<()>,
}

/// The one connection, absent while there is none.
struct Link {
    connection: ArcSwapOption<MultiplexedConnection>,
    lost: Notify,
}

impl SharedTier {
    pub(super) fn connect(config: &config::SharedCache, extra_ca: Option<Vec<u8>>) -> Self {
        let link = Arc::new(Link { connection: ArcSwapOption::empty(), lost: Notify::new() });
        let keeper = tokio::spawn(keep_connected(Arc::clone(&link), config.clone(), extra_ca));
        Self { link, slow: Breaker::new(1, PAUSE), timeout: config.timeout, _keeper: AbortOnDropHandle::new(keeper) }
    }

    /// The answer of that name and its age.
    pub(super) async fn general(&self, key: &GeneralKey, metrics: &Metrics) -> Option<(General, Duration)> {
        let value = self.get(name_of_general(key), metrics).await?;
        let decoded = decode_general(&value);
        metrics.cache_event("shared", if decoded.is_some() { "hit" } else { "undecodable" });
        let (general, at) = decoded?;
        Some((general, since_epoch().saturating_sub(at)))
    }

    pub(super) async fn keep_general(&self, key: &GeneralKey, general: &General, ttl: Duration, metrics: &Metrics) {
        if let Some(value) = encode_general(general, since_epoch()) {
            self.set(name_of_general(key), value, ttl, metrics).await;
        }
    }

    pub(super) async fn listing(&self, key: &ListingKey, metrics: &Metrics) -> Option<Listing> {
        let value = self.get(name_of_listing(key), metrics).await?;
        let listing = value.split_first().filter(|(format, _)| **format == FORMAT);
        let listing = listing.and_then(|(_, rows)| Listing::from_bytes(rows));
        metrics.cache_event("shared", if listing.is_some() { "hit" } else { "undecodable" });
        listing
    }

    pub(super) async fn keep_listing(&self, key: &ListingKey, listing: &Listing, ttl: Duration, metrics: &Metrics) {
        let mut value = vec![FORMAT];
        listing.write_bytes(&mut value);
        self.set(name_of_listing(key), value, ttl, metrics).await;
    }

    async fn get(&self, name: String, metrics: &Metrics) -> Option<Vec<u8>> {
        let command = redis::Cmd::get(name);
        let value: Option<Vec<u8>> = self.access(&command, metrics).await?;
        if value.is_none() {
            metrics.cache_event("shared", "miss");
        }
        value
    }

    async fn set(&self, name: String, value: Vec<u8>, ttl: Duration, metrics: &Metrics) {
        if value.len() <= LARGEST_VALUE {
            let command = redis::Cmd::set_ex(name, value, ttl.as_secs().max(1));
            let _stored: Option<()> = self.access(&command, metrics).await;
        }
    }

    async fn access<T: redis::FromRedisValue>(&self, command: &redis::Cmd, metrics: &Metrics) -> Option<T> {
        let (Some(connection), Ok(pass)) = (self.link.connection.load_full(), self.slow.pass(Instant::now())) else {
            metrics.cache_event("shared", "unavailable");
            return None;
        };
        let mut connection = MultiplexedConnection::clone(&connection);
        let outcome = tokio::time::timeout(self.timeout, command.query_async(&mut connection)).await;
        let (outcome, event) = match outcome {
            Ok(Ok(value)) => {
                pass.report(Outcome::Good, Instant::now());
                return Some(value);
            }
            Ok(Err(error)) if concerns_one_value(&error) => (Outcome::Good, "error"),
            Ok(Err(error)) => {
                tracing::warn!(error = %error.category(), "the shared cache failed");
                self.link.connection.store(None);
                self.link.lost.notify_one();
                (Outcome::Good, "error")
            }
            Err(_) => (Outcome::Bad(None), "timeout"),
        };
        pass.report(outcome, Instant::now());
        metrics.cache_event("shared", event);
        None
    }
}

/// Connects, and again whenever the connection is lost. The password is read anew each time, so a rotated one is used.
async fn keep_connected(link: Arc<Link>, config: config::SharedCache, extra_ca: Option<Vec<u8>>) {
    let mut silent = false;
    loop {
        match connect(&config, extra_ca.as_deref()).await {
            Ok(connection) => {
                tracing::info!("connected to the shared cache");
                silent = false;
                link.connection.store(Some(Arc::new(connection)));
                link.lost.notified().await;
            }
            Err(reason) if !silent => {
                tracing::warn!(reason, "the shared cache cannot be reached; the relay goes on without it");
                silent = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn connect(config: &config::SharedCache, extra_ca: Option<&[u8]>) -> Result<MultiplexedConnection, String> {
    // Only the category of an error is told: its text may hold what the server was sent.
    let category = |error: redis::RedisError| error.category().to_owned();
    let mut info = config.url.as_str().into_connection_info().map_err(category)?;
    if let Some(file) = &config.password_file {
        let password =
            tokio::fs::read_to_string(file).await.map_err(|error| format!("its password file: {error}"))?;
        let settings = info.redis_settings().clone().set_password(password.trim_end_matches(['\r', '\n']));
        info = info.set_redis_settings(settings);
    }
    let client = if config.url.scheme() == "rediss" {
        let certificates = TlsCertificates { client_tls: None, root_cert: extra_ca.map(<[u8]>::to_vec) };
        redis::Client::build_with_tls(info, certificates)
    } else {
        redis::Client::open(info)
    };
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(CONNECT_TIMEOUT));
    client.map_err(category)?.get_multiplexed_async_connection_with_config(&settings).await.map_err(category)
}

/// The server works, only this value cannot be read (it is of another type) or stored (the server is full).
fn concerns_one_value(error: &redis::RedisError) -> bool {
    matches!(error.code(), Some("WRONGTYPE" | "OOM"))
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn name_of_general(key: &GeneralKey) -> String {
    let part = key.part.as_str().as_bytes();
    name(&[part, key.scope.as_bytes(), key.section.as_str().as_bytes(), key.value.as_bytes()])
}

fn name_of_listing(key: &ListingKey) -> String {
    let scope: &[u8] = key.scope.as_ref().map_or(b"public", |scope| scope.as_bytes());
    name(&[b"listing", scope, key.pulse.as_bytes(), key.modified.as_bytes(), &key.count.to_le_bytes()])
}

/// A name that tells nothing, from parts that cannot run into each other.
fn name(parts: &[&[u8]]) -> String {
    use std::fmt::Write as _;
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&[FORMAT]);
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    }
    context.finish().as_ref().iter().fold(String::from("threatrelay:"), |mut name, byte| {
        let _infallible = write!(name, "{byte:02x}");
        name
    })
}

fn encode_general(general: &General, at: Duration) -> Option<Vec<u8>> {
    let mut value = vec![FORMAT];
    value.extend_from_slice(&at.as_secs().to_le_bytes());
    postcard::to_extend(general, value).ok()
}

fn decode_general(value: &[u8]) -> Option<(General, Duration)> {
    let (format, rest) = value.split_first()?;
    let (at, general) = rest.split_first_chunk()?;
    if *format != FORMAT {
        return None;
    }
    let (general, rest) = postcard::take_from_bytes(general).ok()?;
    rest.is_empty().then(|| (general, Duration::from_secs(u64::from_le_bytes(*at))))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::*;
    use crate::otx::pulse::Pulse;
    use crate::otx::types::BaseIndicator;

    #[test]
    fn an_answer_comes_back_as_it_was() {
        let general = General {
            indicator: Some(BaseIndicator { id: Some(7), kind: Some("IPv4".into()), value: None }),
            pulses: vec![Pulse { id: "p".into(), tags: vec!["é".into()], public: true, ..Pulse::default() }],
            count: 1,
            ..General::default()
        };
        let value = encode_general(&general, Duration::from_secs(1_700_000_000)).unwrap();
        assert_eq!(decode_general(&value), Some((general, Duration::from_secs(1_700_000_000))));
        assert_eq!(decode_general(&value[..value.len() - 1]), None);
        assert_eq!(decode_general(&[&value[..], &[0]].concat()), None);
        assert_eq!(decode_general(&[]), None);
    }

    #[test]
    fn names_are_apart_for_every_part_and_tell_nothing() {
        let names = [name(&[b"a", b"bc"]), name(&[b"ab", b"c"]), name(&[b"a", b"bc", b""]), name(&[b"a"])];
        let distinct: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
        assert!(names.iter().all(|name| name.len() == "threatrelay:".len() + 64));
    }
}
