//! From what OTX said to CTIM documents. Pure: no I/O, no clock; the same look-ups always give the same bundle, to the
//! ids. What the original passed on although CTIM forbids it is put right here.
//!
//! [`parity`] gives the original's documents, [`rich`] those and what else OTX says. `docs/ctim-mapping.md` has a row for
//! each kind of document.

mod judgement;
mod parity;
mod pulse;
mod resolutions;
mod rich;
mod threats;

use std::cmp::Reverse;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use url::{Position, Url};

use crate::config::{self, Config};
use crate::ctim::{Bundle, Span};
use crate::observable::ObservableType;
use crate::otx::pulse::Pulse;
use crate::otx::time::Moment;
use crate::otx::{Known, Lookup, Match};

/// How look-ups are told.
#[derive(Clone, Copy, Debug)]
pub struct Telling<'a> {
    /// Of each observable so many of the newest matches.
    pub limit: usize,
    /// Links for people start with it.
    pub web: &'a Url,
    /// How much is told.
    pub answers: Answers<'a>,
}

/// How much is told.
#[derive(Clone, Copy, Debug)]
pub enum Answers<'a> {
    /// The original's documents.
    Parity,
    /// Those, and what else OTX says.
    Rich {
        /// The time of the answer: what holds then, and what does not any more.
        now: Moment,
        /// Authors whose word suffices.
        trusted_authors: &'a [String],
    },
}

impl<'a> Telling<'a> {
    /// As the settings say, to a caller with this limit, at this time.
    #[must_use]
    pub fn of(config: &'a Config, limit: usize, now: Moment) -> Self {
        let answers = match config.answers {
            config::Answers::Parity => Answers::Parity,
            config::Answers::Rich => Answers::Rich { now, trusted_authors: &config.verdict.trusted_authors },
        };
        Self { limit, web: &config.otx.web_url, answers }
    }

    /// Where links for people start, without a slash at its end.
    fn site(&self) -> &'a str {
        self.web.as_str().trim_end_matches('/')
    }
}

/// What is known of the observables of some look-ups.
#[must_use]
pub fn bundle<'a>(lookups: &'a [Lookup], telling: &Telling<'_>) -> Bundle<'a> {
    match telling.answers {
        Answers::Parity => parity::bundle(lookups, telling.limit, telling.site()),
        Answers::Rich { now, trusted_authors } => rich::bundle(lookups, telling, now, trusted_authors),
    }
}

/// What is to be thought of the observables of some look-ups: verdicts alone, and none where the original gave none.
#[must_use]
pub fn verdicts<'a>(lookups: &'a [Lookup], telling: &Telling<'_>) -> Bundle<'a> {
    match telling.answers {
        Answers::Parity => Bundle::default(),
        Answers::Rich { now, trusted_authors } => judgement::verdicts(lookups, telling, now, trusted_authors),
    }
}

/// The matches that are shown, newest first.
#[must_use]
pub fn newest(known: &Known, limit: usize) -> Vec<(&Match, &Pulse)> {
    let mut matches: Vec<_> = known.pulses().collect();
    matches.sort_by_key(|(matched, _)| Reverse(matched.since));
    matches.truncate(limit);
    matches
}

/// The pulse's page for people, on the site `web` (without a slash at its end).
#[must_use]
pub fn page(pulse: &Pulse, web: &str) -> String {
    format!("{web}/pulse/{}", utf8_percent_encode(&pulse.id, NON_ALPHANUMERIC))
}

/// A name without what is no part of it at its ends: blanks, and characters that are dropped.
fn bare(name: &str) -> &str {
    name.trim_matches(|character: char| character.is_whitespace() || character == '\0')
}

/// Whether an address is one of the web as CTIM takes it: of at most 2,048 characters and a URI of RFC 3986, which is
/// stricter than what browsers take for a URL.
fn is_web_address(url: &Url) -> bool {
    let rest = &url[Position::BeforePath..];
    let mut parts = rest.split('%');
    let is_plain =
        |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?#".contains(&byte));
    let is_escape = |part: &str| part.len() >= 2 && part.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit);
    matches!(url.scheme(), "http" | "https")
        && url.as_str().len() <= 2048
        && rest.matches('#').count() <= 1
        && parts.next().is_none_or(is_plain)
        && parts.all(|part| is_escape(part) && is_plain(part))
}

/// When an indicator holds.
#[derive(Clone, Copy)]
struct Validity {
    since: Moment,
    until: Option<Moment>,
}

impl Validity {
    /// As long as either holds.
    fn or(self, other: Self) -> Self {
        Self {
            since: self.since.min(other.since),
            until: self.until.zip(other.until).map(|(one, other)| one.max(other)),
        }
    }

    fn span(self) -> Span {
        Span {
            // An expiration before the creation means that it never held; CTIM wants an end that is not before the
            // start.
            end_time: self.until.map(|until| until.max(self.since).to_rfc3339()),
            start_time: self.since.to_rfc3339(),
        }
    }

    /// The same, where what never ends is said to end when CTIM's times do.
    fn span_with_end(self) -> Span {
        let span = self.span();
        if self.until.is_none_or(|until| until >= FOREVER) {
            return Span { end_time: Some("2525-01-01T00:00:00Z".to_owned()), ..span };
        }
        span
    }
}

/// The end of what does not end.
const FOREVER: Moment = Moment::from_seconds(u32::MAX);
/// Days that an address, a name or a URL stays what it was when somebody last said so: they change hands.
const DAYS_OF_A_PLACE: u32 = 30;

/// The end of what was last said of an observable of this type at that time.
const fn end_of_what_was_said(kind: ObservableType, said: Moment) -> Moment {
    match kind {
        ObservableType::Md5 | ObservableType::Sha1 | ObservableType::Sha256 => FOREVER,
        _ => said.plus_days(DAYS_OF_A_PLACE),
    }
}

/// When a pulse last said of an observable that it holds it: when it was added, or when the pulse last changed.
fn last_said(matched: &Match, pulse: &Pulse) -> Moment {
    let changed = pulse.modified.as_deref().and_then(Moment::parse);
    changed.map_or(matched.since, |changed| changed.max(matched.since))
}

#[cfg(test)]
mod fixture;
