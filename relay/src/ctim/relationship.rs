//! Relationship: the sighting is a member of the indicator.

use serde::Serialize;

use super::{SCHEMA_VERSION, transient_id};

/// `member-of`, from a sighting to an indicator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are CTIM's")]
pub struct Relationship {
    id: String,
    relationship_type: &'static str,
    schema_version: &'static str,
    source_ref: String,
    target_ref: String,
    #[serde(rename = "type")]
    kind: &'static str,
}

impl Relationship {
    /// The relationship of two documents by their ids.
    #[must_use]
    pub fn member_of(sighting: &str, indicator: &str) -> Self {
        Self {
            id: transient_id("relationship", &format!("{sighting} member-of {indicator}")),
            relationship_type: "member-of",
            schema_version: SCHEMA_VERSION,
            source_ref: sighting.to_owned(),
            target_ref: indicator.to_owned(),
            kind: "relationship",
        }
    }
}
