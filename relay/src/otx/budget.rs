//! Budgets of calls: how many a key may make an hour, and how many retries OTX is asked to bear.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_hours(1);

/// A token bucket whose tokens may be taken ahead of time: the taker waits until its token is there.
///
/// In any hour at most `hourly` tokens are handed out: a fifth of them may be taken at once, the rest trickle in.
#[derive(Debug)]
pub(super) struct HourlyBudget {
    state: Mutex<Spending>,
    hourly: u32,
}

/// How much of a budget is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    /// Calls in the hour under way.
    pub(super) used: u32,
    /// Since when that hour is under way.
    pub(super) hour_age: Duration,
    /// The next call would have to wait.
    pub(super) is_spent: bool,
}

#[derive(Debug)]
struct Spending {
    tokens: Tokens,
    hour_began: Instant,
    used: u32,
}

#[derive(Debug)]
struct Tokens {
    /// Tokens at hand; negative while takers wait.
    left: f64,
    counted: Instant,
}

impl HourlyBudget {
    pub(super) fn new(hourly: u32, now: Instant) -> Self {
        let tokens = Tokens { left: Self::burst(hourly), counted: now };
        Self { state: Mutex::new(Spending { tokens, hour_began: now, used: 0 }), hourly }
    }

    fn burst(hourly: u32) -> f64 {
        (f64::from(hourly) / 5.0).max(1.0)
    }

    /// Takes one token and tells how long to wait for it.
    ///
    /// # Errors
    /// The wait when it is longer than `patience`; no token is taken then.
    pub(super) fn take(&self, now: Instant, patience: Duration) -> Result<Duration, Duration> {
        let burst = Self::burst(self.hourly);
        let per_second = (f64::from(self.hourly) - burst).max(1.0) / 3600.0;
        let mut state = self.lock();
        state.turn_hour(now);
        let tokens = &mut state.tokens;
        let elapsed = now.saturating_duration_since(tokens.counted);
        tokens.left = (tokens.left + elapsed.as_secs_f64() * per_second).min(burst);
        tokens.counted = now;
        let wait = Duration::from_secs_f64((1.0 - tokens.left).max(0.0) / per_second);
        if wait > patience {
            return Err(wait);
        }
        tokens.left -= 1.0;
        state.used += 1;
        Ok(wait)
    }

    /// How much of it is used.
    pub(super) fn usage(&self, now: Instant) -> Usage {
        let mut state = self.lock();
        state.turn_hour(now);
        Usage {
            used: state.used,
            hour_age: now.saturating_duration_since(state.hour_began),
            is_spent: state.tokens.left < 1.0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Spending> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spending {
    fn turn_hour(&mut self, now: Instant) {
        if now.saturating_duration_since(self.hour_began) >= HOUR {
            self.hour_began = now;
            self.used = 0;
        }
    }
}

/// Retries allowed: one for every five calls that were answered, and ten a second beside. Retries that fail earn no
/// further ones.
#[derive(Debug)]
pub(super) struct RetryBudget {
    state: Mutex<Tokens>,
}

impl RetryBudget {
    const PER_CALL: f64 = 0.2;
    const PER_SECOND: f64 = 10.0;
    const MOST: f64 = 100.0;

    pub(super) fn new(now: Instant) -> Self {
        Self { state: Mutex::new(Tokens { left: Self::PER_SECOND, counted: now }) }
    }

    /// Counts an answer.
    pub(super) fn deposit(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.left = (state.left + Self::PER_CALL).min(Self::MOST);
    }

    /// Takes one retry, if there is one.
    pub(super) fn withdraw(&self, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = now.saturating_duration_since(state.counted).as_secs_f64();
        // What time alone brings is not saved up beyond one second's worth.
        let floor = (state.left + elapsed * Self::PER_SECOND).min(Self::PER_SECOND);
        state.left = state.left.max(floor);
        state.counted = now;
        let granted = state.left >= 1.0;
        if granted {
            state.left -= 1.0;
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_hour_sees_more_calls_than_the_budget() {
        let start = Instant::now();
        let budget = HourlyBudget::new(1000, start);
        let mut calls = Vec::new();
        for second in 0..3 * 3600 {
            let now = start + Duration::from_secs(second);
            while budget.take(now, Duration::ZERO).is_ok() {
                calls.push(second);
            }
        }
        let busiest =
            (0..2 * 3600).map(|from| calls.iter().filter(|at| (from..from + 3600).contains(*at)).count()).max();
        assert!(busiest.is_some_and(|busiest| (900..=1000).contains(&busiest)), "{busiest:?}");
    }

    #[test]
    fn a_taker_waits_for_its_token_within_its_patience() {
        let now = Instant::now();
        let budget = HourlyBudget::new(3600, now);
        while budget.take(now, Duration::ZERO).is_ok() {}
        let patience = Duration::from_secs(3);
        let waits: Vec<_> = std::iter::from_fn(|| budget.take(now, patience).ok()).collect();
        assert!(waits.len() == 2 && waits.is_sorted() && waits.iter().all(|wait| *wait <= patience), "{waits:?}");
    }

    #[test]
    fn retries_stay_a_fifth_of_the_calls_and_ten_a_second() {
        let start = Instant::now();
        let budget = RetryBudget::new(start);
        let mut retries = 0;
        for tick in 0..10_000_u32 {
            budget.deposit();
            while budget.withdraw(start + Duration::from_millis(u64::from(tick))) {
                retries += 1;
            }
        }
        assert!(retries <= 10_000 / 5 + 10 * 10 + 10, "{retries}");
    }
}
