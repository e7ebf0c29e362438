//! `check`: whether a cluster is fit for the operator. Each line says what was found and, where it is not as it should
//! be, the next step. Nothing is written: rights are asked for by `SelfSubjectAccessReview`.

use std::fmt::Write;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::{Api, ApiResource, PostParams};
use kube::{Client, Resource};

use crate::api::ThreatRelay;
use crate::client::{CallError, call, connect};
use crate::discovery::offers;
use crate::kinds;

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
pub(super) async fn run(pre: bool, namespaces: &[String], read_secrets: bool) -> Vec<Check> {
    let client = match connect().await {
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
    let places =
        if namespaces.is_empty() { vec![None] } else { namespaces.iter().map(|name| Some(&**name)).collect() };
    for namespace in places {
        checks.push(rights(&client, namespace, read_secrets).await);
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

/// Whether all that the operator does is allowed in a namespace.
async fn rights(client: &Client, namespace: Option<&str>, read_secrets: bool) -> Check {
    let what = namespace.map_or_else(|| "rights, all namespaces".to_owned(), |name| format!("rights in {name}"));
    let mut missing = Vec::new();
    for (kind, subresource, verbs) in needed(read_secrets) {
        for verb in verbs {
            match is_allowed(client, namespace, &kind, subresource, verb).await {
                Ok(true) => {}
                Ok(false) => missing.push(format!(
                    "{verb} {}{}",
                    kind.plural,
                    subresource.map_or_else(String::new, |s| format!("/{s}"))
                )),
                Err(error) => return line(Grade::Fail, what, error.to_string()),
            }
        }
    }
    if missing.is_empty() {
        return line(Grade::Ok, what, "all that the operator needs");
    }
    let found = format!(
        "this identity may not: {}; bind it to the operator's role (the chart makes one)",
        missing.join(", ")
    );
    line(Grade::Fail, what, found)
}

type Needed = (ApiResource, Option<&'static str>, Vec<&'static str>);

fn needed(read_secrets: bool) -> Vec<Needed> {
    const CHILD: [&str; 6] = ["get", "list", "watch", "create", "patch", "delete"];
    let mut all: Vec<Needed> = vec![
        (kinds::of::<ThreatRelay>(), None, vec!["get", "list", "watch"]),
        (kinds::of::<ThreatRelay>(), Some("status"), vec!["patch"]),
        (kinds::of::<k8s_openapi::api::core::v1::Pod>(), None, vec!["list", "watch"]),
        (kinds::of::<k8s_openapi::api::events::v1::Event>(), None, vec!["create", "patch"]),
    ];
    let is_secret = |kind: &ApiResource| kind.kind == k8s_openapi::api::core::v1::Secret::kind(&());
    let kinds = kinds::always().into_iter().filter(|kind| read_secrets || !is_secret(kind));
    all.extend(kinds.map(|kind| (kind, None, CHILD.to_vec())));
    all
}

async fn is_allowed(
    client: &Client,
    namespace: Option<&str>,
    kind: &ApiResource,
    subresource: Option<&str>,
    verb: &str,
) -> Result<bool, CallError> {
    let attributes = ResourceAttributes {
        namespace: namespace.map(str::to_owned),
        verb: Some(verb.to_owned()),
        group: Some(kind.group.clone()),
        resource: Some(kind.plural.clone()),
        subresource: subresource.map(str::to_owned),
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

    #[test]
    fn without_reading_secrets_no_right_on_them_is_asked_for() {
        let asks = |read| needed(read).iter().any(|(kind, ..)| kind.plural == "secrets");
        assert!(asks(true) && !asks(false));
    }
}
