//! What can happen to a request, by the word that stands for it in a plan's name.

use std::fmt;
use std::str::FromStr;

use super::turmoil::{Edit, Refusal, Upset};
use crate::faultproxy::plan::{Action, Commit, CrashPoint, WatchFault};

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The operator is killed at this moment of the request.
    Crash(Moment),
    /// It is killed once the API server has done the request, and its successor at its first write.
    CrashTwice,
    /// The request is answered so, and not done.
    Answer(u16),
    /// The request is answered so after it was done.
    AnswerDone(u16),
    /// The connection is reset, with the request done or not.
    Reset(bool),
    /// No answer comes, with the request done or not.
    Silence(bool),
    /// Something happens to a watch's stream.
    Stream(Stream),
    /// The operator is killed, and its successor's watches begin at the state of before the step, as before an API
    /// server that is behind. (A GET is always about the present.)
    Stale,
    /// As `Crash`, of the real program: SIGKILL.
    Killed(Moment),
    /// Of two operators the one that leads is stopped while its request is under way, and goes on when the other leads.
    Paused,
    /// A server of the control plane is away for a while, from the request on.
    Servers(Upset),
    /// A right is withdrawn before the step, and given back when the operator has said that it lacks it.
    Withdrawn,
    /// Children of a kind are refused from before the step until the operator has said so.
    Refused(Refusal),
    /// Somebody edits what the operator has just read, again and again.
    Edited(Edit),
}

/// The moment of a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// The API server never sees the request.
    Before,
    /// The API server has done it.
    Done,
    /// The operator has its answer.
    Answered,
}

/// What happens to a watch's stream, in the order of its events since it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// An event is left out.
    Withheld(u32),
    /// An event comes two seconds late.
    Late(u32),
    /// An event comes twice.
    Doubled(u32),
    /// The connection breaks within an event.
    Cut(u32),
    /// An event is no JSON.
    Garbled(u32),
    /// It ends in order.
    Ended(u32),
    /// It goes silent.
    Silent(u32),
    /// It ends with 410.
    Gone(u32),
}

use Moment::{Answered, Before, Done};
use Stream::{Cut, Doubled, Ended, Garbled, Gone, Late, Silent, Withheld};

impl Fault {
    /// Crashes at a write.
    pub const CRASHES: [Self; 3] = [Self::Crash(Before), Self::Crash(Done), Self::Crash(Answered)];
    /// What a write may be answered with, or not at all.
    pub const OF_WRITES: [Self; 12] = [
        Self::Answer(403),
        Self::Answer(409),
        Self::Answer(422),
        Self::Answer(429),
        Self::Answer(500),
        Self::Answer(503),
        Self::Answer(504),
        Self::AnswerDone(504),
        Self::Reset(false),
        Self::Reset(true),
        Self::Silence(false),
        Self::Silence(true),
    ];
    /// What a read may be answered with, or not at all.
    pub const OF_READS: [Self; 6] = [
        Self::Answer(403),
        Self::Answer(429),
        Self::Answer(500),
        Self::Answer(503),
        Self::Reset(false),
        Self::Silence(false),
    ];
    /// What may happen to a stream.
    pub const OF_STREAMS: [Self; 14] = [
        Self::Stream(Withheld(1)),
        Self::Stream(Withheld(2)),
        Self::Stream(Late(1)),
        Self::Stream(Late(2)),
        Self::Stream(Doubled(1)),
        Self::Stream(Cut(1)),
        Self::Stream(Cut(2)),
        Self::Stream(Garbled(1)),
        Self::Stream(Ended(0)),
        Self::Stream(Ended(1)),
        Self::Stream(Gone(0)),
        Self::Stream(Gone(1)),
        Self::Stream(Silent(0)),
        Self::Answer(410),
    ];

    /// SIGKILL at a write.
    pub const KILLS: [Self; 3] = [Self::Killed(Before), Self::Killed(Done), Self::Killed(Answered)];
    /// So long a request is held during which something else happens.
    const HELD: u64 = 2500;

