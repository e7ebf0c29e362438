//! What a reconcile came to know on its way, gathered for the status.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use serde_json::Value;

use super::backoff::spread;
use super::context::Context;
use super::{CONFLICT, Done, Error, REFUSED, RESYNC_NOT_READY, RESYNC_READY, publish};
use crate::api::ThreatRelay;
use crate::api::conditions::{READY, Reason};
use crate::api::v1alpha1::ThreatRelayStatus;
use crate::apply::Applied;
use crate::apply::write::ChildError;
use crate::broken::{self, Defect};
use crate::client::CallError;
use crate::probe::Look;
use crate::status::{Facts, Obstacle, Outcome, Resolved, Route, Workload, forbidden};
use crate::validate::ownership::is_owned;
use crate::validate::{About, Finding, Owner, Refused, Validated};
use crate::{build, observe, validate};

/// What is known so far.
pub(super) struct Gathered<'a> {
    relay: &'a ThreatRelay,
    outcome: Outcome,
    references: Resolved,
    applied: Applied,
    deployment: Option<Deployment>,
    workload: Option<Workload>,
    findings: Vec<Finding>,
    version: Option<String>,
    keys: usize,
    look: Option<Look>,
    /// What the status is to tell before the reconcile counts as failed.
    failure: Option<CallError>,
    is_applied: bool,
}

impl<'a> Gathered<'a> {
    pub(super) fn new(relay: &'a ThreatRelay, deployment: Option<&Deployment>) -> Self {
        Self {
            relay,
            outcome: Outcome::Applied,
            references: if observe::references(relay).is_empty() { Resolved::NotRequested } else { Resolved::Yes },
            applied: Applied::default(),
            deployment: deployment.filter(|live| is_owned(*live, &relay.uid().unwrap_or_default())).cloned(),
            workload: None,
            findings: Vec::new(),
            version: None,
            keys: validate::references(&relay.spec).len(),
            look: None,
            failure: None,
            is_applied: false,
        }
    }

    pub(super) fn suspended(&mut self) {
        self.outcome = Outcome::Suspended;
        if self.references == Resolved::Yes {
            self.references = Resolved::Unknown;
        }
    }

    pub(super) fn refused(&mut self, Refused { reason, message, .. }: Refused) {
        if is_about_references(reason) {
            self.references = Resolved::No(reason, message.clone());
        } else if self.references == Resolved::Yes {
            self.references = Resolved::Unknown;
        }
        self.outcome = Outcome::Hindered(Obstacle { reason, message, needs_somebody: true });
    }

    /// What was found out about the resource; it holds whatever becomes of its children.
    pub(super) fn validated(&mut self, validated: &Validated) {
        self.keys = validated.keys.count(&validated.spec);
        self.version = Some(version(&validated.image.reference).to_owned());
        for Finding { about, reason, message } in &validated.findings {
            match about {
                About::Credentials => {
                    self.references = Resolved::No(*reason, message.clone());
                    let obstacle = Obstacle { reason: *reason, message: message.clone(), needs_somebody: true };
                    self.outcome = Outcome::Hindered(obstacle);
                }
                About::Monitoring if self.outcome == Outcome::Applied => {
                    self.outcome = Outcome::AppliedWithout(*reason, message.clone());
                }
                About::Monitoring | About::Route => {}
            }
        }
        self.findings.clone_from(&validated.findings);
    }

    pub(super) fn applied(&mut self, mut applied: Applied) {
        self.is_applied = true;
        if let Some(live) = applied.deployment.take().filter(|_| !broken::is(Defect::StatusOfBefore)) {
            self.deployment = serde_json::from_value(live).ok();
        }
        if let Some(error) = applied.hindered.first() {
            self.hindered(error);
        }
        self.applied = applied;
    }

    pub(super) fn hindered(&mut self, error: &ChildError) {
        let message = error.to_string();
        let (reason, needs_somebody) = match error {
            ChildError::NotOurs { .. } => (Reason::OwnershipConflict, true),
            ChildError::Refused { code: 403, .. } if message.contains("exceeded quota") => {
                (Reason::QuotaExceeded, true)
            }
            ChildError::Refused { .. } => (Reason::AdmissionDenied, true),
            ChildError::NamespaceEnds => (Reason::Terminating, false),
            ChildError::Ending { .. } | ChildError::Raced { .. } | ChildError::Call(_) => {
                (Reason::Progressing, false)
            }
        };
        self.outcome = Outcome::Hindered(Obstacle { reason, message, needs_somebody });
    }

