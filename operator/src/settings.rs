//! What the operator is told at its start, by flags or by environment variables `THREATRELAY_OPERATOR_*`. Everything
//! else about a relay stands in its `ThreatRelay`.

use std::net::{Ipv4Addr, SocketAddr};

use clap::{Args, ValueEnum};

/// The settings of `run`.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Image of relays whose resource names none.
    #[arg(
        long,
        env = "THREATRELAY_OPERATOR_RELAY_IMAGE",
        default_value = concat!("ghcr.io/threatrelay/threatrelay:", env!("CARGO_PKG_VERSION"))
    )]
    pub relay_image: String,
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
    /// Where probes and metrics are served.
    #[arg(long, env = "THREATRELAY_OPERATOR_LISTEN", default_value_t = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)))]
    pub listen: SocketAddr,
    /// What is logged: a level or directives such as `info,threatrelay_operator=debug`.
    #[arg(long, env = "THREATRELAY_OPERATOR_LOG", default_value = "info")]
    pub log: String,
    /// Form of log lines: text on a terminal, else JSON, unless one is named.
    #[arg(long, env = "THREATRELAY_OPERATOR_LOG_FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    pub log_format: LogFormat,
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
