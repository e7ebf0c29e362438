//! What lasts longer than one request: servers that are away, a leader that stands still, rights that are withdrawn,
//! objects that are refused, somebody who edits what was just read. Each begins before or within the struck step and is
//! over before the step has to end as undisturbed; what has to be seen meanwhile, and was not, is a [`Finding`].

mod adversary;
mod leaders;
mod refusals;
mod rights;
mod servers;

use super::fault::Fault;
use super::ground::Ground;
use super::oracles::Finding;
use super::plan::Plan;
use super::reference::Reference;
use super::stage::Stage;

pub use adversary::Edit;
pub use refusals::Refusal;
pub use rights::{account, grant, of_operator as rights_of_operator};
pub use servers::{Storm, Upset};

/// What a run goes through.
pub(super) enum Turmoil<'a> {
    Servers(&'a Storm),
    Leaders,
    Rights(rights::Withdrawn<'a>),
    Refusals(refusals::Refused<'a>),
    Edits(adversary::Editor),
}

impl<'a> Turmoil<'a> {
    /// Before the step's acts.
    pub(super) async fn begins(stage: &Stage<'a>, plan: &'a Plan, storm: Option<&'a Storm>) -> Option<Self> {
        match plan.fault {
            Fault::Servers(_) => {
                let storm = storm?;
                storm.gathers().await;
                Some(Self::Servers(storm))
            }
            Fault::Paused => Some(Self::Leaders),
            Fault::Withdrawn => Some(Self::Rights(rights::Withdrawn::of(stage, &plan.place).await)),
            Fault::Refused(refusal) => Some(Self::Refusals(refusals::Refused::of(stage, refusal, &plan.place).await)),
            Fault::Edited(edit) => Some(Self::Edits(adversary::Editor::of(stage, edit))),
            _ => None,
        }
    }

    /// After the step's acts, until it is over.
    pub(super) async fn passes(self, stage: &Stage<'_>, ground: &Ground, reference: &Reference) -> Vec<Finding> {
        match self {
            Self::Servers(storm) => storm.strikes(stage, &ground.plane).await,
            Self::Leaders => leaders::pass(stage).await,
            Self::Rights(withdrawn) => withdrawn.passes(stage).await,
            Self::Refusals(refused) => refused.passes(stage, reference).await,
            Self::Edits(editor) => editor.passes(stage).await,
        }
    }
}

/// What has to be seen within so long on a machine that has other work, too.
const SEEN: std::time::Duration = std::time::Duration::from_mins(1);

fn unseen(rule: &'static str, what: String) -> Finding {
    Finding { rule, what }
}
