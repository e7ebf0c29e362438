//! The relay's OTX engine as a library, with settings fit for tests: patience of seconds, no shared cache, one key.
//!
//! [`Settings`] goes in by the paths of the settings table; an [`EngineUnderTest`] comes out, which puts what it learnt
//! into plain words: matches by observable, and the entries a caller would read.
#![expect(clippy::expect_used, reason = "a test that cannot set up its engine ends there, with the step's name")]

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::{Duration, Instant};

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use secrecy::SecretString;
use threatrelay::config::table;
use threatrelay::config::{self, Config};
use threatrelay::error::ErrorEntry;
use threatrelay::observable::{Observable, ObservableType};
use threatrelay::otx::key::OtxKey;
use threatrelay::otx::time::Moment;
use threatrelay::otx::{self, Engine, Failure, Lookup, Metrics};
use threatrelay::trace::TraceId;

use crate::eventually::Eventually;
use crate::fake_otx::{FakeOtx, KEY};

mod pulses;

pub use self::pulses::{EVIL, OWNER, calls, content, evil_among, fake, filler, private, pulse, row};

/// Settings of an engine, by path.
#[derive(Clone, Debug)]
pub struct Settings(BTreeMap<&'static str, String>);

impl Settings {
    /// Settings to ask the OTX at this origin.
    #[must_use]
    pub fn of(origin: &str) -> Self {
        Self(BTreeMap::new())
            .set("otx.baseUrl", origin)
            .set("auth.audiences", "https://relay.example.com")
            .set("otx.connectTimeout", "2s")
            .set("otx.callTimeout", "5s")
            .set("otx.deadline", "10s")
    }

    /// Settings to ask this fake.
    #[must_use]
    pub fn asking(fake: &FakeOtx) -> Self {
        Self::of(&fake.url())
    }

    /// One more setting, in the form the environment would have it.
    ///
    /// # Panics
    /// When there is no such setting.
    #[must_use]
    pub fn set(mut self, path: &str, value: impl Display) -> Self {
        let setting = table::find(path).expect("a setting of the table");
        self.0.insert(setting.path, value.to_string());
        self
    }

    /// The resolved configuration.
    ///
    /// # Panics
    /// When a value is refused.
    #[must_use]
    pub fn config(&self) -> Config {
        let pairs = self.0.iter().filter_map(|(path, value)| Some((table::find(path)?.variable(), value.clone())));
        config::load(None, pairs).expect("settings of a test").config
    }

    /// An engine with these settings. Must be called inside a Tokio runtime.
    ///
    /// # Panics
    /// When a value is refused or the client cannot be made.
    #[must_use]
    pub fn start(&self) -> EngineUnderTest {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        EngineUnderTest { engine: Engine::new(&self.config(), metrics).expect("an engine"), registry }
    }
}

/// An engine and what it counted.
pub struct EngineUnderTest {
    /// The engine itself.
    pub engine: Engine,
    registry: Registry,
}

impl EngineUnderTest {
    /// Looks up with the first account's key.
    ///
    /// # Errors
    /// The failure that concerns the whole request.
    pub async fn lookup(&self, observables: &[Observable]) -> Result<Answer, Failure> {
        self.lookup_as(KEY, observables).await
    }

    /// Looks up with this key.
    ///
    /// # Errors
    /// The failure that concerns the whole request.
    pub async fn lookup_as(&self, key: &str, observables: &[Observable]) -> Result<Answer, Failure> {
        let begun = Instant::now();
        let lookups = self.engine.lookup(&otx_key(key), observables.to_vec()).await?;
        Ok(Answer { lookups, took: begun.elapsed(), trace: TraceId::random() })
    }

    /// The metric of that name and these labels (as `label="value"`), 0 when it was never counted.
    ///
    /// # Panics
    /// When the metrics cannot be written as text.
    #[must_use]
    pub fn metric(&self, name: &str, labels: &str) -> u64 {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("metrics as text");
        let of_name = text.lines().filter_map(|line| line.strip_prefix(name));
        let values = of_name.filter(|rest| rest.contains(labels)).filter_map(|rest| rest.rsplit(' ').next());
        values.filter_map(|value| value.parse::<u64>().ok()).sum()
    }
}

/// Waits until `holds`, at most ten seconds.
///
/// # Panics
/// When it does not come about.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let look = async || if holds() { Ok(()) } else { Err("it did not hold") };
    let waiting = Eventually::new(what).every(Duration::from_millis(5));
    waiting.ok(look).await.expect("what was waited for");
}

/// A key that can be sent.
///
/// # Panics
/// When it cannot.
#[must_use]
pub fn otx_key(key: &str) -> OtxKey {
    OtxKey::new(&SecretString::from(key)).expect("a key that fits a header")
}

/// An observable.
#[must_use]
pub fn observable(kind: ObservableType, value: &str) -> Observable {
    Observable { kind, value: value.to_owned() }
}

/// An observable of type `domain`.
#[must_use]
pub fn domain(value: &str) -> Observable {
    observable(ObservableType::Domain, value)
}

/// What a look-up brought.
#[derive(Debug)]
pub struct Answer {
    /// As the engine gave it.
    pub lookups: Vec<Lookup>,
    /// How long it took.
    pub took: Duration,
    /// The trace that its entries name.
    pub trace: TraceId,
}

/// One match in plain words; they sort by observable, then pulse.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// The observable's value, as asked.
    pub value: String,
    /// The pulse's id.
    pub pulse: String,
    /// RFC 3339.
    pub since: String,
    /// RFC 3339.
    pub until: Option<String>,
}

impl Answer {
    /// All matches, sorted.
    #[must_use]
    pub fn hits(&self) -> Vec<Hit> {
        let known = self.lookups.iter().filter_map(|lookup| Some((lookup, lookup.outcome.as_ref().ok()?)));
        let mut hits: Vec<Hit> = known
            .flat_map(|(lookup, known)| {
                known.pulses().map(|(matched, pulse)| Hit {
                    value: lookup.observable.value.clone(),
                    pulse: pulse.id.clone(),
                    since: matched.since.to_rfc3339(),
                    until: matched.until.map(Moment::to_rfc3339),
                })
            })
            .collect();
        hits.sort();
        hits
    }

    /// The ids of the pulses that hold the observable of this value, in OTX's order.
    #[must_use]
    pub fn pulses_of(&self, value: &str) -> Vec<&str> {
        let known = self.lookups.iter().filter(|lookup| lookup.observable.value == value);
        let known = known.filter_map(|lookup| lookup.outcome.as_ref().ok());
        known.flat_map(|known| known.pulses().map(|(_, pulse)| pulse.id.as_str())).collect()
    }

    /// What the caller is told beside the data.
    #[must_use]
    pub fn entries(&self) -> Vec<ErrorEntry> {
        otx::entries(&self.lookups, &self.trace)
    }
}
