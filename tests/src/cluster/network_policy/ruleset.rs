//! Policies, pods and namespaces in; the nftables rules that enforce them out. Pure: what it knows is its arguments.
//!
//! A pod that no policy selects is left open. A selected pod gets a chain for the closed direction: one `return` for
//! every allowed combination of peer and port, then `drop`. Packets are judged after a Service's address was replaced
//! by a pod's (hook `forward`, and `input` for the node's own addresses), so policies see pods, as they should; what
//! the node itself sends is never judged, as Kubernetes demands for its health checks. IPv4 only.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::Ipv4Addr;

use super::policy::{Namespace, Peer, Pod, Policy, Port, PortName, Protocol, Rule};

/// The table that holds all rules.
pub const TABLE: &str = "threatrelay_policies";

/// Everything the rules depend on.
#[derive(Debug, Default)]
pub struct State {
    /// All policies.
    pub policies: Vec<Policy>,
    /// All pods.
    pub pods: Vec<Pod>,
    /// All namespaces.
    pub namespaces: Vec<Namespace>,
}

#[derive(Clone, Copy)]
struct Direction {
    name: &'static str,
    chain: &'static str,
    own: &'static str,
    peer: &'static str,
}

const INGRESS: Direction = Direction { name: "Ingress", chain: "in", own: "daddr", peer: "saddr" };
const EGRESS: Direction = Direction { name: "Egress", chain: "out", own: "saddr", peer: "daddr" };

impl State {
    /// One nftables transaction that replaces the table.
    #[must_use]
    pub fn ruleset(&self) -> String {
        let mut chains = String::new();
        let mut judge = String::from("    ct state established,related accept\n");
        for pod in &self.pods {
            let Some(address) = address_of(pod) else { continue };
            for direction in [INGRESS, EGRESS] {
                let own = |policy: &&Policy| {
                    policy.metadata.namespace == pod.metadata.namespace
                        && policy.spec.closes(direction.name)
                        && policy.spec.pod_selector.selects(&pod.metadata.labels)
                };
                let policies: Vec<_> = self.policies.iter().filter(own).collect();
                if policies.is_empty() {
                    continue;
                }
                let chain = format!("{}_{}", direction.chain, address.to_string().replace('.', "_"));
                let _ = writeln!(judge, "    ip {} {address} jump {chain}", direction.own);
                let _ = writeln!(chains, "  chain {chain} {{");
                for policy in policies {
                    let rules = if direction.name == "Ingress" { &policy.spec.ingress } else { &policy.spec.egress };
                    for rule in rules {
                        for allowed in self.allowed(rule, &policy.metadata.namespace, pod, direction) {
                            let _ = writeln!(chains, "    {allowed}return");
                        }
                    }
                }
                chains.push_str("    drop\n  }\n");
            }
        }
        format!(
            "table ip {TABLE} {{ }}\ndelete table ip {TABLE}\ntable ip {TABLE} {{\n{chains}  chain judge {{\n{judge}  }}\n  \
             chain forward {{\n    type filter hook forward priority filter - 5\n    jump judge\n  }}\n  \
             chain input {{\n    type filter hook input priority filter - 5\n    jump judge\n  }}\n}}\n"
        )
    }

    /// The matches, each of which ends in a space or is empty, that a rule lets pass.
    fn allowed(&self, rule: &Rule, namespace: &str, pod: &Pod, direction: Direction) -> Vec<String> {
        if rule.peers.is_empty() {
            // Any peer. A named destination port then means a different number for every pod that has one.
            let mut allowed = ports(&rule.ports, Some(pod).filter(|_| direction.name == "Ingress"));
            if direction.name == "Egress" {
                allowed.extend(self.pods.iter().flat_map(|peer| named_towards(&rule.ports, peer, direction)));
            }
            return allowed;
        }
        let mut allowed = Vec::new();
        for peer in &rule.peers {
            if let Some(block) = &peer.ip_block {
                let mut addresses = format!("ip {} {} ", direction.peer, block.cidr);
                if !block.except.is_empty() {
                    let _ = write!(addresses, "ip {} != {{ {} }} ", direction.peer, block.except.join(", "));
                }
                let target = Some(pod).filter(|_| direction.name == "Ingress");
                allowed.extend(ports(&rule.ports, target).into_iter().map(|port| format!("{addresses}{port}")));
                continue;
            }
            for other in self.pods.iter().filter(|other| self.is_peer(peer, namespace, other)) {
                let Some(address) = address_of(other) else { continue };
                let target = if direction.name == "Ingress" { pod } else { other };
                for port in ports(&rule.ports, Some(target)) {
                    allowed.push(format!("ip {} {address} {port}", direction.peer));
                }
            }
        }
        allowed
    }

    fn is_peer(&self, peer: &Peer, own_namespace: &str, pod: &Pod) -> bool {
        let in_namespace = match &peer.namespace_selector {
            None => pod.metadata.namespace == own_namespace,
            Some(selector) => self
                .namespaces
                .iter()
                .any(|ns| ns.metadata.name == pod.metadata.namespace && selector.selects(&ns.metadata.labels)),
        };
        in_namespace && peer.pod_selector.as_ref().is_none_or(|selector| selector.selects(&pod.metadata.labels))
    }
}

/// The address that policies can be about: not of pods in the node's network, nor of pods that have ended.
fn address_of(pod: &Pod) -> Option<Ipv4Addr> {
    let ended = matches!(pod.status.phase.as_str(), "Succeeded" | "Failed");
    pod.status.pod_ip.filter(|_| !ended && !pod.spec.host_network)
}

/// Matches for the destination ports; a named one is looked up at `target` and matches nothing without it.
fn ports(ports: &[Port], target: Option<&Pod>) -> Vec<String> {
    if ports.is_empty() {
        return vec![String::new()];
    }
    let mut matches = Vec::new();
    for port in ports {
        let keyword = port.protocol.keyword();
        match (&port.first, port.last) {
            (None, _) => matches.push(format!("meta l4proto {keyword} ")),
            (Some(PortName::Number(first)), None) => matches.push(format!("{keyword} dport {first} ")),
            (Some(PortName::Number(first)), Some(last)) => matches.push(format!("{keyword} dport {first}-{last} ")),
            (Some(PortName::Name(name)), _) => {
                let numbers = target.map(|pod| numbers_of(pod, name, port.protocol)).unwrap_or_default();
                matches.extend(numbers.into_iter().map(|number| format!("{keyword} dport {number} ")));
            }
        }
    }
    matches
}

fn named_towards(list: &[Port], peer: &Pod, direction: Direction) -> Vec<String> {
    let named: Vec<_> = list.iter().filter(|port| matches!(port.first, Some(PortName::Name(_)))).cloned().collect();
    let Some(address) = address_of(peer).filter(|_| !named.is_empty()) else { return Vec::new() };
    ports(&named, Some(peer)).into_iter().map(|port| format!("ip {} {address} {port}", direction.peer)).collect()
}

fn numbers_of(pod: &Pod, name: &str, protocol: Protocol) -> BTreeSet<u16> {
    let all = pod.spec.containers.iter().flat_map(|container| &container.ports);
    all.filter(|port| port.name == name && port.protocol == protocol).map(|port| port.number).collect()
}
