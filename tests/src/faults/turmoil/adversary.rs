//! Somebody who edits an object after the operator has read it and before it writes, every second time that it is read:
//! every first decision is out of date, and the next can stand. Whoever answers each edit with one of its own would never
//! end; the operator leaves what is not its own, and restores what is.

use std::collections::HashMap;
use std::future::ready;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use serde_json::json;
use tokio::sync::watch;

use super::unseen;
use crate::cluster::Api;
use crate::faultproxy::call::{Call, Class, Verb};
use crate::faultproxy::trace::Entry;
use crate::faults::oracles::Finding;
use crate::faults::stage::{Stage, comes_true};

/// What is edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Edit {
    /// Labels and annotations of the resource.
    Labels,
    /// Its status.
    Status,
    /// Annotations of children that are nobody's business.
    Annotations,
    /// Labels of children that the operator has set.
    Fields,
    /// Children are deleted, but the Deployment.
    Removal,
}

impl Edit {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Labels, Self::Status, Self::Annotations, Self::Fields, Self::Removal];

    pub(in crate::faults) fn word(self) -> &'static str {
        match self {
            Self::Labels => "edited-labels",
            Self::Status => "edited-status",
            Self::Annotations => "edited-annotations",
            Self::Fields => "edited-fields",
            Self::Removal => "edited-away",
        }
    }

    /// How often. An edit of the resource costs a reconcile, those of its children one for all of them.
    fn rounds(self) -> u32 {
        match self {
            Self::Labels | Self::Status | Self::Removal => 30,
            Self::Annotations | Self::Fields => 100,
        }
    }

    fn is_about(self, call: &Call) -> bool {
        let is_any = |plurals: &[&str]| plurals.contains(&&*call.resource) && call.name.starts_with('r');
        match self {
            Self::Labels | Self::Status => is_any(&["threatrelays"]),
            // A Deployment that goes takes its history and an autoscaler's number along.
            Self::Removal => is_any(&CHILDREN),
            Self::Annotations | Self::Fields => is_any(&CHILDREN) || is_any(&["deployments"]),
        }
    }

    /// Edits an object; `round` is what is written. That somebody was faster is none of its concerns.
    async fn make(self, api: &Api, path: &str, round: &str) {
        let mark = json!({(MARK): round});
        let labels = json!({"metadata": {"labels": mark, "annotations": mark}});
        let _somebody_was_faster = match self {
            Self::Labels => api.merge(path, &labels).await,
            Self::Status => {
                let lie = json!({
                    "type": "Ready", "status": "False", "reason": "Edited", "message": round,
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                });
                let _as_above = api.merge(&format!("{path}/status"), &json!({"status": {"conditions": [lie]}})).await;
                api.merge(path, &labels).await
            }
            Self::Annotations => api.merge(path, &json!({"metadata": {"annotations": mark}})).await,
            Self::Fields => {
                api.merge(path, &json!({"metadata": {"labels": {"app.kubernetes.io/part-of": round}}})).await
            }
            Self::Removal => api.delete(path).await,
        };
    }

    /// Takes away what was put there and is not the operator's.
    async fn undo(self, api: &Api, path: &str) {
        let mark = json!({(MARK): null});
        let both = match self {
            Self::Labels | Self::Status => json!({"labels": mark, "annotations": mark}),
            Self::Annotations => json!({"annotations": mark}),
            Self::Fields | Self::Removal => return,
        };
        let _it_may_be_gone = api.merge(path, &json!({"metadata": both})).await;
    }
}

/// Kinds of children that are edited.
const CHILDREN: [&str; 4] = ["configmaps", "services", "ingresses", "networkpolicies"];
/// The label and annotation that are set.
const MARK: &str = "example.com/edited";
/// The longest that edits go on; they end earlier when nothing is read any more.
const LONGEST: Duration = Duration::from_mins(2);
/// So long after the last edit nothing will be read.
const QUIET: Duration = Duration::from_secs(15);
/// Refusals in a row after which no write of an object has come through.
const TRIES: usize = 3;

/// Whoever edits.
pub(in crate::faults) struct Editor {
    edit: Edit,
    /// Edits that were begun.
    made: Arc<watch::Sender<u32>>,
    /// Edits that are done.
    done: Arc<AtomicU32>,
    paths: Arc<Mutex<HashMap<String, u32>>>,
}

