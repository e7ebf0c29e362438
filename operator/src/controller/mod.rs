//! The driver: one reconcile is `observe → validate → build → apply → status`, within a time limit, under a span that
//! names its object. Whatever goes wrong in one is logged once, counted, and tried again later; a panic too.

pub mod backoff;
pub mod context;
mod facts;
mod publish;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};
use k8s_openapi::jiff::Timestamp;
use kube::api::Api;
use kube::runtime::Controller;
use kube::runtime::controller::{self, Action};
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use tracing::field::Empty;

use self::context::Context;
use self::facts::Gathered;
use crate::apply::apply;
use crate::apply::write::{ChildError, Children};
use crate::broken::{self, Defect};
use crate::client::{CallError, call};
use crate::metrics::{Outcome, Queue};
use crate::status::compute;
use crate::triggers::{Guarded, Scope, Triggers};
use crate::validate::Owner;
use crate::{build, observe, validate};

/// Reconciles at once.
pub const CONCURRENCY: usize = 8;
/// Changes within so long of one another cause one reconcile.
const DEBOUNCE: Duration = Duration::from_millis(500);
/// The longest that a reconcile may take.
const RECONCILE: Duration = Duration::from_mins(1);
/// When an object is looked at although nothing seems to have changed.
const RESYNC_READY: Duration = Duration::from_mins(10);
/// The same while it is not ready.
const RESYNC_NOT_READY: Duration = Duration::from_mins(5);
/// When a foreign object that is in the way is looked for again: nothing watches it.
const CONFLICT: Duration = Duration::from_secs(6);
/// When a child that admission or a quota refused is tried again: what would allow it is watched by nothing.
const REFUSED: Duration = Duration::from_secs(30);

/// What one reconcile came to.
enum Done {
    /// The object is gone, or going.
    Gone,
    /// Look again after so long.
    Again(Duration),
    /// As `Again`, and only a change of the resource or of what it names can help.
    Terminal(Duration),
}

/// A reconcile that did not get to its end.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The API could not be asked.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It took too long.
    #[error("the reconcile took longer than {RECONCILE:?}")]
    Timeout,
    /// A defect.
    #[error("the reconcile panicked: {0}")]
    Panic(String),
}

/// A scope that is watched.
pub struct Watching {
    triggers: Triggers,
    context: Arc<Context>,
    stop: CancellationToken,
}

impl Watching {
    /// Begins to watch.
    #[must_use]
    pub fn begin(scope: &Scope, context: Arc<Context>, stop: CancellationToken) -> Self {
        let forgetting = Arc::clone(&context);
        let gone = move |meta: &kube::api::ObjectMeta| forgetting.forget(meta.uid.as_deref().unwrap_or_default());
        Self { triggers: scope.watch(gone, &stop), context, stop }
    }

    /// Sees what changes and does nothing about it, until stopped.
    pub async fn stand_by(&mut self) {
        let Triggers { resources, others, .. } = &mut self.triggers;
        tokio::select! {
            () = resources.for_each(async |_| {}) => {}
            () = others.for_each(async |_| {}) => {}
        }
    }

    /// Reconciles everything that there is and then what changes, until stopped; ends when no reconcile is under way
    /// any more.
    pub async fn work(self) {
        let Self { triggers, context, stop } = self;
        let Triggers { resources, store, others, all, watches: _watches } = triggers;
        let looked = context.probes.changes().map(|(namespace, name)| ObjectRef::new(&name).within(&namespace));
        let queue = &context.metrics.queue;
        let add = |queue: Queue| {
            move |resource: &ObjectRef<Guarded>| {
                queue.add(resource.namespace.as_deref().unwrap_or_default(), &resource.name);
            }
        };
        let added = add(queue.clone());
        let resources = resources.inspect(move |resource| {
            if let Ok(resource) = resource {
                added(&ObjectRef::from_obj(resource));
            }
        });
        let (added, known) = (add(queue.clone()), store.clone());
        let all = all.inspect(move |()| known.state().iter().for_each(|one| added(&ObjectRef::from_obj(&**one))));
        let config = controller::Config::default()
            .concurrency(u16::try_from(CONCURRENCY).unwrap_or(u16::MAX))
            .debounce(DEBOUNCE);
        Controller::for_stream(resources, store)
            .with_config(config)
            .reconcile_on(others.inspect(add(queue.clone())))
            .reconcile_on(looked.inspect(add(queue.clone())))
            .reconcile_all_on(all)
            .graceful_shutdown_on(stop.cancelled_owned())
            .run(reconcile, |_, _, _| Action::requeue(RESYNC_NOT_READY), Arc::clone(&context))
            .for_each(async |result| {
                // Reconciles log for themselves; what is left is about the queue: an object that is gone meanwhile.
                if let Err(error) = result {
                    tracing::debug!(%error, "not reconciled");
                    if let controller::Error::ObjectNotFound(gone) = error {
                        queue.forget(gone.namespace.as_deref().unwrap_or_default(), &gone.name);
                    }
                }
            })
            .await;
    }
}

