//! Leader election: of several operators, one writes.
//!
//! The leader is who holds a `Lease`. It is taken and renewed by replacing it at the version that was read (compare and
//! swap), so two can never take it at once. Whether a holder has died is judged by how long its lease has not *changed*,
//! on this process's own monotonic clock: clocks of machines are not compared. A holder that cannot renew in time is to
//! end its process ([`hold`] returns), before anybody else may take the lease.

mod claim;

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, PostParams};
use tokio::time::{sleep, timeout};

use self::claim::{Move, Watched, claimed, released};
use crate::client::{CallError, call, call_for};
use crate::controller::backoff::spread;

/// How leadership is timed.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// A lease that has not changed for so long may be taken.
    pub lease: Duration,
    /// A holder that has not renewed for so long gives up. Less than `lease`.
    pub renew_deadline: Duration,
    /// Time between tries.
    pub retry: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { lease: seconds(15), renew_deadline: seconds(10), retry: seconds(2) }
    }
}

/// Somebody who wants to lead.
#[derive(Clone)]
pub struct Candidate {
    leases: Api<Lease>,
    name: String,
    identity: String,
    terms: Terms,
}

/// A lease that is held.
#[derive(Debug)]
pub struct Held {
    lease: Lease,
    renewed: Instant,
}

impl Candidate {
    /// A candidate for the lease `name`. `identity` must be another in every process.
    #[must_use]
    pub fn new(leases: Api<Lease>, name: String, identity: String, terms: Terms) -> Self {
        Self { leases, name, identity, terms }
    }

    /// Waits until the lease is ours. An API server that does not answer is waited for.
    pub async fn elected(&self) -> Held {
        let mut watched = Watched::default();
        loop {
            match self.campaign(&mut watched).await {
                Ok(Some(held)) => {
                    tracing::info!(lease = self.name, identity = self.identity, "leading");
                    return held;
                }
                Ok(None) => {}
                Err(error) if error.is_conflict() => tracing::debug!(%error, "another was faster"),
                Err(error) => tracing::warn!(%error, "the lease cannot be read or taken; trying again"),
            }
            sleep(spread(self.terms.retry)).await;
        }
    }

    async fn campaign(&self, watched: &mut Watched) -> Result<Option<Held>, CallError> {
        let found = call("get the lease", self.leases.get_opt(&self.name)).await?;
        let asked = Instant::now();
        let post = PostParams { field_manager: Some(crate::client::MANAGER.to_owned()), dry_run: false };
        let lease = match watched.judge(found.as_ref(), asked) {
            Move::Create => {
                let lease = claimed(None, &self.name, &self.identity, self.terms.lease);
                call("create the lease", self.leases.create(&post, &lease)).await?
            }
            Move::Take => {
                let lease = claimed(found.as_ref(), &self.name, &self.identity, self.terms.lease);
                call("take the lease", self.leases.replace(&self.name, &post, &lease)).await?
            }
            Move::Wait => return Ok(None),
        };
        Ok(Some(Held { lease, renewed: asked }))
    }

    /// Renews the lease for as long as that succeeds, and returns when it is lost: taken by another, or not renewed
    /// in time. The caller then ends the process at once, because writes may be under way.
    pub async fn hold(&self, held: &mut Held) -> String {
        loop {
            sleep(self.terms.retry).await;
            let left = self.terms.renew_deadline.saturating_sub(held.renewed.elapsed());
            match timeout(left, self.renew(held)).await {
                Ok(Ok(())) => {}
                Ok(Err(Renewal::Taken(by))) => return format!("the lease was taken by {by}"),
                Ok(Err(Renewal::Failed(error))) => tracing::warn!(%error, "the lease was not renewed; trying again"),
                Err(_) => tracing::warn!("renewing the lease takes too long"),
            }
            if held.renewed.elapsed() >= self.terms.renew_deadline {
                return format!("the lease could not be renewed for {:?}", held.renewed.elapsed());
            }
        }
    }

    async fn renew(&self, held: &mut Held) -> Result<(), Renewal> {
        let asked = Instant::now();
        let renewed = claimed(Some(&held.lease), &self.name, &self.identity, self.terms.lease);
        let post = PostParams { field_manager: Some(crate::client::MANAGER.to_owned()), dry_run: false };
        let limit = self.terms.renew_deadline / 2;
        match call_for(limit, "renew the lease", self.leases.replace(&self.name, &post, &renewed)).await {
            Ok(lease) => {
                *held = Held { lease, renewed: asked };
                Ok(())
            }
            // An answer that was lost may have renewed it all the same: look who holds it.
            Err(error) if error.is_conflict() || error.is_not_found() => {
                let found = call_for(limit, "get the lease", self.leases.get_opt(&self.name)).await;
                match found.map_err(Renewal::Failed)? {
                    Some(lease) if claim::holder(&lease) == Some(&*self.identity) => {
                        held.lease = lease;
                        Err(Renewal::Failed(error))
                    }
                    Some(lease) => Err(Renewal::Taken(claim::holder(&lease).unwrap_or("nobody").to_owned())),
                    None => Err(Renewal::Taken("whoever deleted it".to_owned())),
                }
            }
            Err(error) => Err(Renewal::Failed(error)),
        }
    }

    /// Gives the lease up, so that another need not wait for its end. A failure is logged: the lease then runs out.
    pub async fn release(&self, held: &Held) {
        let post = PostParams { field_manager: Some(crate::client::MANAGER.to_owned()), dry_run: false };
        let free = released(&held.lease);
        let given_up = self.leases.replace(&self.name, &post, &free);
        match call_for(Duration::from_secs(3), "release the lease", given_up).await {
            Ok(_) => tracing::info!(lease = self.name, "lease released"),
            Err(error) => tracing::warn!(%error, "the lease was not released; it runs out by itself"),
        }
    }
}

/// Why the lease was not renewed.
enum Renewal {
    Taken(String),
    Failed(CallError),
}
