//! Labels and metadata of the children.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use kube::Resource;

use crate::api::ThreatRelay;
use crate::validate::Owner;

const APP: &str = "threatrelay";

/// Labels of every child.
#[must_use]
pub fn labels(name: &str) -> BTreeMap<String, String> {
    let mut labels = selector(name);
    labels.extend(pairs(&[
        ("app.kubernetes.io/component", "relay"),
        ("app.kubernetes.io/part-of", APP),
        ("app.kubernetes.io/managed-by", crate::client::MANAGER),
    ]));
    labels
}

/// Labels by which the pods of a relay are found. They never change.
#[must_use]
pub fn selector(name: &str) -> BTreeMap<String, String> {
    pairs(&[("app.kubernetes.io/name", APP), ("app.kubernetes.io/instance", name)])
}

pub(super) fn pods_of(name: &str) -> LabelSelector {
    LabelSelector { match_labels: Some(selector(name)), ..LabelSelector::default() }
}

/// Metadata of a child with this name.
pub(super) fn metadata(owner: &Owner, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(owner.namespace.clone()),
        labels: Some(labels(&owner.name)),
        owner_references: Some(vec![OwnerReference {
            api_version: ThreatRelay::api_version(&()).into_owned(),
            kind: ThreatRelay::kind(&()).into_owned(),
            name: owner.name.clone(),
            uid: owner.uid.clone(),
            controller: Some(true),
            block_owner_deletion: None,
        }]),
        ..ObjectMeta::default()
    }
}

pub(super) fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
