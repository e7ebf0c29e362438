//! Every state that every object of a namespace has had, as the API server told it to one watcher of the whole plane.
//! A run waits on its own [`Chronicle`] instead of asking; an event that a relist swallows is lost, a deletion is not.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use serde_json::Value;
use threatrelay_operator::api::ThreatRelay;
use threatrelay_operator::kinds;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Kind and name.
pub type Key = (String, String);

/// One state of one object.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Kind and name.
    pub key: Key,
    /// The store's revision at which it came to be so.
    pub revision: u64,
    /// The object, at its end as it was last.
    pub object: Arc<Value>,
    /// This is its end.
    pub is_gone: bool,
}

impl Seen {
    /// A text of the object's metadata.
    #[must_use]
    pub fn meta(&self, field: &str) -> &str {
        self.object["metadata"][field].as_str().unwrap_or_default()
    }
}

/// What happened in one namespace, in the order of each kind's watch.
#[derive(Clone, Debug, Default)]
pub struct Chronicle {
    /// All states.
    pub seen: Vec<Seen>,
    /// Objects were listed anew, so that some of their states may have been missed.
    pub has_gaps: bool,
    live: BTreeMap<Key, Arc<Value>>,
}

impl Chronicle {
    /// The objects that are there.
    #[must_use]
    pub fn live(&self) -> &BTreeMap<Key, Arc<Value>> {
        &self.live
    }

    /// The objects that were there at a revision.
    #[must_use]
    pub fn at(&self, revision: u64) -> BTreeMap<Key, Arc<Value>> {
        let mut latest: BTreeMap<Key, &Seen> = BTreeMap::new();
        for seen in self.seen.iter().filter(|seen| seen.revision <= revision) {
            if latest.get(&seen.key).is_none_or(|known| known.revision <= seen.revision) {
                latest.insert(seen.key.clone(), seen);
            }
        }
        latest.retain(|_, seen| !seen.is_gone);
        latest.into_iter().map(|(key, seen)| (key, Arc::clone(&seen.object))).collect()
    }

    /// How often each object was created and deleted.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Key, (usize, usize)> {
        let mut uids: BTreeMap<&Key, (BTreeSet<&str>, BTreeSet<&str>)> = BTreeMap::new();
        for seen in &self.seen {
            let (made, gone) = uids.entry(&seen.key).or_default();
            made.insert(seen.meta("uid"));
            if seen.is_gone {
                gone.insert(seen.meta("uid"));
            }
        }
        uids.into_iter().map(|(key, (made, gone))| (key.clone(), (made.len(), gone.len()))).collect()
    }

    /// The `ThreatRelay`s that are there.
    pub fn relays(&self) -> impl Iterator<Item = &Arc<Value>> {
        self.live.iter().filter(|(key, _)| key.0 == "ThreatRelay").map(|(_, object)| object)
    }

    /// Each status is about the spec that is there. Of what is being deleted nothing is said any more.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.relays().all(|relay| {
            let is_deleted = !relay["metadata"]["deletionTimestamp"].is_null();
            is_deleted || relay["status"]["observedGeneration"] == relay["metadata"]["generation"]
        })
    }

    /// A status says that a change is under way.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        let conditions =
            self.relays().flat_map(|relay| relay["status"]["conditions"].as_array().into_iter().flatten());
        conditions.into_iter().any(|condition| condition["type"] == "Reconciling")
    }

    fn note(&mut self, key: Key, object: Value, is_gone: bool) {
        let former = self.live.get(&key).filter(|former| former["metadata"]["uid"] != object["metadata"]["uid"]);
        if let Some(former) = former.cloned().filter(|_| !is_gone) {
            // Its end was missed: another has its name.
            self.note(key.clone(), (*former).clone(), true);
        }
        let revision = object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok());
        let object = Arc::new(object);
        if is_gone {
            self.live.remove(&key);
        } else {
            self.live.insert(key.clone(), Arc::clone(&object));
        }
        self.seen.push(Seen { key, revision: revision.unwrap_or_default(), object, is_gone });
    }
}

type Namespaces = Arc<Mutex<HashMap<String, watch::Sender<Chronicle>>>>;

/// The watcher of a plane. Ends when dropped.
pub struct History {
    namespaces: Namespaces,
    _watches: JoinSet<()>,
}

