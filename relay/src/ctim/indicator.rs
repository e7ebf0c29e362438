//! Indicator: a pulse.

use serde::Serialize;

use super::{Confidence, SCHEMA_VERSION, SOURCE, ShortDescription, Span, Title, Tlp};

/// An indicator, as the original made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Indicator<'a> {
    confidence: Confidence,
    external_ids: [&'a str; 1],
    /// `transient:indicator-…`.
    pub id: String,
    producer: Title<'a>,
    schema_version: &'static str,
    short_description: ShortDescription<'a>,
    source: &'static str,
    source_uri: String,
    tags: Vec<Title<'a>>,
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
    /// The pulse's author.
    pub producer: Title<'a>,
    /// The pulse's text, maybe empty.
    pub short_description: ShortDescription<'a>,
    /// The pulse's tags.
    pub tags: Vec<Title<'a>>,
    /// The pulse's name, if it has one.
    pub title: Option<Title<'a>>,
    /// The pulse's page.
    pub source_uri: String,
    /// The pulse's colour, if it is one.
    pub tlp: Option<Tlp>,
    /// When it holds.
    pub valid_time: Span,
}

impl<'a> From<Parts<'a>> for Indicator<'a> {
    fn from(parts: Parts<'a>) -> Self {
        let Parts { id, external_id, producer, short_description, tags, title, source_uri, tlp, valid_time } = parts;
        Self {
            confidence: Confidence::High,
            external_ids: [external_id],
            id,
            producer,
            schema_version: SCHEMA_VERSION,
            short_description,
            source: SOURCE,
            source_uri,
            tags,
            title,
            tlp,
            kind: "indicator",
            valid_time,
        }
    }
}
