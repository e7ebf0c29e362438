//! What was looked up with each key lately, in this process: how much, counted in steps of ten minutes for a week, and the
//! newest pulses that it led to. Bounded for every key and in keys; no observable is kept. Nothing fails.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;

use crate::observable::ObservableType;
use crate::otx::Lookup;
use crate::otx::key::Scope;
use crate::otx::pulse::Pulse;
use crate::otx::time::Moment;

/// Keys that a journal is kept for.
const KEYS: u64 = 64;
/// Pulses kept of a key.
const PULSES: usize = 100;
/// Malware families kept of a pulse, and characters of a text.
const FAMILIES: usize = 8;
const CHARS: usize = 120;
/// Seconds of a step, and how many are kept.
const STEP: u32 = 600;
const STEPS: usize = 7 * 24 * 6;
const WEEK: Duration = Duration::from_hours(7 * 24);

/// The journals of all keys.
pub struct Journal(Option<Cache<Scope, Arc<Mutex<Pages>>>>);

/// The journal of one key.
#[derive(Debug, Default)]
struct Pages {
    steps: VecDeque<Step>,
    pulses: VecDeque<Seen>,
}

#[derive(Debug)]
struct Step {
    begins: u32,
    counts: [Counts; ObservableType::ALL.len()],
}

/// Look-ups by what they found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// In a pulse.
    pub known: u32,
    /// In none.
    pub unknown: u32,
    /// OTX could not be asked.
    pub failed: u32,
}

/// A pulse that a look-up led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When it last did.
    pub at: Moment,
    /// Its id.
    pub id: String,
    /// Its name, maybe cut.
    pub name: String,
    /// Its author, maybe cut.
    pub author: String,
    /// Malware that it names, some of it.
    pub malware: Vec<String>,
}

impl Journal {
    /// A journal, empty; one that is not kept notes nothing.
    #[must_use]
    pub fn new(is_kept: bool) -> Self {
        Self(is_kept.then(|| Cache::builder().max_capacity(KEYS).time_to_idle(WEEK).build()))
    }

    /// Notes what was looked up with a key.
    pub fn note(&self, scope: Scope, lookups: &[Lookup], now: Moment) {
        let Some(keys) = &self.0 else { return };
        let pages = keys.get_with(scope, Arc::default);
        pages.lock().unwrap_or_else(PoisonError::into_inner).note(lookups, now);
    }

    /// Look-ups since then, by type, in the order of [`ObservableType::ALL`].
    #[must_use]
    pub fn counts(&self, scope: Scope, since: Moment) -> [Counts; ObservableType::ALL.len()] {
        let mut sum = [Counts::default(); ObservableType::ALL.len()];
        self.read(scope, |pages| {
            for step in pages.steps.iter().filter(|step| step.begins + STEP > since.seconds()) {
                for (sum, counts) in sum.iter_mut().zip(step.counts) {
                    sum.known = sum.known.saturating_add(counts.known);
                    sum.unknown = sum.unknown.saturating_add(counts.unknown);
                    sum.failed = sum.failed.saturating_add(counts.failed);
                }
            }
        });
        sum
    }

    /// The pulses that look-ups since then led to, the latest first.
    #[must_use]
    pub fn pulses(&self, scope: Scope, since: Moment) -> Vec<Seen> {
        let mut seen = Vec::new();
        self.read(scope, |pages| {
            seen.extend(pages.pulses.iter().filter(|pulse| pulse.at >= since).cloned());
        });
        seen
    }

    fn read(&self, scope: Scope, read: impl FnOnce(&Pages)) {
        if let Some(pages) = self.0.as_ref().and_then(|keys| keys.get(&scope)) {
            read(&pages.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl Pages {
    fn note(&mut self, lookups: &[Lookup], now: Moment) {
        let begins = now.seconds() - now.seconds() % STEP;
        if self.steps.back().is_none_or(|step| step.begins < begins) {
            self.steps.push_back(Step { begins, counts: Default::default() });
            if self.steps.len() > STEPS {
                self.steps.pop_front();
            }
        }
        for Lookup { observable, outcome } in lookups {
            let place = ObservableType::ALL.iter().position(|kind| *kind == observable.kind);
            if let (Some(place), Some(step)) = (place, self.steps.back_mut()) {
                let counts = &mut step.counts[place];
                let count = match outcome {
                    Err(_) => &mut counts.failed,
                    Ok(known) if known.matches.is_empty() => &mut counts.unknown,
                    Ok(_) => &mut counts.known,
                };
                *count = count.saturating_add(1);
            }
            for (_, pulse) in outcome.iter().flat_map(|known| known.pulses()).take(PULSES) {
                self.see(pulse, now);
            }
        }
    }

    fn see(&mut self, pulse: &Pulse, at: Moment) {
        let known =
            self.pulses.iter().position(|seen| seen.id == pulse.id).and_then(|place| self.pulses.remove(place));
        let seen = known.map_or_else(|| Seen::of(pulse, at), |seen| Seen { at, ..seen });
        self.pulses.push_front(seen);
        self.pulses.truncate(PULSES);
    }
}

impl Seen {
    fn of(pulse: &Pulse, at: Moment) -> Self {
        let text = |text: &Option<String>| text.as_deref().map(short).unwrap_or_default();
        let malware = pulse.threat.malware.iter().take(FAMILIES).map(|family| short(&family.name));
        Self {
            at,
            id: short(&pulse.id),
            name: text(&pulse.name),
            author: text(&pulse.author),
            malware: malware.collect(),
        }
    }
}

/// A text on one line, cut.
fn short(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(CHARS).collect()
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
