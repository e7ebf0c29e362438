//! Single flight: whoever asks for what is already being fetched waits for the same answer. A flight goes on while
//! anybody waits for it, on a task of its own, and ends when the last one gives up.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use opentelemetry::context::FutureExt as _;
use tokio_util::task::AbortOnDropHandle;

/// An answer under way; clones wait for the same one. `None` when the flight broke (a panic).
pub(super) type Flight<V> = Shared<BoxFuture<'static, Option<V>>>;

/// The flights under way.
pub(super) struct Flights<K, V: Clone> {
    under_way: Arc<Mutex<UnderWay<K, V>>>,
}

type UnderWay<K, V> = HashMap<K, WeakShared<BoxFuture<'static, Option<V>>>>;

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new() -> Self {
        Self { under_way: Arc::default() }
    }

    /// Joins the flight for `key`, or starts one. The second value tells whether it was joined.
    pub(super) fn join<F>(&self, key: K, start: impl FnOnce() -> F) -> (Flight<V>, bool)
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut under_way = lock(&self.under_way);
        if let Some(flight) = under_way.get(&key).and_then(WeakShared::upgrade) {
            return (flight, true);
        }
        if under_way.len() >= 256 {
            under_way.retain(|_, flight| flight.upgrade().is_some());
        }
        let fetch = AbortOnDropHandle::new(tokio::spawn(start().with_current_context()));
        let (landed, flights) = (key.clone(), Arc::clone(&self.under_way));
        let flight = async move {
            let outcome = fetch.await.ok();
            lock(&flights).remove(&landed);
            outcome
        };
        let flight = flight.boxed().shared();
        if let Some(weak) = flight.downgrade() {
            under_way.insert(key, weak);
        }
        (flight, false)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn many_askers_cause_one_fetch() {
        let (flights, fetches) = (Flights::new(), Arc::new(AtomicU32::new(0)));
        let waiting: Vec<_> = (0..1000)
            .map(|_| {
                let fetches = Arc::clone(&fetches);
                flights.join("a", || async move { fetches.fetch_add(1, Ordering::SeqCst) }).0
            })
            .collect();
        let answers = futures_util::future::join_all(waiting).await;
        assert!(answers.iter().all(|answer| *answer == Some(0)));
        assert_eq!(fetches.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn the_next_asker_after_an_answer_fetches_anew() {
        let flights = Flights::new();
        assert_eq!(flights.join((), || async { 1 }).0.await, Some(1));
        assert_eq!(flights.join((), || async { 2 }).0.await, Some(2));
    }

    #[tokio::test]
    async fn a_fetch_that_nobody_waits_for_is_given_up() {
        let flights = Flights::new();
        let (ended, end) = tokio::sync::oneshot::channel::<()>();
        let (flight, _) = flights.join((), || async move {
            let _ended_when_dropped = ended;
            std::future::pending::<()>().await;
        });
        drop(flight);
        assert!(end.await.is_err(), "the fetch was dropped");
    }

    #[tokio::test]
    async fn a_broken_fetch_is_an_answer_to_all() {
        let flights = Flights::<_, ()>::new();
        #[expect(clippy::panic, reason = "the fault under test")]
        let (flight, _) = flights.join((), || async { panic!("a defect") });
        assert_eq!(flight.await, None);
    }
}
