//! The queue of objects that are to be looked at, under the names of Go's client. kube keeps its queue to itself, so it
//! is counted at both ends: what goes in, and what reconciles take out. An object that waits already is not added again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::CONTROLLER;

/// Namespace and name.
type Key = (String, String);
type Durations = Family<QueueLabels, Histogram, fn() -> Histogram>;

/// The queue as it is seen from outside. Clones share it.
#[derive(Clone, Debug)]
pub struct Queue {
    waiting: Arc<Mutex<HashMap<Key, Instant>>>,
    depth: Gauge,
    adds: Counter,
    retries: Counter,
    waits: Histogram,
    works: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    name: &'static str,
    controller: &'static str,
}

impl Queue {
    pub(super) fn register(registry: &mut Registry) -> Self {
        const OURS: QueueLabels = QueueLabels { name: CONTROLLER, controller: CONTROLLER };
        let (depth, adds, retries) = <(Family<_, _>, Family<_, _>, Family<_, _>)>::default();
        // Go's own: from 10 ns to 1,000 s.
        let durations = || Durations::new_with_constructor(|| Histogram::new(exponential_buckets(1e-8, 10.0, 12)));
        let (waits, works) = (durations(), durations());
        let queue = Self {
            waiting: Arc::default(),
            depth: depth.get_or_create_owned(&OURS),
            adds: adds.get_or_create_owned(&OURS),
            retries: retries.get_or_create_owned(&OURS),
            waits: waits.get_or_create_owned(&OURS),
            works: works.get_or_create_owned(&OURS),
        };
        registry.register("workqueue_depth", "Objects that wait to be looked at", depth);
        registry.register("workqueue_adds", "Objects that began to wait", adds);
        registry.register("workqueue_retries", "Objects that wait again because of a failure", retries);
        registry.register("workqueue_queue_duration_seconds", "Time that objects waited", waits);
        registry.register("workqueue_work_duration_seconds", "Time that objects were worked on", works);
        queue
    }

    /// An object is to be looked at.
    pub fn add(&self, namespace: &str, name: &str) {
        let mut waiting = self.lock();
        waiting.entry((namespace.to_owned(), name.to_owned())).or_insert_with(|| {
            self.adds.inc();
            Instant::now()
        });
        self.show(&waiting);
    }

    /// It is worked on, until the result is dropped. What nobody added waited for its time to come.
    #[must_use]
    pub fn begin(&self, namespace: &str, name: &str) -> impl Drop + use<> {
        struct Working(Histogram, Instant);
        impl Drop for Working {
            fn drop(&mut self) {
                self.0.observe(self.1.elapsed().as_secs_f64());
            }
        }
        self.add(namespace, name);
        if let Some(since) = self.take(namespace, name) {
            self.waits.observe(since.elapsed().as_secs_f64());
        }
        Working(self.works.clone(), Instant::now())
    }

    /// It failed and will be looked at again.
    pub fn retry(&self) {
        self.retries.inc();
    }

    /// It waits no more: there is nothing to look at.
    pub fn forget(&self, namespace: &str, name: &str) {
        self.take(namespace, name);
    }

    fn take(&self, namespace: &str, name: &str) -> Option<Instant> {
        let mut waiting = self.lock();
        let since = waiting.remove(&(namespace.to_owned(), name.to_owned()));
        self.show(&waiting);
        since
    }

    fn show(&self, waiting: &HashMap<Key, Instant>) {
        self.depth.set(i64::try_from(waiting.len()).unwrap_or(i64::MAX));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Instant>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_waits_once_until_it_is_worked_on_or_gone() {
        let queue = Queue::register(&mut Registry::default());
        queue.add("ns", "a");
        queue.add("ns", "a");
        queue.add("ns", "b");
        assert_eq!((queue.depth.get(), queue.adds.get()), (2, 2));
        drop(queue.begin("ns", "a"));
        assert_eq!(queue.depth.get(), 1);
        queue.forget("ns", "b");
        assert_eq!(queue.depth.get(), 0);
        drop(queue.begin("ns", "a"));
        assert_eq!((queue.depth.get(), queue.adds.get()), (0, 3), "its time came");
    }
}
