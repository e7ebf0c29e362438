//! The life of the process: listen, wait for API server and CRD, watch, be elected, work, stop. It waits where something is
//! missing and ends only when told to, or when it lost the lease: then at once, because another may be writing already.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::events::{Recorder, Reporter};
use kube::{Api, Client};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::admin::{self, Admin, Readiness};
use crate::client::MANAGER;
use crate::controller::backoff::Backoff;
use crate::controller::context::{Context, Shown};
use crate::controller::{CONCURRENCY, Watching};
use crate::leader::{Candidate, Terms};
use crate::metrics::Metrics;
use crate::observed::OptionalApis;
use crate::probe::Probes;
use crate::settings::{Reach, Settings};
use crate::triggers::Scope;
use crate::{client, discovery};

/// The longest that reconciles under way may go on after a stop.
const DRAIN: Duration = Duration::from_secs(20);

/// What is waited for until each watch says so for itself.
const WATCHES: &str = "the watches";

/// The operator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no address to listen on.
    #[error("{0}")]
    Listen(String),
    /// There is no way to the API server.
    #[error("there is no way to a cluster: {0}; run in a pod with a service account, or set KUBECONFIG")]
    Client(#[from] Box<kube::Error>),
    /// There is no way to pods.
    #[error("the client for relays cannot be made: {0}")]
    Probes(#[from] reqwest::Error),
    /// Signals cannot be received.
    #[error("signals cannot be received: {0}")]
    Signal(#[from] std::io::Error),
}

/// Runs the operator until it is told to stop.
///
/// # Errors
/// [`StartError`]; afterwards nothing ends it but a signal or the loss of the lease.
pub async fn run(settings: Settings) -> Result<ExitCode, StartError> {
    let stop = stop_on_signal()?;
    let listener = admin::bind(settings.listen).await.map_err(StartError::Listen)?;
    let address = listener.local_addr()?;
    let readiness = Readiness::default();
    readiness.waits(WATCHES, "they begin when all else is there");
    let metrics = Metrics::new(u16::try_from(CONCURRENCY).unwrap_or(u16::MAX));
    let admin = Admin { readiness: readiness.clone(), metrics: metrics.clone() };
    let _admin = AbortOnDropHandle::new(tokio::spawn(admin::serve(listener, admin)));
    let client = client::connect(&metrics.requests).await.map_err(Box::new)?;
    let identity = identity();
    tracing::info!(admin = %address, identity, version = env!("CARGO_PKG_VERSION"), "started");
    live(client, settings, (metrics, readiness), identity, stop).await
}

/// The life of an operator with this client, as the candidate `identity`: what [`run`] is without a process around it.
///
/// # Errors
/// [`StartError::Probes`].
pub async fn live(
    client: Client,
    settings: Settings,
    (metrics, readiness): (Metrics, Readiness),
    identity: String,
    stop: CancellationToken,
) -> Result<ExitCode, StartError> {
    let (offer, offered) = watch::channel(OptionalApis::default());
    let look = async {
        discovery::needed(&client, &readiness).await;
        offer.send_replace(discovery::look(&client, OptionalApis::default()).await);
    };
    if stop.run_until_cancelled(look).await.is_none() {
        return Ok(ExitCode::SUCCESS);
    }
    let _following = AbortOnDropHandle::new(tokio::spawn(discovery::follow(client.clone(), offer)));
    let context = Arc::new(context(client.clone(), settings, metrics.clone(), offered.clone(), &identity)?);
    let reach = &context.settings.reach;
    let watching = reach.places().into_iter().map(|namespace| {
        let secrets = reach.read_secrets;
        let (client, readiness, offered) = (client.clone(), readiness.clone(), offered.clone());
        let scope = Scope { client, namespace, secrets, readiness, offered };
        Watching::begin(&scope, Arc::clone(&context), stop.clone())
    });
    let mut watching: Vec<Watching> = watching.collect();
    readiness.has(WATCHES);

    if !reach.leader_election {
        work(watching, &context, &stop).await;
        tracing::info!("stopped");
        return Ok(ExitCode::SUCCESS);
    }
    let candidate = candidate(&client, reach, &identity);
    metrics.leads(&reach.lease_name, false);
    let mut held = tokio::select! {
        held = candidate.elected() => held,
        // So that a new leader knows already what there is.
        _ = join_all(watching.iter_mut().map(Watching::stand_by)) => return Ok(ExitCode::SUCCESS),
        () = stop.cancelled() => return Ok(ExitCode::SUCCESS),
    };
    metrics.leads(&reach.lease_name, true);
    tokio::select! {
        () = work(watching, &context, &stop) => {}
        why = candidate.hold(&mut held) => {
            tracing::error!(why, "leadership is lost; ending at once");
            return Ok(ExitCode::FAILURE);
        }
    }
    candidate.release(&held).await;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// What all reconciles share.
fn context(
    client: Client,
    settings: Settings,
    metrics: Metrics,
    offered: watch::Receiver<OptionalApis>,
    identity: &str,
) -> Result<Context, StartError> {
    let reporter = Reporter { controller: MANAGER.to_owned(), instance: Some(identity.to_owned()) };
    Ok(Context {
        recorder: Recorder::new(client.clone(), reporter),
        client,
        policy: settings.policy(),
        settings,
        metrics,
        probes: Probes::new()?,
        offered,
        backoff: Backoff::default(),
        shown: Shown::default(),
    })
}

/// Reconciles, until stopped and no reconcile is under way.
async fn work(watching: Vec<Watching>, context: &Context, stop: &CancellationToken) {
    let _probing = AbortOnDropHandle::new(tokio::spawn(context.probes.clone().run()));
    let all = join_all(watching.into_iter().map(Watching::work));
    tokio::pin!(all);
    tokio::select! {
        _ = &mut all => {}
        () = stop.cancelled() => {
            tracing::info!("stopping: reconciles under way end first");
            if tokio::time::timeout(DRAIN, all).await.is_err() {
                tracing::warn!(limit = ?DRAIN, "reconciles cut: they took too long to end");
            }
        }
    }
}

fn candidate(client: &Client, reach: &Reach, identity: &str) -> Candidate {
    let leases: Api<Lease> = Api::namespaced(client.clone(), reach.lease_namespace(client));
    Candidate::new(leases, reach.lease_name.clone(), identity.to_owned(), Terms::default())
}

/// A name that no other process has: the pod's, and something of this start.
fn identity() -> String {
    use std::hash::{BuildHasher, RandomState};
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}_{:016x}", host.trim(), RandomState::new().hash_one(()))
}

fn stop_on_signal() -> Result<CancellationToken, std::io::Error> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        told.cancel();
    });
    Ok(stop)
}
