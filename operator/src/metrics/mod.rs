//! What is counted, under the names of Go's controller-runtime where it has one, so that dashboards and alerts made for
//! it work: reconciles here, the API server's answers in [`requests`], the queue in [`queue`]. Labels are words of closed sets, except in the
//! condition gauge, whose series end with their object.

mod queue;
mod requests;

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, prometheus_text, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub use self::queue::Queue;
pub use self::requests::Requests;

/// The controller's name in labels.
pub const CONTROLLER: &str = "threatrelay";

/// Seconds; controller-runtime's own.
const BUCKETS: [f64; 17] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 0.75, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0];

/// Everything that is counted. Clones count into the same metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// The objects that wait.
    pub queue: Queue,
    /// The requests to the API server.
    pub requests: Requests,
    registry: std::sync::Arc<Registry>,
    reconciles: Family<ResultLabels, Counter>,
    errors: Family<ControllerLabels, Counter>,
    terminal_errors: Family<ControllerLabels, Counter>,
    panics: Family<ControllerLabels, Counter>,
    timeouts: Family<ControllerLabels, Counter>,
    time: Family<ControllerLabels, Histogram, fn() -> Histogram>,
    active: Family<ControllerLabels, Gauge>,
    leading: Family<LeaseLabels, Gauge>,
    conditions: Family<ConditionLabels, Gauge>,
    managed: Family<KindLabels, Gauge>,
    writes: Family<WriteLabels, Counter>,
}

/// How a reconcile ended, in controller-runtime's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It will run again at its next turn.
    RequeueAfter,
    /// It failed and is tried again.
    Error,
    /// The resource cannot be acted upon until its author changes it.
    Terminal,
    /// It took too long.
    Timeout,
    /// It panicked.
    Panic,
}

