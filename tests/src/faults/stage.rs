//! What is done in a run and waited for: the acts of a step, and that it ends as undisturbed or at rest.

use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::campaign::Family;
use super::history::Chronicle;
use super::lives::Lives;
use super::masks::{State, differences, state};
use super::plan::Plan;
use super::run::PATIENCE;
use super::workload::{Act, Step};
use crate::cluster::Api;
use crate::faultproxy::FaultProxy;
use crate::faultproxy::call::{Class, Verb};
use crate::faultproxy::plan::Plan as Strike;
use crate::faultproxy::trace::Entry;

/// So long nothing may happen for an undisturbed step to count as ended, whose end nobody knows yet.
const REST: Duration = Duration::from_secs(4);

/// Waits until `look` says yes; tells whether it did within `limit`. (`Eventually` takes async closures, whose futures no
/// other thread can be given.)
pub(super) async fn comes_true<F: Future<Output = bool>>(limit: Duration, mut look: impl FnMut() -> F) -> bool {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if look().await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

/// What a run's people see and do.
pub(super) struct Stage<'a> {
    pub(super) api: &'a Api,
    pub(super) namespace: &'a str,
    pub(super) chronicle: watch::Receiver<Chronicle>,
    pub(super) proxy: &'a FaultProxy,
    pub(super) lives: &'a Lives,
}

