//! What an identity did, by the audit log, and what its roles let it do: whether it has the rights it needs and no other.
//!
//! Both are sets of [`Right`]s. A role's rules are taken word by word, so a wildcard is a right that nobody uses. Requests
//! for anything but resources (discovery, health) are left out: everybody may make them.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use serde_json::Value;

use super::api::{Api, ApiError};

/// One verb on one resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// Namespace that it is bound to; none for the whole cluster, and for requests across all namespaces.
    pub namespace: Option<String>,
    /// `get`, `list`, ...
    pub verb: String,
    /// Resource, with its subresource after `/`, and `.GROUP` unless it is of the core.
    pub resource: String,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within = self.namespace.as_ref().map(|name| format!(" in {name}")).unwrap_or_default();
        write!(f, "{} {}{within}", self.verb, self.resource)
    }
}

/// What a user did.
#[derive(Debug, Default)]
pub struct Used {
    /// What was allowed.
    pub rights: BTreeSet<Right>,
    /// What was answered with 403, with the server's reason.
    pub refused: BTreeSet<String>,
}

impl Used {
    /// What `user` did by the audit log at `log`.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn by(user: &str, log: &Path) -> io::Result<Self> {
        let mut all = Self::default();
        for line in fs::read_to_string(log)?.lines() {
            let entry: Value = serde_json::from_str(line).unwrap_or_default();
            let Some(right) = right(&entry).filter(|_| entry["user"]["username"] == user) else { continue };
            let status = &entry["responseStatus"];
            if status["code"] == 403 {
                all.refused.insert(format!("{right}: {}", status["message"]));
                continue;
            }
            if right.verb == "patch" && status["code"] == 201 {
                // An apply that created needs both rights; the second is checked without a request of its own.
                all.rights.insert(Right { verb: "create".to_owned(), ..right.clone() });
            }
            all.rights.insert(right);
        }
        Ok(all)
    }

    /// Those `granted` rights that were not used: a right on the whole cluster is used in any namespace.
    #[must_use]
    pub fn idle<'a>(&self, granted: &'a BTreeSet<Right>) -> Vec<&'a Right> {
        let is_used = |granted: &&Right| {
            self.rights.iter().any(|used| {
                (&used.verb, &used.resource) == (&granted.verb, &granted.resource)
                    && (granted.namespace.is_none() || granted.namespace == used.namespace)
            })
        };
        granted.iter().filter(|right| !is_used(right)).collect()
    }
}

fn right(entry: &Value) -> Option<Right> {
    let object = entry.get("objectRef")?;
    let word = |name| object.get(name).and_then(Value::as_str);
    let mut resource = word("resource")?.to_owned();
    if let Some(subresource) = word("subresource") {
        resource = format!("{resource}/{subresource}");
    }
    let verb = entry.get("verb").and_then(Value::as_str)?.to_owned();
    let resource = with_group(&resource, word("apiGroup").unwrap_or_default());
    Some(Right { namespace: word("namespace").map(str::to_owned), verb, resource })
}

fn with_group(resource: &str, group: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

/// What the roles bound to a service account let it do.
///
/// # Errors
/// Those of the API.
pub async fn granted(api: &Api, namespace: &str, account: &str) -> Result<BTreeSet<Right>, ApiError> {
    const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
    let mut rights = BTreeSet::new();
    for list in ["clusterrolebindings", "rolebindings"] {
        let bindings = api.get(&format!("{RBAC}/{list}")).await?;
        for binding in items(&bindings) {
            let is_it = |subject: &&Value| {
                subject["kind"] == "ServiceAccount" && subject["name"] == account && subject["namespace"] == namespace
            };
            let subjects = binding["subjects"].as_array().map(Vec::as_slice).unwrap_or_default();
            if !subjects.iter().any(|subject| is_it(&subject)) {
                continue;
            }
            let within = binding.pointer("/metadata/namespace").and_then(Value::as_str);
            let name = binding.pointer("/roleRef/name").and_then(Value::as_str).unwrap_or_default();
            let role = match (binding["roleRef"]["kind"] == "ClusterRole", within) {
                (false, Some(within)) => format!("{RBAC}/namespaces/{within}/roles/{name}"),
                _ => format!("{RBAC}/clusterroles/{name}"),
            };
            rights.extend(rights_of(&api.get(&role).await?, within));
        }
    }
    Ok(rights)
}

/// What the rules of a role allow, where it is bound in this namespace or in all.
#[must_use]
pub fn rights_of(role: &Value, namespace: Option<&str>) -> Vec<Right> {
    let mut rights = Vec::new();
    for rule in role["rules"].as_array().into_iter().flatten() {
        for resource in words(&rule["resources"]) {
            for group in words(&rule["apiGroups"]) {
                rights.extend(words(&rule["verbs"]).map(|verb| Right {
                    namespace: namespace.map(str::to_owned),
                    verb: verb.to_owned(),
                    resource: with_group(resource, group),
                }));
            }
        }
    }
    rights
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().into_iter().flatten()
}

fn words(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use serde_json::json;

    use super::*;

    fn granted(namespace: Option<&str>, rules: &Value) -> BTreeSet<Right> {
        rights_of(&json!({"rules": rules}), namespace).into_iter().collect()
    }

    fn log(lines: &[Value]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines: Vec<_> = lines.iter().map(Value::to_string).collect();
        fs::write(file.path(), lines.join("\n")).unwrap();
        file
    }

    fn entry(user: &str, verb: &str, namespace: &str, code: u16) -> Value {
        json!({
            "user": {"username": user}, "verb": verb, "responseStatus": {"code": code, "message": "no"},
            "objectRef": {"resource": "deployments", "apiGroup": "apps", "subresource": "scale", "namespace": namespace},
        })
    }

    #[test]
    fn a_right_on_the_cluster_is_used_in_any_namespace_and_one_in_a_namespace_only_there() {
        let rules = json!([{"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get", "patch"]}]);
        let log = log(&[entry("me", "get", "a", 200), entry("other", "patch", "a", 200)]);
        let used = Used::by("me", log.path()).unwrap();
        let idle = |rights: &BTreeSet<Right>| used.idle(rights).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(idle(&granted(None, &rules)), ["patch deployments/scale.apps"]);
        assert_eq!(idle(&granted(Some("a"), &rules)), ["patch deployments/scale.apps in a"]);
        assert_eq!(idle(&granted(Some("b"), &rules)).len(), 2);
    }

    #[test]
    fn an_apply_that_creates_uses_both_rights() {
        let log = log(&[entry("me", "patch", "a", 201)]);
        let verbs: Vec<_> = Used::by("me", log.path()).unwrap().rights.into_iter().map(|right| right.verb).collect();
        assert_eq!(verbs, ["create", "patch"]);
    }

    #[test]
    fn a_refusal_is_told_and_does_not_count_as_use() {
        let log = log(&[entry("me", "get", "a", 403)]);
        let used = Used::by("me", log.path()).unwrap();
        assert!(used.rights.is_empty());
        assert_eq!(used.refused.into_iter().collect::<Vec<_>>(), ["get deployments/scale.apps in a: \"no\""]);
    }
}
