#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use serde_json::{Value, json};

use super::ruleset::State;

fn state(policy: &Value) -> State {
    let pod = |name: &str, namespace: &str, ip: &str, ports: Value| {
        json!({
            "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
            "spec": {"containers": [{"ports": ports}]},
            "status": {"podIP": ip, "phase": "Running"},
        })
    };
    State {
        policies: vec![
            serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "ours"}, "spec": policy})).unwrap(),
        ],
        pods: serde_json::from_value(json!([
            pod("web", "ours", "10.202.0.2", json!([{"name": "http", "containerPort": 8080}])),
            pod("client", "ours", "10.202.0.3", json!([])),
            pod("foreign", "theirs", "10.202.0.4", json!([{"name": "http", "containerPort": 9000}])),
            {
                "metadata": {"name": "agent", "namespace": "ours", "labels": {"app": "web"}},
                "spec": {"hostNetwork": true}, "status": {"podIP": "10.200.0.1"},
            },
            {
                "metadata": {"name": "done", "namespace": "ours", "labels": {"app": "web"}},
                "spec": {}, "status": {"podIP": "10.202.0.9", "phase": "Succeeded"},
            },
        ]))
        .unwrap(),
        namespaces: serde_json::from_value(json!([
            {"metadata": {"name": "ours", "labels": {"team": "a"}}},
            {"metadata": {"name": "theirs", "labels": {"team": "b"}}},
        ]))
        .unwrap(),
    }
}

/// The rules of the only chain that the policy makes.
fn chain(policy: &Value) -> Vec<String> {
    let rules = state(policy).ruleset();
    let mut lines =
        rules.lines().skip_while(|line| !line.starts_with("  chain in_") && !line.starts_with("  chain out_"));
    lines.next();
    lines.take_while(|line| *line != "  }").map(|line| line.trim().to_owned()).collect()
}

#[test]
fn without_a_policy_nothing_is_judged() {
    let mut open = state(&json!({}));
    open.policies.clear();
    assert!(!open.ruleset().contains("drop"));
}

#[test]
fn a_selected_pod_without_rules_is_closed_and_others_stay_open() {
    let policy = json!({"podSelector": {"matchLabels": {"app": "web"}}});
    let rules = state(&policy).ruleset();
    assert_eq!(rules.matches(" jump in_").count(), 1, "{rules}");
    assert!(rules.contains("ip daddr 10.202.0.2 jump in_10_202_0_2"), "{rules}");
    assert_eq!(chain(&policy), ["drop"]);
}

#[test]
fn rules_and_ports() {
    let web = json!({"matchLabels": {"app": "web"}});
    let client = json!({"matchLabels": {"app": "client"}});
    let cases: Vec<(&str, Value, Vec<&str>)> = vec![
        ("an empty rule allows all", json!({"ingress": [{}]}), vec!["return"]),
        (
            "pods of the own namespace",
            json!({"ingress": [{"from": [{"podSelector": client}]}]}),
            vec!["ip saddr 10.202.0.3 return"],
        ),
        (
            "all pods of a labelled namespace",
            json!({"ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "b"}}}]}]}),
            vec!["ip saddr 10.202.0.4 return"],
        ),
        (
            "both selectors must hold",
            json!({"ingress": [{"from": [{"namespaceSelector": {}, "podSelector": client}]}]}),
            vec!["ip saddr 10.202.0.3 return"],
        ),
        (
            "expressions",
            json!({"ingress": [{"from": [{"namespaceSelector": {"matchExpressions": [
                {"key": "team", "operator": "NotIn", "values": ["a"]}, {"key": "team", "operator": "Exists"}]}}]}]}),
            vec!["ip saddr 10.202.0.4 return"],
        ),
        (
            "a block with holes",
            json!({"ingress": [{"from": [{"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.7/32", "192.0.2.9/32"]}}]}]}),
            vec!["ip saddr 192.0.2.0/24 ip saddr != { 192.0.2.7/32, 192.0.2.9/32 } return"],
        ),
        (
            "a named port is the selected pod's",
            json!({"ingress": [{"ports": [{"port": "http"}, {"port": "absent"}, {"port": "http", "protocol": "UDP"}]}]}),
            vec!["tcp dport 8080 return"],
        ),
        (
            "a range",
            json!({"ingress": [{"ports": [{"port": 8000, "endPort": 8090}]}]}),
            vec!["tcp dport 8000-8090 return"],
        ),
        (
            "a protocol without a port",
            json!({"ingress": [{"ports": [{"protocol": "UDP"}, {"protocol": "SCTP", "port": 1}]}]}),
            vec!["meta l4proto udp return", "sctp dport 1 return"],
        ),
        (
            "every peer with every port",
            json!({"ingress": [{"from": [{"podSelector": client}, {"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [{"port": 1}, {"port": 2}]}]}),
            vec![
                "ip saddr 10.202.0.3 tcp dport 1 return",
                "ip saddr 10.202.0.3 tcp dport 2 return",
                "ip saddr 192.0.2.0/24 tcp dport 1 return",
                "ip saddr 192.0.2.0/24 tcp dport 2 return",
            ],
        ),
        (
            "egress, a named port is the peer's",
            json!({"policyTypes": ["Egress"], "egress": [{"to": [{"namespaceSelector": {"matchLabels": {"team": "b"}}}], "ports": [{"port": "http"}]}]}),
            vec!["ip daddr 10.202.0.4 tcp dport 9000 return"],
        ),
        (
            "egress to any peer, a named port",
            json!({"policyTypes": ["Egress"], "egress": [{"ports": [{"port": "http"}]}]}),
            vec!["ip daddr 10.202.0.2 tcp dport 8080 return", "ip daddr 10.202.0.4 tcp dport 9000 return"],
        ),
        (
            "egress to a block, a named port matches nothing",
            json!({"policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": "http"}, {"port": 443}]}]}),
            vec!["ip daddr 0.0.0.0/0 tcp dport 443 return"],
        ),
    ];
    for (case, mut policy, mut expected) in cases {
        policy["podSelector"] = web.clone();
        expected.push("drop");
        assert_eq!(chain(&policy), expected, "{case}");
    }
}

#[test]
fn egress_rules_alone_close_both_directions_unless_the_types_say_otherwise() {
    let count = |policy: Value| {
        let rules = state(&policy).ruleset();
        (rules.matches(" jump in_").count(), rules.matches(" jump out_").count())
    };
    let selector = json!({"matchLabels": {"app": "web"}});
    assert_eq!(count(json!({"podSelector": selector, "egress": [{}]})), (1, 1));
    assert_eq!(count(json!({"podSelector": selector, "policyTypes": ["Egress"], "egress": [{}]})), (0, 1));
    assert_eq!(count(json!({"podSelector": selector, "policyTypes": ["Ingress"]})), (1, 0));
}
