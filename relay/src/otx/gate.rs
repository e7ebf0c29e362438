//! The gate before OTX: no call passes while OTX or the key is to be left alone, beyond the key's hourly budget, or
//! beyond the calls that may be under way at once. It waits within the deadline rather than refuse.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Ask;
use super::breaker::{Breaker, Outcome, Pass};
use super::budget::{HourlyBudget, RetryBudget, Usage};
use super::failure::Failure;
use super::key::Scope;
use crate::broken::{self, Defect};
use crate::config;

/// Outages in a row after which OTX is given a pause, and how long that is.
const OUTAGES: u32 = 10;
const OUTAGE_PAUSE: Duration = Duration::from_secs(5);
/// How long a throttled key rests unless OTX says so, and the longest it rests without a probe.
const THROTTLE_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_THROTTLE: Duration = Duration::from_secs(30);
/// Keys remembered; a key that was idle for longer starts anew.
const KEYS: u64 = 10_000;
const KEY_IDLE: Duration = Duration::from_hours(2);

pub(super) struct Gate {
    circuit: Breaker,
    all: Arc<Semaphore>,
    keys: Cache<Scope, Arc<KeyState>>,
    retries: RetryBudget,
    hourly: u32,
    per_key: usize,
}

/// What is known of one key.
pub(super) struct KeyState {
    throttle: Breaker,
    calls: Arc<Semaphore>,
    budget: HourlyBudget,
    accepted: AtomicBool,
}

/// A call under way.
pub(super) struct Permit<'a> {
    circuit: Pass<'a>,
    throttle: Pass<'a>,
    key: &'a KeyState,
    _of_all: OwnedSemaphorePermit,
    _of_key: OwnedSemaphorePermit,
}

impl Gate {
    pub(super) fn new(config: &config::Otx) -> Self {
        Self {
            circuit: Breaker::new(OUTAGES, OUTAGE_PAUSE),
            all: Arc::new(Semaphore::new(config.max_concurrent_calls)),
            keys: Cache::builder().max_capacity(KEYS).time_to_idle(KEY_IDLE).build(),
            retries: RetryBudget::new(Instant::now()),
            hourly: config.hourly_budget,
            per_key: config.max_concurrent_calls_per_key,
        }
    }

    /// The state of a key, made at its first use.
    pub(super) fn key(&self, scope: Scope) -> Arc<KeyState> {
        self.keys.get_with(scope, || {
            Arc::new(KeyState {
                throttle: Breaker::new(1, THROTTLE_PAUSE),
                calls: Arc::new(Semaphore::new(self.per_key)),
                budget: HourlyBudget::new(self.hourly, Instant::now()),
                accepted: AtomicBool::new(false),
            })
        })
    }

    /// Waits for leave to make one call.
    ///
    /// # Errors
    /// [`Failure::CircuitOpen`], [`Failure::Throttled`], [`Failure::BudgetSpent`] at once, [`Failure::Deadline`] when
    /// others kept the way busy for too long.
    pub(super) async fn enter<'a>(&'a self, ask: &Ask, key: &'a KeyState) -> Result<Permit<'a>, Failure> {
        let now = Instant::now();
        if let Err(wait) = key.throttle.peek(now) {
            return Err(Failure::Throttled { wait: Some(wait) });
        }
        // Asked before a token is taken: calls that are not made cost no budget.
        self.circuit.peek(now).map_err(|_| Failure::CircuitOpen)?;
        let patience = ask.deadline.saturating_duration_since(now);
        let wait = key.budget.take(now, patience).map_err(|_| Failure::BudgetSpent { hourly: self.hourly })?;
        let turn = async {
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            // The key's own queue first: a key that keeps many calls waiting holds no place of the others.
            let of_key = Arc::clone(&key.calls).acquire_owned().await.ok()?;
            let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
            Some((of_key, of_all))
        };
        let (of_key, of_all) = tokio::time::timeout_at(ask.deadline.into(), turn)
            .await
            .map_err(|_| Failure::Deadline(ask.patience))?
            .ok_or(Failure::Internal)?;
        let now = Instant::now();
        let throttle = key.throttle.pass(now).map_err(|wait| Failure::Throttled { wait: Some(wait) })?;
        let circuit = self.circuit.pass(now).map_err(|_| Failure::CircuitOpen)?;
        Ok(Permit { circuit, throttle, key, _of_all: of_all, _of_key: of_key })
    }

