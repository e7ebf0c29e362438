//! Which plans there are: for every step that is struck, every place of its undisturbed run by every fault of its kind.
//! What is checked always is a part of them; all of them are `cargo xtask faults --full`.

use kube::api::ApiResource;
use threatrelay_operator::kinds;

use super::fault::{Fault, Stream};
use super::place::Place;
use super::plan::Plan;
use super::reference::Reference;
use super::turmoil::{Edit, Refusal, Upset, rights_of_operator};
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
    /// The real program is killed at a write, by SIGKILL.
    Killed,
    /// Of two operators the one that leads stands still.
    Leaders,
    /// Servers of the control plane are away.
    Servers,
    /// Rights are withdrawn.
    Rights,
    /// Objects are refused for a while.
    Refusals,
    /// Somebody edits between read and write.
    Edits,
}

impl Family {
    /// What happens to one request.
    pub const OF_REQUESTS: [Self; 6] =
        [Self::Crash, Self::TwoCrashes, Self::Write, Self::Read, Self::Stream, Self::Stale];
    /// What lasts longer, or needs a process. The last is about a whole plane.
    pub const TURMOIL: [Self; 6] =
        [Self::Killed, Self::Leaders, Self::Rights, Self::Refusals, Self::Edits, Self::Servers];

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::OF_REQUESTS.into_iter().chain(Self::TURMOIL)
    }

    fn class(self) -> Class {
        match self {
            Self::Read => Class::Read,
            Self::Stream => Class::Watch,
            _ => Class::Write,
        }
    }

    fn faults(self) -> Vec<Fault> {
        match self {
            Self::Crash => Fault::CRASHES.to_vec(),
            Self::TwoCrashes => vec![Fault::CrashTwice],
            Self::Write => Fault::OF_WRITES.to_vec(),
            Self::Read => Fault::OF_READS.to_vec(),
            Self::Stream => Fault::OF_STREAMS.to_vec(),
            Self::Stale => vec![Fault::Stale],
            Self::Killed => Fault::KILLS.to_vec(),
            Self::Leaders => vec![Fault::Paused],
            Self::Servers => Upset::ALL.map(Fault::Servers).to_vec(),
            Self::Rights => vec![Fault::Withdrawn],
            Self::Refusals => Refusal::ALL.map(Fault::Refused).to_vec(),
            Self::Edits => Edit::ALL.map(Fault::Edited).to_vec(),
        }
    }

    /// The family of a fault at a place.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let is = |family: &Self| family.faults().contains(&plan.fault);
        match (Self::TURMOIL.into_iter().find(is), &*plan.place.verb) {
            (Some(turmoil), _) => turmoil,
            (None, "watch") => Self::Stream,
            (None, "get" | "list" | "other") => Self::Read,
            _ => Self::OF_REQUESTS.into_iter().find(is).unwrap_or(Self::Write),
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
            for fault in family.faults().into_iter().filter(|fault| is_possible(*fault, step.name, &place)) {
                plans.push(Plan {
                    workload: reference.workload.name.to_owned(),
                    step: step.name.to_owned(),
                    place: place.clone(),
                    fault,
                });
            }
        }
    }
    if family == Family::Killed {
        // What a crash does is known; that SIGKILL is one is shown for some.
        plans = plans.into_iter().step_by(7).collect();
    }
    if tier == Tier::Always {
        // Found out by the next look at the resource, minutes later.
        plans.retain(|plan| !matches!(plan.fault, Fault::Stream(Stream::Silent(_))));
        plans = thinned(plans, family);
    }
    plans
}