impl Editor {
    pub(super) fn of(stage: &Stage<'_>, edit: Edit) -> Self {
        let (made, paths) = (Arc::new(watch::Sender::new(0)), Arc::<Mutex<HashMap<String, u32>>>::default());
        let (api, namespace) = (stage.api.clone(), stage.namespace.to_owned());
        let (counting, reads) = (Arc::clone(&made), Arc::clone(&paths));
        let done = Arc::<AtomicU32>::default();
        let ended = Arc::clone(&done);
        stage.proxy.after_reads(Some(Arc::new(move |call: &Call| {
            let path = path(call, &namespace);
            let is_turn = edit.is_about(call) && *counting.borrow() < edit.rounds() && {
                let mut reads = reads.lock().unwrap_or_else(PoisonError::into_inner);
                let count = reads.entry(path.clone()).or_default();
                *count += 1;
                *count % 2 == 1
            };
            let (api, counting, ended) = (api.clone(), Arc::clone(&counting), Arc::clone(&ended));
            async move {
                if is_turn {
                    counting.send_modify(|made| *made += 1);
                    let round = *counting.borrow();
                    edit.make(&api, &path, &round.to_string()).await;
                    ended.fetch_add(1, Ordering::Relaxed);
                }
            }
            .boxed()
        })));
        Self { edit, made, done, paths }
    }

    /// Waits until all edits are made, or nothing is read any more; then undoes what would stay.
    pub(super) async fn passes(self, stage: &Stage<'_>) -> Vec<Finding> {
        let (begun, mut made) = (Instant::now(), self.made.subscribe());
        while *made.borrow() < self.edit.rounds() && begun.elapsed() < LONGEST {
            if tokio::time::timeout(QUIET, made.changed()).await.is_err() {
                break;
            }
        }
        stage.proxy.after_reads(None);
        let is_over = || *self.made.borrow() == self.done.load(Ordering::Relaxed);
        comes_true(Duration::from_secs(20), || ready(is_over())).await;
        let paths: Vec<String> = self.paths.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        for path in paths {
            self.edit.undo(stage.api, &path).await;
        }
        let edits = *self.made.borrow() as usize;
        let trace = stage.proxy.trace();
        let mut findings = starved(&trace);
        let writes =
            trace.iter().filter(|entry| entry.call.class() == Class::Write && entry.call.resource != "events");
        let writes = writes.count();
        if writes > 4 * edits + 60 {
            findings.push(unseen("O4", format!("{writes} writes on {edits} edits: a fight")));
        }
        findings
    }
}

fn path(call: &Call, namespace: &str) -> String {
    let root = if call.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", call.group) };
    format!("{root}/{}/namespaces/{namespace}/{}/{}", call.version, call.resource, call.name)
}

/// Objects of which several writes in a row did not come through.
fn starved(trace: &[Entry]) -> Vec<Finding> {
    let mut refused: HashMap<(&str, &str, &str), usize> = HashMap::new();
    let mut findings = Vec::new();
    for entry in trace.iter().filter(|entry| matches!(entry.call.verb, Verb::Apply | Verb::Delete)) {
        let Call { resource, name, subresource, .. } = &entry.call;
        let count = refused.entry((resource, name, subresource)).or_default();
        *count = if entry.status == Some(409) { *count + 1 } else { 0 };
        if *count == TRIES {
            findings.push(unseen("O7", format!("{TRIES} writes of {resource} {name} in a row were out of date")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_starved_when_no_write_of_three_comes_through() {
        let entry = |status| Entry {
            number: 1,
            call: Call {
                verb: Verb::Apply,
                group: String::new(),
                version: "v1".to_owned(),
                resource: "services".to_owned(),
                namespace: "n".to_owned(),
                name: "r".to_owned(),
                subresource: String::new(),
                manager: String::new(),
                dry_run: false,
            },
            status: Some(status),
            resource_version: None,
            struck: false,
            body: bytes::Bytes::new(),
        };
        let found = |answers: &[u16]| starved(&answers.iter().map(|status| entry(*status)).collect::<Vec<_>>()).len();
        assert_eq!((found(&[409, 409, 200, 409, 200]), found(&[409, 409, 409])), (0, 1));
    }

    #[test]
    fn the_path_of_what_was_read_is_that_of_the_object() {
        let request = http::Request::get("/apis/apps/v1/namespaces/n/deployments/r").body(());
        let parts = request.expect("a request").into_parts().0;
        let call = Call::of(&parts, &bytes::Bytes::new());
        assert_eq!(path(&call, "n"), "/apis/apps/v1/namespaces/n/deployments/r");
    }
}
