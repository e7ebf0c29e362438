//! The account of the pods. It has no rights, and no token of it is mounted.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::labels::metadata;
use crate::validate::Validated;

pub(super) fn build(validated: &Validated) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(&validated.owner, validated.owner.name.clone()),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
