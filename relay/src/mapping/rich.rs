//! Rich answers: the original's documents with every field that OTX has something for, the threats that pulses name, and
//! what is to be thought of each observable.

use std::collections::HashMap;

use super::judgement::{judge, witness_of};
use super::pulse::{self, own_reference, timestamp, title, tlp};
use super::resolutions;
use super::threats::Threats;
use super::{Telling, Validity, end_of_what_was_said, last_said, newest, page};
use crate::ctim::{self, Bond, Bundle, Confidence, Description, Relationship, Sighting, Verdict, transient_id};
use crate::observable::Observable;
use crate::otx::pulse::Pulse;
use crate::otx::time::Moment;
use crate::otx::{Known, Lookup, Match};
use crate::verdict::note;

/// The bundle of some look-ups.
pub(super) fn bundle<'a>(
    lookups: &'a [Lookup],
    telling: &Telling<'_>,
    now: Moment,
    trusted_authors: &[String],
) -> Bundle<'a> {
    let mut rich = Rich { bundle: Bundle::default(), indicators: HashMap::new(), threats: Threats::default() };
    for Lookup { observable, outcome } in lookups {
        let Ok(known) = outcome else { continue };
        let shown = newest(known, telling.limit);
        let note = note(&known.general.validation, &known.general.false_positives);
        for found in &shown {
            let confidence = witness_of(observable.kind, found, now, trusted_authors).confidence();
            rich.tell(observable, *found, confidence, note.as_deref(), telling.site());
        }
        rich.bundle.sightings.0.extend(resolutions::sighting(observable, known, telling));
        rich.judge(observable, known, &shown, telling, (now, trusted_authors));
    }
    let Rich { mut bundle, threats, .. } = rich;
    threats.tell(&mut bundle);
    bundle
}

/// A bundle in the making.
struct Rich<'a> {
    bundle: Bundle<'a>,
    /// By pulse: its place among the indicators, and when it holds. A pulse that holds several of the observables is
    /// one indicator.
    indicators: HashMap<&'a str, (usize, Validity)>,
    threats: Threats<'a>,
}

impl<'a> Rich<'a> {
    /// Tells of one match.
    fn tell(
        &mut self,
        observable: &'a Observable,
        (matched, pulse): (&Match, &'a Pulse),
        confidence: Confidence,
        note: Option<&str>,
        site: &str,
    ) {
        let id = transient_id("indicator", &pulse.id);
        let sighting = sighting(observable, matched.since, confidence, pulse, note, site);
        let bond = Relationship::told(&sighting.id, Bond::MemberOf, &id, tlp(pulse));
        self.bundle.relationships.0.push(bond);
        self.bundle.sightings.0.push(sighting);
        let until = matched.until.unwrap_or_else(|| end_of_what_was_said(observable.kind, last_said(matched, pulse)));
        let validity = Validity { since: matched.since, until: Some(until) };
        if let Some((index, known)) = self.indicators.get_mut(pulse.id.as_str()) {
            *known = known.or(validity);
            if let Some(indicator) = self.bundle.indicators.0.get_mut(*index) {
                indicator.valid_time = known.span_with_end();
            }
            return;
        }
        for threat in self.threats.add(pulse, matched.since, site) {
            self.bundle.relationships.0.push(Relationship::told(&id, Bond::Indicates, &threat, tlp(pulse)));
        }
        self.indicators.insert(&pulse.id, (self.bundle.indicators.0.len(), validity));
        self.bundle.indicators.0.push(pulse::indicator(id, validity, confidence, pulse, site));
    }

    /// Tells what is to be thought of an observable, and on which of the pulses that are shown this rests.
    fn judge(
        &mut self,
        observable: &'a Observable,
        known: &Known,
        shown: &[(&Match, &Pulse)],
        telling: &Telling<'_>,
        (now, trusted_authors): (Moment, &[String]),
    ) {
        let Some((judgement, grounds)) = judge(observable, known, telling, now, trusted_authors) else { return };
        for (_, pulse) in grounds.iter().filter_map(|index| shown.get(*index)) {
            let indicator = transient_id("indicator", &pulse.id);
            let bond = Relationship::told(&judgement.id, Bond::BasedOn, &indicator, tlp(pulse));
            self.bundle.relationships.0.push(bond);
        }
        self.bundle.verdicts.0.push(Verdict::beside(&judgement));
        self.bundle.judgements.0.push(judgement);
    }
}

/// A sighting; what OTX itself notes on the observable stands before the pulse's text.
fn sighting<'a>(
    observable: &'a Observable,
    since: Moment,
    confidence: Confidence,
    pulse: &'a Pulse,
    note: Option<&str>,
    site: &str,
) -> Sighting<'a> {
    let text = pulse.description.as_deref().unwrap_or_default();
    let observable = ctim::Observable { kind: observable.kind.as_str(), value: &observable.value };
    Sighting::from(ctim::sighting::Parts {
        id: transient_id("sighting", &format!("{} in {} {}", pulse.id, observable.kind, observable.value)),
        external_id: &pulse.id,
        confidence,
        external_reference: Some(own_reference(pulse, site)),
        observable,
        observed: since.to_rfc3339(),
        description: match note {
            Some(note) => Description::of_words(format!("{note}\n\n{text}")),
            None => Description::of_words(text),
        },
        title: title(pulse),
        source_uri: page(pulse, site),
        timestamp: timestamp(pulse),
        tlp: tlp(pulse),
    })
}

#[cfg(test)]
#[path = "rich_tests.rs"]
mod tests;