    /// What the proxy does with the request; a stale read needs a revision, which only a run knows. None: what happens
    /// is not done by the proxy.
    #[must_use]
    pub fn action(self) -> Option<Action> {
        let commit = |done| if done { Commit::After } else { Commit::Before };
        Some(match self {
            Self::Withdrawn | Self::Refused(_) | Self::Edited(_) => return None,
            Self::Paused | Self::Servers(_) => Action::Delay { millis: Self::HELD },
            Self::Crash(Before) | Self::Killed(Before) => Action::Crash(CrashPoint::BeforeSend),
            Self::Crash(Done) | Self::Killed(Done) | Self::CrashTwice | Self::Stale => {
                Action::Crash(CrashPoint::AfterCommit)
            }
            Self::Crash(Answered) | Self::Killed(Answered) => Action::Crash(CrashPoint::AfterAnswer),
            Self::Answer(status) => {
                let retry_after = (status == 429).then_some(1);
                Action::Answer { status, retry_after, commit: Commit::Before }
            }
            Self::AnswerDone(status) => Action::Answer { status, retry_after: None, commit: Commit::After },
            Self::Reset(done) => Action::Reset(commit(done)),
            Self::Silence(done) => Action::BlackHole(commit(done)),
            Self::Stream(stream) => Action::Watch(match stream {
                Withheld(event) => WatchFault::Drop { event },
                Late(event) => WatchFault::Delay { event, millis: 2000 },
                Doubled(event) => WatchFault::Duplicate { event },
                Cut(event) => WatchFault::CutWithin { event },
                Garbled(event) => WatchFault::Garble { event },
                Ended(events) => WatchFault::EndAfter { events },
                Silent(events) => WatchFault::SilenceAfter { events },
                Gone(events) => WatchFault::GoneAfter { events },
            }),
        })
    }

    /// Every fault, for reading names.
    fn all() -> impl Iterator<Item = Self> {
        let of_requests = Self::CRASHES.into_iter().chain(Self::OF_WRITES).chain(Self::OF_READS);
        let lasting = Upset::ALL.map(Self::Servers).into_iter().chain(Refusal::ALL.map(Self::Refused));
        let lasting = lasting.chain(Edit::ALL.map(Self::Edited)).chain(Self::KILLS);
        let others = [Self::CrashTwice, Self::Stale, Self::Paused, Self::Withdrawn];
        of_requests.chain(Self::OF_STREAMS).chain(lasting).chain(others)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = |done: &bool| if *done { "done" } else { "undone" };
        match self {
            Self::Crash(Before) => f.write_str("crash-before"),
            Self::Crash(Done) => f.write_str("crash-done"),
            Self::Crash(Answered) => f.write_str("crash-answered"),
            Self::CrashTwice => f.write_str("crash-twice"),
            Self::Answer(status) => write!(f, "answer-{status}"),
            Self::AnswerDone(status) => write!(f, "answer-{status}-done"),
            Self::Reset(is_done) => write!(f, "reset-{}", done(is_done)),
            Self::Silence(is_done) => write!(f, "silence-{}", done(is_done)),
            Self::Stale => f.write_str("stale"),
            Self::Killed(Before) => f.write_str("killed-before"),
            Self::Killed(Done) => f.write_str("killed-done"),
            Self::Killed(Answered) => f.write_str("killed-answered"),
            Self::Paused => f.write_str("paused"),
            Self::Withdrawn => f.write_str("withdrawn"),
            Self::Servers(upset) => f.write_str(upset.word()),
            Self::Refused(refusal) => f.write_str(refusal.word()),
            Self::Edited(edit) => f.write_str(edit.word()),
            Self::Stream(stream) => match stream {
                Withheld(event) => write!(f, "withheld-{event}"),
                Late(event) => write!(f, "late-{event}"),
                Doubled(event) => write!(f, "doubled-{event}"),
                Cut(event) => write!(f, "cut-{event}"),
                Garbled(event) => write!(f, "garbled-{event}"),
                Ended(events) => write!(f, "ended-{events}"),
                Silent(events) => write!(f, "silent-{events}"),
                Gone(events) => write!(f, "gone-{events}"),
            },
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::all().find(|fault| fault.to_string() == text);
        found.ok_or_else(|| {
            let all: std::collections::BTreeSet<String> = Self::all().map(|fault| fault.to_string()).collect();
            format!("no fault {text:?}; there are {}", Vec::from_iter(all).join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_reads_back_from_its_name() {
        for fault in Fault::all() {
            assert_eq!(fault.to_string().parse(), Ok(fault));
        }
    }
}
