//! Makes the children of a relay as they are wanted, in a stated order, and removes those that are not wanted any more.
//! What hinders one child does not hinder the others, except that pods are not started on what is not ours.

pub mod agreement;
mod amounts;
mod managed;
mod replicas;
pub mod write;

use futures_util::TryFutureExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::ApiResource;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use self::write::{ChildError, Children};
use crate::broken::{self, Defect};
use crate::build::Objects;
use crate::kinds;
use crate::observed::{Children as Live, is_rolled_out};

/// The children as they are now.
#[derive(Debug, Default)]
pub struct Applied {
    /// The Deployment.
    pub deployment: Option<Value>,
    /// The Ingress.
    pub ingress: Option<Value>,
    /// The `HTTPRoute`.
    pub http_route: Option<Value>,
    /// What hinders children.
    pub hindered: Vec<ChildError>,
    /// Kinds of the children that are there.
    pub kinds: Vec<String>,
}

/// Makes the children of `children.owner` as `objects` says; `live` is what there was a moment ago.
///
/// The order: what pods need is there before the pods (account, settings, keys); the Service before them too, so that
/// the first ready pod is reachable; what guards or moves pods after the Deployment that it is about; the way in last,
/// when there is something behind it. An autoscaler that is not wanted goes before the Deployment gets a fixed number,
/// so that the two do not fight. Keys that are not wanted go when no pod is left that mounts them: such a pod may have to
/// start anew while its successors do not get ready.
///
/// # Errors
/// [`ChildError::Call`] when the API cannot be asked, and [`ChildError::NamespaceEnds`]: then going on is pointless.
pub async fn apply(children: &Children<'_>, objects: Objects, live: Live) -> Result<Applied, ChildError> {
    // Destructured without `..`: a field that is added does not compile here instead of never being applied.
    let Objects {
        service_account,
        config_map,
        secret,
        deployment,
        service,
        ingress,
        http_route,
        horizontal_pod_autoscaler: autoscaler,
        pod_disruption_budget,
        network_policy,
        service_monitor,
    } = objects;
    let mut step = Step { children, applied: Applied::default() };

    step.one(&kinds::of::<ServiceAccount>(), Some(&service_account), live.service_account.as_ref()).await?;
    step.one(&kinds::of::<ConfigMap>(), Some(&config_map), live.config_map.as_ref()).await?;
    if secret.is_some() {
        step.one(&kinds::of::<Secret>(), secret.as_ref(), live.secret.as_ref()).await?;
    }
    if !step.applied.hindered.is_empty() {
        return Ok(step.applied);
    }
    step.one(&kinds::of::<Service>(), Some(&service), live.service.as_ref()).await?;
    let scaler = (&kinds::of::<HorizontalPodAutoscaler>(), live.horizontal_pod_autoscaler.as_ref());
    if autoscaler.is_none() {
        step.one(scaler.0, autoscaler.as_ref(), scaler.1).await?;
    }
    let least = autoscaler
        .as_ref()
        .map(|autoscaler| i64::from(autoscaler.spec.as_ref().and_then(|spec| spec.min_replicas).unwrap_or(1)));
    step.applied.deployment = step.deployment(&deployment, live.deployment.as_ref(), least).await?;
    let applied = step.applied.deployment.as_ref().and_then(|live| Deployment::deserialize(live).ok());
    if secret.is_none() && applied.is_some_and(|live| is_rolled_out(&live)) {
        step.one(&kinds::of::<Secret>(), secret.as_ref(), live.secret.as_ref()).await?;
    }
    let budget = live.pod_disruption_budget.as_ref();
    step.one(&kinds::of::<PodDisruptionBudget>(), pod_disruption_budget.as_ref(), budget).await?;
    if autoscaler.is_some() {
        step.one(scaler.0, autoscaler.as_ref(), scaler.1).await?;
    }
    step.one(&kinds::of::<NetworkPolicy>(), network_policy.as_ref(), live.network_policy.as_ref()).await?;
    step.applied.ingress = step.one(&kinds::of::<Ingress>(), ingress.as_ref(), live.ingress.as_ref()).await?;
    step.applied.http_route = step.one(&kinds::http_route(), http_route.as_ref(), live.http_route.as_ref()).await?;
    step.one(&kinds::service_monitor(), service_monitor.as_ref(), live.service_monitor.as_ref()).await?;
    Ok(step.applied)
}

struct Step<'a> {
    children: &'a Children<'a>,
    applied: Applied,
}

impl Step<'_> {
    /// Makes or removes one child.
    async fn one<K: Serialize>(
        &mut self,
        kind: &ApiResource,
        object: Option<&K>,
        live: Option<&K>,
    ) -> Result<Option<Value>, ChildError> {
        self.child(kind, object, live, |_, _| {}).await
    }

    async fn deployment<K: Serialize>(
        &mut self,
        object: &K,
        live: Option<&K>,
        least: Option<i64>,
    ) -> Result<Option<Value>, ChildError> {
        let adjust = |wanted: &mut Value, live: Option<&Value>| {
            if let Some(least) = least.filter(|_| !broken::is(Defect::ReplicasOfAutoscaler)) {
                replicas::keep(wanted, live, least);
            }
        };
        self.child(&kinds::of::<Deployment>(), Some(object), live, adjust).await
    }

    async fn child<K: Serialize>(
        &mut self,
        kind: &ApiResource,
        object: Option<&K>,
        live: Option<&K>,
        adjust: impl Fn(&mut Value, Option<&Value>),
    ) -> Result<Option<Value>, ChildError> {
        let live = live.and_then(|live| serde_json::to_value(live).ok());
        let made = match (object, live) {
            (None, None) => return Ok(None),
            (None, Some(live)) => {
                let span = tracing::info_span!("prune", kind = kind.kind, otel.status_code = Empty);
                told(self.children.remove(kind, live).map_ok(|_| None), span).await
            }
            (Some(object), live) => {
                let span = tracing::info_span!("apply", kind = kind.kind, otel.status_code = Empty);
                let desired = serde_json::to_value(object).unwrap_or_default();
                told(self.children.ensure(kind, &desired, live, adjust).map_ok(Some), span).await
            }
        };
        match made {
            Ok(made) => {
                self.applied.kinds.extend(made.as_ref().map(|_| kind.kind.clone()));
                Ok(made)
            }
            Err(error @ (ChildError::Call(_) | ChildError::NamespaceEnds)) => Err(error),
            Err(error) => {
                self.applied.hindered.push(error);
                Ok(None)
            }
        }
    }
}

/// Runs a step under its span, which tells whether it failed.
async fn told<T>(step: impl Future<Output = Result<T, ChildError>>, span: Span) -> Result<T, ChildError> {
    let done = step.instrument(span.clone()).await;
    if done.is_err() {
        span.record("otel.status_code", "ERROR");
    }
    done
}
