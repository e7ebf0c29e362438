//! Ten operations in a row, drawn by a seed, some of them before the one before has come to its end. Whatever the way, the
//! end is that of the same spec from the start.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use serde_json::Value;

use super::fields::Base;
use super::operation::{Operation, is_taken};
use super::play::Campaign;
use super::stage::{PATIENCE, Stage};
use crate::faults::history::Chronicle;

/// Operations in a row.
const STEPS: usize = 10;
/// Draws until the steps are found: most of them fit.
const DRAWS: u64 = 200;

/// A walk by its seed.
#[derive(Clone, Copy, Debug)]
pub struct Walk(pub u64);

/// A step.
struct Step {
    name: String,
    spec: Value,
    /// The next begins when the operator has seen this one.
    is_awaited: bool,
}

impl Walk {
    fn draw(self, nth: u64) -> usize {
        let mut hasher = DefaultHasher::new();
        (self.0, nth).hash(&mut hasher);
        usize::try_from(hasher.finish() % 1_000_003).unwrap_or_default()
    }

    /// The steps from a fixed number of pods on. An autoscaler's number is none that a spec decides, so none is among them.
    fn steps(self, operations: &[Operation]) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut spec = Base::Fixed.spec();
        for nth in 0..DRAWS {
            let operation = &operations[self.draw(nth) % operations.len()];
            let mut next = spec.clone();
            operation.change.make(&mut next);
            let has_pods_of_its_own = next.get("autoscaling").is_none();
            if next == spec || !has_pods_of_its_own || !is_taken(&next) {
                continue;
            }
            spec = next;
            let is_awaited = !self.draw(nth).is_multiple_of(3);
            steps.push(Step { name: operation.name.clone(), spec: spec.clone(), is_awaited });
            if steps.len() == STEPS {
                break;
            }
        }
        if let Some(last) = steps.last_mut() {
            // What is suspended stays where it is, so that the end would hang on the way.
            last.spec["suspend"] = false.into();
        }
        steps
    }

    /// Walks.
    ///
    /// # Errors
    /// The steps, and what is not as from the start.
    pub async fn play(self, campaign: &Campaign, operations: &[Operation]) -> Result<(), Vec<String>> {
        let steps = self.steps(operations);
        let here = Stage::set(&campaign.ground).await;
        let there = Stage::set(&campaign.ground).await;
        let walked = walk(campaign, &steps, &here, &there).await;
        here.clear().await;
        there.clear().await;
        walked.map_err(|lines| {
            let names: Vec<_> = steps.iter().map(|step| &*step.name).collect();
            [vec![format!("after {}:", names.join(", "))], lines].concat()
        })
    }
}

async fn walk(campaign: &Campaign, steps: &[Step], here: &Stage, there: &Stage) -> Result<(), Vec<String>> {
    here.create(&Base::Fixed.spec()).await;
    for step in steps {
        here.change(&step.spec).await.map_err(|line| vec![line])?;
        if step.is_awaited {
            let seen = here.chronicle.clone();
            let is_late = tokio::time::timeout(PATIENCE, seen.clone().wait_for(Chronicle::is_current)).await.is_err();
            if is_late {
                return Err(vec![format!("{} is not seen by the operator", step.name)]);
            }
        }
    }
    let last = steps.last().ok_or_else(|| vec!["no operation fits".to_owned()])?;
    there.create(&last.spec).await;
    here.ends_as(there, &[]).await?;
    let unsaid = campaign.unsaid(here);
    if unsaid.is_empty() { Ok(()) } else { Err(unsaid) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::operation::all;

    #[test]
    fn a_seed_is_one_walk_of_ten_steps_and_another_seed_another() {
        let operations = all();
        let names =
            |seed| -> Vec<String> { Walk(seed).steps(&operations).into_iter().map(|step| step.name).collect() };
        assert_eq!(names(1), names(1));
        assert!(names(1).len() == STEPS && names(1) != names(2), "{:?}", names(1));
    }
}
