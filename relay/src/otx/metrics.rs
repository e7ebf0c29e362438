//! What the engine counts. Labels come from closed sets; no observable and no key is ever one.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::metrics::DURATION_BUCKETS;

/// The engine's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) calls: Family<CallOutcome, Counter>,
    pub(super) call_seconds: Family<Call, Histogram>,
    pub(super) retries: Counter,
    pub(super) inflight: Gauge,
    pub(super) cache: Family<CacheEvent, Counter>,
    pub(super) circuit_open: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Call {
    pub(super) section: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CallOutcome {
    pub(super) section: &'static str,
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CacheEvent {
    pub(super) cache: &'static str,
    pub(super) event: &'static str,
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            calls: Family::default(),
            call_seconds: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS)),
            retries: Counter::default(),
            inflight: Gauge::default(),
            cache: Family::default(),
            circuit_open: Gauge::default(),
        };
        registry.register(
            "relay_upstream_requests",
            "Calls to AlienVault OTX by kind of call and outcome, each try counted",
            metrics.calls.clone(),
        );
        registry.register(
            "relay_upstream_duration_seconds",
            "Duration of one call to AlienVault OTX, body included",
            metrics.call_seconds.clone(),
        );
        registry.register(
            "relay_upstream_retries",
            "Calls to AlienVault OTX that were tried again",
            metrics.retries.clone(),
        );
        registry.register("relay_upstream_inflight", "Calls to AlienVault OTX under way", metrics.inflight.clone());
        registry.register(
            "relay_cache_events",
            "Look-ups in the relay's caches: hit, miss, stale, joined, error",
            metrics.cache.clone(),
        );
        registry.register(
            "relay_circuit_open",
            "1 while AlienVault OTX is left alone after repeated outages",
            metrics.circuit_open.clone(),
        );
        metrics
    }

    pub(super) fn cache_event(&self, cache: &'static str, event: &'static str) {
        self.cache.get_or_create(&CacheEvent { cache, event }).inc();
    }
}
