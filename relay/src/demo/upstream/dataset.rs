//! All that an upstream knows: pulses, groups of hashes of one file, remarks on indicators, and the keys it accepts.
//!
//! [`Content`] is the plain material, to be read from fixtures or generated; [`Dataset`] is the same with every
//! indicator numbered and findable by value. Reading the fixtures fails only if a checked-in file is malformed.

use std::collections::HashMap;

use serde::Deserialize;

use super::indicator::{Asked, IndicatorType};
use super::passive_dns::DnsRecord;
use super::pulse::{FalsePositive, Pulse, Row};

/// The material of a [`Dataset`].
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// Keys accepted where a key is needed.
    pub accounts: Vec<Account>,
    /// All pulses, public and private.
    pub pulses: Vec<Pulse>,
    /// Hashes of one file under several algorithms.
    pub files: Vec<HashGroup>,
    /// What OTX itself says of an indicator.
    pub remarks: Vec<Remark>,
    /// What passive DNS has seen.
    pub dns: Vec<DnsRecord>,
}

/// Someone with an API key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Value of `X-OTX-API-KEY`.
    pub key: String,
    /// Name shown, and sent back in `X-Remote-User-Name`.
    pub username: String,
    /// OTX's number of the account.
    pub user_id: u64,
}

/// The hashes of one file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashGroup {
    /// 32 hex digits.
    pub md5: String,
    /// 40 hex digits.
    pub sha1: String,
    /// 64 hex digits.
    pub sha256: String,
    /// Under which of the three OTX keeps the file; it answers with this one whichever was asked.
    pub base: IndicatorType,
}

/// What OTX itself says of an indicator, pulses aside.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remark {
    /// The indicator's type.
    #[serde(rename = "type")]
    pub kind: IndicatorType,
    /// Its value.
    pub indicator: String,
    /// Allow-lists it stands on.
    #[serde(default)]
    pub validation: Vec<Validation>,
    /// Reports that it is no threat.
    #[serde(default)]
    pub false_positive: Vec<FalsePositive>,
    /// Where an address is.
    #[serde(default)]
    pub place: Place,
}

/// An allow-list an indicator stands on.
#[derive(Clone, Debug, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Validation {
    /// `whitelist`, `majestic`, `alexa`, `akamai`, `aws`, `suspicious` ...
    pub source: String,
    /// A sentence.
    pub message: String,
    /// A title.
    pub name: String,
}

/// Where an address is, as far as the fixtures say.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "named as on the wire")]
pub struct Place {
    pub asn: Option<String>,
    pub country_code: Option<String>,
    pub country_name: Option<String>,
}

/// The material, numbered and indexed.
#[derive(Clone, Debug, Default)]
pub struct Dataset {
    content: Content,
    indicators: HashMap<Key, Known>,
}

/// A fixture file does not have the form its type says.
#[derive(Debug, thiserror::Error)]
#[error("bundled fixture {name} cannot be read: {source}; correct the file under relay/src/demo/fixtures")]
pub struct FixtureError {
    name: &'static str,
    source: serde_json::Error,
}

type Key = (IndicatorType, String);

/// An indicator OTX has: its number and where it stands.
#[derive(Clone, Debug, Default)]
struct Known {
    id: u64,
    spelling: String,
    places: Vec<(usize, usize)>,
}

/// One pulse that holds an asked indicator, and the row in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit<'a> {
    pub(super) pulse: &'a Pulse,
    pub(super) row: &'a Row,
}

/// OTX's own entry of an indicator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Base<'a> {
    pub(super) id: u64,
    pub(super) kind: IndicatorType,
    pub(super) value: &'a str,
}

const FIRST_ID: u64 = 4_100_000_001;

impl Dataset {
    /// Numbers and indexes `content`. Rows that have a number keep it; equal indicators get equal numbers.
    #[must_use]
    pub fn new(mut content: Content) -> Self {
        let mut indicators: HashMap<Key, Known> = HashMap::new();
        let mut next_id = FIRST_ID;
        let mut known = |kind: IndicatorType, value: &str, given: u64, place: Option<(usize, usize)>| {
            let entry = indicators.entry((kind, kind.normal(value))).or_insert_with(|| {
                let id = if given == 0 { next_id } else { given };
                next_id += 1;
                Known { id, spelling: value.to_owned(), places: Vec::new() }
            });
            entry.places.extend(place);
            entry.id
        };
        for (p, pulse) in content.pulses.iter_mut().enumerate() {
            for (r, row) in pulse.indicators.iter_mut().enumerate() {
                row.id = known(row.kind, &row.indicator, row.id, Some((p, r)));
            }
        }
        for group in &content.files {
            for (kind, value) in group.hashes() {
                known(kind, value, 0, None);
            }
        }
        Self { content, indicators }
    }

