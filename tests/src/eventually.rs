//! Waiting without sleeping: a probe is asked again and again until it is content or a deadline passes. The failure
//! says what was waited for, how long, and what was seen last.

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// What was waited for did not come about. `Debug` prints the same text as `Display`, so that `unwrap` is readable.
pub struct TimedOut {
    what: String,
    limit: Duration,
    last: Option<String>,
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.last.as_deref().unwrap_or("nothing: the first look did not return");
        write!(f, "{}: not within {:?}; last seen: {last}", self.what, self.limit)
    }
}

impl fmt::Debug for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for TimedOut {}

/// Something that is expected to come about, with the time it may take.
#[derive(Debug)]
pub struct Eventually {
    what: String,
    limit: Duration,
    pause: Duration,
}

impl Eventually {
    /// Waits for `what`, worded as the state that is hoped for ("the Deployment is rolled out"), for up to 10 seconds.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), limit: Duration::from_secs(10), pause: Duration::from_millis(25) }
    }

    /// Waits up to `limit` instead.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Looks every `pause` instead of every 25 ms.
    #[must_use]
    pub fn every(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Asks `look` until it returns `Ok`. Its `Err` is what was seen instead. A look that outlives the deadline is
    /// dropped.
    ///
    /// # Errors
    /// [`TimedOut`] after the deadline.
    pub async fn ok<T, S: fmt::Display>(self, mut look: impl AsyncFnMut() -> Result<T, S>) -> Result<T, TimedOut> {
        let deadline = Instant::now() + self.limit;
        let mut last = None;
        loop {
            match timeout_at(deadline, look()).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(seen)) => last = Some(seen.to_string()),
                Err(_elapsed) => return Err(self.timed_out(last)),
            }
            if Instant::now() + self.pause >= deadline {
                return Err(self.timed_out(last));
            }
            sleep(self.pause).await;
        }
    }

    /// Asks `look` until its value satisfies `wanted`.
    ///
    /// # Errors
    /// [`TimedOut`] after the deadline, with the last value.
    pub async fn matches<T: fmt::Debug>(
        self,
        mut look: impl AsyncFnMut() -> T,
        wanted: impl Fn(&T) -> bool,
    ) -> Result<T, TimedOut> {
        self.ok(async || {
            let value = look().await;
            if wanted(&value) { Ok(value) } else { Err(format!("{value:?}")) }
        })
        .await
    }

    fn timed_out(self, last: Option<String>) -> TimedOut {
        TimedOut { what: self.what, limit: self.limit, last }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    #[tokio::test]
    async fn returns_the_first_value_that_satisfies() {
        let mut n = 0;
        let look = async || {
            n += 1;
            n
        };
        let found =
            Eventually::new("three").every(Duration::from_millis(1)).matches(look, |n| *n == 3).await.unwrap();
        assert_eq!(found, 3);
    }

    #[tokio::test]
    async fn failure_says_what_how_long_and_what_was_seen_last() {
        let quick = Duration::from_millis(20);
        let error = Eventually::new("two replicas").within(quick).matches(async || 1, |n| *n == 2).await.unwrap_err();
        assert_eq!(error.to_string(), "two replicas: not within 20ms; last seen: 1");
    }

    #[tokio::test]
    async fn a_look_that_hangs_ends_at_the_deadline() {
        let look = async || std::future::pending::<Result<(), String>>().await;
        let error = Eventually::new("an answer").within(Duration::from_millis(20)).ok(look).await.unwrap_err();
        assert!(error.to_string().ends_with("the first look did not return"), "{error}");
    }
}
