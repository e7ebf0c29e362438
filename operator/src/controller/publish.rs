//! What a reconcile tells the world: the status, where it says something new, and events of what has changed. A resource
//! that cannot be read is told so, too. A status that could not be written fails the reconcile, an event does not.

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use kube::api::{Api, DynamicObject, ObjectMeta, Patch, PatchParams};
use serde_json::json;

use super::backoff::spread;
use super::context::Context;
use super::{Done, Error, RESYNC_NOT_READY};
use crate::api::conditions::{RECONCILING, STALLED};
use crate::api::v1alpha1::{ThreatRelay, ThreatRelayStatus};
use crate::broken::{self, Defect};
use crate::client::{CallError, MANAGER, call};
use crate::status::{differs, unread, unreadable as status_of_unreadable};
use crate::{events, observe};

/// Writes the status where it says something new, and tells what has changed.
#[tracing::instrument(name = "status", skip_all)]
pub(super) async fn status(
    context: &Context,
    relay: &ThreatRelay,
    before: &ThreatRelayStatus,
    status: &ThreatRelayStatus,
) -> Result<(), CallError> {
    if !differs(before, status) {
        return Ok(());
    }
    let written = patch_status(context, &relay.metadata, status).await?;
    remove_what_was_merged(context, &written, status).await?;
    let reference = relay.object_ref(&());
    for event in events::transitions(&before.conditions, &status.conditions) {
        tracing::info!(reason = event.reason, note = event.note, "told");
        if let Err(error) = call("tell an event", context.recorder.publish(&event, &reference)).await {
            if error.is_unauthorized() {
                tracing::warn!(%error, "an event was not told; give the operator the right");
            } else {
                tracing::debug!(%error, "an event was not told");
            }
        }
    }
    Ok(())
}

/// What was read. Where a right to read is missing, the status says which: nothing else is known then.
pub(super) async fn forbidden_read<T>(
    context: &Context,
    relay: &ThreatRelay,
    read: Result<T, CallError>,
) -> Result<T, CallError> {
    if let Err(error) = &read
        && error.is_unauthorized()
    {
        let before = relay.status.clone().unwrap_or_default();
        let now = unread(&before, relay.metadata.generation, error, Timestamp::now());
        status(context, relay, &before, &now).await?;
    }
    read
}

/// What only an operator with a planted defect writes.
pub(super) async fn defects(context: &Context, relay: &ThreatRelay) -> Result<(), CallError> {
    if broken::is(Defect::UserSecretWritten) {
        let namespace = relay.metadata.namespace.clone().unwrap_or_default();
        let secrets: Api<Secret> = Api::namespaced(context.client.clone(), &namespace);
        let (label, params) =
            (json!({"metadata": {"labels": {"threatrelay.dev/broken": "true"}}}), PatchParams::default());
        let label = Patch::Merge(label);
        for reference in observe::references(relay) {
            let written = secrets.patch(&reference.name, &params, &label);
            let _may_be_absent = call("write the user's Secret", written).await;
        }
    }
    if broken::is(Defect::ObservedTooEarly) {
        let before = relay.status.clone().unwrap_or_default();
        let status = ThreatRelayStatus { observed_generation: relay.metadata.generation, ..before.clone() };
        if before.observed_generation != status.observed_generation {
            patch_status(context, &relay.metadata, &status).await?;
        }
    }
    Ok(())
}

/// What was merged into the status of a resource that could not be read has the operator as an owner of another kind, whom
/// no apply takes anything from: a condition of that time would stay for ever.
async fn remove_what_was_merged(
    context: &Context,
    written: &ThreatRelay,
    status: &ThreatRelayStatus,
) -> Result<(), CallError> {
    let is_told = |type_: &str| status.conditions.iter().any(|condition| condition.type_ == type_);
    let is_over =
        |condition: &Condition| [RECONCILING, STALLED].contains(&&*condition.type_) && !is_told(&condition.type_);
    let mut conditions = written.status.clone().unwrap_or_default().conditions;
    if !conditions.iter().any(is_over) {
        return Ok(());
    }
    conditions.retain(|condition| !is_over(condition));
    let api = untyped(context, written.metadata.namespace.as_deref().unwrap_or_default());
    merge(&api, &written.metadata, &conditions, status.observed_generation).await
}

/// The resources, whatever they hold.
fn untyped(context: &Context, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(context.client.clone(), namespace, &crate::kinds::of::<ThreatRelay>())
}

/// At the resource version that was read: a status is never about an object that has changed meanwhile.
async fn patch_status(
    context: &Context,
    meta: &ObjectMeta,
    status: &ThreatRelayStatus,
) -> Result<ThreatRelay, CallError> {
    let (namespace, name) = (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default());
    let patch = json!({
        "apiVersion": ThreatRelay::api_version(&()),
        "kind": ThreatRelay::kind(&()),
        "metadata": {"name": name, "uid": meta.uid, "resourceVersion": meta.resource_version},
        "status": status,
    });
    let api: Api<ThreatRelay> = Api::namespaced(context.client.clone(), &namespace);
    let params = PatchParams::apply(MANAGER).force();
    let written = call("write the status", api.patch_status(&name, &params, &Patch::Apply(&patch))).await?;
    context.metrics.wrote("ThreatRelay", "status");
    Ok(written)
}

pub(super) async fn unreadable(
    context: &Context,
    namespace: &str,
    invalid: &kube::core::error_boundary::InvalidObject,
) -> Result<Done, Error> {
    let meta = &invalid.metadata;
    let api = untyped(context, namespace);
    let found = call("get the ThreatRelay", api.get_opt(meta.name.as_deref().unwrap_or_default())).await?;
    let before = found.map(|found| found.data["status"].clone()).unwrap_or_default();
    let before: ThreatRelayStatus = serde_json::from_value(before).unwrap_or_default();
    let status = status_of_unreadable(&before.conditions, meta.generation, &invalid.error, Timestamp::now());
    if before.conditions != status.conditions {
        match patch_status(context, meta, &status).await {
            // An apply wants what is stored to be of the definition's types.
            Err(error) if error.status().is_some_and(|refused| [422, 500].contains(&refused.code)) => {
                merge(&api, meta, &status.conditions, status.observed_generation).await?;
            }
            written => drop(written?),
        }
    }
    Ok(Done::Terminal(spread(RESYNC_NOT_READY)))
}

/// Writes the conditions past the types of what is stored.
async fn merge(
    api: &Api<DynamicObject>,
    meta: &ObjectMeta,
    conditions: &[Condition],
    generation: Option<i64>,
) -> Result<(), CallError> {
    let patch = json!({
        "metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version},
        "status": {"conditions": conditions, "observedGeneration": generation},
    });
    let (name, params) = (meta.name.as_deref().unwrap_or_default(), PatchParams::default());
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..params };
    call("write the status", api.patch_status(name, &params, &Patch::Merge(&patch))).await?;
    Ok(())
}
