//! Sections `ingress` and `gateway`: how the relay is reached from outside.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::schema::{host, label, object_name, without_null};

/// An Ingress.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = without_null)]
pub struct Ingress {
    /// DNS name of the relay.
    ///
    /// Example: `otx.soc.example`
    #[schemars(schema_with = "host")]
    pub host: String,

    /// Name of the `IngressClass`.
    ///
    /// Default: the cluster's default class. Example: `traefik`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "object_name")]
    pub class_name: Option<String>,

    /// Annotations of the Ingress, for its controller and cert-manager. Those that put text into a controller's
    /// configuration (`*snippet*`, `*/config-*`) are refused.
    ///
    /// Example: `{cert-manager.io/cluster-issuer: letsencrypt}`
    #[serde(default)]
    #[schemars(schema_with = "annotations")]
    #[x_kube(validation = (
        "self.all(key, !key.lowerAscii().contains('snippet') && !key.lowerAscii().contains('/config-'))",
        "annotations must not hold *snippet* or */config-*: they would put text into the controller's configuration"
    ))]
    pub annotations: BTreeMap<String, String>,

    /// Encryption between callers and the Ingress.
    #[serde(default)]
    pub tls: Tls,
}

fn annotations(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object", "maxProperties": 32, "additionalProperties": {"type": "string", "maxLength": 1024},
        "x-kubernetes-validations": [{
            "rule": r"self.all(key, key.size() <= 317 && key.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",
            "message": "keys must be annotation keys: an optional DNS name and '/', then at most 63 letters, digits, '-', '_' or '.'",
        }],
    })
}

/// Encryption of an Ingress.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default = "Tls::default")]
#[schemars(transform = without_null)]
#[x_kube(validation = ("self.enabled || !has(self.secretName)", "secretName is not allowed when enabled is false"))]
pub struct Tls {
    /// Whether the Ingress speaks TLS. XDR calls no relay without it; false is for a TLS end in front of the Ingress.
    ///
    /// Example: `false`
    pub enabled: bool,

    /// Name of the Secret with certificate and key.
    ///
    /// Default: the controller's own certificate. Example: `otx-tls`
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "object_name")]
    pub secret_name: Option<String>,
}

impl Default for Tls {
    fn default() -> Self {
        Self { enabled: true, secret_name: None }
    }
}

/// An `HTTPRoute`.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Gateway {
    /// Gateways that the route is for.
    ///
    /// Example: `[{name: public, namespace: gateways}]`
    #[schemars(length(min = 1, max = 8))]
    pub parent_refs: Vec<ParentRef>,

    /// DNS names of the relay; the first is the one in the status.
    ///
    /// Example: `[otx.soc.example]`
    #[schemars(
        length(min = 1, max = 16),
        inner(
            length(min = 1, max = 253),
            regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
        )
    )]
    pub hostnames: Vec<String>,
}

/// A Gateway that a route is for.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// Name of the Gateway.
    ///
    /// Example: `public`
    #[schemars(schema_with = "object_name")]
    pub name: String,

    /// Namespace of the Gateway.
    ///
    /// Default: that of the resource. Example: `gateways`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "label")]
    pub namespace: Option<String>,

    /// Name of the Gateway's listener.
    ///
    /// Default: all that fit. Example: `https`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "object_name")]
    pub section_name: Option<String>,
}
