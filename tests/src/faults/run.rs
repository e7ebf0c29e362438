//! One run of a workload in a namespace of its own, through a proxy and before an operator of its own, with at most one
//! fault. A crash of the operator is the end of its runtime or of its process; a successor starts at once. What happened
//! is a [`Record`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use threatrelay_operator::broken::Defect;
use tokio_util::task::AbortOnDropHandle;

use super::fault::{Fault, Stream};
use super::ground::Ground;
use super::history::Chronicle;
use super::lives::Lives;
use super::masks::State;
use super::oracles::Finding;
use super::plan::Plan;
use super::reference::Reference;
use super::stage::Stage;
use super::turmoil::{Storm, Turmoil, account};
use super::workload::Workload;
use crate::cluster::Api;
use crate::faultproxy::FaultProxy;
use crate::faultproxy::trace::Entry;

/// The longest from an act to the state of the undisturbed run, when many runs share two processors.
pub(super) const PATIENCE: Duration = Duration::from_secs(200);
/// The same where a watch's stream goes silent: the next look at the resource comes after 5 minutes or a little more.
const PATIENCE_IN_SILENCE: Duration = Duration::from_secs(400);
/// So long nothing may be written for a state to count as the end of a step.
const QUIET: Duration = Duration::from_millis(1200);
/// The same where a request is left without an answer: the operator waits 15 seconds for it.
const QUIET_AFTER_SILENCE: Duration = Duration::from_secs(18);

/// What happened in a run.
pub struct Record {
    /// The fault that there was to be.
    pub fault: Option<Fault>,
    /// The namespace.
    pub namespace: String,
    /// How each step ended.
    pub ends: Vec<End>,
    /// What the operator sent.
    pub trace: Vec<Entry>,
    /// What the second of two operators sent.
    pub second: Vec<Entry>,
    /// What became of objects.
    pub chronicle: Chronicle,
    /// What the operator logged.
    pub log: String,
    /// Numbers of requests that begin a step.
    pub begins: Vec<u64>,
    /// What was to be seen while the fault lasted, and was not.
    pub unseen: Vec<Finding>,
    /// Something that lasts longer than a request took place.
    went_through: bool,
}

/// The end of a step.
pub struct End {
    /// The objects.
    pub state: State,
    /// Generation of the resource, where it is there.
    pub generation: Option<i64>,
    /// How long it took, from the acts or from the end of what lasted.
    pub took: Duration,
    /// What was not as in the undisturbed run when patience ended.
    pub unsettled: Option<Vec<String>>,
}

impl Record {
    /// The fault took place: it found its request, or lasted for a while.
    #[must_use]
    pub fn is_struck(&self) -> bool {
        let is_held = matches!(self.fault, Some(Fault::Servers(_) | Fault::Paused));
        self.trace.iter().any(|entry| entry.struck) || (self.went_through && !is_held)
    }
}

/// Runs `workload`, undisturbed.
pub async fn undisturbed(ground: &Ground, workload: &Workload) -> Record {
    play(ground, workload, Disturbance::default()).await
}

/// Runs the workload of `reference` with the fault of `plan`.
pub async fn disturbed(ground: &Ground, reference: &Reference, plan: &Plan) -> Record {
    let storm = match plan.fault {
        Fault::Servers(upset) => Some(Storm::new(upset, 1)),
        _ => None,
    };
    let disturbance = Disturbance { of: Some((reference, plan)), storm: storm.as_ref(), defect: None };
    play(ground, &reference.workload, disturbance).await
}

/// The same, in a storm where servers are away for several runs at once.
pub async fn together(ground: &Ground, reference: &Reference, plan: &Plan, storm: Option<&Storm>) -> Record {
    if storm.is_none() {
        return disturbed(ground, reference, plan).await;
    }
    let disturbance = Disturbance { of: Some((reference, plan)), storm, defect: None };
    play(ground, &reference.workload, disturbance).await
}

/// The same with a defect in the operator.
pub async fn defective(ground: &Ground, reference: &Reference, plan: &Plan, defect: Defect) -> Record {
    let disturbance = Disturbance { of: Some((reference, plan)), storm: None, defect: Some(defect) };
    play(ground, &reference.workload, disturbance).await
}

/// What is not as usual in a run.
#[derive(Clone, Copy, Default)]
struct Disturbance<'a> {
    of: Option<(&'a Reference, &'a Plan)>,
    storm: Option<&'a Storm>,
    defect: Option<Defect>,
}

async fn play(ground: &Ground, workload: &Workload, disturbance: Disturbance<'_>) -> Record {
    let Disturbance { of: disturbed, storm, defect } = disturbance;
    let fault = disturbed.map(|(_, plan)| plan.fault);
    let namespace = ground.name();
    let chronicle = ground.history.open(&namespace);
    let made = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    ground.api.create("/api/v1/namespaces", &made).await.expect("a namespace");
    let access = match fault {
        Some(Fault::Withdrawn | Fault::Paused) => account(&ground.api, &namespace).await,
        _ => ground.operator.clone(),
    };
    let proxy = Arc::new(FaultProxy::start(&access).await.expect("a proxy"));
    let lives = Arc::new(Lives::new(Arc::clone(&proxy), &access, &namespace, fault, defect).await);
    let _crashing = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&lives).follow()));
    let stage = Stage { api: &ground.api, namespace: &namespace, chronicle, proxy: &proxy, lives: &lives };

    let (mut ends, mut begins, mut unseen, mut went_through) = (Vec::new(), Vec::new(), Vec::new(), false);
    for (index, step) in workload.steps.iter().enumerate() {
        let from = proxy.trace().len() as u64;
        begins.push(from);
        let strike = disturbed.filter(|(_, plan)| plan.step == step.name);
        let turmoil = match strike {
            Some((_, plan)) => Turmoil::begins(&stage, plan, storm).await,
            None => None,
        };
        let mut begun = Instant::now();
        stage.begin(step, strike.map(|(_, plan)| plan)).await;
        if let (Some(turmoil), Some((reference, _))) = (turmoil, strike) {
            unseen.extend(turmoil.passes(&stage, ground, reference).await);
            went_through = true;
            begun = Instant::now();
        }
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
        fault,
        ends,
        begins,
        unseen,
        went_through,
        trace: proxy.trace(),
        second: lives.second_trace(),
        chronicle: stage.chronicle.borrow().clone(),
        log: lives.log(),
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
