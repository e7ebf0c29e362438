//! Sighting: a pulse holds the observable, or passive DNS has seen it.

use serde::Serialize;

use super::{Confidence, Description, ExternalReference, SCHEMA_VERSION, SOURCE, Span, Title, Tlp};

/// A sighting. Without references and timestamp it is what the original made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sighting<'a> {
    confidence: Confidence,
    count: u32,
    description: Description<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_ids: Option<[&'a str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_references: Option<[ExternalReference<'a>; 1]>,
    /// `transient:sighting-…`.
    pub id: String,
    internal: bool,
    observables: [Observable<'a>; 1],
    observed_time: Span,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    relations: Vec<Relation<'a>>,
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
            external_ids: Some([external_id]),
            external_references: external_reference.map(|reference| [reference]),
            id,
            internal: false,
            observables: [observable],
            observed_time: Span { end_time: Some(observed.clone()), start_time: observed },
            relations: Vec::new(),
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

/// A name resolved to an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are CTIM's")]
pub struct Relation<'a> {
    origin: &'static str,
    origin_uri: String,
    related: Observable<'a>,
    relation: &'static str,
    relation_info: Seen,
    source: Observable<'a>,
}

/// When it was first and last seen to, RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Seen {
    first: String,
    last: String,
}

impl<'a> Relation<'a> {
    /// `name` resolved to `address` in this span, as `page` says.
    #[must_use]
    pub fn resolved(
        name: Observable<'a>,
        address: Observable<'a>,
        (first, last): (String, String),
        page: &str,
    ) -> Self {
        Self {
            origin: SOURCE,
            origin_uri: page.to_owned(),
            related: address,
            relation: "Resolved_To",
            relation_info: Seen { first, last },
            source: name,
        }
    }
}

impl<'a> Sighting<'a> {
    /// What passive DNS has seen of the observable in this span of time, as `page` says.
    #[must_use]
    pub fn resolved(
        id: String,
        observable: Observable<'a>,
        observed_time: Span,
        relations: Vec<Relation<'a>>,
        page: String,
    ) -> Self {
        Self {
            confidence: Confidence::Info,
            count: 1,
            description: Description::of_words(
                "What AlienVault OTX's passive DNS has seen, which says nothing of good or bad.",
            ),
            external_ids: None,
            external_references: None,
            id,
            internal: false,
            observables: [observable],
            observed_time,
            relations,
            schema_version: SCHEMA_VERSION,
            source: SOURCE,
            source_uri: page,
            timestamp: None,
            title: Some(Title::of_words("Passive DNS")),
            tlp: None,
            kind: "sighting",
        }
    }
}
