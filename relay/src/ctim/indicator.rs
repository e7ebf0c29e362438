//! Indicator: a pulse.

use serde::Serialize;

use super::{Confidence, Description, ExternalReference, SCHEMA_VERSION, SOURCE, ShortDescription, Span, Title, Tlp};

/// An indicator. Without description, references, types and timestamp it is what the original made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are CTIM's")]
pub struct Indicator<'a> {
    confidence: Confidence,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Description<'a>>,
    external_ids: [&'a str; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_references: Vec<ExternalReference<'a>>,
    /// `transient:indicator-…`.
    pub id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    indicator_type: Vec<&'static str>,
    producer: Title<'a>,
    schema_version: &'static str,
    short_description: ShortDescription<'a>,
    source: &'static str,
    source_uri: String,
    tags: Vec<Title<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<Title<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tlp: Option<Tlp>,
    #[serde(rename = "type")]
    kind: &'static str,
    /// When it holds.
    pub valid_time: Span,
}

/// What an indicator says beside what all indicators say.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    /// `transient:indicator-…`.
    pub id: String,
    /// The pulse's id.
    pub external_id: &'a str,
    /// How much there is to say for it.
    pub confidence: Confidence,
    /// The pulse's whole text, where it is told.
    pub description: Option<Description<'a>>,
    /// Where more is told.
    pub external_references: Vec<ExternalReference<'a>>,
    /// Which lists of CTIM it is, by the types in the pulse.
    pub indicator_type: Vec<&'static str>,
    /// The pulse's author.
    pub producer: Title<'a>,
    /// The pulse's text or its beginning, maybe empty.
    pub short_description: ShortDescription<'a>,
    /// The pulse's tags, and what has no field of its own.
    pub tags: Vec<Title<'a>>,
    /// The pulse's name, if it has one.
    pub title: Option<Title<'a>>,
    /// The pulse's page.
    pub source_uri: String,
    /// When the pulse last changed, RFC 3339.
    pub timestamp: Option<String>,
    /// The pulse's colour, if it is one.
    pub tlp: Option<Tlp>,
    /// When it holds.
    pub valid_time: Span,
}

impl<'a> From<Parts<'a>> for Indicator<'a> {
    fn from(parts: Parts<'a>) -> Self {
        let Parts {
            id,
            external_id,
            confidence,
            description,
            external_references,
            indicator_type,
            producer,
            short_description,
            tags,
            title,
            source_uri,
            timestamp,
            tlp,
            valid_time,
        } = parts;
        Self {
            confidence,
            description,
            external_ids: [external_id],
            external_references,
            id,
            indicator_type,
            producer,
            schema_version: SCHEMA_VERSION,
            short_description,
            source: SOURCE,
            source_uri,
            tags,
            timestamp,
            title,
            tlp,
            kind: "indicator",
            valid_time,
        }
    }
}
