//! The OTX engine: what is known of some observables, in two round trips where OTX allows it.
//!
//! For every distinct [`Question`] it asks `/general`, then the listing of each pulse that can hold a dated row, all at
//! once, each thing once: shared by the observables of a request, by the requests under way ([`flights`]) and, for a
//! while, by those to come ([`cache`]). What could not be asked is part of the answer ([`answer`]), never left out.

mod answer;
mod breaker;
mod budget;
mod cache;
mod client;
mod endpoint;
mod failure;
mod fetch;
mod filter;
mod flights;
mod gate;
mod health;
pub mod key;
mod lenient;
mod listing;
mod lookup;
mod metrics;
mod page;
pub mod passive_dns;
pub mod pulse;
mod row;
mod shared;
mod surrogates;
pub mod time;
pub mod types;

use std::sync::Arc;
use std::time::{Duration, Instant};

use url::Url;

pub use answer::{Known, Lookup, Match, Notice, entries};
pub use failure::Failure;
pub use health::Health;
pub use metrics::Metrics;

use self::cache::{GeneralKey, ListingKey, Memory, Remembered};
use self::client::Client;
use self::endpoint::{Endpoint, Part};
use self::fetch::Sizes;
use self::flights::Flights;
use self::health::Probes;
use self::key::{OtxKey, Scope};
use self::listing::Listing;
use self::shared::SharedTier;
use crate::config::{Config, Filter};
use crate::observable::{Observable, Question};

/// Asks OTX. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

/// What all requests share.
struct Shared {
    client: Client,
    memory: Memory,
    tier: Option<SharedTier>,
    generals: Flights<GeneralKey, Result<Remembered, Failure>>,
    listings: Flights<(Scope, ListingKey), Result<Arc<Listing>, Failure>>,
    probes: Probes,
    sizes: Sizes,
    filter: Filter,
    /// Records of passive DNS that are told of an observable; none is asked for where it is 0.
    passive_dns: usize,
    answer_bytes: usize,
    patience: Duration,
}

/// On whose behalf OTX is asked, and until when.
#[derive(Clone, Debug)]
struct Ask {
    key: OtxKey,
    deadline: Instant,
    /// The time the whole request was given, for the words of its failure.
    patience: Duration,
}

/// The engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `extraCaFile` holds no certificate that can be used.
    #[error("extraCaFile {path} cannot be used: {reason}; it must hold PEM certificates")]
    ExtraCa {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The HTTP client cannot be made from the settings.
    #[error("the HTTP client for OTX cannot be made (otx.proxy, extraCaFile)")]
    Client(#[source] reqwest::Error),
}

impl Engine {
    /// Makes an engine, inside a Tokio runtime; nothing is asked yet.
    ///
    /// # Errors
    /// When `extraCaFile` cannot be read as PEM certificates or the client cannot be made.
    pub fn new(config: &Config, metrics: Metrics) -> Result<Self, StartError> {
        let (pem, certificates) = extra_ca(config)?;
        let client = Client::new(&config.otx, certificates, metrics).map_err(StartError::Client)?;
        let shared = config.cache.shared.as_ref().filter(|_| config.cache.enabled);
        Ok(Self(Arc::new(Shared {
            client,
            memory: Memory::new(&config.cache),
            tier: shared.map(|shared| SharedTier::connect(shared, pem)),
            generals: Flights::new(),
            listings: Flights::new(),
            probes: Probes::default(),
            sizes: Sizes { page_rows: config.otx.page_size, page_bytes: config.otx.max_page_bytes },
            filter: config.filter.clone(),
            passive_dns: config.otx.passive_dns,
            answer_bytes: config.otx.max_answer_bytes,
            patience: config.otx.deadline,
        })))
    }

    /// Looks up observables with one key.
    ///
    /// # Errors
    /// [`Failure::KeyRefused`] alone: the key is wrong, so nothing could be asked. Every other failure is part of the
    /// answer.
    pub async fn lookup(&self, key: &OtxKey, observables: Vec<Observable>) -> Result<Vec<Lookup>, Failure> {
        lookup::run(&self.0, self.0.ask(key), observables).await
    }

    /// Whether there is a way to OTX, found out without a key; gives OTX's clock, if it tells it.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn reach(&self) -> Result<Option<jiff::Timestamp>, Failure> {
        self.0.client.reach().await
    }

    /// Sets the metrics of what is held and of how OTX is treated to what they are now.
    pub fn measure(&self) {
        let Shared { client, memory, .. } = &*self.0;
        let (entries, bytes) = memory.size();
        client.metrics.set_cache(entries, bytes);
        client.metrics.set_circuit(client.gate.circuit());
        client.metrics.budget_left.set(client.gate.budget_left().into());
    }

    /// How OTX is treated: `closed` when calls pass, `open` when it is left alone, `half_open` when it is tried.
    #[must_use]
    pub fn circuit(&self) -> &'static str {
        self.0.client.gate.circuit()
    }

    /// What is left of the key's budget, without asking OTX.
    #[must_use]
    pub fn usage(&self, key: &OtxKey) -> Health {
        self.0.usage(key.scope())
    }

    /// Asks OTX whether it accepts the key, at most every few seconds.
    ///
    /// # Errors
    /// Why it does not, or could not be asked.
    pub async fn health(&self, key: &OtxKey) -> Result<Health, Failure> {
        health::probe(&self.0, self.0.ask(key)).await
    }
}

/// The calls that `/general` of a question may take, as URLs below `base`: one, or two for a name.
#[must_use]
pub fn general_urls(base: &Url, question: &Question) -> Vec<Url> {
    let (first, second) = lookup::sections(question.class);
    let url = |section| Endpoint::Indicator { section, part: Part::General, value: &question.value }.url(base);
    std::iter::once(first).chain(second).map(url).collect()
}

impl Shared {
    fn ask(&self, key: &OtxKey) -> Ask {
        Ask { key: key.clone(), deadline: Instant::now() + self.patience, patience: self.patience }
    }
}

/// The extra certificates, as PEM and parsed.
fn extra_ca(config: &Config) -> Result<(Option<Vec<u8>>, Vec<reqwest::Certificate>), StartError> {
    let Some(path) = &config.extra_ca_file else { return Ok((None, Vec::new())) };
    let unusable = |reason: String| StartError::ExtraCa { path: path.clone(), reason };
    let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| unusable(error.to_string()))?;
    if certificates.is_empty() {
        return Err(unusable("it holds no certificate".to_owned()));
    }
    Ok((Some(pem), certificates))
}
