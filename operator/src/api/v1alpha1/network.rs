//! Section `networkPolicy`: what a pod may exchange with the network.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::schema::labels;

/// What a pod may exchange with the network.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicy {
    /// Whether there is a `NetworkPolicy`: in, to the relay and from its own namespace, monitoring and the operator to
    /// probes and metrics; out, to DNS, to port 443 of public addresses and to what the other sections name.
    ///
    /// Example: `false`
    pub enabled: bool,

    /// Labels of the namespaces whose pods may ask the relay, such as that of the Ingress controller.
    ///
    /// Default: none, anyone may ask. Example: `{kubernetes.io/metadata.name: traefik}`
    #[schemars(schema_with = "labels")]
    pub caller_namespaces: BTreeMap<String, String>,

    /// Labels of the namespaces whose pods may read metrics, beside the relay's own and the operator's.
    ///
    /// Default: none. Example: `{kubernetes.io/metadata.name: monitoring}`
    #[schemars(schema_with = "labels")]
    pub monitoring_namespaces: BTreeMap<String, String>,

    /// Address blocks that pods may reach on every TCP port, beside what the other sections need.
    ///
    /// Default: none. Example: `[192.0.2.0/24]`
    #[schemars(length(max = 32), inner(length(min = 4, max = 49), regex(pattern = r"^[0-9a-f:.]+/[0-9]{1,3}$")))]
    pub egress_cidrs: Vec<String>,
}

impl Default for NetworkPolicy {
    fn default() -> Self {
        Self {
            enabled: true,
            caller_namespaces: BTreeMap::new(),
            monitoring_namespaces: BTreeMap::new(),
            egress_cidrs: Vec::new(),
        }
    }
}
