//! Sighting: a pulse holds the observable.

use serde::Serialize;

use super::{Confidence, Description, ExternalReference, SCHEMA_VERSION, SOURCE, Span, Title, Tlp};

/// A sighting. Without references and timestamp it is what the original made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sighting<'a> {
    confidence: Confidence,
    count: u32,
    description: Description<'a>,
    external_ids: [&'a str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    external_references: Option<[ExternalReference<'a>; 1]>,
    /// `transient:sighting-…`.
    pub id: String,
    internal: bool,
    observables: [Observable<'a>; 1],
    observed_time: Span,
    schema_version: &'static str,
    source: &'static str,
    source_uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<Title<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tlp: Option<Tlp>,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// The observable as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Observable<'a> {
    /// Its CTIM type.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its value.
    pub value: &'a str,
}

/// What a sighting says beside what all sightings say.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    /// `transient:sighting-…`.
    pub id: String,
    /// The pulse's id.
    pub external_id: &'a str,
    /// How sure it is that this means something.
    pub confidence: Confidence,
    /// Where more is told.
    pub external_reference: Option<ExternalReference<'a>>,
    /// What was seen.
    pub observable: Observable<'a>,
    /// When it was seen, RFC 3339.
    pub observed: String,
    /// The pulse's text, maybe empty.
    pub description: Description<'a>,
    /// The pulse's name, if it has one.
    pub title: Option<Title<'a>>,
    /// The pulse's page.
    pub source_uri: String,
    /// When the pulse last changed, RFC 3339.
    pub timestamp: Option<String>,
    /// The pulse's colour, if it is one.
    pub tlp: Option<Tlp>,
}

impl<'a> From<Parts<'a>> for Sighting<'a> {
    fn from(parts: Parts<'a>) -> Self {
        let Parts {
            id,
            external_id,
            confidence,
            external_reference,
            observable,
            observed,
            description,
            title,
            source_uri,
            timestamp,
            tlp,
        } = parts;
        Self {
            confidence,
            count: 1,
            description,
            external_ids: [external_id],
            external_references: external_reference.map(|reference| [reference]),
            id,
            internal: false,
            observables: [observable],
            observed_time: Span { end_time: Some(observed.clone()), start_time: observed },
            schema_version: SCHEMA_VERSION,
            source: SOURCE,
            source_uri,
            timestamp,
            title,
            tlp,
            kind: "sighting",
        }
    }
}
