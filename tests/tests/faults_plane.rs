//! The operator gets where it would have got, whatever one request meets: crashes, errors, silence, lost and repeated
//! events, stale reads. Each plan is a test, named as `cargo xtask faults --plan` takes it; the undisturbed runs that they
//! are compared with come first.
#![expect(clippy::expect_used, reason = "without a runtime nothing is run")]

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Trial};
use tests::faults::campaign::{Family, Tier, plans};
use tests::faults::ground::Ground;
use tests::faults::reference::Reference;
use tests::faults::report::Report;
use tests::faults::trial::{LINES, attempt};
use tests::faults::workload;
use tokio::runtime::Runtime;

/// Runs at once: most of a run is waiting.
const LANES: usize = 24;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    if arguments.list {
        // Which plans there are is known when the operator was seen at work.
        return ExitCode::SUCCESS;
    }
    println!("undisturbed runs of {} workloads", workload::all().len());
    let runtime = Arc::new(Runtime::new().expect("a runtime"));
    let ground = Arc::new(runtime.block_on(Ground::start()));
    let taken = workload::all().into_iter().map(|workload| {
        let ground = Arc::clone(&ground);
        let name = workload.name;
        (name, runtime.spawn(async move { Reference::take(&ground, workload).await }))
    });
    let report = Arc::new(Mutex::new(Report::default()));
    let mut trials = Vec::new();
    for (name, taking) in taken.collect::<Vec<_>>() {
        match runtime.block_on(taking).map_err(|error| vec![error.to_string()]).flatten() {
            Err(problems) => trials.push(Trial::test(format!("{name}/undisturbed"), move || {
                Err(problems[..problems.len().min(LINES)].join("\n").into())
            })),
            Ok(reference) => {
                let reference = Arc::new(reference);
                let all = Family::OF_REQUESTS.into_iter().flat_map(|family| plans(&reference, family, Tier::Always));
                trials.extend(all.map(|plan| {
                    let (ground, reference, report) =
                        (Arc::clone(&ground), Arc::clone(&reference), Arc::clone(&report));
                    let handle = runtime.handle().clone();
                    Trial::test(plan.to_string(), move || {
                        Ok(handle.block_on(attempt(&ground, &reference, plan, None, &report))?)
                    })
                }));
            }
        }
    }
    // What waits for an answer that does not come takes longest, so it begins first.
    trials.sort_by_key(|trial| !trial.name().contains("/silen"));
    arguments.test_threads = arguments.test_threads.or(Some(LANES));
    let conclusion = libtest_mimic::run(&arguments, trials);
    print!("{}", report.lock().unwrap_or_else(PoisonError::into_inner));
    conclusion.exit_code()
}
