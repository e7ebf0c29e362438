//! The parts of a NetworkPolicy, a pod and a namespace that decide whether a packet may pass, as the API spells them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::Deserialize;

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// What every object has.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Labels.
    pub labels: Labels,
}

/// A namespace: only its labels count.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Namespace {
    /// Its name and labels.
    pub metadata: Metadata,
}

/// A pod.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Pod {
    /// Its name, namespace and labels.
    pub metadata: Metadata,
    /// Its containers.
    pub spec: PodSpec,
    /// Its address.
    #[serde(default)]
    pub status: PodStatus,
}

/// Of a pod's specification: what names its ports, and whether it has a network of its own.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// Containers.
    pub containers: Vec<Container>,
    /// Uses the node's network: policies do not apply.
    pub host_network: bool,
}

/// A container's ports.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Container {
    /// Named and unnamed.
    pub ports: Vec<ContainerPort>,
}

/// One port of a container.
#[derive(Debug, Clone, Deserialize)]
pub struct ContainerPort {
    /// The name a policy may use.
    #[serde(default)]
    pub name: String,
    /// Number.
    #[serde(rename = "containerPort")]
    pub number: u16,
    /// TCP when absent.
    #[serde(default)]
    pub protocol: Protocol,
}

/// Of a pod's status.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// Absent until the pod has a sandbox.
    #[serde(rename = "podIP")]
    pub pod_ip: Option<Ipv4Addr>,
    /// `Succeeded` and `Failed` pods have given their address back.
    pub phase: String,
}

/// A NetworkPolicy.
#[derive(Debug, Clone, Deserialize)]
pub struct Policy {
    /// Its name and namespace.
    pub metadata: Metadata,
    /// What it says.
    pub spec: PolicySpec,
}

/// What a NetworkPolicy says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicySpec {
    /// Pods of the policy's namespace that it is about.
    pub pod_selector: Selector,
    /// Allowed sources.
    pub ingress: Vec<Rule>,
    /// Allowed destinations.
    pub egress: Vec<Rule>,
    /// Directions it closes. The API server fills it in; a policy read from a file may lack it.
    pub policy_types: Vec<String>,
}

impl PolicySpec {
    /// Whether it closes `Ingress` or `Egress`.
    #[must_use]
    pub fn closes(&self, direction: &str) -> bool {
        match (self.policy_types.is_empty(), direction) {
            (true, "Ingress") => true,
            (true, _) => !self.egress.is_empty(),
            (false, _) => self.policy_types.iter().any(|named| named == direction),
        }
    }
}

/// Peers and ports that may be combined freely. An absent list is no restriction.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// Sources (ingress) or destinations (egress).
    #[serde(alias = "from", alias = "to")]
    pub peers: Vec<Peer>,
    /// Destination ports.
    pub ports: Vec<Port>,
}

/// One kind of peer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Peer {
    /// Pods with these labels.
    pub pod_selector: Option<Selector>,
    /// Pods of the namespaces with these labels; the policy's own when absent.
    pub namespace_selector: Option<Selector>,
    /// Addresses.
    pub ip_block: Option<IpBlock>,
}

/// A range of addresses with holes.
#[derive(Debug, Clone, Deserialize)]
pub struct IpBlock {
    /// The range.
    pub cidr: String,
    /// The holes.
    #[serde(default)]
    pub except: Vec<String>,
}

/// A destination port, a range of them, or all of one protocol.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Port {
    /// TCP when absent.
    pub protocol: Protocol,
    /// All ports when absent.
    #[serde(rename = "port")]
    pub first: Option<PortName>,
    /// End of the range that begins at a numeric port.
    #[serde(rename = "endPort")]
    pub last: Option<u16>,
}

/// A port by number, or by the name a container gives it.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum PortName {
    /// Number.
    Number(u16),
    /// Name.
    Name(String),
}

/// Transport protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// Its name in nftables.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// A label selector. An empty one selects everything.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Selector {
    /// Labels that must be there with these values.
    pub match_labels: Labels,
    /// Further conditions, all of which must hold.
    pub match_expressions: Vec<Requirement>,
}

/// One condition on a label.
#[derive(Debug, Clone, Deserialize)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// How its value relates to `values`.
    pub operator: Operator,
    /// Values.
    #[serde(default)]
    pub values: Vec<String>,
}

/// How a label's value relates to a list.
#[derive(Debug, Clone, Copy, Deserialize)]
pub enum Operator {
    /// Present and in the list.
    In,
    /// Absent or not in the list.
    NotIn,
    /// Present.
    Exists,
    /// Absent.
    DoesNotExist,
}

impl Selector {
    /// Whether it selects an object with these labels.
    #[must_use]
    pub fn selects(&self, labels: &Labels) -> bool {
        let equal = self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value));
        equal && self.match_expressions.iter().all(|requirement| requirement.holds(labels))
    }
}

impl Requirement {
    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        let listed = value.is_some_and(|value| self.values.contains(value));
        match self.operator {
            Operator::In => listed,
            Operator::NotIn => !listed,
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}
