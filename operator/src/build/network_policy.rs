//! The network policy. In: anyone, or the named namespaces, to the relay; its own namespace, monitoring and the operator
//! to the admin port. Out: DNS, port 443 of public addresses, the ports of JWKS hosts, and where the settings lead,
//! which may be a private address; never the metadata service of a cloud.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::labels::{metadata, pairs, pods_of};
use crate::validate::{Destination, Validated};

/// Address blocks that are not public.
const PRIVATE: [(&str, &[&str]); 2] = [
    ("0.0.0.0/0", &["10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"]),
    ("::/0", &["fc00::/7", "fe80::/10"]),
];
/// Addresses of the metadata services of clouds.
const METADATA: [(&str, &[&str]); 2] = [("0.0.0.0/0", &["169.254.169.254/32"]), ("::/0", &["fd00:ec2::254/128"])];
/// 53, and 5353 for clusters whose DNS pods listen there.
const DNS: [i32; 2] = [53, 5353];

pub(super) fn build(validated: &Validated) -> Option<NetworkPolicy> {
    let wanted = Some(&validated.spec.network_policy).filter(|policy| policy.enabled)?;
    let callers = (!wanted.caller_namespaces.is_empty()).then(|| vec![namespaces(&wanted.caller_namespaces)]);
    let mut readers =
        vec![NetworkPolicyPeer { pod_selector: Some(LabelSelector::default()), ..NetworkPolicyPeer::default() }];
    if !wanted.monitoring_namespaces.is_empty() {
        readers.push(namespaces(&wanted.monitoring_namespaces));
    }
    if let Some(operator) = &validated.policy.operator {
        readers.push(NetworkPolicyPeer {
            pod_selector: Some(selector(&operator.labels)),
            ..namespaces(&pairs(&[("kubernetes.io/metadata.name", &operator.namespace)]))
        });
    }
    Some(NetworkPolicy {
        metadata: metadata(&validated.owner, validated.owner.name.clone()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(pods_of(&validated.owner.name)),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(vec![to_port("http", callers), to_port("admin", Some(readers))]),
            egress: Some(egress(validated)),
        }),
    })
}

fn egress(validated: &Validated) -> Vec<NetworkPolicyEgressRule> {
    let dns = DNS.iter().flat_map(|number| [port("UDP", *number), port("TCP", *number)]).collect();
    let mut public: Vec<u16> = validated.spec.auth.jwks_hosts.iter().filter_map(|host| port_of(host)).collect();
    public.push(443);
    public.sort_unstable();
    public.dedup();
    let public = public.into_iter().map(|number| port("TCP", number.into())).collect();
    let mut rules = vec![
        NetworkPolicyEgressRule { ports: Some(dns), to: None },
        NetworkPolicyEgressRule { ports: Some(public), to: Some(blocks(&PRIVATE)) },
    ];
    rules.extend(validated.destinations.iter().map(|destination| NetworkPolicyEgressRule {
        ports: Some(vec![port("TCP", destination.port.into())]),
        to: Some(addresses(destination)),
    }));
    let named = &validated.spec.network_policy.egress_cidrs;
    if !named.is_empty() {
        rules.push(NetworkPolicyEgressRule {
            ports: Some(vec![NetworkPolicyPort {
                protocol: Some("TCP".to_owned()),
                port: Some(IntOrString::Int(1)),
                end_port: Some(65_535),
            }]),
            to: Some(named.iter().map(|cidr| block(cidr, &[])).collect()),
        });
    }
    rules
}

/// A host by name may have any address.
fn addresses(destination: &Destination) -> Vec<NetworkPolicyPeer> {
    match destination.host.parse() {
        Ok(IpAddr::V4(address)) => vec![block(&format!("{address}/32"), &[])],
        Ok(IpAddr::V6(address)) => vec![block(&format!("{address}/128"), &[])],
        Err(_) => blocks(&METADATA),
    }
}

fn port_of(host: &str) -> Option<u16> {
    host.rsplit_once(':')?.1.parse().ok()
}

fn to_port(name: &str, from: Option<Vec<NetworkPolicyPeer>>) -> NetworkPolicyIngressRule {
    let port = NetworkPolicyPort {
        protocol: Some("TCP".to_owned()),
        port: Some(IntOrString::String(name.to_owned())),
        end_port: None,
    };
    NetworkPolicyIngressRule { ports: Some(vec![port]), from }
}

fn port(protocol: &str, number: i32) -> NetworkPolicyPort {
    NetworkPolicyPort { protocol: Some(protocol.to_owned()), port: Some(IntOrString::Int(number)), end_port: None }
}

fn blocks(ranges: &[(&str, &[&str])]) -> Vec<NetworkPolicyPeer> {
    ranges.iter().map(|(cidr, except)| block(cidr, except)).collect()
}

fn block(cidr: &str, except: &[&str]) -> NetworkPolicyPeer {
    let except = (!except.is_empty()).then(|| except.iter().map(|range| (*range).to_owned()).collect());
    NetworkPolicyPeer { ip_block: Some(IPBlock { cidr: cidr.to_owned(), except }), ..NetworkPolicyPeer::default() }
}

fn namespaces(labels: &BTreeMap<String, String>) -> NetworkPolicyPeer {
    NetworkPolicyPeer { namespace_selector: Some(selector(labels)), ..NetworkPolicyPeer::default() }
}

fn selector(labels: &BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels.clone()), ..LabelSelector::default() }
}
