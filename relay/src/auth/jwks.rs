//! The keys of the allowed JWKS hosts, fetched when they are asked for and remembered. Requests that need the same
//! host share one fetch; a host that fails is left alone for some seconds while its last keys serve; an unknown `kid`
//! causes at most one fetch in a cool-down. A host that is not in the allow-list is refused before anything else
//! happens, its name resolution included.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use jsonwebtoken::DecodingKey;
use opentelemetry::context::FutureExt as _;
use reqwest::Client;
use url::Url;

use super::fetch::{FetchError, chain, fetch};
use super::freshness::{Freshness, Step, Times};
use super::jwk::{KeySet, NotAKeySet};
use super::metrics::{HostMetrics, Metrics};
use super::refused::Refused;
use crate::broken::{self, Defect};

/// The allowed hosts and what is known of their keys.
pub struct Jwks(HashMap<String, Arc<Host>>);

struct Host {
    url: Url,
    client: Client,
    times: Times,
    metrics: HostMetrics,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    freshness: Freshness<Arc<KeySet>, Refused>,
    flight: Option<Flight>,
}

/// A fetch under way, shared by all who wait for it.
type Flight = Shared<BoxFuture<'static, ()>>;

impl Jwks {
    /// Keys of these hosts, each `host` or `host:port`. Names that make no URL are left out; the configuration lets
    /// none through.
    #[must_use]
    pub fn new(hosts: &[String], client: &Client, times: Times, metrics: &Metrics) -> Self {
        let host = |name: &String| {
            let url = Url::parse(&format!("https://{name}/.well-known/jwks")).ok()?;
            let metrics = metrics.host(name);
            let host = Host { url, client: client.clone(), times, metrics, state: Mutex::default() };
            Some((name.clone(), Arc::new(host)))
        };
        Self(hosts.iter().filter_map(host).collect())
    }

    /// The key that an allowed host publishes under this `kid`.
    ///
    /// # Errors
    /// [`Refused::JwksHostNotAllowed`], [`Refused::JwksUnavailable`] and the like when there are no keys,
    /// [`Refused::UnknownKid`].
    pub async fn key(&self, host: &str, kid: Option<&str>) -> Result<DecodingKey, Refused> {
        let stray = broken::is(Defect::AnyJwksHost).then(|| self.stray(host)).flatten();
        let host = self.0.get(host).or(stray.as_ref()).ok_or(Refused::JwksHostNotAllowed)?;
        let arrived = Instant::now();
        let keys = host.keys(arrived).await?;
        let kid = kid.ok_or(Refused::UnknownKid)?;
        if let Some(key) = keys.find(kid) {
            return Ok(key.clone());
        }
        if let Some(flight) = host.flight_for_unknown_kid(arrived) {
            flight.await;
        }
        host.held().and_then(|keys| keys.find(kid).cloned()).ok_or(Refused::UnknownKid)
    }

    /// A host that is not allowed, for [`Defect::AnyJwksHost`].
    fn stray(&self, name: &str) -> Option<Arc<Host>> {
        let Host { client, times, .. } = &**self.0.values().next()?;
        Self::new(&[name.to_owned()], client, *times, &Metrics::default()).0.into_values().next()
    }
}

impl Host {
    async fn keys(self: &Arc<Self>, arrived: Instant) -> Result<Arc<KeySet>, Refused> {
        let step = match self.step(arrived) {
            (Step::Fetch, Some(flight)) => {
                flight.await;
                self.state().freshness.step(arrived, Instant::now(), self.times)
            }
            (step, _) => step,
        };
        match step {
            Step::Use(keys) | Step::UseAndFetch(keys) => Ok(keys),
            Step::Refuse(refused) => Err(refused),
            Step::Fetch => Err(Refused::JwksUnavailable),
        }
    }

    /// The step of a request and the fetch it calls for. Decided and started under one lock, so that a fetch that ends
    /// in between is not made twice.
    fn step(self: &Arc<Self>, arrived: Instant) -> (Step<Arc<KeySet>, Refused>, Option<Flight>) {
        let mut state = self.state();
        let step = state.freshness.step(arrived, Instant::now(), self.times);
        let flight = matches!(step, Step::Fetch | Step::UseAndFetch(_)).then(|| self.fly(&mut state));
        (step, flight)
    }

    /// The fetch that can help a request with an unknown `kid`: the one under way, or a new one if the time has come.
    fn flight_for_unknown_kid(self: &Arc<Self>, arrived: Instant) -> Option<Flight> {
        let mut state = self.state();
        let may_fly = broken::is(Defect::KidsFetchFreely)
            || state.is_flying()
            || state.freshness.may_fetch_for_unknown(arrived, Instant::now(), self.times);
        may_fly.then(|| self.fly(&mut state))
    }

    /// Starts a fetch, or joins the one under way. It goes on when nobody waits any more, so that callers who hang up
    /// do not make the next one start over.
    fn fly(self: &Arc<Self>, state: &mut State) -> Flight {
        if let Some(flight) = state.flight.as_ref().filter(|_| state.is_flying()) {
            return flight.clone();
        }
        let (client, url, host) = (self.client.clone(), self.url.clone(), Arc::downgrade(self));
        let flight = async move {
            let fetched = fetch(&client, url).await;
            if let Some(host) = host.upgrade() {
                host.store(fetched);
            }
        };
        let flight = flight.with_current_context().boxed().shared();
        tokio::spawn(flight.clone());
        state.flight = Some(flight.clone());
        flight
    }

    fn held(&self) -> Option<Arc<KeySet>> {
        self.state().freshness.held().cloned()
    }

    fn store(&self, fetched: Result<KeySet, FetchError>) {
        self.metrics.fetched(fetched.is_ok());
        let outcome = match fetched {
            Ok(keys) => {
                tracing::debug!(url = %self.url, keys = keys.len(), "JWKS fetched");
                Ok(Arc::new(keys))
            }
            Err(error) => {
                tracing::warn!(url = %self.url, error = chain(&error), "JWKS not fetched");
                Err(refusal(&error))
            }
        };
        self.state().freshness.store(outcome, Instant::now());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_flying(&self) -> bool {
        self.flight.as_ref().is_some_and(|flight| flight.peek().is_none())
    }
}

/// What the original says of a document without keys depends on how it lacks them.
fn refusal(error: &FetchError) -> Refused {
    match error {
        FetchError::NotAKeySet(NotAKeySet::NoKeys) => Refused::PayloadStructure,
        FetchError::NotAKeySet(NotAKeySet::NoList) => Refused::UnknownKid,
        FetchError::NotAKeySet(NotAKeySet::NotJson)
        | FetchError::Http(_)
        | FetchError::Status(_)
        | FetchError::TooLarge => Refused::JwksUnavailable,
    }
}

#[cfg(test)]
#[path = "jwks_tests.rs"]
mod tests;
