//! What a look-up brought: the matches, and openly what is missing from them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::failure::Failure;
use super::passive_dns::Resolution;
use super::pulse::Pulse;
use super::time::Moment;
use super::types::General;
use crate::error::{ErrorEntry, Severity, code};
use crate::observable::Observable;
use crate::trace::TraceId;

/// The answer about one observable.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// What was asked about, as received.
    pub observable: Observable,
    /// The pulses that hold it, in OTX's order, or why OTX could not be asked.
    pub outcome: Result<Arc<Known>, Failure>,
}

/// What OTX knows of an indicator.
#[derive(Debug, Default)]
pub struct Known {
    /// OTX's answer about the indicator.
    pub general: Arc<General>,
    /// Where it was found.
    pub matches: Vec<Match>,
    /// What is missing from the matches.
    pub notices: Vec<Notice>,
    /// Pulses that hold it, as far as OTX says so, and that the settings leave out.
    pub left_out: usize,
    /// What passive DNS has, the newest first; empty unless the settings ask for it.
    pub resolutions: Vec<Resolution>,
    /// How long ago OTX gave the answer.
    pub age: Duration,
}

/// A pulse that holds the observable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Index of the pulse in [`General::pulses`].
    pub pulse: usize,
    /// When the indicator was added to it.
    pub since: Moment,
    /// When it ceases to hold, if it does.
    pub until: Option<Moment>,
}

/// Something that is missing from an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The pulse holds the observable, but its listing could not be asked.
    PulseNotAsked {
        /// The pulse's id.
        pulse: String,
        /// Why.
        failure: Failure,
    },
    /// Passive DNS could not be asked.
    PassiveDnsNotAsked {
        /// Why.
        failure: Failure,
    },
    /// OTX has more pulses on the observable than it lists, or as many as it ever lists.
    Capped {
        /// How many it lists.
        listed: usize,
    },
    /// OTX could not be asked; this is what it said that long ago.
    Stale {
        /// The age.
        age: Duration,
        /// Why it could not be asked now.
        failure: Failure,
    },
}

impl Lookup {
    /// A closed word for metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        let Ok(known) = &self.outcome else { return "error" };
        let lacks_something =
            |notice: &Notice| matches!(notice, Notice::PulseNotAsked { .. } | Notice::PassiveDnsNotAsked { .. });
        if known.notices.iter().any(lacks_something) {
            "partial"
        } else if known.notices.iter().any(|notice| matches!(notice, Notice::Capped { .. })) {
            "truncated"
        } else if !known.matches.is_empty() {
            "ok"
        } else if self.observable.question().is_none() {
            "unsupported"
        } else {
            "empty"
        }
    }
}

impl Known {
    /// The matches with their pulses.
    pub fn pulses(&self) -> impl Iterator<Item = (&Match, &Pulse)> {
        self.matches.iter().filter_map(|matched| Some((matched, self.general.pulses.get(matched.pulse)?)))
    }
}

/// One entry for everything that could not be asked, each pulse once.
#[must_use]
pub fn entries(lookups: &[Lookup], trace: &TraceId) -> Vec<ErrorEntry> {
    let mut entries = Vec::new();
    let mut pulses = HashSet::new();
    for Lookup { observable, outcome } in lookups {
        let subject = format!("{} {:?}", observable.kind, observable.value);
        match outcome {
            Err(failure) => entries.push(failure.entry_about(&subject, Severity::Fatal, trace)),
            Ok(known) => {
                for notice in &known.notices {
                    match notice {
                        Notice::PulseNotAsked { pulse, .. } if !pulses.insert(pulse) => {}
                        notice => entries.push(notice.entry(&subject, trace)),
                    }
                }
            }
        }
    }
    entries
}

impl Notice {
    fn entry(&self, subject: &str, trace: &TraceId) -> ErrorEntry {
        let warning = |code, message: String| ErrorEntry { code, message, severity: Severity::Warning };
        match self {
            Self::PulseNotAsked { pulse, failure } => {
                failure.entry_about(&format!("pulse {pulse:?} of {subject}"), Severity::Error, trace)
            }
            Self::PassiveDnsNotAsked { failure } => {
                failure.entry_about(&format!("passive DNS of {subject}"), Severity::Error, trace)
            }
            Self::Capped { listed } => warning(
                code::TOO_MANY_PULSES,
                format!(
                    "AlienVault OTX may have more pulses on this than the {listed} newest, which is all it lists. \
                     Log in to AlienVault OTX to see all. ({subject}; trace {trace})"
                ),
            ),
            Self::Stale { age, failure } => warning(
                code::STALE,
                format!(
                    "AlienVault OTX could not be asked ({failure}); this is its answer of {} s ago. ({subject}; trace {trace})",
                    age.as_secs()
                ),
            ),
        }
    }
}
