//! The status: what the operator last saw of a relay. A resource that no operator has looked at yet says so by default.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::api::schema::without_null;

/// What the operator last saw.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default = "ThreatRelayStatus::default")]
#[schemars(transform = without_null)]
#[schemars(transform = waiting)]
pub struct ThreatRelayStatus {
    /// What is true of the relay, one entry a type: Ready, Available, `CredentialsResolved`, `RouteAccepted`,
    /// `UpstreamReachable`, and while it is so, Reconciling or Stalled.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,

    /// Generation of the resource that the status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Where the relay is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub url: Option<String>,

    /// Number of pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,

    /// Number of pods that are ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,

    /// Pods that are ready, of those wanted, as `2/2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub readiness: Option<String>,

    /// Label selector of the pods, for the scale subresource.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub selector: Option<String>,

    /// Version of the relay that serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub version: Option<String>,

    /// Number of OTX keys that the relay holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<i32>,

    /// When OTX was last looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "instant")]
    pub last_check: Option<Time>,
}

/// The status of a resource that no operator has looked at.
fn waiting(schema: &mut Schema) {
    // The schemas of single fields pass through here too and are no status.
    if schema.pointer("/properties/lastCheck").is_some() && schema.pointer("/properties/conditions").is_some() {
        schema.insert(
            "default".to_owned(),
            json!({"conditions": [{
                "type": super::super::conditions::READY,
                "status": "Unknown",
                "reason": "Pending",
                "message": "Waiting for controller",
                "lastTransitionTime": "1970-01-01T00:00:00Z",
            }]}),
        );
    }
}

fn instant(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time", "maxLength": 64})
}

fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 16,
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": {
                    "type": "string", "maxLength": 64, "pattern": "^[A-Z][A-Za-z]*$",
                    "description": "What it is about.",
                },
                "status": {
                    "type": "string", "enum": ["True", "False", "Unknown"],
                    "description": "Whether it is so.",
                },
                "reason": {
                    "type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[A-Z][A-Za-z]*$",
                    "description": "Why, in one word for programs.",
                },
                "message": {
                    "type": "string", "maxLength": 32768,
                    "description": "Why, and what is to be done, in a sentence for people.",
                },
                "lastTransitionTime": {
                    "type": "string", "format": "date-time", "maxLength": 64,
                    "description": "When the status last changed.",
                },
                "observedGeneration": {
                    "type": "integer", "format": "int64", "minimum": 0,
                    "description": "Generation of the resource that it is about.",
                },
            },
        },
    })
}
