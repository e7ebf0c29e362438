//! What to think of an observable by what OTX says of it, and why, in words. Pure: evidence in, an opinion out, or none
//! where there is no evidence at all.
//!
//! How many pulses hold it says nothing: anybody can make one, and names such as those of public resolvers stand in
//! many. What counts is who says so, what they say, what readers make of it, and what OTX itself notes.

use std::collections::BTreeSet;

use crate::ctim::{Confidence, Disposition, Severity};
use crate::otx::pulse::Reception;
use crate::otx::types::Validation;

/// Subscribers from which on a pulse or its author is widely read.
const WIDELY_READ: u64 = 1000;
/// Characters of a name that a reason repeats; authors write what they like.
const NAME_CHARS: usize = 60;
/// Witnesses and threats of each that a reason names.
const NAMED: usize = 3;

/// What is known of an observable.
#[derive(Clone, Debug, Default)]
pub struct Evidence<'a> {
    /// What OTX itself notes on it.
    pub notes: &'a [Validation],
    /// What became of reports that it is no threat.
    pub false_positives: &'a [String],
    /// The pulses that hold it, in the order in which they are shown.
    pub witnesses: Vec<Witness<'a>>,
    /// Pulses in which it is no longer active, beside the witnesses.
    pub inactive: usize,
    /// Pulses that the settings leave out.
    pub left_out: usize,
}

/// A pulse that holds the observable.
#[derive(Clone, Copy, Debug, Default)]
pub struct Witness<'a> {
    /// Who says so.
    pub author: Option<&'a str>,
    /// The settings trust its author.
    pub is_trusted: bool,
    /// It still holds.
    pub is_active: bool,
    /// It has not changed for a year, and the observable is of a kind that changes hands.
    pub is_old: bool,
    /// What readers make of it.
    pub reception: Reception,
    /// The group that it names.
    pub adversary: Option<&'a str>,
    /// The first malware family that it names.
    pub malware: Option<&'a str>,
    /// The first ATT&CK technique that it names.
    pub attack: Option<&'a str>,
}

/// What to think of an observable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opinion {
    /// What it is.
    pub disposition: Disposition,
    /// How sure that is.
    pub confidence: Confidence,
    /// Why, in a few sentences.
    pub reason: String,
    /// Indices of the witnesses it rests on.
    pub grounds: Vec<usize>,
}

impl Opinion {
    /// How bad it is.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self.disposition {
            Disposition::Clean | Disposition::Common => Severity::None,
            Disposition::Malicious => Severity::High,
            Disposition::Suspicious => Severity::Medium,
            Disposition::Unknown => Severity::Unknown,
        }
    }

    /// Which opinion counts where several contradict each other; at most 90, as all that no person has looked at.
    #[must_use]
    pub const fn priority(&self) -> u8 {
        match self.disposition {
            Disposition::Clean => 90,
            Disposition::Malicious => 85,
            Disposition::Suspicious => 75,
            Disposition::Common => 70,
            Disposition::Unknown => 50,
        }
    }
}

impl Witness<'_> {
    /// Readers have voted it down.
    #[must_use]
    pub const fn is_rejected(&self) -> bool {
        self.reception.downvotes > self.reception.upvotes
    }

    /// Somebody beside its author stands by it, and readers have not voted it down.
    #[must_use]
    pub const fn is_vouched_for(&self) -> bool {
        let Reception { upvotes, downvotes, subscribers, .. } = self.reception;
        !self.is_rejected() && (self.is_trusted || upvotes > downvotes || subscribers >= WIDELY_READ)
    }

    /// How much there is to say for it.
    #[must_use]
    pub const fn confidence(&self) -> Confidence {
        match (self.is_vouched_for(), self.is_trusted, self.names_threat()) {
            (true, true, _) => Confidence::High,
            (true, false, true) => Confidence::Medium,
            _ => Confidence::Low,
        }
    }

    const fn names_threat(&self) -> bool {
        self.adversary.is_some() || self.malware.is_some() || self.attack.is_some()
    }

    const fn counts(&self) -> bool {
        self.is_active && !self.is_rejected()
    }

    /// One line of a reason.
    fn statement(&self) -> String {
        let threats: Vec<String> =
            [self.adversary, self.malware, self.attack].into_iter().flatten().map(name).collect();
        let author = self.author.map_or_else(|| "an unnamed author".to_owned(), name);
        let trusted = if self.is_trusted { "trusted author " } else { "" };
        let says =
            if threats.is_empty() { "names no threat".to_owned() } else { format!("names {}", threats.join(", ")) };
        let Reception { upvotes, downvotes, subscribers, .. } = self.reception;
        format!("{trusted}{author} {says} ({subscribers} subscribers, votes {upvotes} for and {downvotes} against)")
    }
}

