//! CTIM documents, typed: what can be built is what may be sent. They borrow from what OTX said; fields stand in
//! alphabetical order, because answers are written with sorted keys.
//!
//! Lengths, enums and required fields are those of CTIM 1.3 (`threatgrid/ctim`, `src/ctim/schemas`); the documents name
//! version 1.0.17, as the original's did.

mod actor;
mod attack_pattern;
mod bundle;
pub mod indicator;
pub mod judgement;
mod malware;
mod reference;
mod relationship;
pub mod sighting;
mod text;

use uuid::Uuid;

pub use actor::Actor;
pub use attack_pattern::{AttackId, AttackPattern};
pub use bundle::{Bundle, Documents};
pub use indicator::Indicator;
pub use judgement::{Disposition, Judgement, Verdict};
pub use malware::Malware;
pub use reference::ExternalReference;
pub use relationship::{Bond, Relationship};
use serde::Serialize;
pub use sighting::{Observable, Relation, Sighting};
pub use text::{Description, ShortDescription, Title};

/// `schema_version` of every document.
pub const SCHEMA_VERSION: &str = "1.0.17";
/// `source` of every document that has one.
pub const SOURCE: &str = "AlienVault OTX";

/// Confidence in a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Confidence {
    /// It says nothing of good or bad.
    Info,
    /// There is little to say for it.
    Low,
    /// There is something to say for it.
    Medium,
    /// There is much to say for it; what the original said of everything.
    High,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Severity {
    /// Not at all.
    None,
    /// Bad if it is true.
    Medium,
    /// Bad.
    High,
    /// Nobody can tell.
    Unknown,
}

/// Traffic light protocol, version 1, as CTIM has it.
/// Ordered from what may be told to everybody to what may be told to nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tlp {
    /// For everybody.
    White,
    /// For the community.
    Green,
    /// For the organisation and its clients.
    Amber,
    /// For the recipients alone.
    Red,
}

impl Tlp {
    /// The colour of that name in any case; TLP 2.0's `clear` is white and `amber+strict` amber. `None` for any other
    /// word: a colour is not guessed.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word.trim().to_ascii_lowercase().as_str() {
            "white" | "clear" => Some(Self::White),
            "green" => Some(Self::Green),
            "amber" | "amber+strict" => Some(Self::Amber),
            "red" => Some(Self::Red),
            _ => None,
        }
    }
}

/// A span of time: RFC 3339, whole seconds, UTC; the end is not before the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// Absent while it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_time: Option<String>,
    /// The first moment.
    pub start_time: String,
}

/// An id that is the same whenever the same thing is said: `transient:<type>-<uuid5 of name>` in the X.500 name space,
/// which the original took for indicators.
#[must_use]
pub fn transient_id(entity: &str, name: &str) -> String {
    format!("transient:{entity}-{}", Uuid::new_v5(&Uuid::NAMESPACE_X500, name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_indicators_are_the_originals() {
        for (pulse, uuid) in [
            ("q1w2e3r4t5y6", "8aaf75fe-7be6-57c4-89b7-39bd717e84f6"),
            ("5a0aa2535fe42a0173031e7c", "96fef1e2-2c92-5363-bbf4-e382bbfe183f"),
            ("p1", "89705643-91cc-5de2-87fc-3fb94942babb"),
        ] {
            assert_eq!(transient_id("indicator", pulse), format!("transient:indicator-{uuid}"));
        }
    }

    #[test]
    fn colours_are_read_in_every_spelling_and_never_guessed() {
        for (word, tlp) in [
            ("white", Some(Tlp::White)),
            ("GREEN", Some(Tlp::Green)),
            (" Amber ", Some(Tlp::Amber)),
            ("TLP:RED", None),
            ("clear", Some(Tlp::White)),
            ("amber+strict", Some(Tlp::Amber)),
            ("", None),
            ("ex:dark", None),
        ] {
            assert_eq!(Tlp::parse(word), tlp, "{word}");
        }
    }
}