impl History {
    /// Begins to watch the kinds that the operator makes or reads.
    #[must_use]
    pub fn start(client: &Client) -> Self {
        let namespaces = Namespaces::default();
        let mut watches = JoinSet::new();
        for kind in kinds::all().chain([kinds::of::<ThreatRelay>()]) {
            watches.spawn(follow(client.clone(), kind, Arc::clone(&namespaces)));
        }
        Self { namespaces, _watches: watches }
    }

    /// Keeps what happens in `namespace`, which is about to be made.
    pub fn open(&self, namespace: &str) -> watch::Receiver<Chronicle> {
        let (sender, receiver) = watch::channel(Chronicle::default());
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner).insert(namespace.to_owned(), sender);
        receiver
    }

    /// Forgets a namespace.
    pub fn close(&self, namespace: &str) {
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner).remove(namespace);
    }
}

async fn follow(client: Client, kind: ApiResource, namespaces: Namespaces) {
    let api: Api<DynamicObject> = Api::all_with(client, &kind);
    let mut events = Box::pin(watcher::watcher(api, watcher::Config::default()));
    let mut listed: BTreeSet<(String, String)> = BTreeSet::new();
    let mut is_anew = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => {
                listed.clear();
                if is_anew {
                    let namespaces = namespaces.lock().unwrap_or_else(PoisonError::into_inner);
                    namespaces.values().for_each(|one| one.send_modify(|chronicle| chronicle.has_gaps = true));
                }
                is_anew = true;
            }
            Ok(Event::InitApply(object)) => {
                listed.insert((object.namespace().unwrap_or_default(), object.name_any()));
                note(&namespaces, &kind, &object, false);
            }
            Ok(Event::InitDone) => end_all_but(&namespaces, &kind, &listed),
            Ok(Event::Apply(object)) => note(&namespaces, &kind, &object, false),
            Ok(Event::Delete(object)) => note(&namespaces, &kind, &object, true),
            // The plane restarts, or goes.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(200)).await,
        }
    }
}

fn note(namespaces: &Namespaces, kind: &ApiResource, object: &DynamicObject, is_gone: bool) {
    let namespaces = namespaces.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(chronicle) = namespaces.get(&object.namespace().unwrap_or_default()) else { return };
    let mut value = serde_json::to_value(object).unwrap_or_default();
    // What is told within a list lacks them.
    value["apiVersion"] = kind.api_version.as_str().into();
    value["kind"] = kind.kind.as_str().into();
    let key = (kind.kind.clone(), object.name_any());
    chronicle.send_modify(|chronicle| {
        let known = chronicle.live.get(&key).map(|known| &known["metadata"]["resourceVersion"]);
        if is_gone || known != Some(&value["metadata"]["resourceVersion"]) {
            chronicle.note(key, value, is_gone);
        }
    });
}

/// What a relist does not hold any more was deleted while nobody looked.
fn end_all_but(namespaces: &Namespaces, kind: &ApiResource, listed: &BTreeSet<(String, String)>) {
    let namespaces = namespaces.lock().unwrap_or_else(PoisonError::into_inner);
    for (namespace, chronicle) in namespaces.iter() {
        let is_missing = |key: &Key| key.0 == kind.kind && !listed.contains(&(namespace.clone(), key.1.clone()));
        chronicle.send_if_modified(|chronicle| {
            let missing: Vec<Key> = chronicle.live.keys().filter(|key| is_missing(key)).cloned().collect();
            for key in &missing {
                if let Some(object) = chronicle.live.get(key).cloned() {
                    chronicle.note(key.clone(), (*object).clone(), true);
                }
            }
            !missing.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_whose_end_was_missed_ends_when_another_has_its_name() {
        let key = || ("Service".to_owned(), "r".to_owned());
        let object = |uid: &str, version: &str| json!({"metadata": {"uid": uid, "resourceVersion": version}});
        let mut chronicle = Chronicle::default();
        for (uid, version) in [("one", "1"), ("one", "2"), ("two", "5")] {
            chronicle.note(key(), object(uid, version), false);
        }
        assert_eq!(chronicle.counts(), BTreeMap::from([(key(), (2, 1))]));
        assert_eq!(chronicle.live()[&key()]["metadata"]["uid"], "two");
    }
}
