//! When a `ThreatRelay` is looked at again: when its spec, labels or annotations change, when a child or a pod of it
//! changes in any way or goes, when a Secret or `ConfigMap` that it refers to changes, and when an optional API comes or
//! goes. All but the resources themselves are watched by their metadata only. The one place that uses what kube calls
//! unstable: streams as inputs of a controller.

mod seen;
mod watch;

use std::sync::Arc;

use futures_util::stream::{self, Stream, StreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::{Api, ApiResource, DynamicObject, ObjectMeta, PartialObjectMeta};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{Predicate, PredicateConfig, WatchStreamExt, predicates};
use kube::{Client, Resource};
use tokio::sync::{mpsc, watch as value};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::seen::Seen;
use self::watch::watch;
use crate::admin::Readiness;
use crate::api::ThreatRelay;
use crate::client::MANAGER;
use crate::discovery;
use crate::kinds;
use crate::observe::references;
use crate::observed::OptionalApis;

/// A `ThreatRelay`, or why it cannot be read: one bad object must not stop the watch of all.
pub type Guarded = DeserializeGuard<ThreatRelay>;

/// Most objects that wait to be looked at because of changes elsewhere; further watches wait.
const WAITING: usize = 1024;

/// Where changes are watched.
#[derive(Clone)]
pub struct Scope {
    /// The client.
    pub client: Client,
    /// The namespace; none is all of them.
    pub namespace: Option<String>,
    /// Secrets may be watched.
    pub secrets: bool,
    /// What is still to be synced is told here.
    pub readiness: Readiness,
    /// The optional APIs that the server offers.
    pub offered: value::Receiver<OptionalApis>,
}

/// The watches of a scope. Dropping it ends those of children.
pub struct Triggers {
    /// Resources as they change.
    pub resources: stream::BoxStream<'static, Result<Guarded, watcher::Error>>,
    /// The resources as last seen.
    pub store: Store<Guarded>,
    /// Resources to look at because of a change elsewhere.
    pub others: stream::BoxStream<'static, ObjectRef<Guarded>>,
    /// All resources are to be looked at: at first, and when optional APIs come or go.
    pub all: stream::BoxStream<'static, ()>,
    /// The watches of children, until this is dropped.
    pub watches: JoinSet<()>,
}

/// What a watched object concerns: its owner, and whoever refers to it.
#[derive(Clone, Debug, PartialEq)]
struct Concern {
    namespace: String,
    name: String,
    owner: Option<String>,
}

impl Scope {
    /// Begins to watch. `gone` is told of resources that no longer exist.
    pub fn watch(&self, gone: impl Fn(&ObjectMeta) + Send + Sync + 'static, stop: &CancellationToken) -> Triggers {
        let (reader, writer) = reflector::store();
        let place = self.place("ThreatRelays");
        let readiness = self.readiness.clone();
        self.waits(&place);
        let synced = move |event: &Result<Event<Guarded>, watcher::Error>| match event {
            Ok(Event::InitDone) => readiness.has(&place),
            Ok(Event::Delete(object)) => gone(object.meta()),
            Ok(_) => {}
            Err(error) => lacks_list(&readiness, &place, error),
        };
        let changed = predicates::generation.combine(predicates::labels).combine(predicates::annotations);
        let resources = watch(self.resources(), None, self.place("ThreatRelays"))
            .inspect(synced)
            .reflect(writer)
            .applied_objects()
            .predicate_filter(changed, PredicateConfig::default())
            .take_until(stop.clone().cancelled_owned())
            .boxed();
        let (sender, mut others) = mpsc::channel(WAITING);
        let report = Report { store: reader.clone(), sender };
        Triggers {
            resources,
            store: reader,
            others: stream::poll_fn(move |context| others.poll_recv(context)).boxed(),
            all: stream::once(async {}).chain(changes(self.offered.clone())).boxed(),
            watches: self.watches(&report),
        }
    }

    fn watches(&self, report: &Report) -> JoinSet<()> {
        let labels = format!("app.kubernetes.io/managed-by={MANAGER}");
        let mut watches = JoinSet::new();
        for kind in kinds::always() {
            // These may be referred to, so those of others are watched as well.
            let labels =
                if is_kind::<Secret>(&kind) || is_kind::<ConfigMap>(&kind) { None } else { Some(labels.clone()) };
            if !is_kind::<Secret>(&kind) || self.secrets {
                self.waits(&self.place(&kind.kind));
                watches.spawn(self.clone().children(kind, labels, report.clone()));
            }
        }
        self.waits(&self.place(&kinds::of::<Pod>().kind));
        watches.spawn(self.clone().children(kinds::of::<Pod>(), Some(labels.clone()), report.clone()));
        for kind in kinds::optional() {
            watches.spawn(self.clone().optional_children(kind, labels.clone(), report.clone()));
        }
        watches
    }

    /// Watches a kind that the server offers at some times only.
    async fn optional_children(mut self, kind: ApiResource, labels: String, report: Report) {
        let mut offered = self.offered.clone();
        loop {
            if offered.wait_for(|offered| discovery::has(*offered, &kind)).await.is_err() {
                return;
            }
            self.readiness = Readiness::default();
            let watching = self.clone().children(kind.clone(), Some(labels.clone()), report.clone());
            tokio::select! {
                () = watching => return,
                _ = offered.wait_for(|offered| !discovery::has(*offered, &kind)) => {}
            }
        }
    }

    /// Watches a kind of children, until nobody wants to know any more.
    async fn children(self, kind: ApiResource, labels: Option<String>, report: Report) {
        let place = self.place(&kind.kind);
        let api = self.dynamic::<PartialObjectMeta<DynamicObject>>(&kind);
        let mut events = Box::pin(watch(api, labels.as_deref(), place.clone()));
        let mut seen = Seen::default();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    for concern in seen.take(&event, |object| concern(object.meta())) {
                        if report.tell(&kind, &concern).await.is_err() {
                            return;
                        }
                    }
                    if matches!(event, Event::InitDone) {
                        self.readiness.has(&place);
                    }
                }
                Err(error) => lacks_list(&self.readiness, &place, &error),
            }
        }
    }

    fn waits(&self, place: &str) {
        self.readiness.waits(place, "the first list is under way; it needs the rights to list and watch");
    }

    fn place(&self, kind: &str) -> String {
        let namespace = self.namespace.as_ref().map_or_else(String::new, |namespace| format!(" in {namespace}"));
        format!("the watch of {kind}{namespace}")
    }

    fn resources(&self) -> Api<Guarded> {
        match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    /// Of a kind only known at run time.
    fn dynamic<K>(&self, kind: &ApiResource) -> Api<K>
    where
        K: Resource<DynamicType = ApiResource, Scope = kube::core::DynamicResourceScope>,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, kind),
            None => Api::all_with(self.client.clone(), kind),
        }
    }
}

