//! `/pulses/{id}` and `/search/pulses`: one pulse whole, with every active row and no paging, or many without rows.
//!
//! Unlike the page about an indicator it says families and techniques as plain words, `adversary` as null when there
//! is none, and a `revision`.

use serde::Serialize;

use super::general::AuthorView;
use super::indicator::IndicatorType;
use super::pulse::{Group, Pulse};

/// A pulse as a search finds it: 20 keys.
#[derive(Serialize)]
pub(super) struct Summary<'a> {
    id: &'a str,
    name: &'a str,
    description: &'a str,
    author_name: &'a str,
    modified: &'a str,
    created: &'a str,
    tags: &'a [String],
    references: &'a [String],
    public: u8,
    adversary: Option<&'a str>,
    targeted_countries: &'a [String],
    malware_families: Vec<&'a str>,
    attack_ids: Vec<&'a str>,
    industries: &'a [String],
    #[serde(rename = "TLP")]
    tlp: &'a str,
    revision: u32,
    groups: &'a [Group],
    in_group: bool,
    author: AuthorView<'a>,
    is_subscribing: Option<bool>,
}

/// A pulse whole: the same and its rows.
#[derive(Serialize)]
pub(super) struct Detail<'a> {
    #[serde(flatten)]
    summary: Summary<'a>,
    indicators: Vec<DetailRow<'a>>,
}

/// A row of a pulse given whole: 9 keys.
#[derive(Serialize)]
struct DetailRow<'a> {
    id: u64,
    indicator: &'a str,
    r#type: IndicatorType,
    created: &'a str,
    content: &'static str,
    title: &'a str,
    description: &'a str,
    expiration: Option<&'a str>,
    is_active: u8,
}

/// A search's page: the count first, and an `exact_match` that is a string.
#[derive(Serialize)]
pub(super) struct Found<T: Serialize> {
    exact_match: &'static str,
    #[serde(flatten)]
    page: T,
}

impl<T: Serialize> Found<T> {
    pub(super) fn new(page: T) -> Self {
        Self { exact_match: "", page }
    }
}

impl<'a> From<&'a Pulse> for Summary<'a> {
    fn from(pulse: &'a Pulse) -> Self {
        Self {
            id: &pulse.id,
            name: &pulse.name,
            description: &pulse.description,
            author_name: &pulse.author.username,
            modified: &pulse.modified,
            created: &pulse.created,
            tags: &pulse.tags,
            references: &pulse.references,
            public: pulse.visible_to.is_none().into(),
            adversary: Some(pulse.adversary.as_str()).filter(|name| !name.is_empty()),
            targeted_countries: &pulse.targeted_countries,
            malware_families: pulse.malware_families.iter().map(|family| family.display_name.as_str()).collect(),
            attack_ids: pulse.attack_ids.iter().map(|technique| technique.id.as_str()).collect(),
            industries: &pulse.industries,
            tlp: &pulse.tlp,
            revision: pulse.revision,
            groups: &pulse.groups,
            in_group: !pulse.groups.is_empty(),
            author: (&pulse.author).into(),
            is_subscribing: None,
        }
    }
}

impl<'a> From<&'a Pulse> for Detail<'a> {
    fn from(pulse: &'a Pulse) -> Self {
        let mut rows: Vec<_> = pulse.indicators.iter().filter(|row| row.is_active).collect();
        rows.sort_by(|a, b| a.created.cmp(&b.created));
        let indicators = rows
            .into_iter()
            .map(|row| DetailRow {
                id: row.id,
                indicator: &row.indicator,
                r#type: row.kind,
                created: &row.created,
                content: "",
                title: &row.title,
                description: &row.description,
                expiration: row.expiration.as_deref(),
                is_active: 1,
            })
            .collect();
        Self { summary: pulse.into(), indicators }
    }
}
