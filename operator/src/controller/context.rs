//! What all reconciles share.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Client;
use kube::runtime::events::Recorder;
use tokio::sync::watch;

use super::backoff::Backoff;
use crate::metrics::Metrics;
use crate::observed::OptionalApis;
use crate::probe::Probes;
use crate::settings::Settings;
use crate::validate::Policy;

/// What all reconciles share.
pub struct Context {
    /// The client.
    pub client: Client,
    /// The settings.
    pub settings: Settings,
    /// What the administrator decided for all relays.
    pub policy: Policy,
    /// What is counted.
    pub metrics: Metrics,
    /// What relays say of OTX.
    pub probes: Probes,
    /// Where events are told.
    pub recorder: Recorder,
    /// The optional APIs that the server offers.
    pub offered: watch::Receiver<OptionalApis>,
    /// When what failed is tried again.
    pub backoff: Backoff,
    /// What the metrics say of each object.
    pub shown: Shown,
}

impl Context {
    /// Forgets an object that no longer exists.
    pub fn forget(&self, uid: &str) {
        self.backoff.forget(uid);
        self.probes.forget(uid);
        self.shown.forget(uid, &self.metrics);
    }
}

/// Objects that the metrics tell of, by uid.
#[derive(Debug, Default)]
pub struct Shown(Mutex<HashMap<String, Entry>>);

#[derive(Debug, Default)]
struct Entry {
    namespace: String,
    name: String,
    conditions: Vec<String>,
    children: Vec<String>,
}

impl Shown {
    /// Shows the conditions of an object, and the kinds of its children where they were looked at.
    pub fn show(
        &self,
        (uid, namespace, name): (&str, &str, &str),
        conditions: &[Condition],
        children: Option<Vec<String>>,
        metrics: &Metrics,
    ) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = all.entry(uid.to_owned()).or_default();
        (namespace.clone_into(&mut entry.namespace), name.clone_into(&mut entry.name));
        let is_gone = |shown: &&String| conditions.iter().all(|condition| condition.type_ != **shown);
        metrics.hide_conditions(namespace, name, entry.conditions.iter().filter(is_gone).map(String::as_str));
        metrics.show_conditions(namespace, name, conditions.iter().map(|c| (&*c.type_, &*c.status)));
        entry.conditions = conditions.iter().map(|condition| condition.type_.clone()).collect();
        if let Some(children) = children {
            entry.children.iter().for_each(|kind| metrics.managed(kind, -1));
            children.iter().for_each(|kind| metrics.managed(kind, 1));
            entry.children = children;
        }
    }

    fn forget(&self, uid: &str, metrics: &Metrics) {
        let gone = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
        if let Some(Entry { namespace, name, conditions, children }) = gone {
            metrics.hide_conditions(&namespace, &name, conditions.iter().map(String::as_str));
            children.iter().for_each(|kind| metrics.managed(kind, -1));
        }
    }
}
