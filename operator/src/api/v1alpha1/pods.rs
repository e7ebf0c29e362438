//! Sections `image`, `resources`, `scheduling` and `podSecurity`: what a pod is. There is no pod template: nothing here
//! lets the author of a resource do what only the author of a pod may.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::schema::{cpu, labels, memory, object_name, without_null};

/// Another image than the operator's own. What is left out is taken from that.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default = "Image::default")]
#[schemars(transform = without_null)]
pub struct Image {
    /// Registry and path. Others than the operator's own need the operator's leave.
    ///
    /// Default: the operator's. Example: `registry.example/security/threatrelay`
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 255),
        regex(pattern = r"^[a-z0-9]+([._-][a-z0-9]+)*(:[0-9]{1,5})?(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$")
    )]
    pub repository: Option<String>,

    /// Tag.
    ///
    /// Default: the operator's. Example: `0.1.0`
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9._-]*$"))]
    pub tag: Option<String>,

    /// Digest; it counts, not the tag, when both are given.
    ///
    /// Default: none when there is a tag, else the operator's.
    /// Example: `sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855`
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 71, max = 71), regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub digest: Option<String>,

    /// When a node asks the registry.
    ///
    /// Default: the operator's. Example: `Always`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicy>,
}

/// When a node asks the registry.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "docs of variants would change the schema")]
pub enum PullPolicy {
    Always,
    #[default]
    IfNotPresent,
    Never,
}

impl PullPolicy {
    /// The word of the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// Processor time and memory of a pod.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default = "Resources::default")]
#[schemars(transform = without_null)]
#[x_kube(validation = (
    "!has(self.limits.cpu) || quantity(self.requests.cpu).compareTo(quantity(self.limits.cpu)) <= 0",
    "requests.cpu must not be greater than limits.cpu"
))]
#[x_kube(validation = (
    "quantity(self.requests.memory).compareTo(quantity(self.limits.memory)) <= 0",
    "requests.memory must not be greater than limits.memory"
))]
pub struct Resources {
    /// What a node must have free.
    pub requests: Requests,

    /// What a pod may not exceed.
    pub limits: Limits,
}

/// What a node must have free.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Requests {
    /// Processor time, in cores or thousandths.
    ///
    /// Example: `250m`
    #[schemars(schema_with = "cpu")]
    pub cpu: String,

    /// Memory.
    ///
    /// Example: `96Mi`
    #[schemars(schema_with = "memory")]
    pub memory: String,
}

impl Default for Requests {
    fn default() -> Self {
        Self { cpu: "50m".to_owned(), memory: "64Mi".to_owned() }
    }
}

/// What a pod may not exceed.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Processor time, in cores or thousandths. A limit makes answers late before the node is busy.
    ///
    /// Default: none. Example: `2`
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "cpu")]
    pub cpu: Option<String>,

    /// Memory.
    ///
    /// Example: `256Mi`
    #[schemars(schema_with = "memory")]
    pub memory: String,
}

impl Default for Limits {
    fn default() -> Self {
        Self { cpu: None, memory: "128Mi".to_owned() }
    }
}

/// Where pods run.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default = "Scheduling::default")]
#[schemars(transform = without_null)]
pub struct Scheduling {
    /// Labels that a node must have.
    ///
    /// Example: `{kubernetes.io/arch: amd64}`
    #[schemars(schema_with = "labels")]
    pub node_selector: BTreeMap<String, String>,

    /// Taints that pods tolerate.
    ///
    /// Example: `[{key: dedicated, operator: Equal, value: security, effect: NoSchedule}]`
    #[schemars(length(max = 16))]
    pub tolerations: Vec<Toleration>,

    /// Name of the `PriorityClass`; not one of the system's.
    ///
    /// Default: the cluster's default class. Example: `business-critical`
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "object_name")]
    #[x_kube(validation = ("!self.startsWith('system-')", "priorityClassName must not be one of the system's"))]
    pub priority_class_name: Option<String>,
}

/// A taint that is tolerated.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default = "Toleration::default")]
#[schemars(transform = without_null)]
#[x_kube(validation = (
    "self.operator != 'Exists' || !has(self.value)",
    "value is not allowed with the operator Exists"
))]
#[x_kube(validation = ("has(self.key) || self.operator == 'Exists'", "without a key the operator must be Exists"))]
#[x_kube(validation = (
    "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
    "tolerationSeconds needs the effect NoExecute"
))]
pub struct Toleration {
    /// Key of the taint.
    ///
    /// Default: any. Example: `dedicated`
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 317),
        regex(pattern = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")
    )]
    pub key: Option<String>,

    /// Whether the taint must have the value or only the key.
    ///
    /// Example: `Exists`
    pub operator: TolerationOperator,

    /// Value of the taint.
    ///
    /// Default: none. Example: `security`
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"))]
    pub value: Option<String>,

    /// Effect of the taint.
    ///
    /// Default: any. Example: `NoSchedule`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,

    /// Time that a pod stays on a node that gets the taint.
    ///
    /// Default: for ever. Example: `60`
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400))]
    pub toleration_seconds: Option<i64>,
}

/// Whether a taint must have a value or only a key.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "docs of variants would change the schema")]
pub enum TolerationOperator {
    #[default]
    Equal,
    Exists,
}

impl TolerationOperator {
    /// The word of the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Equal => "Equal",
            Self::Exists => "Exists",
        }
    }
}

/// Effect of a taint.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "docs of variants would change the schema")]
pub enum Effect {
    NoExecute,
    NoSchedule,
    PreferNoSchedule,
}

impl Effect {
    /// The word of the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NoExecute => "NoExecute",
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
        }
    }
}

/// User and group of a pod.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSecurity {
    /// User that the relay runs as; never root.
    ///
    /// Example: `10001`
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub run_as_user: i64,

    /// Group that owns mounted files; never root.
    ///
    /// Example: `10001`
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub fs_group: i64,
}

impl Default for PodSecurity {
    fn default() -> Self {
        Self { run_as_user: 65_532, fs_group: 65_532 }
    }
}
