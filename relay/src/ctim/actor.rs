//! Actor: the adversary that pulses name.

use serde::Serialize;

use super::{Description, SCHEMA_VERSION, SOURCE, ShortDescription, Span, Title, Tlp};

/// A group that is said to be behind a threat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Actor<'a> {
    description: Description<'a>,
    id: String,
    schema_version: &'static str,
    short_description: ShortDescription<'a>,
    source: &'static str,
    title: Title<'a>,
    /// The least restricted colour of the pulses that name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tlp: Option<Tlp>,
    #[serde(rename = "type")]
    kind: &'static str,
    /// Since when pulses hold what was asked about.
    pub valid_time: Span,
}

impl<'a> Actor<'a> {
    /// The actor of that name, told of by a pulse of that colour.
    #[must_use]
    pub fn new(id: String, name: &'a str, tlp: Option<Tlp>, valid_time: Span) -> Self {
        let words = format!("Adversary {name}, as pulses of {SOURCE} name it.");
        Self {
            description: Description::of_words(words.clone()),
            id,
            schema_version: SCHEMA_VERSION,
            short_description: ShortDescription::of_words(words),
            source: SOURCE,
            title: Title::of_words(name),
            tlp,
            kind: "actor",
            valid_time,
        }
    }
}
