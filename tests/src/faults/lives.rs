//! The operators of one run, one after the other: whenever the proxy says that it is time, the one that runs is killed
//! and the next is started, for which a second fault may be armed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use threatrelay_operator::broken::Defect;
use threatrelay_operator::settings::Settings;

use super::fault::Fault;
use super::operator::{Log, Operator, settings};
use crate::faultproxy::FaultProxy;
use crate::faultproxy::call::{Class, Verb};
use crate::faultproxy::plan::{Action, CrashPoint, Match, Occurrence, Plan as Strike};

/// A successor's watches begin in the past for so long.
const STALE: Duration = Duration::from_secs(3);

/// The operators of a run, one after the other.
pub(super) struct Lives {
    proxy: Arc<FaultProxy>,
    settings: Mutex<Settings>,
    fault: Option<Fault>,
    defect: Option<Defect>,
    /// Revision of the store that a successor is to see.
    past: Mutex<Option<String>>,
    pub(super) log: Log,
    running: tokio::sync::Mutex<Option<Operator>>,
}

impl Lives {
    pub(super) fn new(proxy: Arc<FaultProxy>, namespace: &str, fault: Option<Fault>, defect: Option<Defect>) -> Self {
        let flags = ["--namespaces", namespace, "--allowed-repositories", "registry.example/"];
        Self {
            proxy,
            settings: Mutex::new(settings(&flags)),
            fault,
            defect,
            past: Mutex::default(),
            log: Log::default(),
            running: tokio::sync::Mutex::default(),
        }
    }

    pub(super) async fn start(&self) {
        let settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let operator = Operator::start(self.proxy.access(), settings, self.defect, &self.log);
        *self.running.lock().await = Some(operator);
    }

    pub(super) async fn end(&self) {
        if let Some(operator) = self.running.lock().await.take() {
            operator.crash().await;
        }
    }

    pub(super) async fn is_running(&self) -> bool {
        self.running.lock().await.is_some()
    }

    /// Remembers the store's revision before a step.
    pub(super) fn remember(&self, revision: Option<String>) {
        *self.past.lock().unwrap_or_else(PoisonError::into_inner) = revision;
    }

    /// Installs the operator's next version, which has another image for relays.
    pub(super) async fn upgrade(&self, image: &str) {
        self.end().await;
        image.clone_into(&mut self.settings.lock().unwrap_or_else(PoisonError::into_inner).relay_image);
        self.start().await;
    }

    /// Kills an operator whenever the proxy says that it is its time, and starts the next.
    pub(super) async fn follow(self: Arc<Self>) {
        loop {
            self.proxy.crashed().await;
            self.end().await;
            self.proxy.client_restarts();
            let past = self.past.lock().unwrap_or_else(PoisonError::into_inner).take();
            match (self.fault, past) {
                (Some(Fault::CrashTwice), Some(_)) => self.proxy.arm(at_first_write()),
                (Some(Fault::Stale), Some(past)) => self.proxy.arm(reading(&past)),
                _ => {}
            }
            self.start().await;
            if self.fault == Some(Fault::Stale) {
                tokio::time::sleep(STALE).await;
                self.proxy.disarm();
            }
        }
    }
}

fn at_first_write() -> Strike {
    let matching = Match { class: Some(Class::Write), ..Match::default() };
    Strike { matching, occurrence: Occurrence::Nth(1), action: Action::Crash(CrashPoint::AfterCommit) }
}

fn reading(past: &str) -> Strike {
    // Lists of pods are also asked for within a reconcile, and there the API server promises the present.
    let matching = Match { verb: Some(Verb::List), except: vec!["pods".to_owned()], ..Match::default() };
    let action = Action::Stale { resource_version: past.to_owned() };
    Strike { matching, occurrence: Occurrence::From(1), action }
}
