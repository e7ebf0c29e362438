//! When an object that failed is tried again: later after each failure in a row, for each object by itself, with chance
//! in it so that many do not come back at once. The controller of kube counts nothing, so it is counted here.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The pause after the first failure.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST: Duration = Duration::from_mins(5);

/// Failures in a row, by the uid of the object.
#[derive(Debug, Default)]
pub struct Backoff(Mutex<HashMap<String, Failures>>);

#[derive(Clone, Copy, Debug)]
struct Failures {
    generation: i64,
    count: u32,
}

impl Backoff {
    /// Notes a failure; gives the time until the next try. A new generation begins anew: its author is waiting.
    pub fn failed(&self, uid: &str, generation: i64) -> Duration {
        let mut all = self.lock();
        let failures = all.entry(uid.to_owned()).or_insert(Failures { generation, count: 0 });
        if failures.generation != generation {
            *failures = Failures { generation, count: 0 };
        }
        failures.count = failures.count.saturating_add(1);
        spread(pause(failures.count))
    }

    /// Forgets the failures of an object that succeeded, or is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Failures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pause after so many failures in a row, before chance.
fn pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    (FIRST * 2_u32.pow(doublings)).min(LONGEST)
}

/// A duration, a fifth longer or shorter by chance.
#[must_use]
pub fn spread(duration: Duration) -> Duration {
    // Every `RandomState` has keys of its own; a generator of random numbers would be a dependency for this alone.
    let chance = RandomState::new().hash_one(()) % 401;
    duration * u32::try_from(800 + chance).unwrap_or(1000) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes() {
        for (failures, seconds) in [(1, 1), (2, 2), (3, 4), (8, 128), (9, 256), (10, 300), (40, 300), (u32::MAX, 300)]
        {
            assert_eq!(pause(failures), Duration::from_secs(seconds), "{failures}");
        }
    }

    #[test]
    fn chance_stays_within_a_fifth_and_is_chance() {
        let all: Vec<_> = (0..200).map(|_| spread(Duration::from_secs(10))).collect();
        assert!(all.iter().all(|d| (8.0..=12.0).contains(&d.as_secs_f64())));
        assert!(all.iter().any(|d| *d != all[0]));
    }

    fn about(seconds: f64, pause: Duration) -> bool {
        (0.79 * seconds..=1.21 * seconds).contains(&pause.as_secs_f64())
    }

    #[test]
    fn each_object_waits_for_its_own_failures_and_success_forgets_them() {
        let backoff = Backoff::default();
        assert!(about(1.0, backoff.failed("a", 1)));
        assert!(about(2.0, backoff.failed("a", 1)));
        assert!(about(1.0, backoff.failed("b", 1)));
        backoff.forget("a");
        assert!(about(1.0, backoff.failed("a", 1)));
        assert!(about(2.0, backoff.failed("b", 1)));
    }

    #[test]
    fn a_new_generation_does_not_wait_for_the_failures_of_the_old() {
        let backoff = Backoff::default();
        for _ in 0..6 {
            backoff.failed("a", 1);
        }
        assert!(about(1.0, backoff.failed("a", 2)));
    }
}
