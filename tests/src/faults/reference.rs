//! The undisturbed run of a workload, done twice: what the two agree in is what every disturbed run is compared with,
//! and the requests of the first are the places where faults strike.

use std::collections::{BTreeMap, HashMap};

use super::ground::Ground;
use super::history::Key;
use super::masks::{State, differences};
use super::oracles::{Finding, on_the_way};
use super::place::Place;
use super::run::{Record, undisturbed};
use super::workload::Workload;
use crate::faultproxy::call::{Call, Class};

/// What a workload comes to.
pub struct Reference {
    /// The workload.
    pub workload: Workload,
    /// The state at the end of each step.
    pub ends: Vec<State>,
    /// How often each object is created and deleted.
    pub counts: BTreeMap<Key, (usize, usize)>,
    /// The states that may be called ready, by generation of the resource.
    pub good: HashMap<i64, Vec<State>>,
    /// The requests of each step.
    pub calls: Vec<Vec<Call>>,
}

impl Reference {
    /// Runs `workload` twice.
    ///
    /// # Errors
    /// What differs between the two runs, or breaks a rule in one.
    pub async fn take(ground: &Ground, workload: Workload) -> Result<Self, Vec<String>> {
        let (first, second) = tokio::join!(undisturbed(ground, &workload), undisturbed(ground, &workload));
        let mut problems: Vec<String> = Vec::new();
        for record in [&first, &second] {
            problems.extend(record.ends.iter().filter_map(|end| end.unsettled.clone()).flatten());
        }
        for (index, (one, other)) in first.ends.iter().zip(&second.ends).enumerate() {
            let lines = differences(&one.state, &other.state);
            problems.extend(lines.into_iter().map(|line| format!("two good runs, step {index}: {line}")));
        }
        if first.chronicle.counts() != second.chronicle.counts() {
            problems.push(format!("counts: {:?}, {:?}", first.chronicle.counts(), second.chronicle.counts()));
        }
        let reference = Self::of(workload, &first);
        for record in [&first, &second] {
            problems.extend(on_the_way(&reference, record).iter().map(Finding::to_string));
        }
        if problems.is_empty() { Ok(reference) } else { Err(problems) }
    }

    fn of(workload: Workload, record: &Record) -> Self {
        let ends: Vec<State> = record.ends.iter().map(|end| end.state.clone()).collect();
        let mut good: HashMap<i64, Vec<State>> = HashMap::new();
        for end in &record.ends {
            if let Some(generation) = end.generation {
                good.entry(generation).or_default().push(end.state.clone());
            }
        }
        let calls = record.begins.iter().enumerate().map(|(index, from)| {
            let to = record.begins.get(index + 1).copied().unwrap_or(u64::MAX);
            let within = record.trace.iter().filter(|entry| (*from + 1..=to).contains(&entry.number));
            within.map(|entry| entry.call.clone()).collect()
        });
        Self { workload, calls: calls.collect(), counts: record.chronicle.counts(), good, ends }
    }

    /// Places of a step's requests of one class, each kind's first `most`.
    #[must_use]
    pub fn places(&self, step: usize, class: Class, most: u32) -> Vec<Place> {
        let mut counts: BTreeMap<(String, String, String), u32> = BTreeMap::new();
        let calls = self.calls.get(step).into_iter().flatten().filter(|call| call.class() == class);
        calls
            .filter_map(|call| {
                let kind = (format!("{:?}", call.verb), call.resource.clone(), call.subresource.clone());
                let count = counts.entry(kind).or_default();
                *count += 1;
                (*count <= most).then(|| Place::of(call, *count))
            })
            .collect()
    }
}
