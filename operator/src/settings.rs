//! What the operator is told at its start, by flags or by environment variables `THREATRELAY_OPERATOR_*`. Everything
//! else about a relay stands in its `ThreatRelay`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use clap::{Args, ValueEnum};

use crate::api::v1alpha1::PullPolicy;
use crate::validate::{OperatorPods, Policy};

/// The settings of `run`.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Image of relays whose resource names none. There is no default: with one, another version of the operator would
    /// replace every relay.
    #[arg(long, env = "THREATRELAY_OPERATOR_RELAY_IMAGE")]
    pub relay_image: String,
    /// Repositories that a resource may take images from, beside that of the image above, comma-separated. One that
    /// ends with `/` allows all below it.
    #[arg(long, env = "THREATRELAY_OPERATOR_ALLOWED_REPOSITORIES", value_delimiter = ',')]
    pub allowed_repositories: Vec<String>,
    /// When nodes ask the registry for an image: `Always`, `IfNotPresent` or `Never`.
    #[arg(long, env = "THREATRELAY_OPERATOR_IMAGE_PULL_POLICY", default_value = "IfNotPresent", value_parser = pull_policy)]
    pub image_pull_policy: PullPolicy,
    /// Secrets with which nodes get images, in the namespace of each relay, comma-separated.
    #[arg(long, env = "THREATRELAY_OPERATOR_IMAGE_PULL_SECRETS", value_delimiter = ',')]
    pub image_pull_secrets: Vec<String>,
    /// Hosts that a resource may send credentials to, beside OTX, comma-separated: `host` or `host:port`; `*.domain`
    /// allows all names below, `*` everything.
    #[arg(long, env = "THREATRELAY_OPERATOR_ALLOWED_DESTINATIONS", value_delimiter = ',')]
    pub allowed_destinations: Vec<String>,
    /// Namespace of the operator's own pods, which network policies of relays let in.
    #[arg(long, env = "THREATRELAY_OPERATOR_POD_NAMESPACE")]
    pub pod_namespace: Option<String>,
    /// Labels of the operator's own pods, as `name=value`, comma-separated.
    #[arg(long, env = "THREATRELAY_OPERATOR_POD_LABELS", value_delimiter = ',', value_parser = label)]
    pub pod_labels: Vec<(String, String)>,
    /// Where it works.
    #[command(flatten)]
    pub reach: Reach,
    /// Where probes and metrics are served.
    #[arg(long, env = "THREATRELAY_OPERATOR_LISTEN", default_value_t = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)))]
    pub listen: SocketAddr,
    /// What is logged: a level or directives such as `info,threatrelay_operator=debug`.
    #[arg(long, env = "THREATRELAY_OPERATOR_LOG", default_value = "info")]
    pub log: String,
    /// Collector that traces of reconciles go to by OTLP over HTTP, such as `http://collector.monitoring.svc:4318`.
    /// Without one there are none.
    #[arg(long, env = "THREATRELAY_OPERATOR_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
    /// Form of log lines: text on a terminal, else JSON, unless one is named.
    #[arg(long, env = "THREATRELAY_OPERATOR_LOG_FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    pub log_format: LogFormat,
}

/// Where the operator works and what it needs there: what `check` asks the cluster about.
#[derive(Args, Clone, Debug)]
pub struct Reach {
    /// Namespaces to work in, comma-separated. Without any: all of the cluster.
    #[arg(long, env = "THREATRELAY_OPERATOR_NAMESPACES", value_delimiter = ',')]
    pub namespaces: Vec<String>,
    /// Read the Secrets that resources refer to. Without it only `credentials.mode: direct` works, and the operator
    /// needs no right on Secrets.
    #[arg(long, env = "THREATRELAY_OPERATOR_READ_SECRETS", default_value_t = true, action = clap::ArgAction::Set)]
    pub read_secrets: bool,
    /// Elect a leader among several operators. Without it there must be one.
    #[arg(long, env = "THREATRELAY_OPERATOR_LEADER_ELECTION", default_value_t = true, action = clap::ArgAction::Set)]
    pub leader_election: bool,
    /// Namespace of the lease; by default the one the operator runs in.
    #[arg(long, env = "THREATRELAY_OPERATOR_LEASE_NAMESPACE")]
    pub lease_namespace: Option<String>,
    /// Name of the lease.
    #[arg(long, env = "THREATRELAY_OPERATOR_LEASE_NAME", default_value = "threatrelay-operator")]
    pub lease_name: String,
}

impl Reach {
    /// The namespaces to work in, each by itself; none is all of them.
    #[must_use]
    pub fn places(&self) -> Vec<Option<String>> {
        match &self.namespaces[..] {
            [] => vec![None],
            some => some.iter().cloned().map(Some).collect(),
        }
    }

    /// Where the lease is.
    #[must_use]
    pub fn lease_namespace<'a>(&'a self, client: &'a kube::Client) -> &'a str {
        self.lease_namespace.as_deref().unwrap_or_else(|| client.default_namespace())
    }
}

impl Settings {
    /// What is decided here for all relays.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let labels: BTreeMap<_, _> = self.pod_labels.iter().cloned().collect();
        let namespace = self.pod_namespace.clone().filter(|_| !labels.is_empty());
        Policy {
            image: self.relay_image.clone(),
            allowed_repositories: self.allowed_repositories.clone(),
            pull_policy: self.image_pull_policy,
            pull_secrets: self.image_pull_secrets.clone(),
            allowed_destinations: self.allowed_destinations.clone(),
            operator: namespace.map(|namespace| OperatorPods { namespace, labels }),
        }
    }
}

fn pull_policy(word: &str) -> Result<PullPolicy, String> {
    serde_json::from_value(word.into()).map_err(|_| "write Always, IfNotPresent or Never".to_owned())
}

fn label(pair: &str) -> Result<(String, String), String> {
    let pair = pair.split_once('=').ok_or("write name=value")?;
    Ok((pair.0.to_owned(), pair.1.to_owned()))
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}
