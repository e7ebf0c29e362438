//! Attack pattern: a technique or tactic of MITRE ATT&CK that pulses name.

use serde::Serialize;

use super::{Description, ExternalReference, SCHEMA_VERSION, SOURCE, ShortDescription, Title, Tlp};

/// An ATT&CK technique, sub-technique or tactic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AttackPattern<'a> {
    abstraction_level: &'static str,
    description: Description<'a>,
    external_ids: [String; 1],
    external_references: [ExternalReference<'a>; 1],
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
}

/// An id of ATT&CK: `TA0011`, `T1566`, `T1566.001`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttackId<'a> {
    /// Why something is done.
    Tactic(&'a str),
    /// How it is done.
    Technique(&'a str),
    /// How exactly: the technique, and its part after the dot.
    Subtechnique(&'a str, &'a str),
}

impl<'a> AttackId<'a> {
    /// Reads an id; `None` for anything else that authors put there.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let is_number = |digits: &str, length: usize| {
            digits.len() == length && digits.bytes().all(|digit| digit.is_ascii_digit())
        };
        let text = text.trim();
        if text.strip_prefix("TA").is_some_and(|number| is_number(number, 4)) {
            return Some(Self::Tactic(text));
        }
        let (technique, part) =
            text.split_once('.').map_or((text, None), |(technique, part)| (technique, Some(part)));
        if !technique.strip_prefix('T').is_some_and(|number| is_number(number, 4)) {
            return None;
        }
        match part {
            None => Some(Self::Technique(technique)),
            Some(part) if is_number(part, 3) => Some(Self::Subtechnique(technique, part)),
            Some(_) => None,
        }
    }

    /// What sort of thing it is, its level in CTIM, and its page.
    fn described(self) -> (&'static str, &'static str, String) {
        const SITE: &str = "https://attack.mitre.org";
        match self {
            Self::Tactic(id) => ("tactic", "category", format!("{SITE}/tactics/{id}/")),
            Self::Technique(id) => ("technique", "meta", format!("{SITE}/techniques/{id}/")),
            Self::Subtechnique(id, part) => ("sub-technique", "standard", format!("{SITE}/techniques/{id}/{part}/")),
        }
    }
}

impl std::fmt::Display for AttackId<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tactic(id) | Self::Technique(id) => f.write_str(id),
            Self::Subtechnique(id, part) => write!(f, "{id}.{part}"),
        }
    }
}

impl<'a> AttackPattern<'a> {
    /// The pattern with that id and name, told of by a pulse of that colour.
    #[must_use]
    pub fn new(id: String, attack: AttackId<'a>, name: Option<&'a str>, tlp: Option<Tlp>) -> Self {
        let code = attack.to_string();
        let (sort, abstraction_level, page) = attack.described();
        let name = name.map(str::trim).filter(|name| !name.is_empty());
        let named = name.map(|name| format!(", {name}")).unwrap_or_default();
        let words = format!("MITRE ATT&CK {sort} {code}{named}, as pulses of {SOURCE} name it.");
        Self {
            abstraction_level,
            description: Description::of_words(words.clone()),
            external_ids: [format!("ATT&CK-{code}")],
            external_references: [ExternalReference {
                description: None,
                external_id: Some(code.clone().into()),
                source_name: ShortDescription::new("mitre-attack"),
                url: Some(page.into()),
            }],
            id,
            schema_version: SCHEMA_VERSION,
            short_description: ShortDescription::of_words(words),
            source: SOURCE,
            title: Title::of_words(match name {
                Some(name) => format!("{code} {name}"),
                None => code,
            }),
            tlp,
            kind: "attack-pattern",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_and_nothing_else_is_taken_for_one() {
        assert_eq!(AttackId::parse("TA0011"), Some(AttackId::Tactic("TA0011")));
        assert_eq!(AttackId::parse(" T1566 "), Some(AttackId::Technique("T1566")));
        assert_eq!(AttackId::parse("T1566.001"), Some(AttackId::Subtechnique("T1566", "001")));
        for other in ["", "T", "T15", "T15666", "t1566", "T1566.1", "T1566.001.1", "G0016", "TA001", "T\u{661}566"] {
            assert_eq!(AttackId::parse(other), None, "{other}");
        }
    }
}
