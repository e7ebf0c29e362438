//! The files of a pod, all below [`MOUNT`] and read-only: each volume and where it is mounted. Secrets are mounted, never put
//! into the environment: a mounted one follows its source.

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, KeyToPath, ProjectedVolumeSource, SecretProjection, SecretVolumeSource, Volume,
    VolumeMount, VolumeProjection,
};

use super::{MOUNT, names};
use crate::api::v1alpha1::KeyRef;
use crate::validate::{Keys, Validated, references};

/// Files that the relay's group may read.
const SECRET_MODE: i32 = 0o440;
/// Files without secrets.
const PLAIN_MODE: i32 = 0o444;

/// Every volume with its place.
pub(super) fn build(validated: &Validated) -> (Vec<Volume>, Vec<VolumeMount>) {
    let (owner, spec) = (&validated.owner, &validated.spec);
    let mut volumes = vec![Volume {
        config_map: Some(ConfigMapVolumeSource {
            name: names::settings(&owner.name),
            default_mode: Some(PLAIN_MODE),
            ..ConfigMapVolumeSource::default()
        }),
        ..named("config")
    }];
    match &validated.keys {
        Keys::InTokens => {}
        Keys::Managed(_) => volumes.push(Volume {
            secret: Some(SecretVolumeSource {
                secret_name: Some(names::keys(&owner.name)),
                default_mode: Some(SECRET_MODE),
                ..SecretVolumeSource::default()
            }),
            ..named("keys")
        }),
        Keys::Direct => volumes.push(Volume {
            projected: Some(ProjectedVolumeSource {
                default_mode: Some(SECRET_MODE),
                sources: Some(references(spec).into_iter().map(|(file, key, _)| projection(key, file)).collect()),
            }),
            ..named("keys")
        }),
    }
    if let Some(bundle) = &spec.upstream.ca_bundle {
        volumes.push(Volume {
            config_map: Some(ConfigMapVolumeSource {
                name: bundle.config_map_ref.name.clone(),
                default_mode: Some(PLAIN_MODE),
                items: Some(vec![item(&bundle.config_map_ref.key, "ca.crt")]),
                ..ConfigMapVolumeSource::default()
            }),
            ..named("ca")
        });
    }
    if let Some(reference) = &spec.auth.hs256_secret_ref {
        volumes.push(one_file("hs256", reference, "secret"));
    }
    if let Some(reference) = spec.cache.shared.as_ref().and_then(|shared| shared.password_secret_ref.as_ref()) {
        volumes.push(one_file("shared-cache", reference, "password"));
    }
    if let Some(reference) = spec.telemetry.as_ref().and_then(|telemetry| telemetry.otlp.headers_secret_ref.as_ref())
    {
        volumes.push(one_file("otlp", reference, "headers"));
    }
    let mounts = volumes.iter().map(|volume| mount(&volume.name)).collect();
    (volumes, mounts)
}

fn one_file(name: &str, reference: &KeyRef, file: &str) -> Volume {
    Volume {
        secret: Some(SecretVolumeSource {
            secret_name: Some(reference.name.clone()),
            default_mode: Some(SECRET_MODE),
            items: Some(vec![item(&reference.key, file)]),
            ..SecretVolumeSource::default()
        }),
        ..named(name)
    }
}

fn projection(reference: &KeyRef, file: &str) -> VolumeProjection {
    VolumeProjection {
        secret: Some(SecretProjection {
            name: reference.name.clone(),
            items: Some(vec![item(&reference.key, file)]),
            ..SecretProjection::default()
        }),
        ..VolumeProjection::default()
    }
}

fn named(name: &str) -> Volume {
    Volume { name: name.to_owned(), ..Volume::default() }
}

fn mount(name: &str) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: format!("{MOUNT}/{name}"),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}

fn item(key: &str, path: &str) -> KeyToPath {
    KeyToPath { key: key.to_owned(), path: path.to_owned(), mode: None }
}