    /// The eight pulses that ship with the relay.
    ///
    /// # Errors
    /// [`FixtureError`] when a checked-in file is malformed.
    pub fn bundled() -> Result<Self, FixtureError> {
        super::fixtures::content().map(Self::new)
    }

    /// The material, e.g. to change it and build a new data set from it.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.content
    }

    pub(super) fn account(&self, key: &str) -> Option<&Account> {
        self.content.accounts.iter().find(|account| account.key == key)
    }

    /// The pulse with this id, if the account may see it.
    pub(super) fn pulse(&self, id: &str, viewer: Option<&Account>) -> Option<&Pulse> {
        self.content.pulses.iter().find(|pulse| pulse.id == id && visible(pulse, viewer))
    }

    /// Pulses the account may see whose text contains `words`, oldest first.
    pub(super) fn search(&self, words: &str, viewer: Option<&Account>) -> Vec<&Pulse> {
        let words = words.to_lowercase();
        let says = |text: &String| text.to_lowercase().contains(&words);
        let mut found: Vec<&Pulse> = self
            .content
            .pulses
            .iter()
            .filter(|pulse| visible(pulse, viewer))
            .filter(|pulse| {
                says(&pulse.name) || says(&pulse.description) || says(&pulse.adversary) || pulse.tags.iter().any(says)
            })
            .collect();
        found.sort_by(|a, b| a.modified.cmp(&b.modified));
        found
    }

    /// The pulses the account may see that hold the indicator, or for a file any of its hashes (then the strongest
    /// one they hold), newest-modified first.
    pub(super) fn hits(&self, asked: &Asked, viewer: Option<&Account>) -> Vec<Hit<'_>> {
        let mut hits: Vec<Hit<'_>> = Vec::new();
        for (kind, value) in self.aliases(asked) {
            let Some(known) = self.indicators.get(&(kind, value)) else { continue };
            for &(p, r) in &known.places {
                let pulse = &self.content.pulses[p];
                if visible(pulse, viewer) && !hits.iter().any(|hit| hit.pulse.id == pulse.id) {
                    hits.push(Hit { pulse, row: &pulse.indicators[r] });
                }
            }
        }
        hits.sort_by(|a, b| b.pulse.modified.cmp(&a.pulse.modified));
        hits
    }

    /// OTX's entry of the indicator: for a file the hash it is kept under. `None` when OTX has no such indicator.
    pub(super) fn base(&self, asked: &Asked) -> Option<Base<'_>> {
        let key = match self.group(asked) {
            Some(group) => (group.base, group.hash(group.base).to_ascii_lowercase()),
            None => (asked.kind, asked.value.clone()),
        };
        self.indicators.get(&key).map(|known| Base { id: known.id, kind: key.0, value: &known.spelling })
    }

    pub(super) fn remark(&self, asked: &Asked) -> Option<&Remark> {
        let is_asked =
            |remark: &&Remark| remark.kind == asked.kind && remark.kind.normal(&remark.indicator) == asked.value;
        self.content.remarks.iter().find(is_asked)
    }

    fn group(&self, asked: &Asked) -> Option<&HashGroup> {
        let holds_asked = |group: &&HashGroup| group.hash(asked.kind).eq_ignore_ascii_case(&asked.value);
        asked.kind.is_hash().then(|| self.content.files.iter().find(holds_asked)).flatten()
    }

    fn aliases(&self, asked: &Asked) -> Vec<Key> {
        match self.group(asked) {
            Some(group) => group.hashes().map(|(kind, value)| (kind, value.to_ascii_lowercase())).into(),
            None => vec![(asked.kind, asked.value.clone())],
        }
    }
}

impl HashGroup {
    /// Strongest first.
    fn hashes(&self) -> [(IndicatorType, &str); 3] {
        [(IndicatorType::Sha256, &self.sha256), (IndicatorType::Sha1, &self.sha1), (IndicatorType::Md5, &self.md5)]
    }

    fn hash(&self, kind: IndicatorType) -> &str {
        match kind {
            IndicatorType::Md5 => &self.md5,
            IndicatorType::Sha1 => &self.sha1,
            _ => &self.sha256,
        }
    }
}

impl FixtureError {
    pub(super) fn new(name: &'static str, source: serde_json::Error) -> Self {
        Self { name, source }
    }
}

fn visible(pulse: &Pulse, viewer: Option<&Account>) -> bool {
    match &pulse.visible_to {
        None => true,
        Some(owner) => viewer.is_some_and(|viewer| viewer.username == *owner),
    }
}