/// A name, on one line and not too long.
fn name(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    if line.chars().count() <= NAME_CHARS {
        line
    } else {
        line.chars().take(NAME_CHARS).collect::<String>() + "\u{2026}"
    }
}

/// What the evidence comes to; `None` when there is none.
#[must_use]
pub fn weigh(evidence: &Evidence<'_>) -> Option<Opinion> {
    let Evidence { notes, false_positives, witnesses, inactive, .. } = evidence;
    if notes.is_empty() && false_positives.is_empty() && witnesses.is_empty() && *inactive == 0 {
        return None;
    }
    let judged = hear(witnesses);
    let is_accepted = false_positives.iter().any(|report| report.eq_ignore_ascii_case("accepted"));
    let is_pending = false_positives.iter().any(|report| report.eq_ignore_ascii_case("pending"));
    let opinion = if is_accepted || notes.iter().any(clears) {
        let grounds = if is_accepted && !notes.iter().any(clears) {
            "a report that it is no threat was accepted".to_owned()
        } else {
            listed(notes.iter().filter(|note| clears(note)))
        };
        let against =
            if judged.disposition == Disposition::Unknown { "" } else { " That outweighs what pulses say." };
        found(Disposition::Clean, Confidence::High, format!("OTX clears it: {grounds}.{against}"))
    } else if notes.iter().any(is_popularity) {
        let lists = listed(notes.iter().filter(|note| is_popularity(note)));
        if judged.disposition == Disposition::Malicious {
            let why = format!(
                "It is widely used ({lists}), so it is not called malicious for what its users do. {}",
                judged.reason
            );
            Opinion { grounds: judged.grounds, ..found(Disposition::Suspicious, Confidence::Medium, why) }
        } else {
            found(Disposition::Common, Confidence::Medium, format!("It is widely used: {lists}."))
        }
    } else if is_pending && judged.disposition == Disposition::Malicious {
        let why =
            format!("A report that it is no threat is pending, so it is not called malicious yet. {}", judged.reason);
        Opinion { grounds: judged.grounds, ..found(Disposition::Suspicious, Confidence::Medium, why) }
    } else {
        judged
    };
    Some(Opinion {
        reason: format!("{}: {}{}", opinion.disposition.name(), opinion.reason, remarks(evidence)),
        ..opinion
    })
}

fn found(disposition: Disposition, confidence: Confidence, reason: String) -> Opinion {
    Opinion { disposition, confidence, reason, grounds: Vec::new() }
}

