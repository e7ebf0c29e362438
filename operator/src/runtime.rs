//! The life of the process: listen, wait for API server and CRD, be elected, work, stop. It waits where something is
//! missing and ends only when told to, or when it lost the lease: then at once, because another may be writing already.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

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
use crate::controller::{self, CONCURRENCY};
use crate::discovery;
use crate::leader::{Candidate, Terms};
use crate::metrics::Metrics;
use crate::observed::OptionalApis;
use crate::probe::Probes;
use crate::settings::Settings;
use crate::{client, triggers};

/// The longest that reconciles under way may go on after a stop.
const DRAIN: Duration = Duration::from_secs(20);

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
    readiness.waits("the API server", "it was not asked yet");
    let metrics = Metrics::new(u16::try_from(CONCURRENCY).unwrap_or(u16::MAX));
    let admin = Admin { readiness: readiness.clone(), metrics: metrics.clone() };
    let _admin = AbortOnDropHandle::new(tokio::spawn(admin::serve(listener, admin)));
    let client = client::connect().await.map_err(Box::new)?;
    let identity = identity();
    tracing::info!(admin = %address, identity, version = env!("CARGO_PKG_VERSION"), "started");

    let Some(()) = stop.run_until_cancelled(discovery::needed(&client, &readiness)).await else {
        return Ok(ExitCode::SUCCESS);
    };
    let candidate = settings.leader_election.then(|| candidate(&client, &settings, &identity));
    let mut held = None;
    if let Some(candidate) = &candidate {
        metrics.leads(&settings.lease_name, false);
        held = stop.run_until_cancelled(candidate.elected()).await;
        if held.is_none() {
            return Ok(ExitCode::SUCCESS);
        }
        metrics.leads(&settings.lease_name, true);
    }

    let working = work(client, settings, metrics, readiness, identity, &stop)?;
    if let (Some(candidate), Some(held)) = (&candidate, &mut held) {
        tokio::select! {
            () = working => {}
            why = candidate.hold(held) => {
                tracing::error!(why, "leadership is lost; ending at once");
                return Ok(ExitCode::FAILURE);
            }
        }
        candidate.release(held).await;
    } else {
        working.await;
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Watches and reconciles, until stopped and no reconcile is under way. The caller answers for being the only one.
///
/// # Errors
/// [`StartError::Probes`].
pub fn work(
    client: Client,
    settings: Settings,
    metrics: Metrics,
    readiness: Readiness,
    identity: String,
    stop: &CancellationToken,
) -> Result<impl Future<Output = ()> + use<>, StartError> {
    let (offer, offered) = watch::channel(OptionalApis::default());
    let reporter = Reporter { controller: MANAGER.to_owned(), instance: Some(identity) };
    let scopes: Vec<Option<String>> = match &settings.namespaces[..] {
        [] => vec![None],
        some => some.iter().cloned().map(Some).collect(),
    };
    let secrets = settings.read_secrets;
    let probes = Probes::new()?;
    let context = Arc::new(Context {
        recorder: Recorder::new(client.clone(), reporter),
        client: client.clone(),
        policy: settings.policy(),
        settings,
        metrics,
        probes,
        offered: offered.clone(),
        backoff: Backoff::default(),
        shown: Shown::default(),
    });
    let stop = stop.clone();
    Ok(async move {
        let known = discovery::look(&client, OptionalApis::default()).await;
        offer.send_replace(known);
        let _probing = AbortOnDropHandle::new(tokio::spawn(context.probes.clone().run()));
        let _follow = AbortOnDropHandle::new(tokio::spawn(discovery::follow(client.clone(), offer)));
        let scopes = scopes.into_iter().map(|namespace| {
            let scope = triggers::Scope {
                client: client.clone(),
                namespace,
                secrets,
                readiness: readiness.clone(),
                offered: offered.clone(),
            };
            controller::run(scope, Arc::clone(&context), stop.clone())
        });
        let all = futures_util::future::join_all(scopes);
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
    })
}

fn candidate(client: &Client, settings: &Settings, identity: &str) -> Candidate {
    let namespace = settings.lease_namespace.as_deref().unwrap_or_else(|| client.default_namespace());
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    Candidate::new(leases, settings.lease_name.clone(), identity.to_owned(), Terms::default())
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
