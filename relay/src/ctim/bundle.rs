//! The bundle: documents by kind, each kind with its count, kinds without documents left out.

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::{Actor, AttackPattern, Indicator, Judgement, Malware, Relationship, Sighting, Verdict};

/// The documents of one answer. No two of them share an id.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Bundle<'a> {
    /// Adversaries that pulses name.
    #[serde(skip_serializing_if = "Documents::is_empty")]
    pub actors: Documents<Actor<'a>>,
    /// ATT&CK techniques and tactics that pulses name.
    #[serde(skip_serializing_if = "Documents::is_empty")]
    pub attack_patterns: Documents<AttackPattern<'a>>,
    /// Pulses.
    #[serde(skip_serializing_if = "Documents::is_empty")]
    pub indicators: Documents<Indicator<'a>>,
    /// What is to be thought of observables, and why.
    #[serde(skip_serializing_if = "Documents::is_empty")]
    pub judgements: Documents<Judgement<'a>>,
    /// Malware families that pulses name.
    #[serde(skip_serializing_if = "Documents::is_empty")]
    pub malwares: Documents<Malware<'a>>,
    /// How the documents belong together.
    #[serde(skip_serializing_if = "Documents::is_empty")]
    pub relationships: Documents<Relationship>,
    /// Observables in pulses.
    #[serde(skip_serializing_if = "Documents::is_empty")]
    pub sightings: Documents<Sighting<'a>>,
    /// Which judgement counts of an observable.
    #[serde(skip_serializing_if = "Documents::is_empty")]
    pub verdicts: Documents<Verdict<'a>>,
}

impl Bundle<'_> {
    /// True when nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { actors, attack_patterns, indicators, judgements, malwares, relationships, sightings, verdicts } =
            self;
        actors.is_empty()
            && attack_patterns.is_empty()
            && indicators.is_empty()
            && judgements.is_empty()
            && malwares.is_empty()
            && relationships.is_empty()
            && sightings.is_empty()
            && verdicts.is_empty()
    }
}

/// Documents of one kind: `{"count": n, "docs": [...]}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Documents<T>(pub Vec<T>);

impl<T> Documents<T> {
    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Default for Documents<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Serialize> Serialize for Documents<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut documents = serializer.serialize_struct("Documents", 2)?;
        documents.serialize_field("count", &self.0.len())?;
        documents.serialize_field("docs", &self.0)?;
        documents.end()
    }
}
