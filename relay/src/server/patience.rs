//! How long a connection may keep the relay waiting: for the rest of a request's head from its first byte on, for
//! the next request or for somebody to read the answer otherwise. While a request is being answered the connection
//! waits for the relay, and there is no limit. The stream notes what passes; nothing here fails.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Nothing of a request is there.
const IDLE: u8 = 0;
/// A part of a request's head is there.
const HEAD: u8 = 1;
/// A request is being answered.
const BUSY: u8 = 2;

/// What one connection has been waited for, since when. Its task alone touches it, so orderings do not matter.
pub(super) struct Patience {
    head: Duration,
    idle: Duration,
    opened: Instant,
    phase: AtomicU8,
    /// Milliseconds after `opened`.
    since: AtomicU64,
}

impl Patience {
    /// With a connection that was just opened.
    pub(super) fn new(head: Duration, idle: Duration) -> Self {
        Self { head, idle, opened: Instant::now(), phase: AtomicU8::new(IDLE), since: AtomicU64::new(0) }
    }

    /// A request's head is whole.
    pub(super) fn request_begins(&self) {
        self.phase.store(BUSY, Ordering::Relaxed);
    }

    /// A request has its answer, which is yet to be sent.
    pub(super) fn request_ends(&self) {
        self.enter(IDLE);
    }

    /// When to ask next, or nothing when patience has ended.
    ///
    /// Neither limit can have passed before that moment whatever happens until then, so that no request has to set
    /// a timer.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let now = Instant::now();
        let soon = now + self.head;
        let limit = match self.phase.load(Ordering::Relaxed) {
            IDLE => self.idle,
            HEAD => self.head,
            _ => return Some(soon),
        };
        let end = self.opened + Duration::from_millis(self.since.load(Ordering::Relaxed)) + limit;
        (end > now).then_some(end.min(soon))
    }

    /// The caller sent something.
    pub(super) fn bytes_came(&self) {
        if self.phase.load(Ordering::Relaxed) == IDLE {
            self.enter(HEAD);
        }
    }

    /// The caller took something.
    pub(super) fn bytes_went(&self) {
        if self.phase.load(Ordering::Relaxed) == IDLE {
            self.enter(IDLE);
        }
    }

    fn enter(&self, phase: u8) {
        let since = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.phase.store(phase, Ordering::Relaxed);
        self.since.store(since, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADERS: Duration = Duration::from_secs(10);
    const BETWEEN: Duration = Duration::from_secs(75);
    const ALMOST: Duration = Duration::from_millis(1);

    /// Whether patience ends `limit` from now and not before.
    async fn ends_after(patience: &Patience, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while let Some(next) = patience.next_look() {
            tokio::time::sleep_until(next).await;
        }
        Instant::now().duration_since(end) <= ALMOST && end.saturating_duration_since(Instant::now()) <= ALMOST
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_may_be_silent_for_the_idle_time() {
        assert!(ends_after(&Patience::new(HEADERS, BETWEEN), BETWEEN).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_may_take_the_header_time_from_its_first_byte_on() {
        let patience = Patience::new(HEADERS, BETWEEN);
        tokio::time::sleep(HEADERS * 3).await;
        patience.bytes_came();
        tokio::time::sleep(HEADERS / 2).await;
        patience.bytes_came();
        assert!(ends_after(&patience, HEADERS / 2).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_being_answered_is_waited_for() {
        let patience = Patience::new(HEADERS, BETWEEN);
        patience.bytes_came();
        patience.request_begins();
        tokio::time::sleep(BETWEEN * 3).await;
        assert!(patience.next_look().is_some());
        patience.request_ends();
        assert!(ends_after(&patience, BETWEEN).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_may_take_long_as_long_as_somebody_reads_it() {
        let patience = Patience::new(HEADERS, BETWEEN);
        patience.request_begins();
        patience.request_ends();
        for _ in 0..5 {
            tokio::time::sleep(BETWEEN / 2).await;
            patience.bytes_went();
        }
        assert!(ends_after(&patience, BETWEEN).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_begins_just_after_a_look_ends_no_later_than_it_should() {
        let patience = Patience::new(HEADERS, BETWEEN);
        let look = patience.next_look();
        patience.bytes_came();
        assert_eq!(look, Some(Instant::now() + HEADERS));
    }
}
