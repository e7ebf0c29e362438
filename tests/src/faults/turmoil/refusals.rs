//! Objects that the API server refuses for as long as a quota, a policy or a range of limits says so. A plan's place is
//! the kind that is refused: `create-services-1` are Services, `create-pods-1` what the Deployment is to bring about.

use std::future::ready;
use std::time::Duration;

use kube::api::ApiResource;
use serde_json::{Value, json};
use threatrelay_operator::kinds;

use super::{SEEN, unseen};
use crate::faults::oracles::Finding;
use crate::faults::place::Place;
use crate::faults::reference::Reference;
use crate::faults::stage::{Stage, comes_true};
use crate::operator::condition;

/// What refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// A `ResourceQuota` leaves no room for one more.
    Quota,
    /// A `ValidatingAdmissionPolicy` calls it invalid (422).
    Policy,
    /// A `ValidatingAdmissionPolicy` forbids it (403), in words that sound like a missing right.
    PolicyForbids,
    /// A `LimitRange` allows less than pods ask for.
    Limits,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Quota, Self::Policy, Self::PolicyForbids, Self::Limits];

    pub(in crate::faults) fn word(self) -> &'static str {
        match self {
            Self::Quota => "quota",
            Self::Policy => "policy",
            Self::PolicyForbids => "policy-forbids",
            Self::Limits => "limits",
        }
    }

    /// Reason of the condition, and what its message says of why.
    fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Quota => ("False/QuotaExceeded", "exceeded quota"),
            Self::Policy | Self::PolicyForbids => ("False/AdmissionDenied", "cannot be made here"),
            Self::Limits => ("False/AdmissionDenied", "maximum memory usage per Container"),
        }
    }
}

/// Objects that people and Kubernetes make in the same step.
const NOT_OURS: &str = "['otx', 'default', 'kube-root-ca.crt']";
/// Children without which no pods are started, and so nothing else is made.
const NEEDED: [&str; 3] = ["serviceaccounts", "configmaps", "secrets"];

/// A refusal that is in force.
pub(in crate::faults) struct Refused<'a> {
    refusal: Refusal,
    plural: &'a str,
    /// What is to be deleted again.
    paths: Vec<String>,
}

impl<'a> Refused<'a> {
    pub(super) async fn of(stage: &Stage<'_>, refusal: Refusal, place: &'a Place) -> Self {
        let plural = &*place.resource;
        let paths = match refusal {
            Refusal::Quota => limited(stage, "ResourceQuota", &json!({"hard": room(plural)})).await,
            Refusal::Limits => {
                let limits = json!({"limits": [{"type": "Container", "max": {"memory": "1Mi"}}]});
                limited(stage, "LimitRange", &limits).await
            }
            Refusal::Policy => policy(stage, plural, "Invalid").await,
            Refusal::PolicyForbids => policy(stage, plural, "Forbidden").await,
        };
        Self { refusal, plural, paths }
    }

    /// Waits until the status says which child is refused and why, and the others are there; then lifts the refusal.
    pub(super) async fn passes(self, stage: &Stage<'_>, reference: &Reference) -> Vec<Finding> {
        let (reason, why) = self.refusal.told();
        let kind = child(self.plural).map(|known| known.kind).unwrap_or_default();
        let child = if self.plural == "pods" { "pods \"r-".to_owned() } else { format!("{kind} \"r") };
        let wanted: Vec<_> = reference.counts.keys().filter(|(other, _)| self.is_made(other)).collect();
        let look = || {
            let relay = stage.relay().unwrap_or_default();
            let message = message(&relay);
            let is_told = condition(&relay, "Ready") == reason && message.contains(why) && message.contains(&child);
            let chronicle = stage.chronicle.borrow();
            let is_missing = |key: &&&(String, String)| !chronicle.live().contains_key(**key);
            let missing: Vec<String> =
                wanted.iter().filter(is_missing).map(|(kind, name)| format!("{kind}/{name}")).collect();
            (is_told, message, missing)
        };
        comes_true(SEEN, || {
            let (is_told, _, missing) = look();
            ready(is_told && missing.is_empty())
        })
        .await;
        let (is_told, message, missing) = look();
        for path in &self.paths {
            stage.api.delete(path).await.expect("an end of the refusal");
        }
        let mut findings = Vec::new();
        if !is_told {
            findings.push(unseen("O6", format!("{child:?} refused ({why}) is not told but {message:?}")));
        }
        if !missing.is_empty() {
            findings.push(unseen("O1", format!("not made beside it: {}", missing.join(", "))));
        }
        findings
    }

