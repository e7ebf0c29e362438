//! The rights that the operator uses, in one table. `check` asks for them, the chart grants them, and tests compare both
//! with what the operator does: none is missing, none is left over.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::ApiResource;

use crate::api::ThreatRelay;
use crate::kinds::{http_route, of, service_monitor};

/// What may be done with objects of one kind.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The kind.
    pub kind: ApiResource,
    /// Its subresource.
    pub subresource: Option<&'static str>,
    /// What may be done.
    pub verbs: &'static [&'static str],
    /// The one object that it is about; none is all of them.
    pub name: Option<String>,
}

/// A child that every relay has: the garbage collector removes it.
const KEPT: &[&str] = &["get", "list", "watch", "create", "patch"];
/// A child that can be switched off.
const SWITCHED: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];

fn rule(kind: ApiResource, verbs: &'static [&'static str]) -> Rule {
    Rule { kind, subresource: None, verbs, name: None }
}

/// The rights wherever relays are made. Those on optional kinds are among them, whether the cluster has these yet or not.
#[must_use]
pub fn on_relays(read_secrets: bool) -> Vec<Rule> {
    let mut rules = vec![
        rule(of::<ThreatRelay>(), &["get", "list", "watch"]),
        Rule { subresource: Some("status"), ..rule(of::<ThreatRelay>(), &["patch"]) },
        rule(of::<ConfigMap>(), KEPT),
        rule(of::<ServiceAccount>(), KEPT),
        rule(of::<Service>(), KEPT),
        rule(of::<Deployment>(), KEPT),
        rule(of::<HorizontalPodAutoscaler>(), SWITCHED),
        rule(of::<PodDisruptionBudget>(), SWITCHED),
        rule(of::<Ingress>(), SWITCHED),
        rule(of::<NetworkPolicy>(), SWITCHED),
        rule(http_route(), SWITCHED),
        rule(service_monitor(), SWITCHED),
        rule(of::<Pod>(), &["list", "watch"]),
        rule(of::<Event>(), &["create", "patch"]),
    ];
    if read_secrets {
        rules.push(rule(of::<Secret>(), SWITCHED));
    }
    rules
}

/// The rights on the lease `name`. Creation cannot be limited to a name.
#[must_use]
pub fn on_lease(name: &str) -> [Rule; 2] {
    let lease = rule(of::<Lease>(), &["create"]);
    [lease.clone(), Rule { verbs: &["get", "update"], name: Some(name.to_owned()), ..lease }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_reading_secrets_there_is_no_right_on_them() {
        let has = |read| on_relays(read).iter().any(|rule| rule.kind.plural == "secrets");
        assert!(has(true) && !has(false));
    }

    #[test]
    fn every_kind_of_child_is_in_the_table() {
        let rules = on_relays(true);
        for kind in crate::kinds::all() {
            assert!(rules.iter().any(|rule| rule.kind == kind), "{}", kind.kind);
        }
    }
}
