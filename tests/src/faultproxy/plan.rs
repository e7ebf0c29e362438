//! A fault plan: which request, which occurrence of it, and what happens to it. It is data: a plan that found a defect is
//! kept as a file and replayed.

use serde::{Deserialize, Serialize};

use super::call::{Call, Class, Verb};

/// One fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// The requests it is about.
    #[serde(rename = "match")]
    pub matching: Match,
    /// Which of them.
    pub occurrence: Occurrence,
    /// What happens.
    pub action: Action,
}

/// Conditions on a request; absent ones hold always.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Match {
    /// Verb.
    pub verb: Option<Verb>,
    /// Reads, writes or watches.
    pub class: Option<Class>,
    /// Plural resource.
    pub resource: Option<String>,
    /// Plural resources that are passed over, such as `leases` and `events`.
    pub except: Vec<String>,
    /// Namespace.
    pub namespace: Option<String>,
    /// Object.
    pub name: Option<String>,
    /// Subresource; the empty text means the object itself.
    pub subresource: Option<String>,
    /// Field manager.
    pub manager: Option<String>,
}

impl Match {
    /// Whether the conditions hold for `call`.
    #[must_use]
    pub fn holds(&self, call: &Call) -> bool {
        let equal = |wanted: &Option<String>, seen: &String| wanted.as_ref().is_none_or(|wanted| wanted == seen);
        self.verb.is_none_or(|verb| verb == call.verb)
            && self.class.is_none_or(|class| class == call.class())
            && equal(&self.resource, &call.resource)
            && !self.except.contains(&call.resource)
            && equal(&self.namespace, &call.namespace)
            && equal(&self.name, &call.name)
            && equal(&self.subresource, &call.subresource)
            && equal(&self.manager, &call.manager)
    }
}

/// Which of the matching requests, counted from 1 since the plan was armed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Occurrence {
    /// This one only.
    Nth(u32),
    /// This one and all later ones.
    From(u32),
}

impl Occurrence {
    /// Whether the matching request number `count` is meant.
    #[must_use]
    pub fn includes(self, count: u32) -> bool {
        match self {
            Self::Nth(wanted) => count == wanted,
            Self::From(first) => count >= first,
        }
    }
}

/// Whether the API server has done the request before the fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Commit {
    /// It never sees the request.
    Before,
    /// It has answered; the client does not get that answer.
    After,
}

/// What happens to the request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Action {
    /// The client is about to be killed: everything stands still until it was.
    Crash(CrashPoint),
    /// An error answer.
    Answer {
        /// HTTP status; the body is a `Status` with the reason that belongs to it.
        status: u16,
        /// `Retry-After`, seconds.
        retry_after: Option<u32>,
        /// Whether the request is done all the same.
        commit: Commit,
    },
    /// The connection is reset (RST).
    Reset(Commit),
    /// No answer, and the connection stays open.
    BlackHole(Commit),
    /// The request is forwarded this much later.
    Delay {
        /// Milliseconds.
        millis: u64,
    },
    /// The answer arrives in pieces.
    Slice {
        /// Bytes in a piece.
        bytes: usize,
        /// Milliseconds between pieces.
        millis: u64,
    },
    /// A GET or LIST is answered with the state at an old revision.
    Stale {
        /// The revision.
        resource_version: String,
    },
    /// Something happens to a watch's stream.
    Watch(WatchFault),
}

/// The moment of a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CrashPoint {
    /// The API server never sees the request.
    BeforeSend,
    /// The API server has done it, the client has no answer.
    AfterCommit,
    /// The client has the answer and does not get to the next request.
    AfterAnswer,
}

/// What happens to a watch's stream. Events are counted from 1; bookmarks do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum WatchFault {
    /// One event is left out: the object is seen again at its next event.
    Drop {
        /// Which.
        event: u32,
    },
    /// One event and all after it come this much later.
    Delay {
        /// Which.
        event: u32,
        /// Milliseconds.
        millis: u64,
    },
    /// One event comes twice.
    Duplicate {
        /// Which.
        event: u32,
    },
    /// The connection is reset in the middle of an event.
    CutWithin {
        /// Which.
        event: u32,
    },
    /// A line that is no JSON comes instead of an event.
    Garble {
        /// Which.
        event: u32,
    },
    /// The stream ends in order after so many events.
    EndAfter {
        /// How many.
        events: u32,
    },
    /// Nothing comes after so many events, and the connection stays open.
    SilenceAfter {
        /// How many.
        events: u32,
    },
    /// An `ERROR` event with code 410 comes after so many events, and the stream ends.
    GoneAfter {
        /// How many.
        events: u32,
    },
    /// Bookmarks only.
    BookmarksOnly,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    #[test]
    fn a_plan_is_a_readable_file_and_reads_back_the_same() {
        let plan = Plan {
            matching: Match { class: Some(Class::Write), except: vec!["leases".into()], ..Match::default() },
            occurrence: Occurrence::Nth(3),
            action: Action::Answer { status: 504, retry_after: None, commit: Commit::After },
        };
        let text = serde_json::to_string(&plan).unwrap();
        assert!(text.contains(r#""action":{"answer":{"status":504,"retryAfter":null,"commit":"after"}}"#), "{text}");
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }

    #[test]
    fn a_misspelt_condition_is_refused() {
        let text = r#"{"match": {"verbs": "get"}, "occurrence": {"nth": 1}, "action": {"reset": "before"}}"#;
        assert!(serde_json::from_str::<Plan>(text).unwrap_err().to_string().contains("unknown field `verbs`"));
    }
}
