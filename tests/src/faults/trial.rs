//! One plan as a test of a suite: it is run and judged, what it came to is added to the suite's report, and what differs
//! is told with the end of the operator's log.

use std::sync::{Mutex, PoisonError};

use super::ground::Ground;
use super::oracles::judge;
use super::plan::Plan;
use super::reference::Reference;
use super::report::{Outcome, Report};
use super::run::together;
use super::turmoil::Storm;

/// Most lines that a failure shows of what differs, and of the operator's log.
pub const LINES: usize = 40;

/// Runs a plan, in a storm of several runs where there is one.
///
/// # Errors
/// What differs.
pub async fn attempt(
    ground: &Ground,
    reference: &Reference,
    plan: Plan,
    storm: Option<&Storm>,
    report: &Mutex<Report>,
) -> Result<(), String> {
    let record = together(ground, reference, &plan, storm).await;
    let findings = judge(reference, &record);
    let text = findings.iter().take(LINES).map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let outcome = Outcome::of(plan, &record, findings);
    report.lock().unwrap_or_else(PoisonError::into_inner).add(&outcome);
    if text.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> = record.log.lines().collect();
    let end = lines[lines.len().saturating_sub(LINES)..].join("\n");
    Err(format!("{text}\nthe operator said:\n{end}"))
}
