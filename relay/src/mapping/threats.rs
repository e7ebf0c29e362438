//! What pulses name: adversaries, malware, ATT&CK techniques. Each is one document in a bundle, however many pulses name
//! it, in the least restricted of their colours. Words that are no name are not made one.

use std::collections::HashMap;

use super::pulse::tlp;
use super::{bare, is_web_address};
use crate::ctim::{
    Actor, AttackId, AttackPattern, Bond, Bundle, Documents, Malware, Relationship, Span, Tlp, transient_id,
};
use crate::otx::pulse::Pulse;
use crate::otx::time::Moment;

/// Longest name of a group; what is longer is prose.
const LONGEST_NAME: usize = 50;
const MOST_WORDS: usize = 5;

/// The threats of a bundle.
#[derive(Default)]
pub(super) struct Threats<'a> {
    actors: Named<Actor<'a>>,
    attack_patterns: Named<AttackPattern<'a>>,
    malwares: Named<Malware<'a>>,
    /// Sub-techniques, by id, with the id that their technique has.
    parts: Vec<(String, String)>,
}

/// Documents in the order in which they were first named, found by their ids.
struct Named<T> {
    documents: Vec<T>,
    places: HashMap<String, usize>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self { documents: Vec::new(), places: HashMap::new() }
    }
}

impl<T> Named<T> {
    /// Has `make` make the document of that id, or `change` change the one that is there.
    fn name(&mut self, id: &str, make: impl FnOnce(String) -> T, change: impl FnOnce(&mut T)) {
        let place = self.places.get(id).and_then(|place| self.documents.get_mut(*place));
        if let Some(document) = place {
            change(document);
        } else {
            self.places.insert(id.to_owned(), self.documents.len());
            self.documents.push(make(id.to_owned()));
        }
    }
}

impl<'a> Threats<'a> {
    /// Adds what `pulse` names, which has held something asked since then; gives the ids, each once.
    pub(super) fn add(&mut self, pulse: &'a Pulse, since: Moment, site: &str) -> Vec<String> {
        let colour = tlp(pulse);
        let mut ids: Vec<String> = Vec::new();
        if let Some(name) = pulse.threat.adversary.as_deref().and_then(actor_name) {
            let id = transient_id("actor", &format!("actor {}", folded(name)));
            let span = Span { start_time: since.to_rfc3339(), end_time: None };
            let start = span.start_time.clone();
            self.actors.name(
                &id,
                |id| Actor::new(id, name, colour, span),
                |actor| {
                    actor.tlp = looser(actor.tlp, colour);
                    if start < actor.valid_time.start_time {
                        actor.valid_time.start_time = start;
                    }
                },
            );
            ids.push(id);
        }
        for family in &pulse.threat.malware {
            let name = bare(&family.name);
            if name.is_empty() {
                continue;
            }
            let id = transient_id("malware", &format!("malware {}", folded(name)));
            let page = || family.target.as_deref().and_then(|path| malware_page(path, site));
            self.malwares.name(
                &id,
                |id| Malware::new(id, name, page(), colour),
                |malware| {
                    malware.tlp = looser(malware.tlp, colour);
                },
            );
            ids.push(id);
        }
        for attack in &pulse.threat.attacks {
            let Some(code) = AttackId::parse(&attack.id) else { continue };
            let id = attack_pattern_id(&code);
            let name = attack.name.as_deref();
            self.attack_patterns.name(
                &id,
                |id| AttackPattern::new(id, code, name, colour),
                |pattern| {
                    pattern.tlp = looser(pattern.tlp, colour);
                },
            );
            if let AttackId::Subtechnique(technique, _) = code {
                self.parts.push((id.clone(), attack_pattern_id(&AttackId::Technique(technique))));
            }
            ids.push(id);
        }
        let mut seen = std::collections::HashSet::with_capacity(ids.len());
        ids.retain(|id| seen.insert(id.clone()));
        ids
    }

    /// Puts the documents into the bundle, and sub-techniques to their techniques where both are there.
    pub(super) fn tell(mut self, bundle: &mut Bundle<'a>) {
        self.parts.sort();
        self.parts.dedup();
        let both = self.parts.iter().filter(|(_, technique)| self.attack_patterns.places.contains_key(technique));
        let bonds = both.map(|(part, technique)| Relationship::told(part, Bond::SubtechniqueOf, technique, None));
        bundle.relationships.0.extend(bonds);
        bundle.actors = Documents(self.actors.documents);
        bundle.attack_patterns = Documents(self.attack_patterns.documents);
        bundle.malwares = Documents(self.malwares.documents);
    }
}

/// The name of a group, if the author wrote one and not a remark.
pub(super) fn actor_name(adversary: &str) -> Option<&str> {
    let name = bare(adversary);
    let is_remark = name.contains(['?', '!', ';', '\n', '\r', '<'])
        || name.chars().count() > LONGEST_NAME
        || name.split_whitespace().count() > MOST_WORDS;
    let is_nobody = ["", "-", "n/a", "na", "none", "null", "unknown", "various", "multiple", "tbd"]
        .iter()
        .any(|nobody| name.eq_ignore_ascii_case(nobody));
    (!is_remark && !is_nobody && name.chars().any(char::is_alphanumeric)).then_some(name)
}

fn attack_pattern_id(code: &AttackId<'_>) -> String {
    transient_id("attack-pattern", &format!("attack-pattern {code}"))
}

/// One spelling of a name.
fn folded(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// OTX's page of a family: a path of its own, never another site.
fn malware_page(path: &str, site: &str) -> Option<String> {
    if !path.starts_with("/malware/") {
        return None;
    }
    let url = url::Url::parse(&format!("{site}{path}")).ok()?;
    is_web_address(&url).then(|| url.into())
}

/// What one pulse tells everybody may be told to everybody.
fn looser(one: Option<Tlp>, other: Option<Tlp>) -> Option<Tlp> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_remark() {
        for name in ["Lazarus", "APT28", " Paper Lantern ", "Cobalt Group / FIN7", "\u{423}\u{433}\u{440}"] {
            assert_eq!(actor_name(name), Some(name.trim()));
        }
        for remark in [
            "",
            " - ",
            "Unknown",
            "N/A",
            "???",
            "unknown actor, maybe the same people as last week? (see comments)",
            "they came in through the supplier's gateway",
            "<script>",
        ] {
            assert_eq!(actor_name(remark), None, "{remark}");
        }
    }

    #[test]
    fn a_page_of_malware_is_on_otx_alone() {
        let page = |path| malware_page(path, "https://otx.example");
        assert_eq!(page("/malware/Win32 Slate").as_deref(), Some("https://otx.example/malware/Win32%20Slate"));
        for elsewhere in ["https://evil.example/", "//evil.example/malware/", "malware/x", ""] {
            assert_eq!(page(elsewhere), None, "{elsewhere}");
        }
    }
}
