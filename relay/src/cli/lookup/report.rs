//! Look-ups as people and programs read them: a table, a list of objects, links. Pure. What counts as a match, its
//! order and the limit are those of the mapping to CTIM.

use std::fmt::Write as _;

use serde::Serialize;
use url::Url;

use crate::api::refer::link;
use crate::cli::outcome::{ERROR, FAINT, GOOD, STRONG};
use crate::cli::text::{self, counted, harmless};
use crate::error::ErrorEntry;
use crate::mapping::{newest, page};
use crate::observable::{Observable, ObservableType};
use crate::otx::pulse::Pulse;
use crate::otx::{self, Lookup, Match};
use crate::trace::TraceId;

/// One observable in `-o json`.
#[derive(Serialize)]
struct Entry<'a> {
    value: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    /// Whether OTX was asked: it is not where it cannot know the answer.
    asked: bool,
    /// Whether it is in a pulse; null when OTX could not be asked.
    known: Option<bool>,
    /// OTX's page about it.
    link: String,
    pulses: Vec<Row<'a>>,
    /// What could not be asked.
    errors: Vec<ErrorEntry>,
}

#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    title: Option<&'a str>,
    author: Option<&'a str>,
    tlp: Option<&'a str>,
    tags: &'a [String],
    since: String,
    until: Option<String>,
    link: String,
}

/// What could not be asked, as the relay says it, but for the trace id: here no log has it.
pub(super) fn entries(found: &[Lookup]) -> Vec<ErrorEntry> {
    let trace = TraceId::random();
    let entries = otx::entries(found, &trace)
        .into_iter()
        .map(|entry| ErrorEntry { message: entry.message.replace(&format!("; trace {trace}"), ""), ..entry });
    entries.collect()
}

/// The matches that are shown, newest first.
fn shown(lookup: &Lookup, limit: usize) -> Vec<(&Match, &Pulse)> {
    lookup.outcome.iter().flat_map(|known| newest(known, limit)).collect()
}

/// `-o json`.
pub(super) fn json(found: &[Lookup], limit: usize, web: &Url) -> String {
    let entries: Vec<Entry<'_>> = found.iter().map(|lookup| entry(lookup, limit, web)).collect();
    serde_json::to_string_pretty(&entries).unwrap_or_default() + "\n"
}

fn entry<'a>(lookup: &'a Lookup, limit: usize, web: &Url) -> Entry<'a> {
    let Observable { kind, value } = &lookup.observable;
    Entry {
        value,
        kind: kind.as_str(),
        asked: lookup.observable.question().is_some(),
        known: lookup.outcome.as_ref().ok().map(|known| !known.matches.is_empty()),
        link: link(&lookup.observable, web),
        pulses: shown(lookup, limit).into_iter().map(|(matched, pulse)| row(matched, pulse, web)).collect(),
        errors: entries(std::slice::from_ref(lookup)),
    }
}

fn row<'a>(matched: &Match, pulse: &'a Pulse, web: &Url) -> Row<'a> {
    Row {
        id: &pulse.id,
        title: pulse.name.as_deref(),
        author: pulse.author.as_deref(),
        tlp: pulse.tlp.as_deref(),
        tags: &pulse.tags,
        since: matched.since.to_rfc3339(),
        until: matched.until.map(crate::otx::time::Moment::to_rfc3339),
        link: page(pulse, site(web)),
    }
}

/// `-o links`: OTX's page about each observable, then those of its pulses, each once.
pub(super) fn links(found: &[Lookup], limit: usize, web: &Url) -> String {
    let mut links: Vec<String> = Vec::new();
    for lookup in found {
        let pulses = shown(lookup, limit).into_iter().map(|(_, pulse)| page(pulse, site(web)));
        for link in std::iter::once(link(&lookup.observable, web)).chain(pulses) {
            if !links.contains(&link) {
                links.push(link);
            }
        }
    }
    links.join("\n") + "\n"
}

/// `-o table`; titles give way where a line has to fit into `width`.
pub(super) fn table(found: &[Lookup], limit: usize, web: &Url, width: Option<usize>) -> String {
    let mut text = String::new();
    for (index, lookup) in found.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        block(&mut text, lookup, limit, web, width);
    }
    text
}

fn block(text: &mut String, lookup: &Lookup, limit: usize, web: &Url, width: Option<usize>) {
    let Observable { kind, value } = &lookup.observable;
    let _infallible = write!(text, "{STRONG}{}{STRONG:#} ({kind}): ", harmless(value));
    let pulses = shown(lookup, limit);
    let Ok(known) = &lookup.outcome else {
        let _infallible = writeln!(text, "{ERROR}not known whether OTX knows it{ERROR:#}");
        return;
    };
    let (Some((newest, _)), Some((oldest, _))) = (pulses.first(), pulses.last()) else {
        let words = unknown(&lookup.observable, known.notices.is_empty());
        let _infallible = writeln!(text, "{FAINT}{words}{FAINT:#}");
        return;
    };
    let all = known.matches.len();
    let count = counted(all, "pulse");
    let of_them = if pulses.len() < all { format!(", the newest {} shown", pulses.len()) } else { String::new() };
    let (from, to) = (day(oldest), day(newest));
    let when = if from == to { format!("on {to}") } else { format!("from {from} to {to}") };
    let _infallible = writeln!(text, "{GOOD}in {count}{GOOD:#}{of_them}, added {when}");
    let rows: Vec<[String; 5]> = pulses
        .into_iter()
        .map(|(matched, pulse)| {
            let cell = |text: &Option<String>| {
                let text = harmless(text.as_deref().unwrap_or_default());
                let words: Vec<&str> = text.split_whitespace().collect();
                if words.is_empty() { "-".to_owned() } else { words.join(" ") }
            };
            [day(matched), cell(&pulse.tlp), cell(&pulse.author), cell(&pulse.name), page(pulse, site(web))]
        })
        .collect();
    text.push_str(&text::table(["SINCE", "TLP", "AUTHOR", "PULSE", "LINK"], &rows, 2, 3, width));
}

fn unknown(observable: &Observable, is_complete: bool) -> &'static str {
    match observable.kind {
        _ if !is_complete => "in no pulse that could be asked about it",
        ObservableType::Email => "not asked: OTX is not asked about mail addresses, the relay only links to them",
        _ if observable.question().is_none() => "not asked: private, malformed, or too general for OTX to know",
        _ => "nothing known",
    }
}

fn day(matched: &Match) -> String {
    matched.since.to_rfc3339().chars().take(10).collect()
}

fn site(web: &Url) -> &str {
    web.as_str().trim_end_matches('/')
}
