//! A fake OTX: the relay's own bundled upstream, made late, wrong or broken by a script, and counted.
//!
//! Every call is recorded, then the first rule that matches decides; without one the honest answer goes out, from memory
//! when the same was asked before, so that a benchmark measures the client. It ends when dropped.

mod faults;
mod memory;
mod play;
mod record;
pub mod scale;
mod script;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use threatrelay::demo::upstream::{Content, Dataset, FixtureError};

pub use self::record::{Call, Key};
pub use self::script::{Answer, At, Fault, How, Route, Rule};

use self::memory::Upstream;
use crate::wire::{Reply, Request, Server};

/// The key of the bundled data set's first account.
pub const KEY: &str = "demo-key-for-the-bundled-upstream";
/// The key of its second account.
pub const SECOND_KEY: &str = "second-key-for-the-bundled-upstream";

/// A running fake.
#[derive(Debug)]
pub struct FakeOtx {
    server: Server,
    scheme: &'static str,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    upstream: Upstream,
    rules: Mutex<Vec<Rule>>,
    latency: Mutex<HashMap<Route, Duration>>,
    calls: Mutex<Vec<Call>>,
}

/// The fake cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The bundled data set cannot be read.
    #[error(transparent)]
    Fixture(#[from] FixtureError),
    /// The address cannot be bound.
    #[error("the fake OTX cannot listen")]
    Listen(#[from] io::Error),
}

impl FakeOtx {
    /// Serves the bundled data set on a free loopback port.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start() -> Result<Self, StartError> {
        Self::serve(Dataset::bundled()?, SocketAddr::from(([127, 0, 0, 1], 0)), None).await
    }

    /// Serves `dataset` on a free loopback port.
    ///
    /// # Errors
    /// [`StartError::Listen`].
    pub async fn with(dataset: Dataset) -> Result<Self, StartError> {
        Self::serve(dataset, SocketAddr::from(([127, 0, 0, 1], 0)), None).await
    }

    /// Serves `dataset` on `address`, over TLS if a configuration is given.
    ///
    /// # Errors
    /// [`StartError::Listen`].
    pub async fn serve(
        dataset: Dataset,
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
    ) -> Result<Self, StartError> {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::new(Shared {
            upstream: Upstream::new(dataset),
            rules: Mutex::default(),
            latency: Mutex::default(),
            calls: Mutex::default(),
        });
        let answering = Arc::clone(&shared);
        let server = Server::start(address, tls, move |request| {
            let shared = Arc::clone(&answering);
            async move { shared.answer(request).await }
        })
        .await?;
        Ok(Self { server, scheme, shared })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Its origin with the address; what `otx.baseUrl` must be.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address())
    }

    /// Adds a rule after those there are.
    pub fn add(&self, rule: Rule) -> &Self {
        lock(&self.shared.rules).push(rule);
        self
    }

    /// Forgets all rules.
    pub fn recover(&self) {
        lock(&self.shared.rules).clear();
    }

    /// Delays every call of `route`.
    pub fn set_latency(&self, route: Route, latency: Duration) {
        lock(&self.shared.latency).insert(route, latency);
    }

    /// Delays every call.
    pub fn set_round_trip(&self, latency: Duration) {
        for route in
            [Route::Me, Route::General, Route::PassiveDns, Route::Listing, Route::Detail, Route::Search, Route::Other]
        {
            self.set_latency(route, latency);
        }
    }

    /// Changes what it holds.
    pub fn edit(&self, change: impl FnOnce(&mut Content)) {
        self.shared.upstream.edit(change);
    }

    /// Every call so far, in the order of arrival.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.shared.calls).clone()
    }

    /// The number of calls of `route` so far.
    #[must_use]
    pub fn count(&self, route: Route) -> usize {
        lock(&self.shared.calls).iter().filter(|call| call.route == route).count()
    }

    /// The number of all calls so far.
    #[must_use]
    pub fn total(&self) -> usize {
        lock(&self.shared.calls).len()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        lock(&self.shared.calls).clear();
    }

    /// TCP connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.server.connections()
    }
}

impl Shared {
    async fn answer(&self, request: Request) -> Reply {
        if request.path() == "/-/calls" {
            return self.tell_calls(&request);
        }
        let call = Call::of(&request, &self.upstream.dataset());
        let route = call.route;
        let latency = lock(&self.latency).get(&route).copied().unwrap_or_default();
        lock(&self.calls).push(call);
        let played = lock(&self.rules).iter_mut().find_map(|rule| rule.take(route, &request.target));
        let Some((delay, fault)) = played else { return self.upstream.reply(&request).await.after(latency) };
        self.play(&request, &fault).await.after(latency + delay)
    }

    /// `GET`: calls by route and by whose key they carried; `POST`: forgets them.
    fn tell_calls(&self, request: &Request) -> Reply {
        let mut calls = lock(&self.calls);
        if request.method == "POST" {
            calls.clear();
        }
        let (mut routes, mut keys) = (BTreeMap::<String, usize>::new(), BTreeMap::<String, usize>::new());
        for call in calls.iter() {
            *routes.entry(format!("{:?}", call.route).to_lowercase()).or_default() += 1;
            let of = match &call.key {
                Key::None => "none",
                Key::Unknown => "unknown",
                Key::Of(account) => account,
            };
            *keys.entry(of.to_owned()).or_default() += 1;
        }
        let body = serde_json::json!({"total": calls.len(), "by_route": routes, "by_key": keys}).to_string();
        Reply::new(200, &[("content-type".to_owned(), "application/json".to_owned())], body.as_bytes())
    }

    async fn play(&self, request: &Request, fault: &Fault) -> Reply {
        let mut answer = match fault {
            Fault::Honest => return self.upstream.reply(request).await,
            Fault::ClampLimit(most) => self.upstream.answer(&clamped(request, *most)).await,
            _ => self.upstream.answer(request).await,
        };
        match fault {
            Fault::Change(change) => change(request, &mut answer),
            Fault::Then(change) => self.upstream.edit(|content| change(content)),
            _ => {}
        }
        play::with_fault(&answer, fault, accepts_gzip(request))
    }
}

fn accepts_gzip(request: &Request) -> bool {
    request.header("accept-encoding").is_some_and(|value| value.contains("gzip"))
}

/// The request as if it had not asked for more than `most` rows a page.
fn clamped(request: &Request, most: usize) -> Request {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let clamp = |(name, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| {
        let limit = value.parse::<usize>().ok().filter(|_| name == "limit").map(|limit| limit.min(most).to_string());
        (name.into_owned(), limit.unwrap_or_else(|| value.into_owned()))
    };
    let mut query: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).map(clamp).collect();
    if !query.iter().any(|(name, _)| name == "limit") {
        query.push(("limit".to_owned(), most.to_string()));
    }
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    Request { target: format!("{path}?{query}"), ..request.clone() }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
