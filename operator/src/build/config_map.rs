//! The `ConfigMap` with the relay's configuration file and, where it is given inline, the JWKS document.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::labels::metadata;
use super::{names, settings};
use crate::validate::Validated;

/// Key of the configuration file.
pub(super) const SETTINGS_KEY: &str = "config.yaml";

pub(super) fn build(validated: &Validated) -> ConfigMap {
    let mut data = BTreeMap::from([(SETTINGS_KEY.to_owned(), settings::text(validated))]);
    if let Some(jwks) = &validated.spec.auth.jwks {
        data.insert("jwks.json".to_owned(), jwks.clone());
    }
    ConfigMap {
        metadata: metadata(&validated.owner, names::settings(&validated.owner.name)),
        data: Some(data),
        ..ConfigMap::default()
    }
}
