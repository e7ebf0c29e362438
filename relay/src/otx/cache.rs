//! What the relay remembers of OTX, bounded in bytes. Answers about indicators are kept for minutes and, when OTX cannot
//! be asked, used up to an hour; listings are kept for a day under a name that changes whenever the pulse does. What is
//! not public is kept apart for every key.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::sync::Cache;

use super::endpoint::{Part, Section};
use super::key::Scope;
use super::listing::Listing;
use super::pulse::Pulse;
use super::types::General;
use crate::config;

/// The name of an answer about an indicator. Which pulses it lists depends on the key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct GeneralKey {
    pub(super) scope: Scope,
    pub(super) section: Section,
    pub(super) part: Part,
    pub(super) value: String,
}

/// The name of a pulse's listing in one state of the pulse.
///
/// `modified` changes with every edit and with the nightly expiry of rows; the count is a belt to that brace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ListingKey {
    /// `None` for a public pulse, which is the same for every key.
    pub(super) scope: Option<Scope>,
    pub(super) pulse: String,
    pub(super) modified: String,
    pub(super) count: u64,
}

impl ListingKey {
    pub(super) fn of(pulse: &Pulse, scope: Scope) -> Self {
        Self {
            scope: (!pulse.public).then_some(scope),
            pulse: pulse.id.clone(),
            modified: pulse.modified.clone().unwrap_or_default(),
            count: pulse.indicator_count.unwrap_or_default(),
        }
    }
}

/// An answer about an indicator and when it was given.
#[derive(Clone, Debug)]
pub(super) struct Remembered {
    pub(super) general: Arc<General>,
    pub(super) at: Instant,
}

/// The memory tier.
pub(super) struct Memory {
    entries: Option<Cache<Key, Value>>,
    general_ttl: Duration,
    negative_ttl: Duration,
    listing_ttl: Duration,
    max_stale: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    General(GeneralKey),
    Listing(ListingKey),
}

#[derive(Clone)]
enum Value {
    General(Remembered),
    Listing(Arc<Listing>),
}

/// How long an entry is held at all.
struct Lifetime {
    general: Duration,
    listing: Duration,
}

impl Expiry<Key, Value> for Lifetime {
    fn expire_after_create(&self, _: &Key, value: &Value, _: Instant) -> Option<Duration> {
        Some(match value {
            Value::General(_) => self.general,
            Value::Listing(_) => self.listing,
        })
    }

    fn expire_after_update(&self, key: &Key, value: &Value, now: Instant, _: Option<Duration>) -> Option<Duration> {
        self.expire_after_create(key, value, now)
    }
}

impl Memory {
    pub(super) fn new(config: &config::Cache) -> Self {
        let lifetime = Lifetime { general: config.max_stale.max(config.general_ttl), listing: config.listing_ttl };
        let entries = config
            .enabled
            .then(|| Cache::builder().max_capacity(config.max_bytes).weigher(weight).expire_after(lifetime).build());
        Self {
            entries,
            general_ttl: config.general_ttl,
            negative_ttl: config.negative_ttl,
            listing_ttl: config.listing_ttl,
            max_stale: config.max_stale,
        }
    }

    /// The answer of that name, fresh or not.
    pub(super) fn general(&self, key: &GeneralKey) -> Option<Remembered> {
        match self.entries.as_ref()?.get(&Key::General(key.clone()))? {
            Value::General(remembered) => Some(remembered),
            Value::Listing(_) => None,
        }
    }

    pub(super) fn keep_general(&self, key: GeneralKey, general: Remembered) {
        if let Some(entries) = &self.entries {
            entries.insert(Key::General(key), Value::General(general));
        }
    }

    pub(super) fn listing(&self, key: &ListingKey) -> Option<Arc<Listing>> {
        match self.entries.as_ref()?.get(&Key::Listing(key.clone()))? {
            Value::Listing(listing) => Some(listing),
            Value::General(_) => None,
        }
    }

    pub(super) fn keep_listing(&self, key: ListingKey, listing: Arc<Listing>) {
        if let Some(entries) = &self.entries {
            entries.insert(Key::Listing(key), Value::Listing(listing));
        }
    }

    /// Entries held, and their bytes.
    pub(super) fn size(&self) -> (u64, u64) {
        let Some(entries) = &self.entries else { return (0, 0) };
        entries.run_pending_tasks();
        (entries.entry_count(), entries.weighted_size())
    }

    /// How long an answer need not be asked again.
    pub(super) fn ttl_of(&self, general: &General) -> Duration {
        if general.is_empty() { self.negative_ttl } else { self.general_ttl }
    }

    /// How long a listing is kept.
    pub(super) fn listing_ttl(&self) -> Duration {
        self.listing_ttl
    }

    /// True while the answer need not be asked again.
    pub(super) fn is_fresh(&self, remembered: &Remembered) -> bool {
        remembered.at.elapsed() < self.ttl_of(&remembered.general)
    }

    /// The age of an answer that may stand in when OTX cannot be asked.
    pub(super) fn usable_age(&self, remembered: &Remembered) -> Option<Duration> {
        let age = remembered.at.elapsed();
        (age < self.max_stale).then_some(age)
    }
}

fn weight(key: &Key, value: &Value) -> u32 {
    let key = match key {
        Key::General(key) => key.value.len() + size_of::<Key>(),
        Key::Listing(key) => key.pulse.len() + key.modified.len() + size_of::<Key>(),
    };
    let value = match value {
        Value::General(remembered) => remembered.general.weight(),
        Value::Listing(listing) => listing.weight(),
    };
    // What the cache itself needs for an entry, as measured with many small ones.
    u32::try_from(key + value + 300).unwrap_or(u32::MAX)
}
