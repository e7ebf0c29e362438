//! Sections `autoscaling` and `podDisruptionBudget`: how many pods there are.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Number of pods by load.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("self.minReplicas <= self.maxReplicas", "minReplicas must not be greater than maxReplicas"))]
pub struct Autoscaling {
    /// Fewest pods.
    ///
    /// Example: `3`
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 100))]
    pub min_replicas: i32,

    /// Most pods.
    ///
    /// Example: `6`
    #[schemars(range(min = 1, max = 100))]
    pub max_replicas: i32,

    /// Processor time, in percent of the request, that is aimed at.
    ///
    /// Example: `70`
    #[serde(default = "eighty")]
    #[schemars(range(min = 1, max = 1000))]
    pub target_cpu_percent: i32,
}

fn two() -> i32 {
    2
}

fn eighty() -> i32 {
    80
}

/// How many pods a drain of nodes may take at once.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct PodDisruptionBudget {
    /// Whether a drain takes one pod at a time. There is no budget for a relay of one pod.
    ///
    /// Example: `false`
    pub enabled: bool,
}

impl Default for PodDisruptionBudget {
    fn default() -> Self {
        Self { enabled: true }
    }
}
