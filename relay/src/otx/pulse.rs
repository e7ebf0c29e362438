//! A pulse as `/general` lists it, reduced to what answers are made of. Reading is tolerant: whatever is missing or
//! malformed is absent here; only a pulse without an id is none.

use serde::{Deserialize, Serialize};

use super::lenient::{self, Keys, List, Number, Object, Text, TextOr};

const TAGS_KEPT: usize = 1000;
/// References, malware families, techniques, countries and industries of a pulse that are kept, each.
const DETAILS_KEPT: usize = 200;

/// One pulse of a `/general` answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pulse {
    /// 24 hex digits on the real OTX.
    pub id: String,
    /// Title.
    pub name: Option<String>,
    /// Free text of its author.
    pub description: Option<String>,
    /// When the pulse was made (zone-less UTC).
    pub created: Option<String>,
    /// When it last changed (zone-less UTC); the expiry of a row changes it too.
    pub modified: Option<String>,
    /// Free words.
    pub tags: Vec<String>,
    /// `white`, `green`, `amber`, `red`, any case, or anything else.
    pub tlp: Option<String>,
    /// The author's user name.
    pub author: Option<String>,
    /// The same for every key. False unless OTX says so.
    pub public: bool,
    /// Active rows in its listing.
    pub indicator_count: Option<u64>,
    /// The types that occur in its listing.
    pub indicator_types: Vec<String>,
    /// The type under which the asked indicator stands in it.
    pub related_type: Option<String>,
    /// Whether the asked indicator is active in it.
    pub related_active: Option<bool>,
    /// What its author says of the threat.
    pub threat: Threat,
    /// What others make of it.
    pub reception: Reception,
}

/// What the author of a pulse says of the threat.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Threat {
    /// URLs, prose, empty texts.
    pub references: Vec<String>,
    /// The name of a group, prose, or empty.
    pub adversary: Option<String>,
    /// Malware.
    pub malware: Vec<MalwareFamily>,
    /// ATT&CK techniques, or what the author took for one.
    pub attacks: Vec<Attack>,
    /// Free text.
    pub countries: Vec<String>,
    /// Free text.
    pub industries: Vec<String>,
}

/// Malware that a pulse names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MalwareFamily {
    /// The name shown.
    pub name: String,
    /// Path of OTX's page about it, such as `/malware/Lantern`.
    pub target: Option<String>,
}

/// An ATT&CK technique or tactic that a pulse names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attack {
    /// `T1566`, `T1071.001`, `TA0011`.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
}

/// What readers of a pulse make of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reception {
    /// Votes for it.
    pub upvotes: u64,
    /// Votes against it.
    pub downvotes: u64,
    /// Accounts that subscribe to it.
    pub subscribers: u64,
    /// Whether the key's account subscribes to it or to its author.
    pub is_subscribed: bool,
}

impl Pulse {
    /// Rough bytes held, for the cache's bound.
    pub(super) fn weight(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let word = |word: &String| word.len() + 24;
        let Threat { references, adversary, malware, attacks, countries, industries } = &self.threat;
        let texts =
            [&self.name, &self.description, &self.created, &self.modified, &self.tlp, &self.author, adversary];
        let words = [&self.tags, &self.indicator_types, references, countries, industries];
        size_of::<Self>()
            + self.id.len()
            + texts.into_iter().map(text).sum::<usize>()
            + words.into_iter().flatten().map(word).sum::<usize>()
            + malware.iter().map(|family| word(&family.name) + text(&family.target) + 24).sum::<usize>()
            + attacks.iter().map(|attack| word(&attack.id) + text(&attack.name) + 24).sum::<usize>()
    }
}

#[derive(Deserialize)]
pub(super) struct WirePulse {
    #[serde(default, deserialize_with = "lenient::text")]
    id: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    description: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    created: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    modified: Option<String>,
    #[serde(default)]
    tags: Words<TAGS_KEPT>,
    #[serde(default, rename = "TLP", deserialize_with = "lenient::text")]
    tlp: Option<String>,
    #[serde(default)]
    author: Object<WireAuthor>,
    #[serde(default)]
    public: Number,
    #[serde(default)]
    indicator_count: Number,
    #[serde(default)]
    indicator_type_counts: Keys,
    #[serde(default, deserialize_with = "lenient::text")]
    related_indicator_type: Option<String>,
    #[serde(default)]
    related_indicator_is_active: Number,
    #[serde(default)]
    references: Words<DETAILS_KEPT>,
    #[serde(default, deserialize_with = "lenient::text")]
    adversary: Option<String>,
    #[serde(default)]
    malware_families: List<TextOr<WireFamily>, DETAILS_KEPT>,
    #[serde(default)]
    attack_ids: List<TextOr<WireAttack>, DETAILS_KEPT>,
    #[serde(default)]
    targeted_countries: Words<DETAILS_KEPT>,
    #[serde(default)]
    industries: Words<DETAILS_KEPT>,
    #[serde(default)]
    upvotes_count: Number,
    #[serde(default)]
    downvotes_count: Number,
    #[serde(default)]
    subscriber_count: Number,
    #[serde(default)]
    is_subscribing: Number,
}

#[derive(Deserialize)]
struct WireAuthor {
    #[serde(default, deserialize_with = "lenient::text")]
    username: Option<String>,
    #[serde(default)]
    is_subscribed: Number,
}

#[derive(Deserialize)]
struct WireFamily {
    #[serde(default, deserialize_with = "lenient::text")]
    id: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    display_name: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    target: Option<String>,
}

