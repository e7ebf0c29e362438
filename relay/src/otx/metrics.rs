//! What the engine counts. Labels come from closed sets; no observable and no key is ever one.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::breaker::STATES;
use crate::metrics::DURATION_BUCKETS;
use crate::trace::Exemplar;
use crate::trace::span;

/// The engine's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) calls: Family<CallOutcome, Counter>,
    call_seconds: Family<Call, HistogramWithExemplars<Exemplar>, fn() -> HistogramWithExemplars<Exemplar>>,
    pub(super) retries: Counter,
    pub(super) inflight: Gauge,
    pub(super) cache: Family<CacheEvent, Counter>,
    pub(super) budget_left: Gauge,
    cache_entries: Gauge,
    cache_bytes: Gauge,
    circuit: Family<Circuit, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Call {
    pub(super) server_address: String,
    pub(super) http_request_method: &'static str,
    pub(super) http_response_status_code: Option<u16>,
    pub(super) error_type: Option<&'static str>,
    pub(super) url_template: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Circuit {
    state: &'static str,
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
            call_seconds: Family::new_with_constructor(
                (|| HistogramWithExemplars::new(DURATION_BUCKETS.into_iter()))
                    as fn() -> HistogramWithExemplars<Exemplar>,
            ),
            retries: Counter::default(),
            inflight: Gauge::default(),
            cache: Family::default(),
            budget_left: Gauge::default(),
            cache_entries: Gauge::default(),
            cache_bytes: Gauge::default(),
            circuit: Family::default(),
        };
        registry.register(
            "relay_upstream_requests",
            "Calls to AlienVault OTX by kind of call and outcome, each try counted",
            metrics.calls.clone(),
        );
        registry.register_with_unit(
            "http_client_request_duration",
            "Duration of one call to AlienVault OTX, body included",
            Unit::Seconds,
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
        registry.register("relay_cache_entries", "Answers held in memory", metrics.cache_entries.clone());
        registry.register_with_unit(
            "relay_cache",
            "Size of the answers held in memory",
            Unit::Bytes,
            metrics.cache_bytes.clone(),
        );
        registry.register(
            "relay_circuit_state",
            "How AlienVault OTX is treated: 1 for the state it is in",
            metrics.circuit.clone(),
        );
        registry.register(
            "relay_upstream_ratelimit_remaining",
            "Calls left this hour to the key that has the fewest",
            metrics.budget_left.clone(),
        );
        metrics
    }

    /// Records a call that is over, for the trace that it belongs to.
    pub(super) fn observe_call(&self, call: &Call, elapsed: Duration) {
        self.call_seconds.get_or_create(call).observe(elapsed.as_secs_f64(), span::exemplar(), None);
    }

    pub(super) fn set_cache(&self, entries: u64, bytes: u64) {
        self.cache_entries.set(entries.try_into().unwrap_or(i64::MAX));
        self.cache_bytes.set(bytes.try_into().unwrap_or(i64::MAX));
    }

    pub(super) fn set_circuit(&self, now: &str) {
        for state in STATES {
            self.circuit.get_or_create(&Circuit { state }).set((state == now).into());
        }
    }

    pub(super) fn cache_event(&self, cache: &'static str, event: &'static str) {
        self.cache.get_or_create(&CacheEvent { cache, event }).inc();
    }
}
