//! Relationships: how two documents belong together.

use serde::Serialize;

use super::{SCHEMA_VERSION, SOURCE, Tlp, transient_id};

/// A relationship, from its source to its target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are CTIM's")]
pub struct Relationship {
    id: String,
    relationship_type: &'static str,
    schema_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'static str>,
    source_ref: String,
    target_ref: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tlp: Option<Tlp>,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// In what way one document belongs to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bond {
    /// A sighting to the indicator whose pulse holds what was seen.
    MemberOf,
    /// An indicator to the threat that its pulse names.
    Indicates,
    /// A judgement to an indicator that it rests on.
    BasedOn,
    /// A sub-technique to its technique.
    SubtechniqueOf,
}

impl Bond {
    const fn as_str(self) -> &'static str {
        match self {
            Self::MemberOf => "member-of",
            Self::Indicates => "indicates",
            Self::BasedOn => "based-on",
            Self::SubtechniqueOf => "subtechnique-of",
        }
    }
}

impl Relationship {
    /// The relationship of two documents by their ids, as the original made it.
    #[must_use]
    pub fn plain(source: &str, bond: Bond, target: &str) -> Self {
        Self {
            id: transient_id("relationship", &format!("{source} {} {target}", bond.as_str())),
            relationship_type: bond.as_str(),
            schema_version: SCHEMA_VERSION,
            source: None,
            source_ref: source.to_owned(),
            target_ref: target.to_owned(),
            tlp: None,
            kind: "relationship",
        }
    }

    /// The same with who says so and to whom it may be told.
    #[must_use]
    pub fn told(source: &str, bond: Bond, target: &str, tlp: Option<Tlp>) -> Self {
        Self { source: Some(SOURCE), tlp, ..Self::plain(source, bond, target) }
    }
}