    /// Adds to the budget of retries what one answer earns.
    pub(super) fn earn_retries(&self) {
        self.retries.deposit();
    }

    /// Takes one retry from the budget that all calls share.
    pub(super) fn may_retry(&self) -> bool {
        broken::is(Defect::RetriesWithoutBudget) || self.retries.withdraw(Instant::now())
    }

    /// Calls an hour allowed to each key.
    pub(super) fn hourly(&self) -> u32 {
        self.hourly
    }

    /// How OTX as a whole is treated, in a word of [`super::breaker::STATES`].
    pub(super) fn circuit(&self) -> &'static str {
        self.circuit.state()
    }

    /// Calls left in the hour under way to the key with the fewest.
    pub(super) fn budget_left(&self) -> u32 {
        let left = self.keys.iter().map(|(_, key)| self.hourly.saturating_sub(key.usage().used));
        left.min().unwrap_or(self.hourly)
    }
}

impl KeyState {
    /// True when OTX has accepted this key on an endpoint that checks it.
    pub(super) fn is_accepted(&self) -> bool {
        self.accepted.load(Ordering::Relaxed)
    }

    pub(super) fn set_accepted(&self, accepted: bool) {
        self.accepted.store(accepted, Ordering::Relaxed);
    }

    /// How much of the hourly budget is used.
    pub(super) fn usage(&self) -> Usage {
        self.budget.usage(Instant::now())
    }
}

impl Permit<'_> {
    /// Tells both breakers how the call went.
    pub(super) fn report<T>(self, outcome: &Result<T, Failure>) {
        if let Err(Failure::Deadline(_)) = outcome {
            // It was cut short by its own request, which says nothing of OTX.
            return;
        }
        let now = Instant::now();
        let throttled = match outcome {
            Err(Failure::Throttled { wait }) => Outcome::Bad(wait.map(|wait| wait.min(LONGEST_THROTTLE))),
            _ => Outcome::Good,
        };
        self.throttle.report(throttled, now);
        let outage = outcome.as_ref().err().is_some_and(Failure::is_outage);
        self.circuit.report(if outage { Outcome::Bad(None) } else { Outcome::Good }, now);
        if let Err(Failure::KeyRefused) = outcome {
            self.key.set_accepted(false);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::*;
    use crate::otx::key::OtxKey;

    async fn report(gate: &Gate, outcome: Result<(), Failure>) {
        let patience = Duration::from_secs(5);
        let key = OtxKey::new(&"a key".into()).unwrap();
        let ask = Ask { key: key.clone(), deadline: Instant::now() + patience, patience };
        gate.enter(&ask, &gate.key(key.scope())).await.unwrap().report(&outcome);
    }

    #[tokio::test]
    async fn a_call_cut_short_by_its_own_request_says_nothing_of_otx() {
        let settings = [("THREATRELAY_AUTH_AUDIENCES".to_owned(), "https://relay.example".to_owned())];
        let gate = Gate::new(&config::load(None, settings.into_iter()).unwrap().config.otx);
        for _ in 1..OUTAGES {
            report(&gate, Err(Failure::Reset)).await;
        }
        report(&gate, Err(Failure::Deadline(Duration::from_secs(5)))).await;
        assert_eq!(gate.circuit(), "closed", "it is no outage");
        report(&gate, Err(Failure::Reset)).await;
        assert_eq!(gate.circuit(), "open", "nor the end of a run of outages");
    }
}
