//! Which plans there are: for every step that is struck, every place of its undisturbed run by every fault of its kind.
//! What is checked always is a part of them; all of them are `cargo xtask faults --full`.

use super::fault::{Fault, Stream};
use super::place::Place;
use super::plan::Plan;
use super::reference::Reference;
use crate::faultproxy::call::Class;

/// A family of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// The operator is killed at a write.
    Crash,
    /// It is killed at a write, and its successor at its first.
    TwoCrashes,
    /// A write fails.
    Write,
    /// A read fails.
    Read,
    /// A watch's stream fails, or hides or repeats events.
    Stream,
    /// A successor reads the past.
    Stale,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Crash, Self::TwoCrashes, Self::Write, Self::Read, Self::Stream, Self::Stale];

    fn class(self) -> Class {
        match self {
            Self::Read => Class::Read,
            Self::Stream => Class::Watch,
            _ => Class::Write,
        }
    }

    fn faults(self) -> &'static [Fault] {
        match self {
            Self::Crash => &Fault::CRASHES,
            Self::TwoCrashes => &[Fault::CrashTwice],
            Self::Write => &Fault::OF_WRITES,
            Self::Read => &Fault::OF_READS,
            Self::Stream => &Fault::OF_STREAMS,
            Self::Stale => &[Fault::Stale],
        }
    }

    /// The family of a fault at a place.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let is = |family: &Self| family.faults().contains(&plan.fault);
        match &*plan.place.verb {
            "watch" => Self::Stream,
            "get" | "list" | "other" => Self::Read,
            _ => Self::ALL.into_iter().find(is).unwrap_or(Self::Write),
        }
    }
}

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// What is checked always.
    Always,
    /// Everything.
    Full,
}

/// The plans of one family of one workload.
#[must_use]
pub fn plans(reference: &Reference, family: Family, tier: Tier) -> Vec<Plan> {
    let mut plans = Vec::new();
    for (index, step) in reference.workload.steps.iter().enumerate().filter(|(_, step)| step.is_struck) {
        for place in places(reference, index, family) {
            for fault in family.faults().iter().filter(|fault| !is_beyond_repair(**fault, &place)) {
                plans.push(Plan {
                    workload: reference.workload.name.to_owned(),
                    step: step.name.to_owned(),
                    place: place.clone(),
                    fault: *fault,
                });
            }
        }
    }
    if tier == Tier::Always {
        // Found out by the next look at the resource, minutes later.
        plans.retain(|plan| !matches!(plan.fault, Fault::Stream(Stream::Silent(_))));
        plans = thinned(plans, family);
    }
    plans
}

/// An event is made up for by a later one of the same object. What people write once has no later one, and an API server
/// that never tells of it is none.
fn is_beyond_repair(fault: Fault, place: &Place) -> bool {
    let is_of_people = ["threatrelays", "secrets", "configmaps"].contains(&&*place.resource);
    matches!(fault, Fault::Stream(Stream::Withheld(_))) && is_of_people
}

/// How often one kind of request of a step is a place.
const MOST: u32 = 3;

fn places(reference: &Reference, step: usize, family: Family) -> Vec<Place> {
    match family {
        Family::Read => reference.places(step, Class::Read, 1),
        // Streams outlive steps: those that began before are struck as well.
        Family::Stream => (0..=step).flat_map(|step| reference.places(step, Class::Watch, 1)).collect(),
        _ => reference.places(step, family.class(), MOST),
    }
}

/// Of the dear families every n-th, counted so that every fault and every place has its turn.
fn thinned(plans: Vec<Plan>, family: Family) -> Vec<Plan> {
    let every = match family {
        Family::Crash => 1,
        Family::TwoCrashes | Family::Stale => 2,
        Family::Write => 5,
        Family::Read => 13,
        Family::Stream => 31,
    };
    plans.into_iter().step_by(every).collect()
}
