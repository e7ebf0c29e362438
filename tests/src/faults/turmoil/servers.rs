//! Servers of the control plane that are away for a while. They are away for everybody, so all runs of a plane that are
//! to go through it do so together: a [`Storm`] waits until each has a request under way.

use std::time::Duration;

use tokio::sync::{Barrier, OnceCell};

use super::unseen;
use crate::cluster::ControlPlane;
use crate::faults::oracles::Finding;
use crate::faults::stage::{Stage, comes_true};

/// Which server, and how it is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Upset {
    /// The API server stands still, connections stay open.
    ApiServerPaused,
    /// The API server is killed and started again.
    ApiServerRestarted,
    /// etcd is killed and started again.
    EtcdRestarted,
    /// The controllers are away: nothing makes pods or collects garbage.
    ControllersAbsent,
}

impl Upset {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::ApiServerPaused, Self::ApiServerRestarted, Self::EtcdRestarted, Self::ControllersAbsent];

    pub(in crate::faults) fn word(self) -> &'static str {
        match self {
            Self::ApiServerPaused => "apiserver-paused",
            Self::ApiServerRestarted => "apiserver-restarted",
            Self::EtcdRestarted => "etcd-restarted",
            Self::ControllersAbsent => "controllers-absent",
        }
    }

    /// Goes by, until the API server answers again.
    async fn happens(self, plane: &ControlPlane) {
        let sandbox = plane.sandbox();
        let (server, seconds) = match self {
            Self::ApiServerPaused => ("kube-apiserver", 20),
            Self::ApiServerRestarted => ("kube-apiserver", 3),
            Self::EtcdRestarted => ("etcd", 5),
            Self::ControllersAbsent => ("kube-controller-manager", 20),
        };
        let is_paused = self == Self::ApiServerPaused;
        let gone = if is_paused { sandbox.pause(server) } else { sandbox.kill(server) };
        gone.expect("a server that goes");
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let back = if is_paused { sandbox.resume(server) } else { sandbox.restart(server) };
        back.expect("a server that comes back");
        let look = || async { plane.api().get("/api/v1/namespaces/default").await.is_ok() };
        assert!(comes_true(Duration::from_mins(2), look).await, "the API server does not answer again");
    }
}

/// The longest that a run waits for others.
const GATHERING: Duration = Duration::from_mins(2);
/// Requests that a run may make while servers are away; more is a loop.
const MOST_REQUESTS: usize = 600;

/// One upset for several runs.
pub struct Storm {
    upset: Upset,
    runs: Barrier,
    over: OnceCell<()>,
}

impl Storm {
    /// Waits for so many runs.
    #[must_use]
    pub fn new(upset: Upset, runs: usize) -> Self {
        Self { upset, runs: Barrier::new(runs), over: OnceCell::new() }
    }

    /// Waits for the others: each is about to begin its struck step, or has its request under way. Runs that failed before
    /// are missing, and are not waited for without end.
    pub(super) async fn gathers(&self) {
        let _some_are_missing = tokio::time::timeout(GATHERING, self.runs.wait()).await;
    }

    /// Strikes once for all when all have their request under way.
    pub(super) async fn strikes(&self, stage: &Stage<'_>, plane: &ControlPlane) -> Vec<Finding> {
        let before = stage.proxy.trace().len();
        stage.is_struck(Duration::from_secs(3)).await;
        self.gathers().await;
        self.over.get_or_init(|| self.upset.happens(plane)).await;
        let made = stage.proxy.trace().len() - before;
        let is_loop = made > MOST_REQUESTS;
        is_loop.then(|| unseen("O4", format!("{made} requests while servers were away"))).into_iter().collect()
    }
}
