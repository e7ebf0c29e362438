//! Makes the children of a relay as they are wanted, in a stated order, and removes those that are not wanted any more.
//! What hinders one child does not hinder the others, except that pods are not started on what is not ours.

pub mod agreement;
pub mod write;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::ApiResource;
use serde::Serialize;
use serde_json::Value;

use self::write::{ChildError, Children, keep_replicas};
use crate::build::Objects;
use crate::discovery::Offered;
use crate::kinds;

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
    /// Kinds that are wanted and that the server does not offer.
    pub missing: Vec<ApiResource>,
    /// Kinds of the children that are there.
    pub kinds: Vec<String>,
}

/// Makes the children of `children.owner` as `objects` says. `name` is theirs, for those that are not wanted.
///
/// The order: what pods need is there before the pods (account, settings, keys); the Service before them too, so that
/// the first ready pod is reachable; what guards or moves pods after the Deployment that it is about; the way in last,
/// when there is something behind it. An autoscaler that is not wanted goes before the Deployment gets a fixed number,
/// so that the two do not fight.
///
/// # Errors
/// [`ChildError::Call`] when the API cannot be asked, and [`ChildError::NamespaceEnds`]: then going on is pointless.
pub async fn apply(
    children: &Children<'_>,
    name: &str,
    objects: Objects,
    offered: Offered,
) -> Result<Applied, ChildError> {
    // Destructured without `..`: a field that is added does not compile here instead of never being applied.
    let Objects {
        service_account,
        config_map,
        secret,
        service,
        deployment,
        pod_disruption_budget,
        autoscaler,
        network_policy,
        ingress,
        http_route,
        service_monitor,
    } = objects;
    let mut step = Step { children, name, offered, applied: Applied::default() };

    step.one(&kinds::of::<ServiceAccount>(), Some(&service_account)).await?;
    step.one(&kinds::of::<ConfigMap>(), config_map.as_ref()).await?;
    step.one(&kinds::of::<Secret>(), secret.as_ref()).await?;
    if !step.applied.hindered.is_empty() {
        return Ok(step.applied);
    }
    step.one(&kinds::of::<Service>(), Some(&service)).await?;
    if autoscaler.is_none() {
        step.one(&kinds::of::<HorizontalPodAutoscaler>(), None::<&Value>).await?;
    }
    let least = autoscaler.as_ref().and_then(|autoscaler| autoscaler.spec.as_ref()?.min_replicas).unwrap_or(1);
    step.applied.deployment = step.deployment(&deployment, least.into()).await?;
    step.one(&kinds::of::<PodDisruptionBudget>(), pod_disruption_budget.as_ref()).await?;
    if autoscaler.is_some() {
        step.one(&kinds::of::<HorizontalPodAutoscaler>(), autoscaler.as_ref()).await?;
    }
    step.one(&kinds::of::<NetworkPolicy>(), network_policy.as_ref()).await?;
    step.applied.ingress = step.one(&kinds::of::<Ingress>(), ingress.as_ref()).await?;
    step.applied.http_route = step.one(&kinds::http_route(), http_route.as_ref()).await?;
    step.one(&kinds::service_monitor(), service_monitor.as_ref()).await?;
    Ok(step.applied)
}

struct Step<'a> {
    children: &'a Children<'a>,
    name: &'a str,
    offered: Offered,
    applied: Applied,
}

impl Step<'_> {
    /// Makes or removes one child.
    async fn one<K: Serialize>(&mut self, kind: &ApiResource, object: Option<&K>) -> Result<Option<Value>, ChildError> {
        self.child(kind, object, |_, _| {}).await
    }

    async fn deployment<K: Serialize>(&mut self, object: &K, least: i64) -> Result<Option<Value>, ChildError> {
        self.child(&kinds::of::<Deployment>(), Some(object), |wanted, live| keep_replicas(wanted, live, least)).await
    }

    #[tracing::instrument(name = "apply", skip_all, fields(kind = kind.kind))]
    async fn child<K: Serialize>(
        &mut self,
        kind: &ApiResource,
        object: Option<&K>,
        adjust: impl Fn(&mut Value, Option<&Value>),
    ) -> Result<Option<Value>, ChildError> {
        let is_optional = kinds::optional().contains(kind);
        if is_optional && !self.offered.has(kind) {
            if object.is_some() {
                self.applied.missing.push(kind.clone());
            }
            return Ok(None);
        }
        let made = match object {
            None => self.children.remove(kind, self.name).await.map(|_| None),
            Some(object) => {
                let desired = serde_json::to_value(object).unwrap_or_default();
                self.children.ensure(kind, &desired, adjust).await.map(Some)
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
