//! Judgements and verdicts: [`crate::verdict`] asked about each look-up, and its opinion as documents.

use super::pulse::{author, tlp};
use super::threats::actor_name;
use super::{Telling, Validity, bare, end_of_what_was_said, last_said, newest};
use crate::api::refer::link;
use crate::ctim::{self, AttackId, Bundle, Judgement, Title, Verdict, judgement, transient_id};
use crate::observable::{Observable, ObservableType};
use crate::otx::pulse::Pulse;
use crate::otx::time::Moment;
use crate::otx::{Known, Lookup, Match};
use crate::verdict::{Evidence, Witness, weigh};

/// Days after which what is said of an address, a name or a URL is old.
const YEAR: u32 = 365;

/// The verdicts on the observables of some look-ups, and nothing else.
pub(super) fn verdicts<'a>(
    lookups: &'a [Lookup],
    telling: &Telling<'_>,
    now: Moment,
    trusted_authors: &[String],
) -> Bundle<'a> {
    let judged = lookups.iter().filter_map(|Lookup { observable, outcome }| {
        let known = outcome.as_ref().ok()?;
        let (judgement, _) = judge(observable, known, telling, now, trusted_authors)?;
        Some(Verdict::alone(&judgement))
    });
    Bundle { verdicts: ctim::Documents(judged.collect()), ..Bundle::default() }
}

/// What is to be thought of an observable, and the pulses that this rests on, by their place among the newest; `None`
/// when nothing is known of it.
pub(super) fn judge<'a>(
    observable: &'a Observable,
    known: &Known,
    telling: &Telling<'_>,
    now: Moment,
    trusted_authors: &[String],
) -> Option<(Judgement<'a>, Vec<usize>)> {
    let pulses = newest(known, usize::MAX);
    let opinion = weigh(&Evidence {
        notes: &known.general.validation,
        false_positives: &known.general.false_positives,
        witnesses: pulses.iter().map(|found| witness_of(observable.kind, found, now, trusted_authors)).collect(),
        inactive: inactive(known),
        left_out: known.left_out,
    })?;
    let colours = opinion.grounds.iter().filter_map(|index| pulses.get(*index)).filter_map(|(_, pulse)| tlp(pulse));
    let since = now.midnight();
    let validity = Validity { since, until: Some(end_of_what_was_said(observable.kind, since)) };
    let Observable { kind, value } = observable;
    let judgement = Judgement::from(judgement::Parts {
        id: transient_id("judgement", &format!("judgement of {kind} {value}")),
        observable: ctim::Observable { kind: kind.as_str(), value },
        disposition: opinion.disposition,
        confidence: opinion.confidence,
        severity: opinion.severity(),
        priority: opinion.priority(),
        page: link(observable, telling.web),
        tlp: colours.max(),
        valid_time: validity.span_with_end(),
        reason: Title::of_words(opinion.reason),
    });
    Some((judgement, opinion.grounds))
}

/// A pulse as a witness.
pub(super) fn witness_of<'a>(
    kind: ObservableType,
    (matched, pulse): &(&Match, &'a Pulse),
    now: Moment,
    trusted_authors: &[String],
) -> Witness<'a> {
    let author = author(pulse);
    let is_file = matches!(kind, ObservableType::Md5 | ObservableType::Sha1 | ObservableType::Sha256);
    let is_trusted =
        author.is_some_and(|author| trusted_authors.iter().any(|trusted| trusted.eq_ignore_ascii_case(author)));
    let code = |attack: &'a crate::otx::pulse::Attack| AttackId::parse(&attack.id).map(|_| attack.id.trim());
    Witness {
        author,
        is_trusted,
        is_active: matched.until.is_none_or(|until| until > now),
        is_old: !is_file && last_said(matched, pulse).plus_days(YEAR) < now,
        reception: pulse.reception,
        adversary: pulse.threat.adversary.as_deref().and_then(actor_name),
        malware: pulse.threat.malware.iter().map(|family| bare(&family.name)).find(|name| !name.is_empty()),
        attack: pulse.threat.attacks.iter().find_map(code),
    }
}

/// Pulses in which OTX calls the observable inactive, beside those that are matches all the same.
fn inactive(known: &Known) -> usize {
    let is_match = |index: usize| known.matches.iter().any(|matched| matched.pulse == index);
    let pulses = known.general.pulses.iter().enumerate();
    pulses.filter(|(index, pulse)| pulse.related_active == Some(false) && !is_match(*index)).count()
}
