//! Section `auth`: who may ask the relay.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::credentials::KeyRef;
use crate::api::schema::{duration_or_zero, without_null};

/// Who may ask.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", default = "Auth::default")]
#[schemars(transform = without_null)]
#[x_kube(validation = (
    "(self.mode == 'hs256') == has(self.hs256SecretRef)",
    "hs256SecretRef is required in hs256 mode and not allowed in jwks mode"
))]
#[x_kube(validation = ("self.mode == 'jwks' || !has(self.jwks)", "jwks is not allowed in hs256 mode"))]
pub struct Auth {
    /// How tokens are verified: `jwks` for RS256 configuration tokens, `hs256` for a shared secret.
    ///
    /// Example: `hs256`
    pub mode: AuthMode,

    /// Accepted `aud` claims, compared exactly; required in `jwks` mode. XDR sends the origin of the relay's URL.
    ///
    /// Example: `[https://otx.soc.example]`
    #[schemars(length(max = 16), inner(length(min = 1, max = 512), regex(pattern = r"^[!-~]+$")))]
    pub audiences: Vec<String>,

    /// Accepted `jwks_host` claims, as `host` or `host:port`, compared exactly; keys are fetched from no other host.
    ///
    /// Example: `[visibility.eu.amp.cisco.com]`
    #[schemars(
        length(min = 1, max = 16),
        inner(
            length(min = 1, max = 260),
            regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*(:[1-9][0-9]{0,4})?$")
        )
    )]
    pub jwks_hosts: Vec<String>,

    /// JWKS document with the verification keys, instead of a fetch. It holds public keys only. Running pods take a
    /// change without a restart.
    ///
    /// Default: none. Example: `{"keys":[]}`
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 11, max = 32768), regex(pattern = r"^\s*\{[\s\S]*\}\s*$"))]
    pub jwks: Option<String>,

    /// Whether a token without `exp` is refused.
    ///
    /// Example: `true`
    pub require_exp: bool,

    /// Clock difference allowed for `exp`, `nbf` and `iat`; at most 10m.
    ///
    /// Example: `30s`
    #[schemars(schema_with = "duration_or_zero::<600>")]
    pub leeway: String,

    /// Key of a Secret in this namespace with the shared secret of `hs256` mode. Running pods take a change without a
    /// restart. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hs256_secret_ref: Option<KeyRef>,
}

impl Default for Auth {
    fn default() -> Self {
        let region = |name: &str| format!("visibility.{name}amp.cisco.com");
        Self {
            mode: AuthMode::default(),
            audiences: Vec::new(),
            jwks_hosts: vec![region(""), region("eu."), region("apjc.")],
            jwks: None,
            require_exp: false,
            leeway: "60s".to_owned(),
            hs256_secret_ref: None,
        }
    }
}

/// How tokens are verified.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "docs of variants would change the schema")]
pub enum AuthMode {
    #[default]
    Jwks,
    Hs256,
}