impl Outcome {
    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::RequeueAfter => "requeue_after",
            Self::Error => "error",
            Self::Terminal => "terminal",
            Self::Timeout => "timeout",
            Self::Panic => "panic",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabels {
    controller: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    controller: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LeaseLabels {
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConditionLabels {
    namespace: String,
    name: String,
    condition: String,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    kind: String,
    verb: &'static str,
}

const OURS: ControllerLabels = ControllerLabels { controller: CONTROLLER };
const STATUSES: [&str; 3] = ["True", "False", "Unknown"];

impl Metrics {
    /// Registers everything.
    #[must_use]
    pub fn new(concurrency: u16) -> Self {
        let mut registry = Registry::default();
        let info = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("threatrelay_operator_build", "The build of this operator", info);
        let time = Family::<ControllerLabels, Histogram, fn() -> Histogram>::new_with_constructor(|| {
            Histogram::new(BUCKETS)
        });
        let concurrent = Family::<ControllerLabels, Gauge>::default();
        concurrent.get_or_create(&OURS).set(i64::from(concurrency));
        let (reconciles, errors, terminal_errors) = <(Family<_, _>, Family<_, _>, Family<_, _>)>::default();
        let (panics, timeouts) = <(Family<_, _>, Family<_, _>)>::default();
        let (active, leading, conditions, managed) =
            <(Family<_, _>, Family<_, _>, Family<_, _>, Family<_, _>)>::default();
        let writes = Family::default();
        let name = |suffix: &str| format!("controller_runtime_{suffix}");
        registry.register(name("reconcile"), "Reconciles by result", reconciles.clone());
        registry.register(name("reconcile_errors"), "Reconciles that failed", errors.clone());
        registry.register(
            name("terminal_reconcile_errors"),
            "Reconciles that only a change of the resource can help",
            terminal_errors.clone(),
        );
        registry.register(name("reconcile_panics"), "Reconciles that panicked", panics.clone());
        registry.register(name("reconcile_timeouts"), "Reconciles that took too long", timeouts.clone());
        registry.register(name("reconcile_time_seconds"), "Time of a reconcile", time.clone());
        registry.register(name("max_concurrent_reconciles"), "Most reconciles at once", concurrent);
        registry.register(name("active_workers"), "Reconciles under way", active.clone());
        registry.register("leader_election_master_status", "Whether this process leads", leading.clone());
        registry.register(
            "threatrelay_status_condition",
            "Conditions of each ThreatRelay: 1 for the status it has",
            conditions.clone(),
        );
        registry.register(
            "threatrelay_managed_resources",
            "Objects that the last reconciles of this process found or made, by kind",
            managed.clone(),
        );
        registry.register("threatrelay_writes", "Writes to the API server", writes.clone());
        for zero in [&errors, &terminal_errors, &panics, &timeouts] {
            let _at_zero = zero.get_or_create(&OURS);
        }
        Self {
            queue: Queue::register(&mut registry),
            requests: Requests::register(&mut registry),
            registry: registry.into(),
            reconciles,
            errors,
            terminal_errors,
            panics,
            timeouts,
            time,
            active,
            leading,
            conditions,
            managed,
            writes,
        }
    }

    /// Counts a reconcile as under way until the result is dropped.
    #[must_use]
    pub fn working(&self) -> impl Drop + use<> {
        struct Working(Gauge);
        impl Drop for Working {
            fn drop(&mut self) {
                self.0.dec();
            }
        }
        let active = self.active.get_or_create_owned(&OURS);
        active.inc();
        Working(active)
    }

    /// Counts a reconcile that is over.
    pub fn reconciled(&self, outcome: Outcome, elapsed: Duration) {
        let result = match outcome {
            Outcome::RequeueAfter => "requeue_after",
            Outcome::Error | Outcome::Terminal | Outcome::Timeout | Outcome::Panic => "error",
        };
        self.reconciles.get_or_create(&ResultLabels { controller: CONTROLLER, result }).inc();
        self.time.get_or_create(&OURS).observe(elapsed.as_secs_f64());
        if result == "error" {
            self.errors.get_or_create(&OURS).inc();
        }
        let special = match outcome {
            Outcome::Terminal => &self.terminal_errors,
            Outcome::Timeout => &self.timeouts,
            Outcome::Panic => &self.panics,
            Outcome::RequeueAfter | Outcome::Error => return,
        };
        special.get_or_create(&OURS).inc();
    }

    /// Whether this process leads.
    pub fn leads(&self, lease: &str, leads: bool) {
        self.leading.get_or_create(&LeaseLabels { name: lease.to_owned() }).set(leads.into());
    }

    /// Shows the conditions (type and status) of an object.
    pub fn show_conditions<'a>(
        &self,
        namespace: &str,
        name: &str,
        conditions: impl Iterator<Item = (&'a str, &'a str)>,
    ) {
        for (condition, found) in conditions {
            for status in STATUSES {
                let labels = labels(namespace, name, condition, status);
                self.conditions.get_or_create(&labels).set((status == found).into());
            }
        }
    }

    /// Ends the series of conditions that an object no longer has.
    pub fn hide_conditions<'a>(&self, namespace: &str, name: &str, conditions: impl Iterator<Item = &'a str>) {
        for condition in conditions {
            for status in STATUSES {
                self.conditions.remove(&labels(namespace, name, condition, status));
            }
        }
    }

    /// Counts objects of a kind that came or went.
    pub fn managed(&self, kind: &str, change: i64) {
        self.managed.get_or_create(&KindLabels { kind: kind.to_owned() }).inc_by(change);
    }

    /// Counts a write; `verb` is `create`, `apply`, `delete` or `status`.
    pub fn wrote(&self, kind: &str, verb: &'static str) {
        self.writes.get_or_create(&WriteLabels { kind: kind.to_owned(), verb }).inc();
    }

    /// All metrics as text, and its media type. `OpenMetrics` where the reader asks for it.
    #[must_use]
    pub fn encode(&self, open_metrics: bool) -> (&'static str, String) {
        let mut out = String::new();
        let (kind, encoded) = if open_metrics {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            (kind, text::encode(&mut out, &self.registry))
        } else {
            (prometheus_text::CONTENT_TYPE, prometheus_text::encode(&mut out, &self.registry))
        };
        if encoded.is_err() {
            tracing::error!("the metrics could not be written as text");
        }
        (kind, out)
    }
}

fn labels(namespace: &str, name: &str, condition: &str, status: &'static str) -> ConditionLabels {
    ConditionLabels {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        condition: condition.to_owned(),
        status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(metrics: &Metrics) -> Vec<String> {
        metrics.encode(false).1.lines().map(str::to_owned).collect()
    }

    #[test]
    fn names_are_those_of_controller_runtime() {
        let metrics = Metrics::new(8);
        metrics.reconciled(Outcome::RequeueAfter, Duration::from_millis(20));
        metrics.reconciled(Outcome::Terminal, Duration::from_millis(20));
        metrics.leads("l", true);
        let _working = metrics.working();
        let lines = lines(&metrics);
        for line in [
            "controller_runtime_reconcile_total{controller=\"threatrelay\",result=\"requeue_after\"} 1",
            "controller_runtime_reconcile_total{controller=\"threatrelay\",result=\"error\"} 1",
            "controller_runtime_reconcile_errors_total{controller=\"threatrelay\"} 1",
            "controller_runtime_terminal_reconcile_errors_total{controller=\"threatrelay\"} 1",
            "controller_runtime_reconcile_panics_total{controller=\"threatrelay\"} 0",
            "controller_runtime_reconcile_time_seconds_bucket{controller=\"threatrelay\",le=\"0.025\"} 2",
            "controller_runtime_max_concurrent_reconciles{controller=\"threatrelay\"} 8",
            "controller_runtime_active_workers{controller=\"threatrelay\"} 1",
            "leader_election_master_status{name=\"l\"} 1",
        ] {
            assert!(lines.iter().any(|found| found == line), "no {line} in {lines:#?}");
        }
    }

    #[test]
    fn a_condition_has_one_status_and_ends_with_its_object() {
        let metrics = Metrics::new(8);
        metrics.show_conditions("ns", "a", [("Ready", "False")].into_iter());
        metrics.show_conditions("ns", "a", [("Ready", "True")].into_iter());
        let of_object = || lines(&metrics).into_iter().filter(|line| line.contains("name=\"a\"")).collect::<Vec<_>>();
        let found = of_object();
        assert_eq!(found.len(), 3, "{found:?}");
        let set: Vec<_> = found.iter().filter(|line| line.ends_with(" 1")).collect();
        assert!(matches!(&set[..], [line] if line.contains("status=\"True\"")), "{set:?}");
        metrics.hide_conditions("ns", "a", ["Ready"].into_iter());
        assert!(of_object().is_empty());
    }

    #[test]
    fn a_reconcile_is_under_way_until_it_ends() {
        let metrics = Metrics::new(8);
        drop(metrics.working());
        assert!(
            lines(&metrics).contains(&"controller_runtime_active_workers{controller=\"threatrelay\"} 0".to_owned())
        );
    }
}