async fn reconcile(resource: Arc<Guarded>, context: Arc<Context>) -> Result<Action, std::convert::Infallible> {
    let (namespace, name) = (resource.namespace().unwrap_or_default(), resource.name_any());
    let meta = resource.meta();
    let (uid, generation) = (meta.uid.clone().unwrap_or_default(), meta.generation.unwrap_or_default());
    let _under_way = (context.metrics.working(), context.metrics.queue.begin(&namespace, &name));
    let begun = Instant::now();
    let span = tracing::info_span!(
        "reconcile",
        namespace,
        threatrelay.name = name,
        outcome = Empty,
        "error.type" = Empty,
        otel.status_code = Empty
    );
    let attempt = AssertUnwindSafe(Box::pin(attempt(&context, &namespace, &name))).catch_unwind();
    let result = match tokio::time::timeout(RECONCILE, attempt).instrument(span.clone()).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(Error::Panic(text_of(&*panic))),
        Err(_) => Err(Error::Timeout),
    };
    let elapsed = begun.elapsed();
    let (outcome, action) = match result {
        Ok(Done::Gone) => {
            context.forget(&uid);
            (Outcome::RequeueAfter, Action::await_change())
        }
        Ok(Done::Again(after)) => {
            context.backoff.forget(&uid);
            (Outcome::RequeueAfter, Action::requeue(after))
        }
        Ok(Done::Terminal(after)) => {
            context.backoff.forget(&uid);
            (Outcome::Terminal, Action::requeue(after))
        }
        Err(error) => {
            let pause = context.backoff.failed(&uid, generation);
            context.metrics.queue.retry();
            let (outcome, category) = match &error {
                // Somebody was faster: no fault, but what was decided may be wrong.
                Error::Call(error) if error.is_conflict() => (Outcome::RequeueAfter, "conflict"),
                Error::Call(error) => (Outcome::Error, error.category()),
                Error::Timeout => (Outcome::Timeout, "timeout"),
                Error::Panic(_) => (Outcome::Panic, "panic"),
            };
            if outcome == Outcome::RequeueAfter {
                tracing::debug!(%error, namespace, name, "again");
            } else {
                tracing::warn!(%error, category, namespace, name, again_ms = pause.as_millis(), "reconcile failed");
                span.record("error.type", category).record("otel.status_code", "ERROR");
            }
            let again = Action::requeue(pause);
            (outcome, if broken::is(Defect::NotTriedAgain) { Action::await_change() } else { again })
        }
    };
    context.metrics.reconciled(outcome, elapsed);
    span.record("outcome", outcome.word());
    tracing::debug!(namespace, name, ?outcome, elapsed_ms = elapsed.as_millis(), "reconciled");
    Ok(action)
}

async fn attempt(context: &Context, namespace: &str, name: &str) -> Result<Done, Error> {
    // Read anew: the cache may be behind, and children must be owned by the object that is there now.
    let api: Api<Guarded> = Api::namespaced(context.client.clone(), namespace);
    let relay = match call("get the ThreatRelay", api.get_opt(name)).await? {
        None => return Ok(Done::Gone),
        Some(found) if found.meta().deletion_timestamp.is_some() && !broken::is(Defect::MadeWhileDeleted) => {
            return Ok(Done::Gone);
        }
        Some(kube::core::DeserializeGuard(Ok(relay))) => relay,
        Some(kube::core::DeserializeGuard(Err(invalid))) => {
            return publish::unreadable(context, namespace, &invalid).await;
        }
    };
    let owner =
        Owner { namespace: namespace.to_owned(), name: name.to_owned(), uid: relay.uid().unwrap_or_default() };
    let apis = *context.offered.borrow();
    publish::defects(context, &relay).await?;
    let observed =
        Box::pin(observe::observe(&context.client, &relay, apis, context.settings.reach.read_secrets)).await;
    let observed = Box::pin(publish::forbidden_read(context, &relay, observed)).await?;
    let children = Children::new(&context.client, &context.metrics, &owner);
    let mut gathered = Gathered::new(&relay, observed.children.deployment.as_ref());
    if relay.spec.suspend {
        gathered.suspended();
    } else {
        let judged =
            tracing::info_span!("validate").in_scope(|| validate::validate(&relay, &observed, &context.policy));
        match judged {
            Err(refused) => gathered.refused(refused),
            Ok(validated) => {
                gathered.validated(&validated);
                let objects = tracing::info_span!("build").in_scope(|| build::build(&validated));
                match Box::pin(apply(&children, objects, observed.children.clone())).await {
                    Ok(applied) => gathered.applied(applied),
                    Err(ChildError::NamespaceEnds) => return Ok(Done::Gone),
                    Err(ChildError::Call(error)) => gathered.failed(error),
                    Err(other) => gathered.hindered(&other),
                }
            }
        }
    }
    gathered.look_at_pods(context, &owner).await?;
    let before = relay.status.clone().unwrap_or_default();
    let status = compute(&gathered.facts(&before), Timestamp::now());
    publish::status(context, &relay, &before, &status).await?;
    let identity = (&*owner.uid, namespace, name);
    context.shown.show(identity, &status.conditions, gathered.kinds(), &context.metrics);
    gathered.end(&status)
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}
