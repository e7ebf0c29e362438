//! Section `credentials`: OTX keys that the relay holds itself, by reference to Secrets of the user's.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::schema::{data_key, object_name, without_null};

/// OTX keys that the relay holds.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default = "Credentials::default")]
#[schemars(transform = without_null)]
#[x_kube(validation = (
    "has(self.default) || self.named.size() > 0",
    "credentials must hold a default key or a named key; remove the section when keys are in the tokens"
))]
pub struct Credentials {
    /// How keys reach the pods. `managed`: the operator reads the referenced keys and puts them into a Secret of its
    /// own, which pods mount. `direct`: pods mount the referenced Secrets, and the operator reads no Secret.
    ///
    /// Example: `direct`
    pub mode: CredentialsMode,

    /// Key of callers whose token names none. Default: none, such callers are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<DefaultKey>,

    /// Keys that a token chooses by its claim `key_ref`.
    ///
    /// Example: `[{name: team-a, secretRef: {name: otx-team-a}}]`
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".to_owned()]))]
    pub named: Vec<NamedKey>,
}

/// How keys reach the pods.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "docs of variants would change the schema")]
pub enum CredentialsMode {
    #[default]
    Managed,
    Direct,
}

/// The key of callers whose token names none.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DefaultKey {
    /// Where the key is.
    pub secret_ref: KeyRef,
}

/// A key that a token chooses.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct NamedKey {
    /// Value of the token's claim `key_ref`. Not `default`.
    ///
    /// Example: `team-a`
    #[schemars(schema_with = "data_key")]
    #[x_kube(validation = ("self != 'default'", "the default key belongs into credentials.default"))]
    pub name: String,

    /// Where the key is.
    pub secret_ref: KeyRef,
}

/// One key of a Secret in the namespace of the resource.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct KeyRef {
    /// Name of the Secret.
    ///
    /// Example: `otx`
    #[schemars(schema_with = "object_name")]
    pub name: String,

    /// Key in the Secret.
    ///
    /// Example: `token`
    #[serde(default = "default_key")]
    #[schemars(schema_with = "data_key")]
    pub key: String,
}

fn default_key() -> String {
    "api-key".to_owned()
}
