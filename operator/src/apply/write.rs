//! The three things done to a child object: read, made as wanted, removed. Every write says which state of the object
//! it was decided on, so a decision that has become wrong is refused by the API server and made again:
//!
//! - creating is an apply at resource version 1, which no stored object has: it creates, or conflicts with whatever
//!   came into being since the read. (A POST would be as safe, but leaves the fields to a second owner, the same manager
//!   by `Update`, and then a field that is no longer wanted would stay.)
//! - changing is an apply at the uid and resource version that were read, and only of objects whose controller is ours;
//! - deleting has both as preconditions.

use kube::Client;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use serde_json::Value;

use super::agreement::agrees;
use crate::broken::{self, Defect};
use crate::client::{CallError, MANAGER, call};
use crate::metrics::Metrics;
use crate::validate::Owner;

/// How often a decision is made again when others were faster.
const TRIES: usize = 4;
/// No stored object has it.
const NO_OBJECT: &str = "1";

/// Why a child is not as wanted.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// An object of that name is there and not ours.
    #[error(
        "{kind} \"{name}\" exists and {owner}; it is left alone. Delete or rename it, or give this ThreatRelay another name"
    )]
    NotOurs {
        /// Kind of the object.
        kind: String,
        /// Its name.
        name: String,
        /// Whose it is, in words that go on after "and".
        owner: String,
    },
    /// Ours, but on its way out.
    #[error("{kind} \"{name}\" is being deleted; it is made again when it is gone{}", waits(.finalizers))]
    Ending {
        /// Kind of the object.
        kind: String,
        /// Its name.
        name: String,
        /// What its end waits for.
        finalizers: Vec<String>,
    },
    /// The API server refuses the object: quota, admission, an invalid value.
    #[error("{kind} \"{name}\" was refused by the API server: {message}")]
    Refused {
        /// Kind of the object.
        kind: String,
        /// Its name.
        name: String,
        /// Code of the answer.
        code: u16,
        /// The server's words.
        message: String,
    },
    /// The namespace is being deleted, and all in it.
    #[error("the namespace is being deleted")]
    NamespaceEnds,
    /// Others changed the object again and again.
    #[error("{kind} \"{name}\" is changed by others faster than it can be read; look who writes it (managedFields)")]
    Raced {
        /// Kind of the object.
        kind: String,
        /// Its name.
        name: String,
    },
    /// The API could not be asked.
    #[error(transparent)]
    Call(#[from] CallError),
}

fn waits(finalizers: &[String]) -> String {
    if finalizers.is_empty() { String::new() } else { format!(" (it waits for {})", finalizers.join(", ")) }
}

/// Writes the children of one owner.
#[derive(Clone)]
pub struct Children<'a> {
    /// Who owns them.
    pub owner: &'a Owner,
    client: &'a Client,
    metrics: &'a Metrics,
}

impl<'a> Children<'a> {
    /// The children of `owner`.
    #[must_use]
    pub fn new(client: &'a Client, metrics: &'a Metrics, owner: &'a Owner) -> Self {
        Self { owner, client, metrics }
    }

