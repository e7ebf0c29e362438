//! Where the settings lead: hosts that get a credential or see traffic. OTX is always allowed; any other needs the
//! operator's leave, for who may write a resource could otherwise have a key sent to a server of his own.

use reqwest::Url;

use super::{Policy, Refused};
use crate::api::ThreatRelaySpec;
use crate::api::conditions::Reason;

/// The host of OTX itself.
const OTX: &str = "otx.alienvault.com:443";

/// A host and port that a pod must reach.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Destination {
    /// Name or address, an IPv6 address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// The destinations that the resource names itself, without OTX.
pub(super) fn check(spec: &ThreatRelaySpec, policy: &Policy) -> Result<Vec<Destination>, Refused> {
    let upstream = &spec.upstream;
    let named = [
        ("spec.upstream.baseUrl", Some(&upstream.base_url), 443),
        ("spec.upstream.proxy", upstream.proxy.as_ref(), 443),
        ("spec.cache.shared.url", spec.cache.shared.as_ref().map(|shared| &shared.url), 6379),
        ("spec.telemetry.otlp.endpoint", spec.telemetry.as_ref().map(|telemetry| &telemetry.otlp.endpoint), 443),
    ];
    let mut destinations = Vec::new();
    for (field, url, default_port) in named {
        let Some(url) = url else { continue };
        let destination = parse(field, url, default_port)?;
        let spelled = format!("{}:{}", destination.host, destination.port);
        if spelled == OTX && url.starts_with("https:") {
            continue;
        }
        if !policy.allowed_destinations.iter().any(|allowed| allows(allowed, &destination)) {
            return Err(Refused {
                reason: Reason::DestinationNotAllowed,
                message: format!(
                    "{field} leads to {spelled}, which the operator does not allow; change it, or have the operator's \
                     administrator allow the destination"
                ),
            });
        }
        destinations.push(destination);
    }
    if let Some(url) = &upstream.web_url {
        parse("spec.upstream.webUrl", url, 443)?;
    }
    for host in &spec.auth.jwks_hosts {
        check_host(host)?;
    }
    destinations.sort();
    destinations.dedup();
    Ok(destinations)
}

fn parse(field: &str, text: &str, default_port: u16) -> Result<Destination, Refused> {
    let invalid = || invalid(field, text, "is no URL that the relay takes");
    let url = Url::parse(text).map_err(|_| invalid())?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(invalid)?;
    let port = url.port_or_known_default().unwrap_or(default_port);
    Ok(Destination { host: host.trim_matches(['[', ']']).to_owned(), port })
}

/// The relay takes a host only in the one spelling that the URL standard gives it.
fn check_host(entry: &str) -> Result<(), Refused> {
    let (host, port) = entry.split_once(':').unwrap_or((entry, "443"));
    let url = Url::parse(&format!("https://{entry}/")).ok();
    let is_same = url.is_some_and(|url| {
        url.host_str() == Some(host)
            && url.port_or_known_default().map(|port| port.to_string()).as_deref() == Some(port)
    });
    if is_same { Ok(()) } else { Err(invalid("spec.auth.jwksHosts", entry, "is no host that the relay takes")) }
}

fn invalid(field: &str, text: &str, why: &str) -> Refused {
    Refused { reason: Reason::InvalidSpec, message: format!("{field}: {text:?} {why}; correct it") }
}

fn allows(allowed: &str, destination: &Destination) -> bool {
    if allowed == "*" {
        return true;
    }
    let (name, port) = match allowed.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() && (!name.contains(':') || name.ends_with(']')) => {
            (name, Some(port))
        }
        _ => (allowed, None),
    };
    let is_host = match name.strip_prefix('*') {
        Some(domain) if domain.starts_with('.') => destination.host.ends_with(domain),
        _ => name.trim_matches(['[', ']']) == destination.host,
    };
    is_host && port.is_none_or(|port| port == destination.port.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_many_colons_is_allowed_with_and_without_a_port() {
        for (allowed, host, expected) in [
            ("2001:db8::7", "2001:db8::7", true),
            ("2001:db8::8", "2001:db8::7", false),
            ("[2001:db8::7]", "2001:db8::7", true),
            ("[2001:db8::7]:443", "2001:db8::7", true),
            ("[2001:db8::7]:444", "2001:db8::7", false),
            ("2001:db8::7:443", "2001:db8::7", false),
            ("otx.example:https", "otx.example", false),
        ] {
            let destination = Destination { host: host.to_owned(), port: 443 };
            assert_eq!(allows(allowed, &destination), expected, "{allowed} {host}");
        }
    }
}
