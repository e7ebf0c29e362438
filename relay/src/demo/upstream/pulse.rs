//! Pulses as they are authored: what a person or a sensor put into OTX, before OTX counts and relates it.
//!
//! These types read the checked-in fixtures and are built by generators; the shapes OTX answers with are made from them.

use serde::{Deserialize, Serialize};

use super::indicator::IndicatorType;

/// A pulse: a named, dated set of indicators with one author.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pulse {
    /// 24 hex digits.
    pub id: String,
    /// Title; free text, tabs included.
    pub name: String,
    /// Free text, often empty.
    pub description: String,
    /// Zone-less UTC time; six digits of fraction, or none when it is zero.
    pub created: String,
    /// As `created`; never earlier.
    pub modified: String,
    /// How long ago `modified` is, in words, with OTX's trailing space.
    pub modified_text: String,
    /// Who published it.
    pub author: Author,
    /// Anything, in any number.
    pub tags: Vec<String>,
    /// URLs, prose and empty strings.
    pub references: Vec<String>,
    /// A name, prose or empty.
    pub adversary: String,
    /// Free text.
    pub targeted_countries: Vec<String>,
    /// Malware named by the author.
    pub malware_families: Vec<MalwareFamily>,
    /// ATT&CK techniques.
    pub attack_ids: Vec<AttackId>,
    /// Free text.
    pub industries: Vec<String>,
    /// `white`, `green`, `amber` or `red`.
    #[serde(rename = "TLP")]
    pub tlp: String,
    /// The pulse this one began as a copy of.
    pub cloned_from: Option<String>,
    /// `web` or `api`.
    pub pulse_source: String,
    /// Number of edits.
    pub revision: u32,
    /// Account that alone sees it; `None` is a public pulse.
    pub visible_to: Option<String>,
    /// Groups it was shared with.
    pub groups: Vec<Group>,
    /// What readers did with it.
    pub reception: Reception,
    /// Its indicators, in the order they were added.
    pub indicators: Vec<Row>,
}

/// Who published a pulse.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Author {
    /// Name shown.
    pub username: String,
    /// A number, as a string.
    pub id: String,
    /// Path or URL of a picture.
    pub avatar_url: String,
}

/// Malware as the answers about an indicator name it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MalwareFamily {
    /// Name without decoration.
    pub id: String,
    /// Name shown.
    pub display_name: String,
    /// Path of OTX's page about it.
    pub target: Option<String>,
}

/// An ATT&CK technique as the answers about an indicator name it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AttackId {
    /// `T1566`, `T1071.001`.
    pub id: String,
    /// The technique's name.
    pub name: String,
    /// Both.
    pub display_name: String,
}

/// A group of OTX users.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Name shown.
    pub name: String,
    /// OTX's number of it.
    pub id: u64,
}

/// What readers did with a pulse.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "counters named as on the wire")]
pub struct Reception {
    pub export_count: u64,
    pub upvotes_count: u64,
    pub downvotes_count: u64,
    pub validator_count: u64,
    pub comment_count: u64,
    pub follower_count: u64,
    pub subscriber_count: u64,
}

/// One indicator in one pulse.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// OTX's number of the indicator, the same in every pulse; assigned by the data set when 0.
    #[serde(default)]
    pub id: u64,
    /// The value, in OTX's spelling.
    pub indicator: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: IndicatorType,
    /// When it was added: zone-less UTC, whole seconds.
    pub created: String,
    /// When it stops being active: `None`, a midnight, or whole seconds.
    #[serde(default)]
    pub expiration: Option<String>,
    /// Inactive rows are listed only when asked for, and not counted.
    #[serde(default = "yes")]
    pub is_active: bool,
    /// Short text of the author.
    #[serde(default)]
    pub title: String,
    /// Longer text of the author.
    #[serde(default)]
    pub description: String,
    /// What OTX was told about false alarms.
    #[serde(default)]
    pub false_positive: FalsePositive,
}

fn yes() -> bool {
    true
}

/// A report that an indicator is no threat, and what became of it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FalsePositive {
    /// `accepted`, `pending` ...
    pub assessment: Option<String>,
    /// When it was decided.
    pub assessment_date: Option<String>,
    /// When it was reported.
    pub report_date: Option<String>,
}
