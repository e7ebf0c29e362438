//! What became of plans, by family: how many ran, how many found their request, how many differed.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::campaign::Family;
use super::oracles::Finding;
use super::plan::Plan;
use super::run::Record;

/// What one plan came to.
pub struct Outcome {
    /// The plan.
    pub plan: Plan,
    /// Rules that were broken.
    pub findings: Vec<Finding>,
    /// The fault found its request.
    pub is_struck: bool,
    /// The time of its longest step.
    pub took: Duration,
}

impl Outcome {
    /// Of a run that was judged.
    #[must_use]
    pub fn of(plan: Plan, record: &Record, findings: Vec<Finding>) -> Self {
        let took = record.ends.iter().map(|end| end.took).max().unwrap_or_default();
        Self { plan, findings, is_struck: record.is_struck(), took }
    }
}

/// Sums of outcomes.
#[derive(Default)]
pub struct Report(BTreeMap<Family, Sum>);

#[derive(Default)]
struct Sum {
    plans: usize,
    struck: usize,
    diverged: usize,
    longest: Duration,
    /// The plan that took it.
    of: String,
}

impl Report {
    /// Adds one.
    pub fn add(&mut self, outcome: &Outcome) {
        let sum = self.0.entry(Family::of(&outcome.plan)).or_default();
        sum.plans += 1;
        sum.struck += usize::from(outcome.is_struck);
        sum.diverged += usize::from(!outcome.findings.is_empty());
        if outcome.took > sum.longest {
            (sum.longest, sum.of) = (outcome.took, outcome.plan.to_string());
        }
    }

    /// Plans that ran, and those among them whose fault found its request.
    #[must_use]
    pub fn plans(&self) -> (usize, usize) {
        self.0.values().fold((0, 0), |(plans, struck), sum| (plans + sum.plans, struck + sum.struck))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (family, Sum { plans, struck, diverged, longest, of }) in &self.0 {
            let seconds = longest.as_secs();
            write!(f, "{family:?}: {plans} plans, {struck} struck, {diverged} diverged")?;
            writeln!(f, ", longest step {seconds} s ({of})")?;
        }
        Ok(())
    }
}