/// What the pulses alone come to.
fn hear(witnesses: &[Witness<'_>]) -> Opinion {
    use Confidence::{High, Low, Medium};
    use Disposition::{Malicious, Suspicious, Unknown};
    let of = |wanted: &dyn Fn(&Witness<'_>) -> bool| -> Vec<usize> {
        let counting = witnesses.iter().enumerate().filter(|(_, witness)| witness.counts() && wanted(witness));
        counting.map(|(index, _)| index).collect()
    };
    let said = |grounds: &[usize]| {
        let statements = grounds.iter().filter_map(|index| witnesses.get(*index)).take(NAMED).map(Witness::statement);
        let more = match grounds.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        statements.collect::<Vec<_>>().join("; ") + &more
    };
    let opinion = |disposition, confidence, grounds: Vec<usize>, why: &str| {
        let reason = format!("{}. {why}", said(&grounds));
        Opinion { disposition, confidence, reason, grounds }
    };

    let trusted = of(&|witness| witness.is_trusted && !witness.is_old);
    if !trusted.is_empty() {
        let is_named = trusted.iter().any(|index| witnesses[*index].names_threat());
        let (confidence, why) = if is_named {
            (High, "A trusted author who names the threat suffices.")
        } else {
            (Medium, "A trusted author suffices, though no threat is named.")
        };
        return opinion(Malicious, confidence, trusted, why);
    }
    let backed = of(&|witness| witness.is_vouched_for() && witness.names_threat() && !witness.is_old);
    let authors: BTreeSet<_> = backed.iter().filter_map(|index| witnesses[*index].author).collect();
    if authors.len() > 1 {
        return opinion(Malicious, Medium, backed, "Independent authors name a threat, and readers back them.");
    }
    if !backed.is_empty() {
        return opinion(
            Suspicious,
            Medium,
            backed,
            "That is one source; no trusted author and no second one confirms it.",
        );
    }
    let vouched = of(&|witness| witness.is_vouched_for());
    if !vouched.is_empty() {
        let is_old = vouched.iter().all(|index| witnesses[*index].is_old);
        let why = if is_old {
            "All of that is more than a year old."
        } else {
            "Nobody who is backed by readers names a threat."
        };
        return opinion(Suspicious, Low, vouched, why);
    }
    let named = of(&|witness| witness.names_threat());
    if !named.is_empty() {
        return opinion(
            Suspicious,
            Low,
            named,
            "A threat is named, but nobody vouches for it: no votes, few subscribers.",
        );
    }
    let counting = of(&|_| true).len();
    let why = match (witnesses.len(), counting) {
        (0, _) => "No pulse of OTX holds it any more.".to_owned(),
        (_, 0) => "Every pulse that holds it has expired or was voted down by readers.".to_owned(),
        (_, counting) => format!(
            "{} that nobody vouches for and that {} no threat; their number says nothing.",
            if counting == 1 { "It stands in 1 pulse".to_owned() } else { format!("It stands in {counting} pulses") },
            if counting == 1 { "names" } else { "name" }
        ),
    };
    found(Unknown, Low, why)
}

/// A note that says that it is no threat.
fn clears(note: &Validation) -> bool {
    matches!(note.source.to_ascii_lowercase().as_str(), "whitelist" | "false_positive")
}

/// A note that says that it is widely used, as all other notes do that are known but `suspicious`.
fn is_popularity(note: &Validation) -> bool {
    !clears(note) && !note.source.eq_ignore_ascii_case("suspicious")
}

/// `whitelist (Whitelisted domain example.com), majestic`.
fn listed<'a>(notes: impl Iterator<Item = &'a Validation>) -> String {
    let texts = notes.take(NAMED).map(|Validation { source, message }| match message {
        Some(message) if !message.is_empty() => format!("{} ({})", name(source), name(message)),
        _ => name(source),
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// What OTX itself notes on an observable, in a sentence; `None` when it notes nothing.
#[must_use]
pub fn note(notes: &[Validation], false_positives: &[String]) -> Option<String> {
    let reports = false_positives
        .iter()
        .take(1)
        .map(|assessment| format!("a report that it is no threat: {}", name(assessment)));
    let notes: Vec<String> = (!notes.is_empty()).then(|| listed(notes.iter())).into_iter().chain(reports).collect();
    (!notes.is_empty()).then(|| format!("AlienVault OTX notes on it: {}.", notes.join("; ")))
}

/// What else whoever reads the reason should know.
fn remarks(evidence: &Evidence<'_>) -> String {
    let Evidence { notes, witnesses, inactive, left_out, .. } = evidence;
    let active = witnesses.iter().filter(|witness| witness.is_active).count();
    let all = witnesses.len() + inactive;
    let mut said = Vec::new();
    if all > 0 {
        said.push(format!(" Active in {active} of {all} {}.", if all == 1 { "pulse" } else { "pulses" }));
    }
    if let Some(Validation { message, .. }) = notes.iter().find(|note| !clears(note) && !is_popularity(note)) {
        let message = message.as_deref().filter(|message| !message.is_empty()).unwrap_or("suspicious");
        said.push(format!(" OTX also notes: {}.", name(message)));
    }
    if *left_out > 0 {
        said.push(format!(" Left out by the relay's settings: {left_out}."));
    }
    said.concat()
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
