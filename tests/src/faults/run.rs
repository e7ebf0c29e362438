//! One run of a workload in a namespace of its own, through a proxy and before an operator of its own, with at most one
//! fault. A crash of the operator is the end of its runtime; a successor starts at once. What happened is a [`Record`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use threatrelay_operator::broken::Defect;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::fault::{Fault, Stream};
use super::ground::Ground;
use super::history::Chronicle;
use super::lives::Lives;
use super::masks::{State, differences, state};
use super::plan::Plan;
use super::reference::Reference;
use super::workload::{Act, Step, Workload};
use crate::cluster::Api;
use crate::faultproxy::FaultProxy;
use crate::faultproxy::call::{Class, Verb};
use crate::faultproxy::plan::Plan as Strike;
use crate::faultproxy::trace::Entry;

/// The longest from an act to the state of the undisturbed run, when many runs share two processors.
const PATIENCE: Duration = Duration::from_secs(200);
/// The same where a watch's stream goes silent: the next look at the resource comes after 5 minutes or a little more.
const PATIENCE_IN_SILENCE: Duration = Duration::from_secs(400);
/// So long nothing may be written for a state to count as the end of a step.
const QUIET: Duration = Duration::from_millis(1200);
/// The same where a request is left without an answer: the operator waits 15 seconds for it.
const QUIET_AFTER_SILENCE: Duration = Duration::from_secs(18);
/// The same for an undisturbed run, whose end nobody knows yet.
const REST: Duration = Duration::from_secs(4);
/// What happened in a run.
pub struct Record {
    /// The namespace.
    pub namespace: String,
    /// How each step ended.
    pub ends: Vec<End>,
    /// What the operator sent.
    pub trace: Vec<Entry>,
    /// What became of objects.
    pub chronicle: Chronicle,
    /// What the operator logged.
    pub log: String,
    /// Numbers of requests that begin a step.
    pub begins: Vec<u64>,
}

/// The end of a step.
pub struct End {
    /// The objects.
    pub state: State,
    /// Generation of the resource, where it is there.
    pub generation: Option<i64>,
    /// How long it took.
    pub took: Duration,
    /// What was not as in the undisturbed run when patience ended.
    pub unsettled: Option<Vec<String>>,
}

impl Record {
    /// The fault found its request.
    #[must_use]
    pub fn is_struck(&self) -> bool {
        self.trace.iter().any(|entry| entry.struck)
    }
}

/// Runs `workload`, undisturbed.
pub async fn undisturbed(ground: &Ground, workload: &Workload) -> Record {
    play(ground, workload, None, None).await
}

/// Runs the workload of `reference` with the fault of `plan`.
pub async fn disturbed(ground: &Ground, reference: &Reference, plan: &Plan) -> Record {
    play(ground, &reference.workload, Some((reference, plan)), None).await
}

/// The same with a defect in the operator.
pub async fn defective(ground: &Ground, reference: &Reference, plan: &Plan, defect: Defect) -> Record {
    play(ground, &reference.workload, Some((reference, plan)), Some(defect)).await
}

async fn play(
    ground: &Ground,
    workload: &Workload,
    disturbed: Option<(&Reference, &Plan)>,
    defect: Option<Defect>,
) -> Record {
    let namespace = ground.name();
    let chronicle = ground.history.open(&namespace);
    let made = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    ground.api.create("/api/v1/namespaces", &made).await.expect("a namespace");
    let proxy = Arc::new(FaultProxy::start(&ground.operator).await.expect("a proxy"));
    let lives = Arc::new(Lives::new(Arc::clone(&proxy), &namespace, disturbed.map(|(_, plan)| plan.fault), defect));
    let _crashing = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&lives).follow()));
    let stage = Stage { api: &ground.api, namespace: &namespace, chronicle, proxy: &proxy, lives: &lives };

    let (mut ends, mut begins) = (Vec::new(), Vec::new());
    for (index, step) in workload.steps.iter().enumerate() {
        let from = proxy.trace().len() as u64;
        begins.push(from);
        let begun = Instant::now();
        let strike = disturbed.filter(|(_, plan)| plan.step == step.name);
        stage.begin(step, strike.map(|(_, plan)| plan)).await;
        let unsettled = match disturbed {
            None => stage.rests(from).await,
            Some((reference, plan)) => {
                let is_silent = strike.is_some() && matches!(plan.fault, Fault::Silence(_));
                let quiet = if is_silent { QUIET_AFTER_SILENCE } else { QUIET };
                let is_deaf = matches!(plan.fault, Fault::Stream(Stream::Silent(_)));
                let patience = if is_deaf { PATIENCE_IN_SILENCE } else { PATIENCE };
                stage.becomes(&reference.ends[index], quiet, patience).await
            }
        };
        proxy.disarm();
        let took = begun.elapsed();
        let is_over = unsettled.is_some();
        ends.push(End { state: stage.state(), generation: stage.generation(), took, unsettled });
        if is_over {
            break;
        }
    }
    lives.end().await;
    let record = Record {
        ends,
        begins,
        trace: proxy.trace(),
        chronicle: stage.chronicle.borrow().clone(),
        log: lives.log.text(),
        namespace,
    };
    ground.history.close(&record.namespace);
    clear(&ground.api, &record.namespace).await;
    record
}

