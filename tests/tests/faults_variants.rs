//! Fourteen defects planted in the operator, and for each the plan that notices it: the sound operator comes through the
//! plan, the one with just this defect does not. Needs the feature `broken-variants`.
#![expect(clippy::expect_used, reason = "a failed step is a failed test")]

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use tests::faults::ground::Ground;
use tests::faults::oracles::{Finding, judge};
use tests::faults::plan::Plan;
use tests::faults::reference::Reference;
use tests::faults::run::{defective, disturbed};
use tests::faults::workload;
use threatrelay_operator::broken::Defect;
use tokio::runtime::Runtime;

/// The plan that notices a defect. Where no fault is needed, its place is one that no run comes to.
fn plan(defect: Defect) -> &'static str {
    match defect {
        Defect::NoOwner | Defect::FinalizerWritten | Defect::OrderByChance => {
            "minimal/create/apply-nothing-1/answer-500"
        }
        Defect::ReadyBeforePods | Defect::StatusOfBefore => "image/change/apply-nothing-1/answer-500",
        Defect::DeletedByName | Defect::NotRemoved => "ingress/off/apply-nothing-1/answer-500",
        Defect::WrittenByName => "image/change/apply-deployments-1/answer-500",
        Defect::ReplicasOfAutoscaler => "autoscale/on/apply-nothing-1/answer-500",
        Defect::ConflictIsSuccess => "ingress/on/apply-ingresses-1/answer-409",
        Defect::NotTriedAgain => "ingress/on/apply-ingresses-1/answer-500",
        Defect::UserSecretWritten => "rotation/rotate/apply-nothing-1/answer-500",
        Defect::MadeWhileDeleted => "delete/held/apply-nothing-1/answer-500",
        Defect::ObservedTooEarly => "image/change/apply-deployments-1/crash-before",
    }
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    if arguments.list {
        return ExitCode::SUCCESS;
    }
    let runtime = Arc::new(Runtime::new().expect("a runtime"));
    let ground = Arc::new(runtime.block_on(Ground::start()));
    let plans = Defect::ALL.map(|defect| (defect, plan(defect).parse::<Plan>().expect("a plan")));
    let workloads: BTreeSet<&str> = plans.iter().map(|(_, plan)| &*plan.workload).collect();
    let mut trials = Vec::new();
    for workload in workload::all().into_iter().filter(|workload| workloads.contains(workload.name)) {
        let reference = runtime.block_on(Reference::take(&ground, workload)).expect("an undisturbed run");
        let reference = Arc::new(reference);
        for (defect, plan) in plans.iter().filter(|(_, plan)| plan.workload == reference.workload.name) {
            let (ground, reference, plan, defect) =
                (Arc::clone(&ground), Arc::clone(&reference), plan.clone(), *defect);
            let handle = runtime.handle().clone();
            let check = move || handle.block_on(noticed(&ground, &reference, &plan, defect));
            trials.push(Trial::test(format!("variant_{defect:?}_is_noticed"), check));
        }
    }
    arguments.test_threads = arguments.test_threads.or(Some(Defect::ALL.len()));
    libtest_mimic::run(&arguments, trials).exit_code()
}

async fn noticed(ground: &Ground, reference: &Reference, plan: &Plan, defect: Defect) -> Result<(), Failed> {
    let (sound, broken) =
        tokio::join!(disturbed(ground, reference, plan), defective(ground, reference, plan, defect));
    let lines = |findings: Vec<Finding>| findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let unjust = lines(judge(reference, &sound));
    if !unjust.is_empty() {
        return Err(format!("the sound operator does not come through {plan}: {unjust}").into());
    }
    let seen = lines(judge(reference, &broken));
    println!("{defect:?}: {}", seen.lines().next().unwrap_or("not noticed"));
    if seen.is_empty() { Err(format!("{plan} does not notice {defect:?}").into()) } else { Ok(()) }
}
