//! What people change in a `ThreatRelay`: each operation done, taken back, and done from the start elsewhere; and what they
//! should not have changed. Each is a test by its name: `cargo test -p tests --test faults_operations -- NAME`. Without a
//! name every sixth operation is run, from the one on that `THREATRELAY_TEST_OPERATIONS` numbers, 0 to 5; `all` runs all.
#![expect(clippy::expect_used, reason = "without a runtime nothing is run")]

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use tests::operations::misoperations::{self, Misoperation};
use tests::operations::operation;
use tests::operations::play::Campaign;
use tests::operations::walk::Walk;
use tokio::runtime::Runtime;

/// Says how much is run: `all`, or the number of a part.
const HOW_MUCH: &str = "THREATRELAY_TEST_OPERATIONS";
/// Without names each so many-th operation is run.
const STRIDE: usize = 6;
/// Walks that there are, and those that are taken without a name.
const WALKS: u64 = 100;
const SOME_WALKS: u64 = 4;
/// Most lines that a failure shows.
const LINES: usize = 30;
/// Operations at once: most of one is waiting.
const LANES: usize = 12;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let how_much = std::env::var(HOW_MUCH).unwrap_or_default();
    let is_all = arguments.filter.is_some() || how_much == "all";
    let part = how_much.parse().unwrap_or(0);
    let stride = if is_all { 1 } else { STRIDE };
    let known = Arc::new(operation::all());
    let operations: Vec<_> = known.iter().skip(part).step_by(stride).cloned().collect();
    let walks = (0..if is_all { WALKS } else { SOME_WALKS }).map(Walk);
    let misoperations = misoperations::all();
    if arguments.list {
        let changes = operations.iter().map(|operation| operation.name.clone());
        let names = changes.chain(walks.map(name_of_walk)).chain(misoperations.iter().map(name_of));
        names.for_each(|name| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let begun = Instant::now();
    let runtime = Arc::new(Runtime::new().expect("a runtime"));
    let campaign = Arc::new(runtime.block_on(Campaign::start()));
    let slowest = Arc::new(Mutex::new((Duration::ZERO, "none")));
    let mistakes = misoperations.into_iter().map(|mistake| {
        let (campaign, handle, slowest) = (Arc::clone(&campaign), runtime.handle().clone(), Arc::clone(&slowest));
        Trial::test(name_of(&mistake), move || {
            let took = handle.block_on(mistake.play(&campaign)).map_err(|lines| failed(&lines))?;
            let mut slowest = slowest.lock().unwrap_or_else(PoisonError::into_inner);
            *slowest = (*slowest).max((took.unwrap_or_default(), mistake.name));
            Ok(())
        })
    });
    let walks = walks.map(|walk| {
        let (campaign, handle, known) = (Arc::clone(&campaign), runtime.handle().clone(), Arc::clone(&known));
        Trial::test(name_of_walk(walk), move || {
            handle.block_on(walk.play(&campaign, &known)).map_err(|lines| failed(&lines))
        })
    });
    let changes = operations.into_iter().map(|operation| {
        let (campaign, handle) = (Arc::clone(&campaign), runtime.handle().clone());
        Trial::test(operation.name.clone(), move || {
            handle.block_on(campaign.play(&operation)).map_err(|lines| failed(&lines))
        })
    });
    arguments.test_threads = arguments.test_threads.or(Some(LANES));
    let conclusion = libtest_mimic::run(&arguments, mistakes.chain(walks).chain(changes).collect());
    println!("{} in {} s", conclusion.num_passed + conclusion.num_failed, begun.elapsed().as_secs());
    let slowest = *slowest.lock().unwrap_or_else(PoisonError::into_inner);
    println!("the status told of a mistake after {} s at most ({})", slowest.0.as_secs(), slowest.1);
    let log = campaign.log.text();
    let bad: Vec<_> = log.lines().filter(|line| line.contains("ERROR") || line.contains("panicked")).collect();
    if let [first, ..] = bad[..] {
        eprintln!("the operator logged {} errors, the first: {first}", bad.len());
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

fn name_of(mistake: &Misoperation) -> String {
    format!("mistake/{}", mistake.name)
}

fn name_of_walk(Walk(seed): Walk) -> String {
    format!("walk/{seed}")
}

fn failed(lines: &[String]) -> Failed {
    lines[..lines.len().min(LINES)].join("\n").into()
}
