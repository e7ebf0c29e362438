//! What the operator's administrator decided for all relays, and so what no resource can decide. With it, whoever may
//! write a resource gains nothing: a key in a Secret is sent nowhere, and no image is run, that was not allowed.

use std::collections::BTreeMap;

use crate::api::v1alpha1::PullPolicy;

/// What the administrator decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Image of relays that name none: `repository`, with `:tag`, `@digest` or both.
    pub image: String,
    /// Repositories that a resource may name, beside that of `image`; one that ends with `/` allows all below it.
    pub allowed_repositories: Vec<String>,
    /// When nodes ask the registry, unless a resource says so.
    pub pull_policy: PullPolicy,
    /// Secrets with which nodes get images, in the namespace of each relay.
    pub pull_secrets: Vec<String>,
    /// Hosts that a resource may send credentials to, beside OTX: for `upstream.baseUrl`, `upstream.proxy`,
    /// `cache.shared.url` and `telemetry.otlp.endpoint`. `host` or `host:port`; `*.domain` allows all names below, `*` everything.
    pub allowed_destinations: Vec<String>,
    /// The operator's own pods, which read the relays' admin port. Unknown outside a cluster.
    pub operator: Option<OperatorPods>,
}

/// Which pods are the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorPods {
    /// Their namespace.
    pub namespace: String,
    /// Labels that they have.
    pub labels: BTreeMap<String, String>,
}
