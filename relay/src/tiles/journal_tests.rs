#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use secrecy::SecretString;

use super::*;
use crate::observable::Observable;
use crate::otx::key::OtxKey;
use crate::otx::types::General;
use crate::otx::{Failure, Known, Match};

fn scope(key: &str) -> Scope {
    OtxKey::new(&SecretString::from(key)).unwrap().scope()
}

fn at(minutes: u32) -> Moment {
    Moment::from_seconds(1_700_000_400 + minutes * 60)
}

fn lookup(pulses: &[&str]) -> Lookup {
    let pulse = |id: &&str| Pulse { id: (*id).to_owned(), name: Some("a\nname".into()), ..Pulse::default() };
    let matches = (0..pulses.len()).map(|pulse| Match { pulse, since: at(0), until: None });
    let general = General { pulses: pulses.iter().map(pulse).collect(), ..General::default() };
    let known = Known { matches: matches.collect(), general: Arc::new(general), ..Known::default() };
    Lookup {
        observable: Observable { kind: ObservableType::Domain, value: "a.example".into() },
        outcome: Ok(Arc::new(known)),
    }
}

fn ids(seen: &[Seen]) -> Vec<&str> {
    seen.iter().map(|seen| seen.id.as_str()).collect()
}

#[test]
fn look_ups_are_counted_by_key_and_by_what_they_found() {
    let journal = Journal::new(true);
    let failed = Lookup { outcome: Err(Failure::CircuitOpen), ..lookup(&[]) };
    journal.note(scope("a"), &[lookup(&["p"]), lookup(&[]), lookup(&[]), failed], at(0));
    journal.note(scope("a"), &[lookup(&["p"])], at(25));
    let domain = |key, since| journal.counts(scope(key), since)[0];
    assert_eq!(domain("a", at(0)), Counts { known: 2, unknown: 2, failed: 1 });
    assert_eq!(domain("a", at(20)), Counts { known: 1, ..Counts::default() });
    assert_eq!(domain("b", at(0)), Counts::default());
}

#[test]
fn pulses_come_once_the_latest_first_and_go_when_they_are_too_many_or_too_old() {
    let journal = Journal::new(true);
    journal.note(scope("a"), &[lookup(&["one", "two"])], at(0));
    journal.note(scope("a"), &[lookup(&["one"])], at(5));
    let seen = journal.pulses(scope("a"), at(0));
    assert_eq!(ids(&seen), ["one", "two"]);
    assert_eq!((seen[0].at, seen[0].name.as_str()), (at(5), "a name"));
    assert_eq!(ids(&journal.pulses(scope("a"), at(1))), ["one"]);
    assert!(journal.pulses(scope("b"), at(0)).is_empty());
    let many: Vec<String> = (0..300).map(|id| id.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    journal.note(scope("a"), &[lookup(&many)], at(6));
    assert_eq!(journal.pulses(scope("a"), at(0)).len(), PULSES);
}

#[test]
fn a_week_is_kept_and_no_more() {
    let journal = Journal::new(true);
    for minutes in (0..9 * 24 * 60).step_by(10) {
        journal.note(scope("a"), &[lookup(&[])], at(minutes));
    }
    let all = journal.counts(scope("a"), Moment::from_seconds(0))[0].unknown;
    assert_eq!(all, u32::try_from(STEPS).unwrap());
}

#[test]
fn a_journal_that_is_not_kept_notes_nothing() {
    let journal = Journal::new(false);
    journal.note(scope("a"), &[lookup(&["p"])], at(0));
    assert!(journal.pulses(scope("a"), at(0)).is_empty());
}
