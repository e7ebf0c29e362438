//! How many pods to apply. A field that is no longer applied is removed, and a Deployment without `replicas` has one
//! pod: so on the way from a fixed number to autoscaling the live number goes on being applied until the autoscaler has
//! taken the field over. Applying it names the version it was read from, so that it never undoes a later scaling.

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;

use crate::api::ThreatRelaySpec;
use crate::build::FIELD_MANAGER;

/// Number of pods of a resource that says nothing.
pub const DEFAULT: i32 = 2;

/// What to apply as the number of pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replicas {
    /// This.
    Fixed(i32),
    /// The live number, if the Deployment still has this version.
    Kept {
        /// The number.
        count: i32,
        /// `resourceVersion` that it was read from.
        version: String,
    },
    /// Nothing: the field is the autoscaler's.
    Released,
}

pub(super) fn decide(spec: &ThreatRelaySpec, live: Option<&Deployment>) -> Replicas {
    let Some(autoscaling) = &spec.autoscaling else {
        return Replicas::Fixed(spec.replicas.unwrap_or(DEFAULT));
    };
    let count = live.and_then(|live| live.spec.as_ref()?.replicas);
    match (live, count) {
        // An autoscaler leaves a Deployment without pods alone.
        (_, None | Some(0)) | (None, _) => Replicas::Fixed(autoscaling.min_replicas),
        (Some(live), Some(count)) if holders(live) == (true, false) => {
            Replicas::Kept { count, version: live.resource_version().unwrap_or_default() }
        }
        _ => Replicas::Released,
    }
}

/// Whether we, and whether others, hold the number of pods.
fn holders(live: &Deployment) -> (bool, bool) {
    let (mut ours, mut others) = (false, false);
    for entry in live.managed_fields() {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        if fields.and_then(|fields| fields.pointer("/f:spec/f:replicas")).is_some() {
            let is_ours = entry.manager.as_deref() == Some(FIELD_MANAGER)
                && entry.operation.as_deref() == Some("Apply")
                && entry.subresource.is_none();
            ours |= is_ours;
            others |= !is_ours;
        }
    }
    (ours, others)
}
