//! A circuit breaker: closed, open for a while, then half-open for a single probe whose outcome decides. Used twice:
//! for OTX as a whole (opens after a run of outages) and for one key (opens at the first 429).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The words for its states in metrics: calls pass, are refused, or one of them is a probe.
pub(super) const STATES: [&str; 3] = ["closed", "open", "half_open"];

/// The breaker. All methods are quick and never wait.
#[derive(Debug)]
pub(super) struct Breaker {
    state: Mutex<State>,
    /// Failures in a row that open it.
    threshold: u32,
    /// How long it stays open when nobody says otherwise.
    pause: Duration,
}

#[derive(Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    Probing,
}

/// Leave to make one call; the outcome must be told, else a probe counts as not made.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

/// What a call says of the thing the breaker guards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It works.
    Good,
    /// It does not; leave it alone for that long, or for the usual pause.
    Bad(Option<Duration>),
}

impl Breaker {
    pub(super) fn new(threshold: u32, pause: Duration) -> Self {
        Self { state: Mutex::new(State::Closed { failures: 0 }), threshold, pause }
    }

    /// Asks for leave to call.
    ///
    /// # Errors
    /// The time to wait while the breaker is open.
    pub(super) fn pass(&self, now: Instant) -> Result<Pass<'_>, Duration> {
        let mut state = self.lock();
        match *state {
            State::Closed { .. } => Ok(Pass { breaker: self, probe: false }),
            State::Open { until } if until <= now => {
                *state = State::Probing;
                Ok(Pass { breaker: self, probe: true })
            }
            State::Open { until } => Err(until - now),
            State::Probing => Err(self.while_probing()),
        }
    }

    /// Tells whether a call would be let through now, without making it.
    ///
    /// # Errors
    /// The time to wait while the breaker is open.
    pub(super) fn peek(&self, now: Instant) -> Result<(), Duration> {
        match *self.lock() {
            State::Open { until } if until > now => Err(until - now),
            State::Probing => Err(self.while_probing()),
            _ => Ok(()),
        }
    }

    /// One of [`STATES`].
    pub(super) fn state(&self) -> &'static str {
        let [closed, open, half_open] = STATES;
        match *self.lock() {
            State::Closed { .. } => closed,
            State::Open { .. } => open,
            State::Probing => half_open,
        }
    }

    fn while_probing(&self) -> Duration {
        self.pause.min(Duration::from_secs(1))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// Tells the outcome of the call.
    pub(super) fn report(mut self, outcome: Outcome, now: Instant) {
        let probe = std::mem::take(&mut self.probe);
        let breaker = self.breaker;
        let mut state = breaker.lock();
        match (outcome, &mut *state) {
            (Outcome::Good, State::Closed { failures }) => *failures = 0,
            (Outcome::Good, State::Probing) if probe => *state = State::Closed { failures: 0 },
            (Outcome::Bad(pause), State::Closed { failures }) => {
                *failures += 1;
                if *failures >= breaker.threshold {
                    *state = State::Open { until: now + pause.unwrap_or(breaker.pause) };
                }
            }
            (Outcome::Bad(pause), State::Probing) if probe => {
                *state = State::Open { until: now + pause.unwrap_or(breaker.pause) };
            }
            // Calls that began before it opened say nothing about now.
            _ => {}
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.probe {
            *self.breaker.lock() = State::Open { until: Instant::now() };
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(5);

    fn opened(now: Instant) -> Breaker {
        let breaker = Breaker::new(2, PAUSE);
        breaker.pass(now).unwrap().report(Outcome::Bad(None), now);
        assert!(breaker.state() == "closed", "one failure is not a run");
        breaker.pass(now).unwrap().report(Outcome::Bad(None), now);
        assert!(breaker.state() != "closed");
        breaker
    }

    #[test]
    fn a_success_ends_a_run_of_failures() {
        let (now, breaker) = (Instant::now(), Breaker::new(2, PAUSE));
        for _ in 0..5 {
            breaker.pass(now).unwrap().report(Outcome::Bad(None), now);
            breaker.pass(now).unwrap().report(Outcome::Good, now);
        }
        assert!(breaker.state() == "closed");
    }

    #[test]
    fn after_the_pause_one_probe_decides() {
        let now = Instant::now();
        let breaker = opened(now);
        assert_eq!(breaker.pass(now + PAUSE / 2).unwrap_err(), PAUSE / 2);
        let probe = breaker.pass(now + PAUSE).unwrap();
        assert!(breaker.pass(now + PAUSE).is_err(), "a second call waits for the probe");
        assert!(breaker.peek(now + PAUSE).is_err(), "and is told so before it is made");
        probe.report(Outcome::Bad(Some(PAUSE * 2)), now + PAUSE);
        assert!(breaker.pass(now + PAUSE * 2).is_err(), "a failed probe opens it again for the stated time");
        breaker.pass(now + PAUSE * 3).unwrap().report(Outcome::Good, now + PAUSE * 3);
        assert!(breaker.state() == "closed");
    }

    #[test]
    fn a_probe_that_was_given_up_can_be_made_again() {
        let now = Instant::now();
        let breaker = opened(now);
        drop(breaker.pass(now + PAUSE).unwrap());
        assert!(breaker.pass(Instant::now() + PAUSE).is_ok());
    }

    #[test]
    fn late_results_of_earlier_calls_do_not_close_it() {
        let now = Instant::now();
        let breaker = Breaker::new(1, PAUSE);
        let early = breaker.pass(now).unwrap();
        breaker.pass(now).unwrap().report(Outcome::Bad(None), now);
        early.report(Outcome::Good, now);
        assert!(breaker.state() != "closed");
    }
}
