//! The operators of one run. One after the other: whenever the proxy says that it is time, the one that runs is killed and
//! the next is started, for which a second fault may be armed. Or two beside each other, of which one leads.

use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use threatrelay_operator::broken::Defect;
use tokio::sync::RwLockReadGuard;

use super::fault::Fault;
use super::operator::{IMAGE, Log, Operator, settings};
use super::stage::comes_true;
use crate::cluster::Access;
use crate::faultproxy::FaultProxy;
use crate::faultproxy::call::{Class, Verb};
use crate::faultproxy::plan::{Action, CrashPoint, Match, Occurrence, Plan as Strike};
use crate::faultproxy::trace::Entry;
use crate::operator::Operator as Process;

/// A successor's watches begin in the past for so long.
const STALE: Duration = Duration::from_secs(3);
/// The longest that a process may take to lead, or to end.
const LEADING: Duration = Duration::from_mins(1);

/// What an operator logs when it is elected.
pub(super) const LEADS: &str = "\"leading\"";

/// The operators of a run.
pub(super) struct Lives {
    proxy: Arc<FaultProxy>,
    /// What the second of two connects through.
    second: Option<FaultProxy>,
    namespace: String,
    image: Mutex<String>,
    fault: Option<Fault>,
    defect: Option<Defect>,
    /// Revision of the store that a successor is to see.
    past: Mutex<Option<String>>,
    logged: Log,
    running: tokio::sync::RwLock<Running>,
}

/// What runs.
#[derive(Default)]
enum Running {
    #[default]
    Nothing,
    Within(Operator),
    Process(Box<Process>),
    Pair(Box<(Process, Process)>),
}

impl Lives {
    pub(super) async fn new(
        proxy: Arc<FaultProxy>,
        access: &Access,
        namespace: &str,
        fault: Option<Fault>,
        defect: Option<Defect>,
    ) -> Self {
        let second = match fault {
            Some(Fault::Paused) => Some(FaultProxy::start(access).await.expect("a second proxy")),
            _ => None,
        };
        Self {
            proxy,
            second,
            namespace: namespace.to_owned(),
            image: Mutex::new(IMAGE.to_owned()),
            fault,
            defect,
            past: Mutex::default(),
            logged: Log::default(),
            running: tokio::sync::RwLock::default(),
        }
    }

    pub(super) async fn start(&self) {
        let image = self.image();
        let flags = self.flags(&image);
        let running = match (self.fault, &self.second) {
            (_, Some(second)) => self.start_pair(&flags, second).await,
            (Some(Fault::Killed(_)), _) => {
                let flags = [&flags[..], &["--leader-election", "false"]].concat();
                Running::Process(Box::new(Process::start(self.proxy.access(), &flags).await))
            }
            _ => Running::Within(Operator::start(self.proxy.access(), settings(&flags), self.defect, &self.logged)),
        };
        *self.running.write().await = running;
    }

    /// The first leads, and the second waits for its end.
    async fn start_pair(&self, flags: &[&str], second: &FaultProxy) -> Running {
        let flags = [flags, &["--lease-namespace", &self.namespace]].concat();
        let first = Process::start(self.proxy.access(), &flags).await;
        assert!(comes_true(LEADING, || ready(first.log().contains(LEADS))).await, "the first operator does not lead");
        let process = Process::start(second.access(), &flags).await;
        let waits = || second.trace().iter().any(|entry| entry.call.resource == "leases");
        assert!(comes_true(LEADING, || ready(waits())).await, "the second operator does not look at the lease");
        Running::Pair(Box::new((first, process)))
    }

    pub(super) async fn end(&self) {
        match std::mem::take(&mut *self.running.write().await) {
            Running::Nothing => {}
            Running::Within(operator) => operator.crash().await,
            Running::Process(process) => self.kill(*process).await,
            Running::Pair(pair) => {
                self.kill(pair.0).await;
                self.kill(pair.1).await;
            }
        }
    }

    async fn kill(&self, process: Process) {
        self.logged.keep(&process.log());
        process.kill().await;
    }

    pub(super) async fn is_running(&self) -> bool {
        !matches!(*self.running.read().await, Running::Nothing)
    }

    /// The two that run beside each other.
    pub(super) async fn pair(&self) -> Option<RwLockReadGuard<'_, (Process, Process)>> {
        let pair = RwLockReadGuard::try_map(self.running.read().await, |running| match running {
            Running::Pair(pair) => Some(&**pair),
            _ => None,
        });
        pair.ok()
    }

    /// Waits until the first of the two has ended by itself, and starts it anew; gives its exit code.
    pub(super) async fn first_returns(&self) -> Option<i32> {
        let image = self.image();
        let flags = self.flags(&image);
        let mut running = self.running.write().await;
        let Running::Pair(pair) = &mut *running else { return None };
        let code = pair.0.ended(LEADING).await;
        let log = pair.0.log();
        // That it has lost the lease is the one error it has to tell.
        let lines = log.lines().filter(|line| !line.contains("leadership is lost"));
        self.logged.keep(&lines.collect::<Vec<_>>().join("\n"));
        let flags = [&flags[..], &["--lease-namespace", &self.namespace]].concat();
        pair.0 = Process::start(self.proxy.access(), &flags).await;
        code
    }

    /// What the second of two has sent.
    pub(super) fn second_trace(&self) -> Vec<Entry> {
        self.second.as_ref().map(FaultProxy::trace).unwrap_or_default()
    }

    /// What operators have logged; processes when they are at their end.
    pub(super) fn log(&self) -> String {
        self.logged.text()
    }

    /// Remembers the store's revision before a step.
    pub(super) fn remember(&self, revision: Option<String>) {
        *self.past.lock().unwrap_or_else(PoisonError::into_inner) = revision;
    }

    /// Installs the operator's next version, which has another image for relays.
    pub(super) async fn upgrade(&self, image: &str) {
        self.end().await;
        image.clone_into(&mut self.image.lock().unwrap_or_else(PoisonError::into_inner));
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

    fn image(&self) -> String {
        self.image.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn flags<'a>(&'a self, image: &'a str) -> [&'a str; 6] {
        let (where_, from) = ("--namespaces", "--allowed-repositories");
        ["--relay-image", image, where_, &self.namespace, from, "registry.example/"]
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