    /// Makes a child as `desired`, and gives the object as it then is. `known` is the live object as it was read a
    /// moment ago; it is read again only when it has changed since. `adjust` may change what is wanted in view of the
    /// live object, of which there may be none. Nothing is written when the live object agrees.
    ///
    /// # Errors
    /// [`ChildError`].
    pub async fn ensure(
        &self,
        kind: &ApiResource,
        desired: &Value,
        known: Option<Value>,
        adjust: impl Fn(&mut Value, Option<&Value>),
    ) -> Result<Value, ChildError> {
        let name = desired.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let api = self.api(kind);
        let mut live = known;
        for _ in 0..TRIES {
            let mut wanted = desired.clone();
            adjust(&mut wanted, live.as_ref());
            let verb = match &live {
                None => {
                    wanted["metadata"]["resourceVersion"] = NO_OBJECT.into();
                    "create"
                }
                Some(live) => {
                    self.is_ours(kind, name, live)?;
                    if agrees(&wanted, live, MANAGER) && !broken::is(Defect::OrderByChance) {
                        return Ok(live.clone());
                    }
                    wanted["metadata"]["uid"] = live["metadata"]["uid"].clone();
                    wanted["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
                    "apply"
                }
            };
            broken::written(&mut wanted);
            let params = PatchParams::apply(MANAGER).force();
            let patch = Patch::Apply(&wanted);
            match call(format!("{verb} {} \"{name}\"", kind.kind), api.patch(name, &params, &patch)).await {
                Ok(made) => {
                    self.metrics.wrote(&kind.kind, verb);
                    tracing::info!(kind = kind.kind, child = name, verb, "child written");
                    return Ok(to_value(&made));
                }
                Err(error) if error.is_conflict() && broken::is(Defect::ConflictIsSuccess) => return Ok(wanted),
                Err(error) if error.is_conflict() => {
                    tracing::debug!(%error, "read again");
                    live = self.read(kind, name).await?;
                }
                Err(error) => return Err(refused(kind, name, error)),
            }
        }
        Err(ChildError::Raced { kind: kind.kind.clone(), name: name.to_owned() })
    }

    /// Removes the child `known`. What is not ours stays. Tells whether there was something to remove.
    ///
    /// # Errors
    /// [`ChildError`].
    pub async fn remove(&self, kind: &ApiResource, known: Value) -> Result<bool, ChildError> {
        let name = known["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let name = name.as_str();
        let mut live = known;
        for _ in 0..TRIES {
            let is_leaving = !live["metadata"]["deletionTimestamp"].is_null();
            if is_leaving || broken::is(Defect::NotRemoved) || !is_controlled_by(&live, &self.owner.uid) {
                return Ok(false);
            }
            let said = |field: &str| live["metadata"][field].as_str().map(str::to_owned);
            let preconditions = Preconditions { uid: said("uid"), resource_version: said("resourceVersion") };
            let params = broken::deleted(DeleteParams::background().preconditions(preconditions));
            match call(format!("delete {} \"{name}\"", kind.kind), self.api(kind).delete(name, &params)).await {
                Ok(_) => {
                    self.metrics.wrote(&kind.kind, "delete");
                    tracing::info!(kind = kind.kind, child = name, verb = "delete", "child removed");
                    return Ok(true);
                }
                Err(error) if error.is_not_found() => return Ok(false),
                Err(error) if error.is_conflict() => {
                    tracing::debug!(%error, "read again");
                    match self.read(kind, name).await? {
                        Some(now) => live = now,
                        None => return Ok(false),
                    }
                }
                Err(error) => return Err(refused(kind, name, error)),
            }
        }
        Err(ChildError::Raced { kind: kind.kind.clone(), name: name.to_owned() })
    }

    /// A child as it is.
    ///
    /// # Errors
    /// [`CallError`]; an absent object is none.
    pub async fn read(&self, kind: &ApiResource, name: &str) -> Result<Option<Value>, CallError> {
        let found = call(format!("get {} \"{name}\"", kind.kind), self.api(kind).get_opt(name)).await?;
        Ok(found.as_ref().map(to_value))
    }

    fn api(&self, kind: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.owner.namespace, kind)
    }

    fn is_ours(&self, kind: &ApiResource, name: &str, live: &Value) -> Result<(), ChildError> {
        let (kind, name) = (kind.kind.clone(), name.to_owned());
        if !is_controlled_by(live, &self.owner.uid) {
            return Err(ChildError::NotOurs { kind, name, owner: whose(live) });
        }
        if live["metadata"]["deletionTimestamp"].is_null() {
            return Ok(());
        }
        let finalizers = live["metadata"]["finalizers"].as_array().into_iter().flatten();
        let finalizers = finalizers.filter_map(Value::as_str).map(str::to_owned).collect();
        Err(ChildError::Ending { kind, name, finalizers })
    }
}

/// Whether the object's controller has this uid.
#[must_use]
pub fn is_controlled_by(live: &Value, uid: &str) -> bool {
    controller(live).is_some_and(|owner| owner["uid"] == uid)
}

fn controller(live: &Value) -> Option<&Value> {
    live["metadata"]["ownerReferences"].as_array()?.iter().find(|owner| owner["controller"] == true)
}

/// Whose object it is, to go on after "exists and".
fn whose(live: &Value) -> String {
    if let Some(owner) = controller(live) {
        let said = |field: &str| owner[field].as_str().unwrap_or_default();
        return format!("belongs to {} \"{}\" (uid {})", said("kind"), said("name"), said("uid"));
    }
    match live["metadata"]["labels"]["app.kubernetes.io/managed-by"].as_str() {
        Some(manager) => format!("is managed by {manager}"),
        None => "has no owner".to_owned(),
    }
}

fn refused(kind: &ApiResource, name: &str, error: CallError) -> ChildError {
    let Some(status) = error.status() else { return error.into() };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    if causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating") {
        return ChildError::NamespaceEnds;
    }
    if error.is_unauthorized() || !matches!(status.code, 400 | 401 | 403 | 413 | 422) {
        return error.into();
    }
    ChildError::Refused {
        kind: kind.kind.clone(),
        name: name.to_owned(),
        code: status.code,
        message: status.message.clone(),
    }
}

fn to_value(object: &DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_ours_only_by_its_controllers_uid() {
        let object = |owners: Value| json!({"metadata": {"ownerReferences": owners}});
        assert!(is_controlled_by(&object(json!([{"uid": "u", "controller": true}])), "u"));
        for owners in [
            json!(null),
            json!([]),
            json!([{"uid": "u"}]),
            json!([{"uid": "u", "controller": false}]),
            json!([{"uid": "before", "controller": true}]),
        ] {
            assert!(!is_controlled_by(&object(owners.clone()), "u"), "{owners}");
        }
    }

    #[test]
    fn whose_a_foreign_object_is_is_said() {
        for (metadata, expected) in [
            (json!({}), "has no owner"),
            (json!({"labels": {"app.kubernetes.io/managed-by": "Helm"}}), "is managed by Helm"),
            (
                json!({"ownerReferences": [{"controller": true, "kind": "ThreatRelay", "name": "other", "uid": "u2"}]}),
                "belongs to ThreatRelay \"other\" (uid u2)",
            ),
        ] {
            assert_eq!(whose(&json!({"metadata": metadata})), expected);
        }
    }
}
