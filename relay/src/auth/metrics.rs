//! What authentication counts beside refused callers: fetches of JWKS and the files it follows. Labels are allowed hosts
//! and names of settings, never a part of a token or a key.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// All of it. Clones count into the same metrics.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    refreshes: Family<Refresh, Counter>,
    fetched: Family<Host, Gauge>,
    loaded: Family<Setting, Gauge>,
    refused: Family<Setting, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refresh {
    jwks_host: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Host {
    jwks_host: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Setting {
    setting: &'static str,
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("relay_jwks_refresh", "Fetches of JWKS by outcome", metrics.refreshes.clone());
        registry.register_with_unit(
            "relay_jwks_fetched_timestamp",
            "When the keys of a JWKS host were last fetched, since the Unix epoch",
            Unit::Seconds,
            metrics.fetched.clone(),
        );
        registry.register_with_unit(
            "relay_credential_last_reload_timestamp",
            "When the content of a file of keys was last taken into use, since the Unix epoch",
            Unit::Seconds,
            metrics.loaded.clone(),
        );
        registry.register(
            "relay_credential_reload_errors",
            "Changed files of keys that could not be used, so that the last good content stays",
            metrics.refused.clone(),
        );
        metrics
    }

    /// The metrics of one allowed JWKS host.
    pub(super) fn host(&self, name: &str) -> HostMetrics {
        let refreshes = |outcome| {
            let labels = Refresh { jwks_host: name.to_owned(), outcome };
            self.refreshes.get_or_create(&labels).clone()
        };
        HostMetrics {
            ok: refreshes("ok"),
            error: refreshes("error"),
            fetched: self.fetched.clone(),
            host: Host { jwks_host: name.to_owned() },
        }
    }

    /// The metrics of the file or directory that a setting names.
    pub(super) fn place(&self, setting: &'static str) -> PlaceMetrics {
        let setting = Setting { setting };
        PlaceMetrics {
            loaded: self.loaded.get_or_create(&setting).clone(),
            refused: self.refused.get_or_create(&setting).clone(),
        }
    }
}

/// Metrics of one JWKS host.
pub(super) struct HostMetrics {
    ok: Counter,
    error: Counter,
    fetched: Family<Host, Gauge>,
    host: Host,
}

impl HostMetrics {
    /// A fetch is over.
    pub(super) fn fetched(&self, is_ok: bool) {
        if is_ok {
            self.ok.inc();
            // Not there before the first fetch: 1970 would be an age.
            self.fetched.get_or_create(&self.host).set(unix_seconds());
        } else {
            self.error.inc();
        }
    }
}

/// Metrics of one place that is followed.
#[derive(Clone, Debug, Default)]
pub struct PlaceMetrics {
    loaded: Gauge,
    refused: Counter,
}

impl PlaceMetrics {
    /// A content is in use now, of which some parts had to be left out.
    pub(super) fn taken(&self, left_out: u64) {
        self.loaded.set(unix_seconds());
        self.refused.inc_by(left_out);
    }

    /// A content could not be used.
    pub(super) fn refused(&self) {
        self.refused.inc();
    }
}

fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
