//! Names of the children. All are the resource's own name, save where objects of users often have that name.

/// The `ConfigMap` with the relay's settings.
#[must_use]
pub fn settings(name: &str) -> String {
    format!("{name}-settings")
}

/// The Secret with the relay's OTX keys.
#[must_use]
pub fn keys(name: &str) -> String {
    format!("{name}-otx-keys")
}
