//! Section `cache`: what is remembered of OTX's answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::credentials::KeyRef;
use crate::api::schema::{duration, redis_url};

/// What is remembered.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Cache {
    /// Whether OTX answers are remembered.
    ///
    /// Example: `false`
    pub enabled: bool,

    /// Bytes of answers held in the memory of each pod. Keep `resources.limits.memory` at three times as much.
    ///
    /// Example: `67108864`
    #[schemars(range(min = 65_536, max = 68_719_476_736_i64))]
    pub max_bytes: i64,

    /// Age of an answer about an indicator that has pulses; at most 24h.
    ///
    /// Example: `10m`
    #[schemars(schema_with = "duration::<86_400>")]
    pub general_ttl: String,

    /// Age of an answer that knew nothing; at most 24h.
    ///
    /// Example: `2m`
    #[schemars(schema_with = "duration::<86_400>")]
    pub negative_ttl: String,

    /// Age of a pulse's listing; a changed pulse is a new listing. At most 720h.
    ///
    /// Example: `12h`
    #[schemars(schema_with = "duration::<2_592_000>")]
    pub listing_ttl: String,

    /// Age up to which an answer serves while OTX cannot be asked; at most 168h.
    ///
    /// Example: `6h`
    #[schemars(schema_with = "duration::<604_800>")]
    pub max_stale: String,

    /// Valkey or Redis server that replicas share answers through. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<SharedCache>,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            enabled: true,
            max_bytes: 32 << 20,
            general_ttl: "5m".to_owned(),
            negative_ttl: "60s".to_owned(),
            listing_ttl: "24h".to_owned(),
            max_stale: "1h".to_owned(),
            shared: None,
        }
    }
}

/// A Valkey or Redis server.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SharedCache {
    /// Address of the server, with the scheme `redis`, or `rediss` for TLS. Its host needs the operator's leave.
    ///
    /// Example: `redis://valkey.soc.svc:6379`
    #[schemars(schema_with = "redis_url")]
    pub url: String,

    /// Key of a Secret in this namespace with the server's password. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret_ref: Option<KeyRef>,

    /// Longest time one access may take; at most 5s.
    ///
    /// Example: `100ms`
    #[serde(default = "default_timeout")]
    #[schemars(schema_with = "duration::<5>")]
    pub timeout: String,
}

fn default_timeout() -> String {
    "50ms".to_owned()
}
