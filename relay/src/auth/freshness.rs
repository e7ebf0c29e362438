//! When a fetched value serves, when it is fetched again, and when a failure is answered: decided from moments alone,
//! without clock or network.

use std::time::{Duration, Instant};

/// Time that a failed source is left alone.
const REST: Duration = Duration::from_secs(5);

/// The ages that decide.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Age at which a value is fetched again.
    pub ttl: Duration,
    /// Age up to which a value serves while its source fails.
    pub max_stale: Duration,
    /// Shortest time between two fetches that an unknown name causes.
    pub cooldown: Duration,
}

/// What a request should do.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<V, E> {
    /// Take this value.
    Use(V),
    /// Take this value and start a fetch without waiting for it.
    UseAndFetch(V),
    /// Wait for a fetch.
    Fetch,
    /// Answer this failure.
    Refuse(E),
}

/// What is held of one source: the last value, the last failure if it came later, the last fetch for an unknown name.
#[derive(Debug)]
pub struct Freshness<V, E> {
    value: Option<(V, Instant)>,
    failure: Option<(E, Instant)>,
    unknown: Option<Instant>,
}

impl<V, E> Default for Freshness<V, E> {
    fn default() -> Self {
        Self { value: None, failure: None, unknown: None }
    }
}

impl<V: Clone, E: Clone> Freshness<V, E> {
    /// The step of a request that arrived at `arrived`. A value that was fetched since then is as fresh as can be.
    pub fn step(&self, arrived: Instant, now: Instant, times: Times) -> Step<V, E> {
        let aged = self.value.as_ref().map(|(value, fetched)| (value, *fetched, now.duration_since(*fetched)));
        if let Some((value, fetched, age)) = aged
            && (age < times.ttl || fetched >= arrived)
        {
            return Step::Use(value.clone());
        }
        let stale = aged.filter(|(_, _, age)| *age < times.max_stale).map(|(value, ..)| value.clone());
        match (stale, &self.failure) {
            (Some(value), Some(_)) if self.rests(now) => Step::Use(value),
            // The source may be slow to fail; requests do not wait for it again.
            (Some(value), Some(_)) => Step::UseAndFetch(value),
            (None, Some((failure, _))) if self.rests(now) => Step::Refuse(failure.clone()),
            _ => Step::Fetch,
        }
    }

    /// Whether a fetch may be made because the value lacks a name; if so, that is noted.
    pub fn may_fetch_for_unknown(&mut self, arrived: Instant, now: Instant, times: Times) -> bool {
        if let Some((_, fetched)) = self.value
            && fetched >= arrived
        {
            // This request has caused a fetch already.
            self.unknown = Some(fetched);
            return false;
        }
        let cools = self.unknown.is_some_and(|last| now.duration_since(last) < times.cooldown);
        if cools || self.rests(now) {
            return false;
        }
        self.unknown = Some(now);
        true
    }

    /// Takes the outcome of a fetch.
    pub fn store(&mut self, outcome: Result<V, E>, now: Instant) {
        match outcome {
            Ok(value) => {
                self.value = Some((value, now));
                self.failure = None;
            }
            Err(failure) => self.failure = Some((failure, now)),
        }
    }

    /// The last value, however old.
    pub fn held(&self) -> Option<&V> {
        self.value.as_ref().map(|(value, _)| value)
    }

    fn rests(&self, now: Instant) -> bool {
        self.failure.as_ref().is_some_and(|(_, failed)| now.duration_since(*failed) < REST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times =
        Times { ttl: Duration::from_mins(10), max_stale: Duration::from_hours(1), cooldown: Duration::from_mins(1) };

    /// A source and the moment it starts at; moments are seconds from there.
    struct Source {
        freshness: Freshness<&'static str, &'static str>,
        start: Instant,
    }

    impl Source {
        fn new() -> Self {
            Self { freshness: Freshness::default(), start: Instant::now() }
        }

        fn at(&self, seconds: u64) -> Instant {
            self.start + Duration::from_secs(seconds)
        }

        fn step(&self, seconds: u64) -> Step<&'static str, &'static str> {
            self.freshness.step(self.at(seconds), self.at(seconds), TIMES)
        }

        fn store(&mut self, seconds: u64, outcome: Result<&'static str, &'static str>) {
            self.freshness.store(outcome, self.at(seconds));
        }

        fn may_fetch(&mut self, arrived: u64, now: u64) -> bool {
            self.freshness.may_fetch_for_unknown(self.at(arrived), self.at(now), TIMES)
        }
    }

    #[test]
    fn a_value_serves_until_its_age_and_is_fetched_again() {
        let mut source = Source::new();
        assert_eq!(source.step(0), Step::Fetch);
        source.store(1, Ok("keys"));
        assert_eq!(source.step(600), Step::Use("keys"));
        assert_eq!(source.step(601), Step::Fetch);
    }

    #[test]
    fn a_failure_is_answered_while_the_source_rests() {
        let mut source = Source::new();
        source.store(0, Err("down"));
        assert_eq!(source.step(4), Step::Refuse("down"));
        assert_eq!(source.step(5), Step::Fetch);
    }

    #[test]
    fn an_old_value_serves_while_the_source_fails_and_nobody_waits() {
        let mut source = Source::new();
        source.store(0, Ok("keys"));
        source.store(700, Err("down"));
        assert_eq!(source.step(701), Step::Use("keys"));
        assert_eq!(source.step(705), Step::UseAndFetch("keys"));
        source.store(706, Err("down"));
        assert_eq!(source.step(707), Step::Use("keys"));
        source.store(800, Ok("new"));
        assert_eq!(source.step(801), Step::Use("new"));
    }

    #[test]
    fn a_value_that_is_too_old_serves_no_more() {
        let mut source = Source::new();
        source.store(0, Ok("keys"));
        source.store(3599, Err("down"));
        assert_eq!(source.step(3599), Step::Use("keys"));
        assert_eq!(source.step(3600), Step::Refuse("down"));
        assert_eq!(source.step(3604), Step::Fetch);
    }

    #[test]
    fn a_value_fetched_for_the_request_serves_it_whatever_its_age() {
        let mut source = Source::new();
        source.store(10, Ok("keys"));
        let short = Times { ttl: Duration::ZERO, ..TIMES };
        assert_eq!(source.freshness.step(source.at(9), source.at(20), short), Step::Use("keys"));
        assert_eq!(source.freshness.step(source.at(11), source.at(20), short), Step::Fetch);
    }

    #[test]
    fn unknown_names_cause_one_fetch_in_a_cooldown() {
        let mut source = Source::new();
        source.store(0, Ok("keys"));
        assert!(source.may_fetch(1, 1));
        assert!(!source.may_fetch(2, 2));
        assert!(!source.may_fetch(60, 60));
        assert!(source.may_fetch(61, 61));
    }

    #[test]
    fn the_fetch_a_request_waited_for_counts_as_the_one_of_its_unknown_name() {
        let mut source = Source::new();
        source.store(1, Ok("keys"));
        assert!(!source.may_fetch(0, 1));
        assert!(!source.may_fetch(60, 60));
        assert!(source.may_fetch(61, 61));
    }

    #[test]
    fn an_unknown_name_does_not_wake_a_source_that_rests() {
        let mut source = Source::new();
        source.store(0, Ok("keys"));
        source.store(10, Err("down"));
        assert!(!source.may_fetch(14, 14));
        assert!(source.may_fetch(15, 15));
    }
}
