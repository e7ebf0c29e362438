//! Our own Secret: the OTX keys that the resource refers to, one file a key, as the relay reads them.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use super::annotations::{KEYS_HASH, digest};
use super::labels::{metadata, pairs};
use super::names;
use crate::validate::{Keys, Validated};

pub(super) fn build(validated: &Validated) -> Option<Secret> {
    let Keys::Managed(files) = &validated.keys else { return None };
    if files.is_empty() {
        return None;
    }
    let contents = files.iter().flat_map(|(name, content)| [name.as_bytes(), content.expose()]);
    let mut metadata = metadata(&validated.owner, names::keys(&validated.owner.name));
    metadata.annotations = Some(pairs(&[(KEYS_HASH, &digest(contents))]));
    Some(Secret {
        metadata,
        type_: Some("Opaque".to_owned()),
        data: Some(
            files.iter().map(|(name, content)| (name.clone(), ByteString(content.expose().to_vec()))).collect(),
        ),
        ..Secret::default()
    })
}
