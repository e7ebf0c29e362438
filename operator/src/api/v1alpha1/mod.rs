//! Version `v1alpha1`: the resource itself, one file a section. Every field has its default, its bounds and an example
//! in the schema, so that `kubectl explain` says all there is to know; what fields say about each other are rules that
//! the API server checks. Names of relay settings are the relay's own.

mod auth;
mod cache;
mod credentials;
mod network;
mod observability;
mod pods;
mod route;
mod scale;
mod status;
mod upstream;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema::{with_facts_in_words, without_null};
pub use auth::{Auth, AuthMode};
pub use cache::{Cache, SharedCache};
pub use credentials::{Credentials, CredentialsMode, DefaultKey, KeyRef, NamedKey};
pub use network::NetworkPolicy;
pub use observability::{Log, LogFormat, Monitoring, Otlp, ServiceMonitor, Telemetry};
pub use pods::{
    Effect, Image, Limits, PodSecurity, PullPolicy, Requests, Resources, Scheduling, Toleration, TolerationOperator,
};
pub use route::{Gateway, Ingress, ParentRef, Tls};
pub use scale::{Autoscaling, PodDisruptionBudget};
pub use status::ThreatRelayStatus;
pub use upstream::{CaBundle, ConfigMapRef, Upstream};

/// What the relay is to be.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "threatrelay.dev",
    version = "v1alpha1",
    kind = "ThreatRelay",
    namespaced,
    status = "ThreatRelayStatus",
    derive = "PartialEq",
    derive = "Default",
    shortname = "trelay",
    shortname = "trly",
    category = "threatrelay",
    doc = "A relay that answers Cisco XDR with threat intelligence from AlienVault OTX.",
    selectable = ".spec.auth.mode",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Whether the relay serves as it is described."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        description = "Why it is ready, or not."
    ),
    printcolumn(
        name = "Replicas",
        type_ = "string",
        json_path = ".status.readiness",
        description = "Pods that are ready, of those wanted."
    ),
    printcolumn(
        name = "URL",
        type_ = "string",
        json_path = ".status.url",
        description = "Where the relay is reached."
    ),
    printcolumn(
        name = "OTX",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='UpstreamReachable')].status",
        description = "Whether OTX answers the relay."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Version",
        type_ = "string",
        json_path = ".status.version",
        priority = 1,
        description = "Version of the relay that serves."
    ),
    printcolumn(
        name = "Keys",
        type_ = "integer",
        json_path = ".status.keys",
        priority = 1,
        description = "OTX keys that the relay holds."
    ),
    printcolumn(
        name = "Last check",
        type_ = "date",
        json_path = ".status.lastCheck",
        priority = 1,
        description = "When OTX was last looked at."
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1,
        description = "What is to be known or done."
    ),
    validation = (
        "self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "metadata.name must be at most 63 lower-case letters, digits and '-', begin with a letter and not end with '-': the Service gets this name"
    )
)]
#[cfg_attr(feature = "cel", kube(cel))]
#[serde(rename_all = "camelCase", default = "ThreatRelaySpec::default")]
#[schemars(transform = without_null)]
#[schemars(transform = with_facts_in_words)]
#[x_kube(validation = (
    "!(has(self.replicas) && has(self.autoscaling))",
    "replicas and autoscaling exclude each other: remove one of them"
))]
#[x_kube(validation = (
    "self.auth.mode != 'jwks' || self.auth.audiences.size() > 0",
    "auth.audiences must name at least one accepted audience in jwks mode, such as the relay's own URL"
))]
pub struct ThreatRelaySpec {
    /// Number of pods. Not allowed beside `autoscaling`.
    ///
    /// Default: 2, when there is no `autoscaling`. Example: `3`
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub replicas: Option<i32>,

    /// Number of pods by load. Not allowed beside `replicas`. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,

    /// Another image than the operator's own. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,

    /// OTX keys that the relay holds. Default: none, the key is in the caller's token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,

    /// Who may ask.
    pub auth: Auth,

    /// How OTX is asked.
    pub upstream: Upstream,

    /// What is remembered of OTX's answers.
    pub cache: Cache,

    /// How much an answer says: `parity` gives exactly the original relay's documents, `rich` more of what OTX knows.
    ///
    /// Example: `parity`
    pub answers: Answers,

    /// An Ingress in front of the relay. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,

    /// An `HTTPRoute` of the Gateway API in front of the relay. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Gateway>,

    /// Processor time and memory of a pod.
    pub resources: Resources,

    /// Where pods run. They are spread over nodes and zones in any case.
    pub scheduling: Scheduling,

    /// User and group of a pod. All else follows the restricted Pod Security Standard and cannot be changed.
    pub pod_security: PodSecurity,

    /// What a pod may exchange with the network.
    pub network_policy: NetworkPolicy,

    /// How many pods a drain of nodes may take at once.
    pub pod_disruption_budget: PodDisruptionBudget,

    /// How the relay is observed.
    pub monitoring: Monitoring,

    /// Traces of what the relay does. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub telemetry: Option<Telemetry>,

    /// What the relay logs.
    pub log: Log,

    /// While true, the operator creates, repairs and removes nothing of this relay; pods go on as they are.
    ///
    /// Example: `true`
    pub suspend: bool,
}

/// How much an answer says.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "docs of variants would change the schema")]
pub enum Answers {
    Parity,
    #[default]
    Rich,
}

impl Answers {
    /// The word of the relay's setting.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Parity => "parity",
            Self::Rich => "rich",
        }
    }
}
