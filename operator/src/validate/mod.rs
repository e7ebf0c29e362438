//! From a resource and what the cluster holds to what can be built, or a refusal. What the schema cannot see is decided
//! here: who owns the names, what the operator allows, which references lead somewhere. A reference that leads nowhere
//! is no refusal but a [`Finding`]: the rest is built, and pods that run keep what they have. Pure.

mod credentials;
mod destinations;
mod image;
pub mod ownership;
mod policy;

use std::collections::BTreeMap;

use kube::ResourceExt;

use crate::api::conditions::Reason;
use crate::api::{ThreatRelay, ThreatRelaySpec};
use crate::observed::{Content, Observed};
pub use credentials::{mounted, references};
pub use destinations::Destination;
pub use image::ChosenImage;
pub use policy::{OperatorPods, Policy};

/// Why nothing is built. What runs is left as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// In a word.
    pub reason: Reason,
    /// In a sentence, with the next step.
    pub message: String,
}

/// What is not as the resource says, though the rest can be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub about: About,
    /// In a word.
    pub reason: Reason,
    /// In a sentence, with the next step.
    pub message: String,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// References to Secrets and `ConfigMap`s.
    Credentials,
    /// The way from outside.
    Route,
    /// The `ServiceMonitor`.
    Monitoring,
}

/// A resource that can be built.
#[derive(Clone, Debug)]
pub struct Validated {
    /// Whose children they are.
    pub owner: Owner,
    /// What is wanted.
    pub spec: ThreatRelaySpec,
    /// The image of the pods.
    pub image: ChosenImage,
    /// OTX keys.
    pub keys: Keys,
    /// The certificates of `upstream.caBundle`, where they were found.
    pub ca: Certificates,
    /// Where the settings lead, beside OTX and JWKS hosts at port 443.
    pub destinations: Vec<Destination>,
    /// Whether an `HTTPRoute` is wanted and possible.
    pub has_http_route: bool,
    /// Whether a `ServiceMonitor` is wanted and possible.
    pub has_service_monitor: bool,
    /// What the administrator decided.
    pub policy: Policy,
    /// What is not as the resource says.
    pub findings: Vec<Finding>,
}

/// The resource as an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Name of the resource and of most of its children.
    pub name: String,
    /// Namespace of the resource and of all its children.
    pub namespace: String,
    /// Uid of the resource.
    pub uid: String,
}

/// How pods get OTX keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Not at all: they are in the tokens.
    InTokens,
    /// From our Secret with these files. None at all is no Secret, and pods wait for it.
    Managed(BTreeMap<String, Content>),
    /// From the user's Secrets.
    Direct,
}

impl Keys {
    /// Number of keys.
    #[must_use]
    pub fn count(&self, spec: &ThreatRelaySpec) -> usize {
        match self {
            Self::InTokens => 0,
            Self::Managed(files) => files.len(),
            Self::Direct => credentials::references(spec).len(),
        }
    }
}

/// The certificates of `upstream.caBundle`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certificates {
    /// None are wanted.
    None,
    /// Their digest.
    Known(String),
    /// They were not found: pods that run keep what they have, under this digest if there is one.
    Missing(Option<String>),
}

/// Decides whether and as what the resource can be built.
///
/// # Errors
/// [`Refused`] for the first thing that forbids to build anything.
pub fn validate(resource: &ThreatRelay, observed: &Observed, policy: &Policy) -> Result<Validated, Refused> {
    let owner = owner(resource)?;
    let spec = resource.spec.clone();
    let mut findings = Vec::new();
    let has_http_route = has_api(
        (spec.gateway.is_some(), observed.apis.gateway),
        (About::Route, Reason::GatewayApiNotInstalled, "the Gateway API (HTTPRoute)", "spec.gateway"),
        &mut findings,
    );
    let has_service_monitor = has_api(
        (spec.monitoring.service_monitor.is_some(), observed.apis.service_monitor),
        (
            About::Monitoring,
            Reason::ServiceMonitorCrdMissing,
            "the Prometheus operator (ServiceMonitor)",
            "spec.monitoring.serviceMonitor",
        ),
        &mut findings,
    );
    let keys = credentials::keys(&owner, &spec, observed, &mut findings);
    ownership::check(&owner, &spec, &keys, (has_http_route, has_service_monitor), &observed.children)?;
    let image = image::choose(spec.image.as_ref(), policy)?;
    let destinations = destinations::check(&spec, policy)?;
    credentials::check_mounted(&owner, &spec, observed, &mut findings);
    let ca = credentials::certificates(&owner, &spec, observed, &mut findings);
    Ok(Validated {
        owner,
        image,
        keys,
        ca,
        destinations,
        has_http_route,
        has_service_monitor,
        policy: policy.clone(),
        findings,
        spec,
    })
}

fn owner(resource: &ThreatRelay) -> Result<Owner, Refused> {
    let missing = |what: &str| Refused {
        reason: Reason::InvalidSpec,
        message: format!("the resource has no {what}; it must come from an API server"),
    };
    Ok(Owner {
        name: resource.name_any(),
        namespace: resource.namespace().ok_or_else(|| missing("namespace"))?,
        uid: resource.uid().ok_or_else(|| missing("uid"))?,
    })
}

fn has_api(
    (is_wanted, is_there): (bool, bool),
    (about, reason, api, field): (About, Reason, &str, &str),
    findings: &mut Vec<Finding>,
) -> bool {
    if is_wanted && !is_there {
        let message = format!("the cluster lacks {api}; install it, or remove {field}");
        findings.push(Finding { about, reason, message });
    }
    is_wanted && is_there
}