#[derive(Deserialize)]
struct WireAttack {
    #[serde(default, deserialize_with = "lenient::text")]
    id: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    name: Option<String>,
}

type Words<const MAX: usize> = List<OwnedText, MAX>;

struct OwnedText(Option<String>);

impl<'de> Deserialize<'de> for OwnedText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Text::deserialize(deserializer)?.0.map(std::borrow::Cow::into_owned)))
    }
}

/// The words that are not empty.
fn words<const MAX: usize>(list: Words<MAX>) -> Vec<String> {
    list.0.into_iter().filter_map(|word| word.0.filter(|word| !word.trim().is_empty())).collect()
}

impl WirePulse {
    pub(super) fn into_domain(self) -> Option<Pulse> {
        let author = self.author.0;
        let is_subscribed = |number: Number| number.0 == Some(1);
        let reception = Reception {
            upvotes: self.upvotes_count.0.unwrap_or(0),
            downvotes: self.downvotes_count.0.unwrap_or(0),
            subscribers: self.subscriber_count.0.unwrap_or(0),
            is_subscribed: is_subscribed(self.is_subscribing)
                || author.as_ref().is_some_and(|author| is_subscribed(author.is_subscribed)),
        };
        Some(Pulse {
            id: self.id.filter(|id| !id.is_empty())?,
            name: self.name,
            description: self.description,
            created: self.created,
            modified: self.modified,
            // An empty tag is one of the original's, too.
            tags: self.tags.0.into_iter().filter_map(|tag| tag.0).collect(),
            tlp: self.tlp,
            author: author.and_then(|author| author.username),
            public: self.public.0 == Some(1),
            indicator_count: self.indicator_count.0,
            indicator_types: self.indicator_type_counts.0,
            related_type: self.related_indicator_type,
            related_active: self.related_indicator_is_active.0.map(|active| active != 0),
            threat: Threat {
                references: words(self.references),
                adversary: self.adversary.filter(|adversary| !adversary.trim().is_empty()),
                malware: self.malware_families.0.into_iter().filter_map(family).collect(),
                attacks: self.attack_ids.0.into_iter().filter_map(attack).collect(),
                countries: words(self.targeted_countries),
                industries: words(self.industries),
            },
            reception,
        })
    }
}

/// Listings name malware by an object, pulses themselves by a text.
fn family(wire: TextOr<WireFamily>) -> Option<MalwareFamily> {
    let (name, target) = match wire {
        TextOr::Absent => return None,
        TextOr::Text(name) => (Some(name), None),
        TextOr::Object(WireFamily { id, display_name, target }) => (display_name.or(id), target),
    };
    Some(MalwareFamily { name: name.filter(|name| !name.trim().is_empty())?, target })
}

fn attack(wire: TextOr<WireAttack>) -> Option<Attack> {
    let (id, name) = match wire {
        TextOr::Absent => return None,
        TextOr::Text(id) => (Some(id), None),
        TextOr::Object(WireAttack { id, name }) => (id, name),
    };
    Some(Attack { id: id.filter(|id| !id.trim().is_empty())?, name })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::*;

    fn read(body: &str) -> Pulse {
        serde_json::from_str::<WirePulse>(body).unwrap().into_domain().unwrap()
    }

    #[test]
    fn malware_and_techniques_are_read_as_texts_and_as_objects() {
        let pulse = read(
            r#"{"id": "p", "malware_families": ["Slate", {"id": "Lantern", "display_name": "Win32:Lantern",
            "target": "/malware/Lantern"}, {"id": "Bare"}, {}, 7, null, ""], "attack_ids": ["T1055",
            {"id": "T1566.001", "name": "Spearphishing Attachment"}, {"name": "nameless"}, []]}"#,
        );
        let names: Vec<_> = pulse.threat.malware.iter().map(|family| family.name.as_str()).collect();
        assert_eq!(names, ["Slate", "Win32:Lantern", "Bare"]);
        assert_eq!(pulse.threat.malware[1].target.as_deref(), Some("/malware/Lantern"));
        let attacks: Vec<_> =
            pulse.threat.attacks.iter().map(|attack| (attack.id.as_str(), attack.name.as_deref())).collect();
        assert_eq!(attacks, [("T1055", None), ("T1566.001", Some("Spearphishing Attachment"))]);
    }

    #[test]
    fn reception_is_zero_where_it_is_unknown_and_a_subscription_counts_by_pulse_or_author() {
        assert_eq!(
            read(r#"{"id": "p", "upvotes_count": null, "is_subscribing": null}"#).reception,
            Reception::default()
        );
        for subscribed in [r#"{"id": "p", "is_subscribing": true}"#, r#"{"id": "p", "author": {"is_subscribed": 1}}"#]
        {
            assert!(read(subscribed).reception.is_subscribed, "{subscribed}");
        }
    }

    #[test]
    fn empty_words_are_dropped_and_nothing_spoils_its_neighbours() {
        let pulse = read(
            r#"{"id": "p", "references": ["", " ", "https://a.example/", 7, null], "adversary": " ",
            "industries": "Finance", "targeted_countries": [["x"], "Chile"], "malware_families": {"a": 1}}"#,
        );
        let threat = Threat {
            references: vec!["https://a.example/".into(), "7".into()],
            countries: vec!["Chile".into()],
            ..Threat::default()
        };
        assert_eq!(pulse.threat, threat);
    }
}