    /// Whether objects of a kind are made although these are refused.
    fn is_made(&self, other: &str) -> bool {
        let plural = kinds::all().find(|known| known.kind == other).map(|known| known.plural);
        let is_needed = |plural: &str| NEEDED.contains(&plural);
        plural.is_none_or(|plural| plural != self.plural && (!is_needed(self.plural) || is_needed(&plural)))
    }
}

/// The kind of child with this plural; pods are none.
fn child(plural: &str) -> Option<ApiResource> {
    kinds::all().find(|known| known.plural == plural)
}

fn message(relay: &Value) -> String {
    let conditions = relay["status"]["conditions"].as_array().into_iter().flatten();
    let ready = conditions.into_iter().find(|condition| condition["type"] == "Ready");
    ready.and_then(|ready| ready["message"].as_str()).unwrap_or_default().to_owned()
}

/// The quota that leaves no room for one more of these, beside what people make.
fn room(plural: &str) -> Value {
    let group = child(plural).map(|known| known.group);
    let dot = group.filter(|group| !group.is_empty()).map(|group| format!(".{group}")).unwrap_or_default();
    json!({(format!("count/{plural}{dot}")): if plural == "secrets" { "1" } else { "0" }})
}

/// A quota or a range of limits; a quota counts from when its controller has looked at it.
async fn limited(stage: &Stage<'_>, kind: &str, spec: &Value) -> Vec<String> {
    let plural = format!("{}s", kind.to_lowercase());
    let object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "narrow"}, "spec": spec});
    stage.api.create(&stage.path("api/v1", &plural, ""), &object).await.expect("a limit");
    let path = stage.path("api/v1", &plural, "narrow");
    if kind == "ResourceQuota" {
        let look = || async { stage.api.field(&path, "/status/hard").await.is_ok_and(|hard| hard == spec["hard"]) };
        assert!(comes_true(Duration::from_mins(1), look).await, "the quota is not counted");
    }
    vec![path]
}

/// A policy against these objects. It is in force when it refuses a settings object by the name of `probe`, too.
async fn policy(stage: &Stage<'_>, plural: &str, reason: &str) -> Vec<String> {
    const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";
    let name = stage.namespace;
    let expression = format!(
        "request.resource.resource == '{plural}' ? object.metadata.name in {NOT_OURS} : object.metadata.name != 'probe'"
    );
    let group = child(plural).map(|known| known.group);
    let rule = |group: &str, plural: &str| json!({"apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": [plural]});
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
                "resourceRules": [rule(&group.unwrap_or_default(), plural), rule("", "configmaps")],
            },
            "validations": [{"expression": expression, "message": "such objects cannot be made here", "reason": reason}],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name}, "spec": {"policyName": name, "validationActions": ["Deny"]},
    });
    let (policies, bindings) = ("validatingadmissionpolicies", "validatingadmissionpolicybindings");
    stage.api.create(&format!("{GROUP}/{policies}"), &policy).await.expect("a policy");
    stage.api.create(&format!("{GROUP}/{bindings}"), &binding).await.expect("a binding");
    let probe = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe"}});
    let dry = format!("{}?dryRun=All", stage.path("api/v1", "configmaps", ""));
    let look = || async { stage.api.create(&dry, &probe).await.is_err_and(|error| error.status().is_some()) };
    assert!(comes_true(Duration::from_mins(1), look).await, "the policy is not in force");
    vec![format!("{GROUP}/{bindings}/{name}"), format!("{GROUP}/{policies}/{name}")]
}
