//! A right of the operator's role that is withdrawn and given back. The run's operator has an account of its own with a
//! role in its namespace, made of the table that the chart's is made of. A plan's place is the right itself:
//! `patch-services-1` is the right to patch Services.

use std::future::ready;
use std::time::Duration;

use serde_json::{Value, json};
use threatrelay_operator::rights::{Rule, on_lease, on_relays};

use super::{SEEN, unseen};
use crate::cluster::{Access, Api};
use crate::faults::oracles::Finding;
use crate::faults::place::Place;
use crate::faults::stage::{Stage, comes_true};
use crate::operator::condition;
use crate::operator::installed::ACCOUNT;

/// Name of the role and the binding.
const NAME: &str = "operator";
/// Where accounts are, by the name of the namespace in which each may work: there is to be nothing of theirs in it.
const ACCOUNTS: &str = "default";

/// The rights in the order of the table: verb, plural, subresource.
pub fn of_operator() -> impl Iterator<Item = Place> {
    on_relays(true).into_iter().flat_map(|Rule { kind, subresource, verbs, .. }| {
        verbs.iter().map(move |verb| Place {
            verb: (*verb).to_owned(),
            resource: kind.plural.clone(),
            subresource: subresource.unwrap_or_default().to_owned(),
            nth: 1,
        })
    })
}

/// An account that has all of them in `namespace`, and those on the lease.
///
/// # Panics
/// When it cannot be made.
pub async fn account(api: &Api, namespace: &str) -> Access {
    let accounts = format!("/api/v1/namespaces/{ACCOUNTS}/serviceaccounts");
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": namespace}});
    api.create(&accounts, &account).await.expect("the operator's account");
    grant(api, namespace, None).await;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": NAME},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": NAME},
        "subjects": [{"kind": "ServiceAccount", "name": namespace, "namespace": ACCOUNTS}],
    });
    let bindings = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings");
    api.create(&bindings, &binding).await.expect("the operator's binding");
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let token = api.create(&format!("{accounts}/{namespace}/token"), &request).await.expect("the operator's token");
    let token = token.pointer("/status/token").and_then(Value::as_str).expect("a token");
    let right = Place { verb: "list".into(), resource: "threatrelays".into(), subresource: String::new(), nth: 1 };
    is_so(api, namespace, &right, true).await;
    api.access().with_token(token)
}

/// Gives the account of `namespace` all rights but one.
///
/// # Panics
/// When the API server refuses the role.
pub async fn grant(api: &Api, namespace: &str, without: Option<&Place>) {
    let all = on_relays(true).into_iter().chain(on_lease(ACCOUNT));
    let rules = all.filter_map(|Rule { kind, subresource, verbs, name }| {
        let is_it = |right: &&Place| right.resource == kind.plural && right.subresource == subresource.unwrap_or("");
        let withdrawn = without.filter(is_it).map(|right| &*right.verb);
        let verbs: Vec<_> = verbs.iter().filter(|verb| Some(**verb) != withdrawn).collect();
        let within = subresource.map(|name| format!("/{name}")).unwrap_or_default();
        let (resources, names) = (format!("{}{within}", kind.plural), Vec::from_iter(name));
        // A rule without verbs is refused.
        let rule =
            json!({"apiGroups": [kind.group], "resources": [resources], "resourceNames": names, "verbs": verbs});
        (!verbs.is_empty()).then_some(rule)
    });
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": NAME},
        "rules": rules.collect::<Vec<_>>(),
    });
    let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles/{NAME}");
    api.apply(&path, &role).await.expect("the operator's role");
}

/// Waits until the API server has come to know a change of the role.
async fn is_so(api: &Api, namespace: &str, right: &Place, wanted: bool) {
    let group = on_relays(true).into_iter().find(|rule| rule.kind.plural == right.resource);
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {
            "user": format!("system:serviceaccount:{ACCOUNTS}:{namespace}"),
            "resourceAttributes": {
                "namespace": namespace, "verb": right.verb, "resource": right.resource,
                "subresource": right.subresource, "group": group.map(|rule| rule.kind.group).unwrap_or_default(),
            },
        },
    });
    let ask = || async {
        let answer = api.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", &review).await;
        answer.is_ok_and(|answer| answer.pointer("/status/allowed") == Some(&json!(wanted)))
    };
    assert!(comes_true(Duration::from_secs(30), ask).await, "{right} does not come to be allowed: {wanted}");
}

/// A right that is withdrawn.
pub(in crate::faults) struct Withdrawn<'a>(&'a Place);

impl<'a> Withdrawn<'a> {
    pub(super) async fn of(stage: &Stage<'_>, right: &'a Place) -> Self {
        grant(stage.api, stage.namespace, Some(right)).await;
        is_so(stage.api, stage.namespace, right, false).await;
        if matches!(&*right.verb, "list" | "watch") {
            // A stream goes on with the right it began with.
            stage.lives.end().await;
        }
        Self(right)
    }

    /// Waits until the operator has said which right it lacks: in its log, and in the status where it can be written and
    /// the relay is not as wanted for want of the right.
    pub(super) async fn passes(self, stage: &Stage<'_>) -> Vec<Finding> {
        let Place { verb, resource, subresource, .. } = self.0;
        let within = if subresource.is_empty() { "" } else { "/" };
        let text = format!("cannot {verb} resource \"{resource}{within}{subresource}\"");
        let is_of_children = !["threatrelays", "events", "pods"].contains(&&**resource);
        let is_in_status = is_of_children && !matches!(&**verb, "list" | "watch");
        let is_told = || {
            let log = stage.lives.log().contains(&text);
            let status = stage.relay().is_some_and(|relay| {
                let message = relay["status"].to_string().replace('\\', "");
                condition(&relay, "Ready") == "False/Forbidden" && message.contains(&text)
            });
            (log, status || !is_in_status)
        };
        comes_true(SEEN, || ready(is_told() == (true, true))).await;
        let told = is_told();
        grant(stage.api, stage.namespace, None).await;
        is_so(stage.api, stage.namespace, self.0, true).await;
        let missing = [(told.0, "log"), (told.1, "status")].into_iter().filter(|(is_told, _)| !is_told);
        missing.map(|(_, place)| unseen("O6", format!("{text:?} is not in the {place} after {SEEN:?}"))).collect()
    }
}
