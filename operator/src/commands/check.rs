//! `check`: whether a cluster is fit for the operator. Each line says what was found and, where it is not as it should
//! be, the next step. Nothing is written: rights are asked for by `SelfSubjectAccessReview`.

use std::fmt::Write;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::Client;
use kube::api::{Api, PostParams};

use crate::api::ThreatRelay;
use crate::client::{CallError, call, connect};
use crate::discovery::offers;
use crate::kinds;
use crate::metrics::Requests;
use crate::rights::{self, Rule};
use crate::settings::Reach;

/// The oldest minor version of Kubernetes 1 that is supported.
const OLDEST_MINOR: u32 = 29;

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grade {
    Ok,
    Warn,
    Fail,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(super) struct Check {
    grade: Grade,
    what: String,
    found: String,
}

fn line(grade: Grade, what: impl Into<String>, found: impl Into<String>) -> Check {
    Check { grade, what: what.into(), found: found.into() }
}

/// Nothing failed.
pub(super) fn is_fit(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.grade != Grade::Fail)
}

/// The lines, for people.
pub(super) fn table(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.what.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Check { grade, what, found } in checks {
        let word = match grade {
            Grade::Ok => "ok  ",
            Grade::Warn => "warn",
            Grade::Fail => "fail",
        };
        let _infallible = writeln!(text, "{word}  {what:<width$}  {found}");
    }
    text
}

/// Looks at the cluster of the kubeconfig, or of the pod it runs in.
pub(super) async fn run(pre: bool, reach: &Reach) -> Vec<Check> {
    let client = match connect(&Requests::default()).await {
        Ok(client) => client,
        Err(error) => return vec![line(Grade::Fail, "cluster", format!("{error}; set KUBECONFIG"))],
    };
    let mut checks = match version(&client).await {
        Ok(check) => vec![check],
        Err(error) => return vec![line(Grade::Fail, "server", error.to_string())],
    };
    checks.push(crd(&client, pre).await);
    for (kind, loss) in [
        (kinds::http_route(), "spec.gateway cannot be used"),
        (kinds::service_monitor(), "spec.monitoring.serviceMonitor cannot be used"),
    ] {
        let what = format!("kind {}", kind.kind);
        checks.push(match offers(&client, &kind).await {
            Ok(true) => line(Grade::Ok, what, kind.api_version),
            Ok(false) => line(Grade::Warn, what, format!("not installed: {loss}")),
            Err(error) => line(Grade::Fail, what, error.to_string()),
        });
    }
    let rules = rights::on_relays(reach.read_secrets);
    for namespace in reach.places() {
        let what = namespace
            .as_ref()
            .map_or_else(|| "rights, all namespaces".to_owned(), |name| format!("rights in {name}"));
        checks.push(verdict(what, rights(&client, namespace.as_deref(), &rules).await));
    }
    if reach.leader_election {
        let namespace = reach.lease_namespace(&client);
        let what = format!("rights on the lease in {namespace}");
        checks.push(verdict(what, rights(&client, Some(namespace), &rights::on_lease(&reach.lease_name)).await));
    }
    checks
}

async fn version(client: &Client) -> Result<Check, CallError> {
    let info = call("ask for the version of the server", client.apiserver_version()).await?;
    let minor = info.minor.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0);
    Ok(if minor >= OLDEST_MINOR {
        line(Grade::Ok, "server", info.git_version)
    } else {
        line(
            Grade::Fail,
            "server",
            format!("{} is older than 1.{OLDEST_MINOR}; upgrade the cluster", info.git_version),
        )
    })
}

async fn crd(client: &Client, pre: bool) -> Check {
    const WHAT: &str = "CRD threatrelays.threatrelay.dev";
    match offers(client, &kinds::of::<ThreatRelay>()).await {
        Ok(true) => line(Grade::Ok, WHAT, "installed"),
        Ok(false) if pre => line(Grade::Ok, WHAT, "not installed yet"),
        Ok(false) => line(Grade::Fail, WHAT, "not installed; threatrelay-operator crd | kubectl apply -f -"),
        Err(error) => line(Grade::Fail, WHAT, error.to_string()),
    }
}

/// Whether all of these is allowed in a namespace, or in all.
async fn rights(client: &Client, namespace: Option<&str>, rules: &[Rule]) -> Result<Vec<String>, CallError> {
    let mut missing = Vec::new();
    for rule in rules {
        for verb in rule.verbs {
            if !is_allowed(client, namespace, rule, verb).await? {
                let subresource = rule.subresource.map_or_else(String::new, |name| format!("/{name}"));
                missing.push(format!("{verb} {}{subresource}", rule.kind.plural));
            }
        }
    }
    Ok(missing)
}

fn verdict(what: String, missing: Result<Vec<String>, CallError>) -> Check {
    match missing {
        Ok(missing) if missing.is_empty() => line(Grade::Ok, what, "all that the operator needs"),
        Ok(missing) => {
            let found = format!(
                "this identity may not: {}; bind it to the operator's role (the chart makes one)",
                missing.join(", ")
            );
            line(Grade::Fail, what, found)
        }
        Err(error) => line(Grade::Fail, what, error.to_string()),
    }
}

async fn is_allowed(
    client: &Client,
    namespace: Option<&str>,
    Rule { kind, subresource, name, .. }: &Rule,
    verb: &str,
) -> Result<bool, CallError> {
    let attributes = ResourceAttributes {
        namespace: namespace.map(str::to_owned),
        verb: Some(verb.to_owned()),
        group: Some(kind.group.clone()),
        resource: Some(kind.plural.clone()),
        subresource: subresource.map(str::to_owned),
        name: name.clone(),
        ..ResourceAttributes::default()
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() },
        ..SelfSubjectAccessReview::default()
    };
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = call("ask for rights", api.create(&PostParams::default(), &review)).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_line_a_check_and_only_failures_make_a_cluster_unfit() {
        let mut checks =
            vec![line(Grade::Ok, "server", "v1.34.4"), line(Grade::Warn, "kind HTTPRoute", "not installed")];
        assert_eq!(table(&checks), "ok    server          v1.34.4\nwarn  kind HTTPRoute  not installed\n");
        assert!(is_fit(&checks));
        checks.push(line(Grade::Fail, "rights", "none"));
        assert!(!is_fit(&checks));
    }
}