impl Stage<'_> {
    /// Arms the fault, sees that an operator runs, and does what the step says.
    pub(super) async fn begin(&self, step: &Step, plan: Option<&Plan>) {
        if let Some(plan) = plan {
            let list = self.api.get(&self.path("api/v1", "configmaps", "")).await.expect("the store's revision");
            let revision = list["metadata"]["resourceVersion"].as_str().map(str::to_owned);
            self.lives.remember(revision);
            let (matching, occurrence) = plan.place.matching();
            if let Some(action) = plan.fault.action() {
                self.proxy.arm(Strike { matching, occurrence, action });
            }
            if plan.place.verb == "watch" && Family::of(plan) == Family::Stream {
                // A stream is struck when it begins, so it has to begin now.
                self.lives.end().await;
                self.lives.start().await;
                self.is_struck(Duration::from_secs(20)).await;
            }
        }
        if !self.lives.is_running().await && !step.acts.iter().any(|act| matches!(act, Act::Upgrade)) {
            self.lives.start().await;
        }
        for act in &step.acts {
            self.act(act).await;
        }
    }

    /// Waits until the fault has found its request; tells whether it did.
    pub(super) async fn is_struck(&self, limit: Duration) -> bool {
        let is_struck = || self.proxy.trace().iter().any(|entry| entry.struck);
        comes_true(limit, || ready(is_struck())).await
    }

    async fn act(&self, act: &Act) {
        let relays = self.path("apis/threatrelay.dev/v1alpha1", "threatrelays", "");
        let relay = self.path("apis/threatrelay.dev/v1alpha1", "threatrelays", "r");
        let done = match act {
            Act::Create(spec) => {
                let mut whole = json!({"auth": {"audiences": ["https://relay.example"]}});
                if let (Some(whole), Value::Object(spec)) = (whole.as_object_mut(), spec.clone()) {
                    whole.extend(spec);
                }
                let object = json!({
                    "apiVersion": "threatrelay.dev/v1alpha1", "kind": "ThreatRelay",
                    "metadata": {"name": "r"}, "spec": whole,
                });
                self.api.create(&relays, &object).await
            }
            Act::Change(spec) => self.api.merge(&relay, &json!({"spec": spec})).await,
            Act::Delete => self.api.delete(&relay).await,
            Act::DeleteHeld => {
                let held = json!({"metadata": {"finalizers": ["example.com/held"]}});
                self.api.merge(&relay, &held).await.expect("a finalizer");
                self.api.delete(&relay).await
            }
            Act::Release => self.api.merge(&relay, &json!({"metadata": {"finalizers": null}})).await,
            Act::Key(key) => {
                let secret = json!({
                    "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "otx"}, "stringData": {"api-key": key},
                });
                self.api.apply(&self.path("api/v1", "secrets", "otx"), &secret).await
            }
            Act::Upgrade => {
                self.lives.upgrade("registry.example/threatrelay:next").await;
                Ok(Value::Null)
            }
        };
        done.expect("an act of the workload");
    }

    pub(super) fn path(&self, group: &str, resource: &str, name: &str) -> String {
        let slash = if name.is_empty() { "" } else { "/" };
        format!("/{group}/namespaces/{}/{resource}{slash}{name}", self.namespace)
    }

    pub(super) fn state(&self) -> State {
        state(self.chronicle.borrow().live(), self.namespace)
    }

    pub(super) fn generation(&self) -> Option<i64> {
        self.chronicle.borrow().relays().find_map(|relay| relay["metadata"]["generation"].as_i64())
    }

    /// A reconcile began after request number `from`.
    fn has_looked(&self, from: u64) -> bool {
        let is_absent = self.chronicle.borrow().relays().next().is_none();
        let is_look = |entry: &Entry| entry.call.verb == Verb::Get && entry.call.resource == "threatrelays";
        is_absent || self.proxy.trace().iter().any(|entry| entry.number > from && is_look(entry))
    }

    /// The resource as it is.
    pub(super) fn relay(&self) -> Option<Arc<Value>> {
        self.chronicle.borrow().relays().next().cloned()
    }

    /// Writes that are about relays; a lease is written all the time.
    fn writes(&self) -> usize {
        let is_write = |entry: &&Entry| entry.call.class() == Class::Write && entry.call.resource != "leases";
        let second = self.lives.second_trace();
        self.proxy.trace().iter().chain(&second).filter(is_write).count()
    }

    /// Waits until the state is `expected` and nothing is written for `quiet`; says what differs when it is not in time.
    pub(super) async fn becomes(&self, expected: &State, quiet: Duration, patience: Duration) -> Option<Vec<String>> {
        let deadline = tokio::time::Instant::now() + patience;
        let mut chronicle = self.chronicle.clone();
        let is_so =
            |chronicle: &Chronicle| state(chronicle.live(), self.namespace) == *expected && chronicle.is_current();
        loop {
            let is_late = tokio::time::timeout_at(deadline, chronicle.wait_for(is_so)).await.is_err();
            if is_late {
                let mut lines = differences(expected, &self.state());
                if lines.is_empty() {
                    lines.push("the status is not of the present generation, or writing does not end".to_owned());
                }
                return Some(lines);
            }
            let before = self.writes();
            tokio::time::sleep(quiet).await;
            if self.writes() == before && is_so(&chronicle.borrow()) {
                return None;
            }
        }
    }

    /// Waits until the operator has looked at the resource, and nothing happens any more.
    pub(super) async fn rests(&self, from: u64) -> Option<Vec<String>> {
        let deadline = Instant::now() + PATIENCE;
        let mut before = (0, 0);
        let mut since = Instant::now();
        while since.elapsed() < REST {
            let chronicle = self.chronicle.borrow().clone();
            let now = (chronicle.seen.len(), self.writes());
            if now != before
                || !self.has_looked(from)
                || !chronicle.is_current()
                || has_orphans(&chronicle)
                || chronicle.is_under_way()
            {
                before = now;
                since = Instant::now();
            }
            if Instant::now() > deadline {
                return Some(vec!["the undisturbed run does not come to rest".to_owned()]);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        None
    }
}

/// Objects whose owner is gone: the garbage collector is not done.
fn has_orphans(chronicle: &Chronicle) -> bool {
    let uids: Vec<&Value> = chronicle.relays().map(|relay| &relay["metadata"]["uid"]).collect();
    chronicle.live().values().any(|object| {
        let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        owners.into_iter().any(|owner| owner["kind"] == "ThreatRelay" && !uids.contains(&&owner["uid"]))
    })
}
