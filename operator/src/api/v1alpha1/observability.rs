//! Sections `monitoring`, `telemetry` and `log`: how the relay is observed.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::credentials::KeyRef;
use crate::api::schema::{duration, labels, web_url, without_null};

/// How the relay is observed.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default = "Monitoring::default")]
#[schemars(transform = without_null)]
pub struct Monitoring {
    /// A `ServiceMonitor` for the Prometheus operator. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_monitor: Option<ServiceMonitor>,
}

/// A `ServiceMonitor`.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceMonitor {
    /// Time between two readings; at most 1h.
    ///
    /// Example: `15s`
    #[schemars(schema_with = "duration::<3600>")]
    pub interval: String,

    /// Labels by which Prometheus chooses what it reads.
    ///
    /// Example: `{release: prometheus}`
    #[schemars(schema_with = "labels")]
    pub labels: BTreeMap<String, String>,
}

impl Default for ServiceMonitor {
    fn default() -> Self {
        Self { interval: "30s".to_owned(), labels: BTreeMap::new() }
    }
}

/// Traces.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Telemetry {
    /// Where traces are sent.
    pub otlp: Otlp,

    /// Share of requests that are traced, from 0 to 1.
    ///
    /// Example: `0.1`
    #[serde(default = "all")]
    #[schemars(length(min = 1, max = 8), regex(pattern = r"^(0|1|0\.[0-9]{1,6})$"))]
    pub sample_ratio: String,

    /// Whether traces tell what was asked about.
    ///
    /// Example: `true`
    #[serde(default)]
    pub record_observables: bool,

    /// Whether a request goes on with the trace that its `traceparent` names, instead of a link to it.
    ///
    /// Example: `true`
    #[serde(default)]
    pub trust_traceparent: bool,
}

fn all() -> String {
    "1".to_owned()
}

/// A collector that takes OTLP over HTTP.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Otlp {
    /// Address of the collector, without `/v1/traces`. Its host needs the operator's leave.
    ///
    /// Example: `http://collector.observability.svc:4318`
    #[schemars(schema_with = "web_url")]
    pub endpoint: String,

    /// Key of a Secret in this namespace with headers for the collector, such as its token, one `name: value` a line.
    /// Pods read it at their start. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers_secret_ref: Option<KeyRef>,
}

/// What the relay logs.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Log {
    /// Least level that is logged, also per module.
    ///
    /// Example: `info,hyper=warn`
    #[schemars(
        length(min = 3, max = 256),
        regex(
            pattern = "^([a-z0-9_:]+=)?(off|error|warn|info|debug|trace)(,([a-z0-9_:]+=)?(off|error|warn|info|debug|trace))*$"
        )
    )]
    pub level: String,

    /// How a line looks: `json` for collectors, `text` for people.
    ///
    /// Example: `text`
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::default() }
    }
}

/// How a log line looks.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "docs of variants would change the schema")]
pub enum LogFormat {
    #[default]
    Json,
    Text,
}

impl LogFormat {
    /// The word of the relay's setting.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
        }
    }
}