/// Frees what is scarce on a plane (addresses) or keeps it busy (autoscalers); the rest goes with the plane.
async fn clear(api: &Api, namespace: &str) {
    for path in ["api/v1/namespaces/NS/services/r", "apis/autoscaling/v2/namespaces/NS/horizontalpodautoscalers/r"] {
        let _may_be_absent = api.delete(&format!("/{}", path.replace("NS", namespace))).await;
    }
}

struct Stage<'a> {
    api: &'a Api,
    namespace: &'a str,
    chronicle: watch::Receiver<Chronicle>,
    proxy: &'a FaultProxy,
    lives: &'a Lives,
}

impl Stage<'_> {
    /// Arms the fault, sees that an operator runs, and does what the step says.
    async fn begin(&self, step: &Step, plan: Option<&Plan>) {
        if let Some(plan) = plan {
            let list = self.api.get(&self.path("api/v1", "configmaps", "")).await.expect("the store's revision");
            let revision = list["metadata"]["resourceVersion"].as_str().map(str::to_owned);
            self.lives.remember(revision);
            let (matching, occurrence) = plan.place.matching();
            self.proxy.arm(Strike { matching, occurrence, action: plan.fault.action() });
            if plan.place.verb == "watch" {
                // A stream is struck when it begins, so it has to begin now.
                self.lives.end().await;
                self.lives.start().await;
                self.is_struck().await;
            }
        }
        if !self.lives.is_running().await && !step.acts.iter().any(|act| matches!(act, Act::Upgrade)) {
            self.lives.start().await;
        }
        for act in &step.acts {
            self.act(act).await;
        }
    }

    async fn is_struck(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline && !self.proxy.trace().iter().any(|entry| entry.struck) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
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

    fn path(&self, group: &str, resource: &str, name: &str) -> String {
        let slash = if name.is_empty() { "" } else { "/" };
        format!("/{group}/namespaces/{}/{resource}{slash}{name}", self.namespace)
    }

    fn state(&self) -> State {
        state(self.chronicle.borrow().live(), self.namespace)
    }

    fn generation(&self) -> Option<i64> {
        relays(&self.chronicle.borrow()).find_map(|relay| relay["metadata"]["generation"].as_i64())
    }

    /// A reconcile began after request number `from`.
    fn has_looked(&self, from: u64) -> bool {
        let is_absent = relays(&self.chronicle.borrow()).next().is_none();
        let is_look = |entry: &Entry| entry.call.verb == Verb::Get && entry.call.resource == "threatrelays";
        is_absent || self.proxy.trace().iter().any(|entry| entry.number > from && is_look(entry))
    }

    fn writes(&self) -> usize {
        self.proxy.trace().iter().filter(|entry| entry.call.class() == Class::Write).count()
    }

    /// Waits until the state is `expected` and nothing is written for `quiet`; says what differs when it is not in time.
    async fn becomes(&self, expected: &State, quiet: Duration, patience: Duration) -> Option<Vec<String>> {
        let deadline = tokio::time::Instant::now() + patience;
        let mut chronicle = self.chronicle.clone();
        let is_so =
            |chronicle: &Chronicle| state(chronicle.live(), self.namespace) == *expected && is_current(chronicle);
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
    async fn rests(&self, from: u64) -> Option<Vec<String>> {
        let deadline = Instant::now() + PATIENCE;
        let mut before = (0, 0);
        let mut since = Instant::now();
        while since.elapsed() < REST {
            let chronicle = self.chronicle.borrow().clone();
            let now = (chronicle.seen.len(), self.writes());
            if now != before
                || !self.has_looked(from)
                || !is_current(&chronicle)
                || has_orphans(&chronicle)
                || is_under_way(&chronicle)
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

fn relays(chronicle: &Chronicle) -> impl Iterator<Item = &Arc<Value>> {
    chronicle.live().iter().filter(|(key, _)| key.0 == "ThreatRelay").map(|(_, object)| object)
}

/// The status is about the spec that is there.
fn is_current(chronicle: &Chronicle) -> bool {
    relays(chronicle).all(|relay| relay["status"]["observedGeneration"] == relay["metadata"]["generation"])
}

fn is_under_way(chronicle: &Chronicle) -> bool {
    let conditions =
        relays(chronicle).flat_map(|relay| relay["status"]["conditions"].as_array().into_iter().flatten());
    conditions.into_iter().any(|condition| condition["type"] == "Reconciling")
}

/// Objects whose owner is gone: the garbage collector is not done.
fn has_orphans(chronicle: &Chronicle) -> bool {
    let uids: Vec<&Value> = relays(chronicle).map(|relay| &relay["metadata"]["uid"]).collect();
    chronicle.live().values().any(|object| {
        let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        owners.into_iter().any(|owner| owner["kind"] == "ThreatRelay" && !uids.contains(&&owner["uid"]))
    })
}
