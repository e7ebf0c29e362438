//! Section `upstream`: how OTX is asked.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::schema::{data_key, duration, object_name, web_url, without_null};

/// How OTX is asked.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", default = "Upstream::default")]
#[schemars(transform = without_null)]
#[x_kube(validation = (
    "duration(self.connectTimeout) <= duration(self.callTimeout)",
    "connectTimeout must not be longer than callTimeout"
))]
#[x_kube(validation = (
    "duration(self.callTimeout) <= duration(self.deadline)",
    "callTimeout must not be longer than deadline"
))]
pub struct Upstream {
    /// Origin of the OTX API, with an optional path prefix. Hosts other than OTX's need the operator's leave.
    ///
    /// Example: `https://otx.example/api`
    #[schemars(schema_with = "web_url")]
    pub base_url: String,

    /// Origin of the links for people.
    ///
    /// Default: `baseUrl`. Example: `https://otx.alienvault.com`
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "web_url")]
    pub web_url: Option<String>,

    /// Time to a TCP and TLS connection; at most 1m.
    ///
    /// Example: `1s`
    #[schemars(schema_with = "duration::<60>")]
    pub connect_timeout: String,

    /// Time for one call to OTX, body included; at most 5m.
    ///
    /// Example: `15s`
    #[schemars(schema_with = "duration::<300>")]
    pub call_timeout: String,

    /// Time for all calls of one relay request; at most 5m.
    ///
    /// Example: `30s`
    #[schemars(schema_with = "duration::<300>")]
    pub deadline: String,

    /// Calls to OTX per key and hour, for each pod.
    ///
    /// Example: `5000`
    #[schemars(range(min = 1, max = 10_000_000))]
    pub hourly_budget: i32,

    /// HTTP proxy on the way to OTX. Its host needs the operator's leave.
    ///
    /// Default: none. Example: `http://proxy.example:3128`
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "web_url")]
    pub proxy: Option<String>,

    /// Certificates trusted for OTX and JWKS hosts beside the built-in roots. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<CaBundle>,
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            base_url: "https://otx.alienvault.com".to_owned(),
            web_url: None,
            connect_timeout: "2s".to_owned(),
            call_timeout: "10s".to_owned(),
            deadline: "25s".to_owned(),
            hourly_budget: 10_000,
            proxy: None,
            ca_bundle: None,
        }
    }
}

/// PEM certificates in a `ConfigMap` of the namespace. A change rolls the pods.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CaBundle {
    /// Where the certificates are.
    pub config_map_ref: ConfigMapRef,
}

/// One key of a `ConfigMap` in the namespace of the resource.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapRef {
    /// Name of the `ConfigMap`.
    ///
    /// Example: `company-ca`
    #[schemars(schema_with = "object_name")]
    pub name: String,

    /// Key in the `ConfigMap`.
    ///
    /// Example: `bundle.pem`
    #[serde(default = "default_key")]
    #[schemars(schema_with = "data_key")]
    pub key: String,
}

fn default_key() -> String {
    "ca.crt".to_owned()
}