    /// The API refused or did not answer: the status says so where it can be written, then the reconcile fails.
    pub(super) fn failed(&mut self, error: CallError) {
        let is_forbidden = error.is_unauthorized();
        let (reason, message) = if is_forbidden {
            (Reason::Forbidden, forbidden(&error))
        } else {
            (Reason::ApiUnavailable, format!("{error}; it is tried again"))
        };
        self.outcome = Outcome::Hindered(Obstacle { reason, message, needs_somebody: is_forbidden });
        self.failure = Some(error);
    }

    /// Reads how the pods are, of the Deployment as it was applied or, where nothing was, as it is.
    pub(super) async fn look_at_pods(&mut self, context: &Context, owner: &Owner) -> Result<(), Error> {
        let mut target = None;
        if let Some(deployment) = &self.deployment {
            let pods = observe::pods(&context.client, &owner.namespace, &self.selector()).await;
            let pods = publish::forbidden_read(context, self.relay, pods).await?;
            self.workload = Some(Workload::of(deployment, &pods, &self.bounds(deployment), Timestamp::now()));
            let port = u16::try_from(build::ADMIN_PORT).unwrap_or_default();
            target = pods.iter().find_map(ready_address).map(|address| (address, port));
        }
        self.look = context.probes.keep(&owner.uid, &owner.namespace, &owner.name, target).await;
        Ok(())
    }

    /// How many pods are to run.
    fn bounds(&self, deployment: &Deployment) -> RangeInclusive<i32> {
        let fixed = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        match &self.relay.spec.autoscaling {
            Some(autoscaling) => autoscaling.min_replicas..=autoscaling.max_replicas,
            None => fixed..=fixed,
        }
    }

    fn selector(&self) -> String {
        let labels = build::selector(&self.relay.name_any());
        let pairs: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join(",")
    }

    pub(super) fn facts<'b>(&self, before: &'b ThreatRelayStatus) -> Facts<'b> {
        // Until then others serve.
        let is_complete = self.workload.as_ref().is_some_and(|workload| workload.is_complete);
        Facts {
            generation: self.relay.metadata.generation,
            before,
            outcome: self.outcome.clone(),
            references: self.references.clone(),
            workload: self.workload.clone(),
            route: self.route(),
            look: self.look.clone(),
            url: build::url(&self.relay.spec),
            selector: self.selector(),
            version: self.version.clone().filter(|_| is_complete).or_else(|| before.version.clone()),
            keys: i32::try_from(self.keys).unwrap_or(i32::MAX),
        }
    }

    fn route(&self) -> Route {
        let spec = &self.relay.spec;
        if let Some(finding) = self.findings.iter().find(|finding| finding.about == About::Route) {
            return Route::Refused(finding.reason, finding.message.clone());
        }
        if spec.ingress.is_none() && spec.gateway.is_none() {
            return Route::NotRequested;
        }
        if let Some(route) = &self.applied.http_route {
            return of_http_route(route);
        }
        match &self.applied.ingress {
            Some(ingress) => of_ingress(ingress),
            None => Route::Waiting("the route is not made yet".to_owned()),
        }
    }

    pub(super) fn kinds(&self) -> Option<Vec<String>> {
        self.is_applied.then(|| self.applied.kinds.clone())
    }

    /// When to look again.
    pub(super) fn end(self, status: &ThreatRelayStatus) -> Result<Done, Error> {
        if let Some(error) = self.failure {
            return Err(error.into());
        }
        let ready = status.conditions.iter().find(|condition| condition.type_ == READY);
        let patience = self.workload.as_ref().and_then(|workload| workload.patience);
        Ok(match &self.outcome {
            Outcome::Hindered(obstacle) if obstacle.reason == Reason::OwnershipConflict => {
                Done::Terminal(spread(CONFLICT))
            }
            Outcome::Hindered(obstacle)
                if matches!(obstacle.reason, Reason::AdmissionDenied | Reason::QuotaExceeded) =>
            {
                Done::Terminal(spread(REFUSED))
            }
            Outcome::Hindered(obstacle) if !obstacle.needs_somebody => Done::Again(spread(CONFLICT)),
            Outcome::Hindered(_) => Done::Terminal(spread(RESYNC_NOT_READY)),
            _ if ready.is_some_and(|ready| ready.status == "True") => Done::Again(spread(RESYNC_READY)),
            _ => Done::Again(patience.unwrap_or_else(|| spread(RESYNC_NOT_READY))),
        })
    }
}