/// An event is made up for by a later one of the same object. What people write once has no later one, and an API server
/// that never tells of it is none. Limits are about pods. While the operator is paused, or the resource is being deleted,
/// what is edited stays so.
fn is_possible(fault: Fault, step: &str, place: &Place) -> bool {
    let is_of = |plurals: &[&str]| plurals.contains(&&*place.resource);
    match fault {
        Fault::Stream(Stream::Withheld(_)) => !is_of(&["threatrelays", "secrets", "configmaps"]),
        Fault::Refused(Refusal::Limits) => is_of(&["pods"]),
        Fault::Refused(Refusal::PolicyForbids) => !is_of(&["pods"]),
        Fault::Edited(Edit::Removal | Edit::Fields) => !["paused", "held"].contains(&step),
        Fault::Edited(Edit::Status) => step != "held",
        _ => true,
    }
}

/// How often one kind of request of a step is a place.
const MOST: u32 = 3;

fn places(reference: &Reference, step: usize, family: Family) -> Vec<Place> {
    let name = (reference.workload.name, reference.workload.steps[step].name);
    match family {
        Family::Read => reference.places(step, Class::Read, 1),
        // Streams outlive steps: those that began before are struck as well.
        Family::Stream => (0..=step).flat_map(|step| reference.places(step, Class::Watch, 1)).collect(),
        Family::Leaders | Family::Servers => vec![midst(reference, step)],
        Family::Edits => vec![the_first("get", "threatrelays")],
        Family::Rights => rights_of_operator().filter(|right| is_used(name, right)).collect(),
        Family::Refusals if name == ("everything", "create") => {
            let is_made = |kind: &ApiResource| reference.counts.keys().any(|(made, _)| *made == kind.kind);
            let kinds = kinds::all().filter(is_made).map(|kind| kind.plural);
            kinds.chain(["pods".to_owned()]).map(|plural| the_first("create", &plural)).collect()
        }
        Family::Refusals => Vec::new(),
        _ => reference.places(step, family.class(), MOST),
    }
}

fn the_first(verb: &str, resource: &str) -> Place {
    Place { verb: verb.to_owned(), resource: resource.to_owned(), subresource: String::new(), nth: 1 }
}

/// The write in the middle of a step, or the look at the resource where nothing is written.
fn midst(reference: &Reference, step: usize) -> Place {
    let mut writes = reference.places(step, Class::Write, 1);
    if writes.is_empty() {
        return the_first("get", "threatrelays");
    }
    writes.swap_remove(writes.len() / 2)
}

/// Whether a step needs this right: each is tried where it is used.
fn is_used((workload, step): (&str, &str), right: &Place) -> bool {
    let used_by = match (&*right.verb, &*right.resource) {
        ("delete", "ingresses" | "httproutes") => ("ingress", "off"),
        ("delete", "horizontalpodautoscalers") => ("autoscale", "off"),
        ("delete", "networkpolicies" | "poddisruptionbudgets" | "servicemonitors") => ("guards", "off"),
        ("delete", "secrets") => ("rotation", "given-up"),
        ("create" | "patch", "poddisruptionbudgets") => ("guards", "on"),
        // An event is changed only when it comes again soon.
        ("patch", "events") => return false,
        _ => ("everything", "create"),
    };
    used_by == (workload, step)
}

/// Of the dear families every n-th, counted so that every fault and every place has its turn.
fn thinned(plans: Vec<Plan>, family: Family) -> Vec<Plan> {
    let every = match family {
        Family::Crash | Family::Leaders | Family::Servers => 1,
        Family::TwoCrashes | Family::Stale => 2,
        Family::Write | Family::Killed => 5,
        Family::Read => 13,
        Family::Stream => 31,
        Family::Rights => 6,
        Family::Refusals => 4,
        Family::Edits => 7,
    };
    let is_always = |plan: &Plan| match plan.fault {
        Fault::Servers(upset) => upset == Upset::ApiServerRestarted,
        Fault::Paused => ["everything", "ingress"].contains(&&*plan.workload),
        _ => true,
    };
    // Workloads have few plans of some families: they do not all begin with the same.
    let first = plans.first().filter(|_| Family::TURMOIL.contains(&family)).map_or(0, |plan| plan.workload.len());
    plans.into_iter().skip(first % every).step_by(every).filter(is_always).collect()
}
