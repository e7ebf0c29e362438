//! What a fake OTX does wrong, and when: rules that match calls, and the faults they play.
//!
//! Rules are tried in the order they were added; the first that matches a call and has not been used up decides.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use threatrelay::demo::upstream::Content;

use crate::wire::Request;

/// The kinds of calls of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Route {
    /// `/user/me`, `/users/me`.
    Me,
    /// `/indicators/.../general`.
    General,
    /// `/indicators/.../passive_dns`.
    PassiveDns,
    /// `/pulses/{id}/indicators`.
    Listing,
    /// `/pulses/{id}`.
    Detail,
    /// `/search/pulses`.
    Search,
    /// Anything else.
    Other,
}

impl Route {
    /// The kind of call a request target is.
    #[must_use]
    pub fn of(target: &str) -> Self {
        let path = target.split('?').next().unwrap_or_default();
        let words: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match words.as_slice() {
            ["api", "v1", "user" | "users", "me"] => Self::Me,
            ["api", "v1", "indicators", _, _, "passive_dns"] => Self::PassiveDns,
            ["api", "v1", "indicators", ..] => Self::General,
            ["api", "v1", "pulses", _, "indicators"] => Self::Listing,
            ["api", "v1", "pulses", _] => Self::Detail,
            ["api", "v1", "search", ..] => Self::Search,
            _ => Self::Other,
        }
    }
}

/// When a fault is played.
#[derive(Clone, Debug)]
pub struct Rule {
    route: Option<Route>,
    containing: Option<String>,
    skip: usize,
    times: Option<usize>,
    delay: Duration,
    fault: Fault,
    seen: usize,
}

impl Rule {
    /// Plays `fault` on every call of `route`.
    #[must_use]
    pub fn on(route: Route, fault: Fault) -> Self {
        Self { route: Some(route), containing: None, skip: 0, times: None, delay: Duration::ZERO, fault, seen: 0 }
    }

    /// Plays `fault` on every call.
    #[must_use]
    pub fn always(fault: Fault) -> Self {
        Self { route: None, ..Self::on(Route::Other, fault) }
    }

    /// Only on calls whose path and query contain `words`.
    #[must_use]
    pub fn containing(mut self, words: &str) -> Self {
        self.containing = Some(words.to_owned());
        self
    }

    /// Not on the first `count` such calls.
    #[must_use]
    pub fn skip(mut self, count: usize) -> Self {
        self.skip = count;
        self
    }

    /// On at most `count` calls.
    #[must_use]
    pub fn times(mut self, count: usize) -> Self {
        self.times = Some(count);
        self
    }

    /// After a pause.
    #[must_use]
    pub fn delay(mut self, pause: Duration) -> Self {
        self.delay = pause;
        self
    }

    /// The pause and the fault, if this call is one of the rule's; counts it.
    pub(super) fn take(&mut self, route: Route, target: &str) -> Option<(Duration, Fault)> {
        let matches = self.route.is_none_or(|wanted| wanted == route)
            && self.containing.as_ref().is_none_or(|words| target.contains(words));
        if !matches {
            return None;
        }
        self.seen += 1;
        let nth = self.seen.checked_sub(self.skip + 1)?;
        self.times.is_none_or(|times| nth < times).then(|| (self.delay, self.fault.clone()))
    }
}

/// The honest answer, to be changed.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers without a length.
    pub headers: Vec<(String, String)>,
    /// The body, not compressed.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; `null` when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Replaces the body.
    pub fn set_json(&mut self, body: &Value) {
        self.body = body.to_string().into();
    }
}

/// Where in an answer a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Before the first byte.
    Start,
    /// In the middle of the headers.
    Headers,
    /// In the middle of the body.
    Body,
}

/// How it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// RST.
    Reset,
    /// FIN.
    Close,
    /// Silence.
    Stall,
}

/// A change of an honest answer, knowing the request.
pub type Change = Arc<dyn Fn(&Request, &mut Answer) + Send + Sync>;

/// Something OTX, or the way to it, does wrong.
#[derive(Clone)]
pub enum Fault {
    /// Nothing wrong: for a rule that only delays, or that shields some calls from later rules.
    Honest,
    /// This status, these headers, this body.
    Status {
        /// HTTP status; any number up to 999.
        status: u16,
        /// Headers beside the length.
        headers: Vec<(String, String)>,
        /// The body.
        body: Bytes,
    },
    /// Changes the honest answer.
    Change(Change),
    /// Answers honestly, then changes what OTX holds.
    Then(Arc<dyn Fn(&mut Content) + Send + Sync>),
    /// Gives no page more rows than this, whatever was asked.
    ClampLimit(usize),
    /// Breaks the connection.
    Break(At, How),
    /// Says a length that is this many bytes off; then closes.
    ContentLength(i64),
    /// Honest bytes, gzipped, of which the second half is missing though the length says that all is there.
    TruncatedGzip,
    /// A gzip body that unpacks to this many MiB.
    GzipBomb(u32),
    /// The honest answer, this many bytes at a time.
    Drip(usize, Duration),
    /// These bytes instead of an HTTP answer; then closes.
    Raw(Bytes),
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Honest => f.write_str("Honest"),
            Self::Status { status, .. } => write!(f, "Status({status})"),
            Self::Change(_) => f.write_str("Change"),
            Self::Then(_) => f.write_str("Then"),
            Self::ClampLimit(limit) => write!(f, "ClampLimit({limit})"),
            Self::Break(at, how) => write!(f, "Break({at:?}, {how:?})"),
            Self::ContentLength(off) => write!(f, "ContentLength({off:+})"),
            Self::TruncatedGzip => f.write_str("TruncatedGzip"),
            Self::GzipBomb(size) => write!(f, "GzipBomb({size} MiB)"),
            Self::Drip(bytes, every) => write!(f, "Drip({bytes}, {every:?})"),
            Self::Raw(bytes) => write!(f, "Raw({} bytes)", bytes.len()),
        }
    }
}