fn is_about_references(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::SecretNotFound
            | Reason::SecretKeyMissing
            | Reason::SecretKeyEmpty
            | Reason::SecretKeyInvalid
            | Reason::ConfigMapNotFound
            | Reason::ConfigMapKeyInvalid
    )
}

/// The version that an image's reference tells: its tag, else its digest.
fn version(reference: &str) -> &str {
    let (named, digest) = reference.split_once('@').unwrap_or((reference, ""));
    let last = named.rsplit('/').next().unwrap_or_default();
    last.split_once(':').map_or(digest, |(_, tag)| tag)
}

/// Where a ready pod is.
fn ready_address(pod: &Pod) -> Option<IpAddr> {
    let status = pod.status.as_ref()?;
    let is_ready = status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True");
    let address = status.pod_ip.as_ref()?.parse().ok()?;
    (is_ready && pod.metadata.deletion_timestamp.is_none()).then_some(address)
}

fn of_ingress(ingress: &Value) -> Route {
    let addresses = ingress["status"]["loadBalancer"]["ingress"].as_array();
    let first = addresses.and_then(|all| all.first()).and_then(|one| one["hostname"].as_str().or(one["ip"].as_str()));
    match first {
        Some(address) => Route::Accepted(format!("the Ingress is served at {address}")),
        None => Route::Waiting(
            "no Ingress controller has written an address into the Ingress; some never do. Look at spec.ingress.className"
                .to_owned(),
        ),
    }
}

fn of_http_route(route: &Value) -> Route {
    let mut accepted = Vec::new();
    for parent in route["status"]["parents"].as_array().into_iter().flatten() {
        let name = parent["parentRef"]["name"].as_str().unwrap_or_default();
        for condition in parent["conditions"].as_array().into_iter().flatten() {
            let said = |field: &str| condition[field].as_str().unwrap_or_default();
            match (said("type"), said("status")) {
                ("Accepted", "True") => accepted.push(name.to_owned()),
                ("Accepted" | "ResolvedRefs", "False") => {
                    let message = format!(
                        "Gateway \"{name}\" does not take the HTTPRoute ({}): {}. Look at spec.gateway.parentRefs",
                        said("reason"),
                        said("message")
                    );
                    return Route::Refused(Reason::RouteNotAccepted, message);
                }
                _ => {}
            }
        }
    }
    if accepted.is_empty() {
        return Route::Waiting("no Gateway has said anything about the HTTPRoute yet".to_owned());
    }
    Route::Accepted(format!("taken by Gateway {}", accepted.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_that_were_not_looked_at_are_not_called_there() {
        let spec = json!({"credentials": {"default": {"secretRef": {"name": "otx"}}}});
        let relay = ThreatRelay::new("r", serde_json::from_value(spec).unwrap_or_default());
        let refused = |reason| {
            let mut gathered = Gathered::new(&relay, None);
            gathered.refused(Refused { reason, message: String::new() });
            gathered.references
        };
        assert_eq!(refused(Reason::OwnershipConflict), Resolved::Unknown);
        assert_eq!(refused(Reason::SecretNotFound), Resolved::No(Reason::SecretNotFound, String::new()));
    }

    #[test]
    fn the_version_is_the_tag_or_else_the_digest() {
        for (reference, expected) in [
            ("registry.example:5000/a/relay:1.2.3", "1.2.3"),
            ("registry.example:5000/a/relay:1.2.3@sha256:00", "1.2.3"),
            ("registry.example:5000/a/relay@sha256:00", "sha256:00"),
            ("relay", ""),
        ] {
            assert_eq!(version(reference), expected);
        }
    }

    #[test]
    fn a_route_is_what_its_gateways_say() {
        let route = |conditions: Value| json!({"status": {"parents": [{"parentRef": {"name": "g"}, "conditions": conditions}]}});
        let condition =
            |type_: &str, status: &str| json!({"type": type_, "status": status, "reason": "R", "message": "m"});
        assert!(matches!(of_http_route(&json!({})), Route::Waiting(_)));
        assert!(matches!(of_http_route(&route(json!([condition("Accepted", "True")]))), Route::Accepted(_)));
        for refused in ["Accepted", "ResolvedRefs"] {
            let seen = of_http_route(&route(json!([condition("Accepted", "True"), condition(refused, "False")])));
            assert!(matches!(seen, Route::Refused(Reason::RouteNotAccepted, _)), "{seen:?}");
        }
    }
}
