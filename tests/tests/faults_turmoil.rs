//! The operator gets where it would have got, whatever lasts longer than one request: SIGKILL of the real program, a leader
//! that stands still, rights that are withdrawn, objects that are refused, somebody who edits between read and write, and
//! servers of the control plane that are away, the last on a plane of its own for all workloads at once. Each plan is a
//! test, named as `cargo xtask faults --plan` takes it.
#![expect(clippy::expect_used, reason = "without a runtime nothing is run")]

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Trial};
use tests::faults::campaign::{Family, Tier, plans};
use tests::faults::fault::Fault;
use tests::faults::ground::Ground;
use tests::faults::plan::Plan;
use tests::faults::reference::Reference;
use tests::faults::report::Report;
use tests::faults::trial::{LINES, attempt};
use tests::faults::turmoil::{Storm, Upset};
use tests::faults::workload;
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    if arguments.list {
        // Which plans there are is known when the operator was seen at work.
        return ExitCode::SUCCESS;
    }
    let runtime = Arc::new(Runtime::new().expect("a runtime"));
    let (quiet, rough) = runtime.block_on(async { tokio::join!(Ground::start(), Ground::start()) });
    let (quiet, rough) = (Arc::new(quiet), Arc::new(rough));
    let taken = workload::all().into_iter().map(|workload| {
        let (quiet, name) = (Arc::clone(&quiet), workload.name);
        runtime.spawn(async move { Reference::take(&quiet, workload).await.map_err(|why| (name, why)) })
    });
    let mut chosen = Vec::new();
    let mut trials = Vec::new();
    for taking in taken.collect::<Vec<_>>() {
        match runtime.block_on(taking).expect("an undisturbed run") {
            Err((name, why)) => {
                let why = why[..why.len().min(LINES)].join("\n");
                trials.push(Trial::test(format!("{name}/undisturbed"), move || Err(why.into())));
            }
            Ok(reference) => {
                let reference = Arc::new(reference);
                let all = Family::TURMOIL.into_iter().flat_map(|family| plans(&reference, family, Tier::Always));
                chosen.extend(all.map(|plan| (Arc::clone(&reference), plan)));
            }
        }
    }
    let is_wanted = |plan: &Plan| arguments.filter.as_ref().is_none_or(|text| plan.to_string().contains(text));
    chosen.retain(|(_, plan)| is_wanted(plan));
    let storms = storms(&chosen);
    let report = Arc::new(Mutex::new(Report::default()));
    for (reference, plan) in chosen {
        let storm = match plan.fault {
            Fault::Servers(upset) => storms.get(&upset).cloned(),
            _ => None,
        };
        let ground = Arc::clone(if storm.is_some() { &rough } else { &quiet });
        let (report, handle) = (Arc::clone(&report), runtime.handle().clone());
        trials.push(Trial::test(plan.to_string(), move || {
            Ok(handle.block_on(attempt(&ground, &reference, plan, storm.as_deref(), &report))?)
        }));
    }
    // All at once: those of a storm wait for one another, and most of a run is waiting.
    arguments.test_threads = Some(trials.len().max(1));
    let conclusion = libtest_mimic::run(&arguments, trials);
    print!("{}", report.lock().unwrap_or_else(PoisonError::into_inner));
    conclusion.exit_code()
}

/// One for each upset that is among the plans.
fn storms(plans: &[(Arc<Reference>, Plan)]) -> HashMap<Upset, Arc<Storm>> {
    let count = |upset| plans.iter().filter(|(_, plan)| plan.fault == Fault::Servers(upset)).count();
    Upset::ALL.into_iter().map(|upset| (upset, Arc::new(Storm::new(upset, count(upset))))).collect()
}