/// The way of a change to the controller.
#[derive(Clone)]
struct Report {
    store: Store<Guarded>,
    sender: mpsc::Sender<ObjectRef<Guarded>>,
}

impl Report {
    /// # Errors
    /// When the controller is gone.
    async fn tell(
        &self,
        kind: &ApiResource,
        concern: &Concern,
    ) -> Result<(), mpsc::error::SendError<ObjectRef<Guarded>>> {
        let owner = concern.owner.iter().map(|name| ObjectRef::new(name).within(&concern.namespace));
        let mut concerned: Vec<_> = owner.collect();
        if is_kind::<Secret>(kind) || is_kind::<ConfigMap>(kind) {
            concerned.extend(
                self.store
                    .state()
                    .iter()
                    .filter(|resource| refers(resource, kind, concern))
                    .map(|resource| ObjectRef::from_obj(&**resource)),
            );
        }
        for resource in concerned {
            self.sender.send(resource).await?;
        }
        Ok(())
    }
}

fn refers(resource: &Arc<Guarded>, kind: &ApiResource, concern: &Concern) -> bool {
    let Ok(relay) = &resource.0 else { return false };
    relay.metadata.namespace.as_ref() == Some(&concern.namespace)
        && references(relay).iter().any(|reference| reference.kind == kind.kind && reference.name == concern.name)
}

/// What an object concerns. Pods belong to a `ReplicaSet`, so they name their relay by label.
fn concern(meta: &ObjectMeta) -> Option<Concern> {
    let owners = meta.owner_references.iter().flatten();
    let owner = owners.into_iter().find(|owner| {
        owner.controller == Some(true)
            && owner.kind == ThreatRelay::kind(&())
            && owner.api_version == ThreatRelay::api_version(&())
    });
    let label = |name: &str| meta.labels.as_ref().and_then(|labels| labels.get(name)).cloned();
    let is_labelled = label("app.kubernetes.io/managed-by").as_deref() == Some(MANAGER);
    let by_label = || label("app.kubernetes.io/instance").filter(|_| is_labelled);
    Some(Concern {
        namespace: meta.namespace.clone()?,
        name: meta.name.clone()?,
        owner: owner.map(|owner| owner.name.clone()).or_else(by_label),
    })
}

/// A list that fails is waited for. A watch that fails after its list is not: it goes on without a word when it can, from
/// what is known.
fn lacks_list(readiness: &Readiness, place: &str, error: &watcher::Error) {
    if matches!(error, watcher::Error::InitialListFailed(_)) {
        readiness.waits(place, error.to_string());
    }
}

fn is_kind<K: Resource<DynamicType = ()>>(kind: &ApiResource) -> bool {
    kind.kind == K::kind(&()) && kind.group == K::group(&())
}

/// A beat for every change of the value.
fn changes<T: Clone + Send + Sync + 'static>(value: value::Receiver<T>) -> impl Stream<Item = ()> + Send {
    stream::unfold(value, async |mut value| value.changed().await.ok().map(|()| ((), value)))
}
