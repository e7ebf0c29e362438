//! The bundle: documents by kind, each kind with its count, kinds without documents left out.

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::{Indicator, Relationship, Sighting};

/// The documents of one answer. No two of them share an id.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Bundle<'a> {
    /// Pulses.
    #[serde(skip_serializing_if = "Documents::is_empty")]
    pub indicators: Documents<Indicator<'a>>,
    /// Which sighting belongs to which pulse.
    #[serde(skip_serializing_if = "Documents::is_empty")]
    pub relationships: Documents<Relationship>,
    /// Observables in pulses.
    #[serde(skip_serializing_if = "Documents::is_empty")]
    pub sightings: Documents<Sighting<'a>>,
}

impl Bundle<'_> {
    /// True when nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.indicators.is_empty() && self.relationships.is_empty() && self.sightings.is_empty()
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
