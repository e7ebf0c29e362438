//! Defects planted on purpose, to prove that the fault suites would notice them. Without the feature `broken-variants`,
//! as shipped, [`is`] is a constant false and nothing of this is compiled in; with it an operator has at most one defect,
//! the one that was planted on the thread on which all of it runs.

use kube::api::DeleteParams;
use serde_json::Value;

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// Children have no owner.
    NoOwner,
    /// The relay is called ready before its pods are.
    ReadyBeforePods,
    /// Children are deleted by name, whoever has it by then.
    DeletedByName,
    /// Children are written by name, whatever they are by then.
    WrittenByName,
    /// The number of pods is written although an autoscaler decides it.
    ReplicasOfAutoscaler,
    /// A create that conflicts is taken for done.
    ConflictIsSuccess,
    /// A reconcile that failed is not tried again.
    NotTriedAgain,
    /// What is switched off stays.
    NotRemoved,
    /// Something in an object is in another order each time.
    OrderByChance,
    /// Secrets of users are written.
    UserSecretWritten,
    /// A finalizer is written that nobody takes away.
    FinalizerWritten,
    /// The status names a generation before it is about it.
    ObservedTooEarly,
    /// The status is about the Deployment as it was before it was changed.
    StatusOfBefore,
    /// What is made for a resource is made, too, while it is being deleted.
    MadeWhileDeleted,
}

impl Defect {
    /// Every defect.
    pub const ALL: [Self; 14] = [
        Self::NoOwner,
        Self::ReadyBeforePods,
        Self::DeletedByName,
        Self::WrittenByName,
        Self::ReplicasOfAutoscaler,
        Self::ConflictIsSuccess,
        Self::NotTriedAgain,
        Self::NotRemoved,
        Self::OrderByChance,
        Self::UserSecretWritten,
        Self::FinalizerWritten,
        Self::ObservedTooEarly,
        Self::StatusOfBefore,
        Self::MadeWhileDeleted,
    ];
}

/// Whether this operator has that defect.
#[cfg(not(feature = "broken-variants"))]
#[must_use]
pub const fn is(_: Defect) -> bool {
    false
}

#[cfg(feature = "broken-variants")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Defect>> = const { std::cell::Cell::new(None) };
}

/// Whether this operator has that defect.
#[cfg(feature = "broken-variants")]
#[must_use]
pub fn is(defect: Defect) -> bool {
    PLANTED.get() == Some(defect)
}

/// From now on what runs on this thread has this defect.
#[cfg(feature = "broken-variants")]
pub fn plant(defect: Option<Defect>) {
    PLANTED.set(defect);
}

/// A child as it is about to be written.
pub(crate) fn written(wanted: &mut Value) {
    let Some(metadata) = wanted["metadata"].as_object_mut() else { return };
    if is(Defect::NoOwner) {
        metadata.remove("ownerReferences");
    }
    if is(Defect::WrittenByName) {
        metadata.remove("uid");
        metadata.remove("resourceVersion");
    }
    if is(Defect::FinalizerWritten) {
        metadata.insert("finalizers".to_owned(), serde_json::json!(["threatrelay.dev/broken"]));
    }
    if is(Defect::OrderByChance) {
        use std::hash::{BuildHasher, RandomState};
        let order = RandomState::new().hash_one(()).to_string();
        metadata.insert("annotations".to_owned(), serde_json::json!({"threatrelay.dev/order": order}));
    }
}

/// How a child is deleted.
pub(crate) fn deleted(params: DeleteParams) -> DeleteParams {
    if is(Defect::DeletedByName) { DeleteParams { preconditions: None, ..params } } else { params }
}
