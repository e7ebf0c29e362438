//! Observables: what is asked about. As received ([`RawObservable`]), typed ([`Observable`]), and as OTX knows it
//! ([`Question`]), in one canonical spelling so that variants of a value are one question and find their rows.
//! A value that OTX could never know (malformed, private, a bare suffix) has no question and is answered without a call.

use std::collections::HashSet;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// An observable as it stood in the request body: both strings are non-empty, nothing else is checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RawObservable {
    /// `type` on the wire; case-sensitive.
    pub kind: String,
    /// `value` on the wire.
    pub value: String,
}

/// The observable types this relay serves (CTIM names).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObservableType {
    /// A host name, registrable or below.
    Domain,
    /// A mail address; only referred, never looked up.
    Email,
    /// An MD5 file hash.
    Md5,
    /// A SHA-1 file hash.
    Sha1,
    /// A SHA-256 file hash.
    Sha256,
    /// An IPv4 address.
    Ip,
    /// An IPv6 address.
    Ipv6,
    /// A URL.
    Url,
}

impl ObservableType {
    /// Every served type, in the order of the contract.
    pub const ALL: [Self; 8] =
        [Self::Domain, Self::Email, Self::Md5, Self::Sha1, Self::Sha256, Self::Ip, Self::Ipv6, Self::Url];

    /// The CTIM name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Domain => "domain",
            Self::Email => "email",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Ip => "ip",
            Self::Ipv6 => "ipv6",
            Self::Url => "url",
        }
    }

    /// The type of that CTIM name; `None` for types this relay does not serve (case matters).
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for ObservableType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An observable of a served type, its value as received.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Observable {
    /// What the value is.
    pub kind: ObservableType,
    /// The value, spelled as the caller spelled it.
    pub value: String,
}

impl Observable {
    /// The observables of served types, in order, each exact repetition once.
    #[must_use]
    pub fn distinct(raw: Vec<RawObservable>) -> Vec<Self> {
        let mut served: Vec<Self> = raw
            .into_iter()
            .filter_map(|RawObservable { kind, value }| Some(Self { kind: ObservableType::parse(&kind)?, value }))
            .collect();
        let mut seen = HashSet::with_capacity(served.len());
        let is_first: Vec<bool> = served.iter().map(|observable| seen.insert(observable)).collect();
        let mut is_first = is_first.into_iter();
        served.retain(|_| is_first.next().unwrap_or_default());
        served
    }

    /// What to ask OTX about this observable; `None` when OTX could not know it or is not asked about its type.
    #[must_use]
    pub fn question(&self) -> Option<Question> {
        let value = self.value.as_str();
        match self.kind {
            ObservableType::Email => None,
            ObservableType::Ip => {
                let address: Ipv4Addr = value.parse().ok()?;
                is_public_ipv4(address).then(|| Question { class: Class::Ipv4, value: address.to_string() })
            }
            ObservableType::Ipv6 => {
                let address: Ipv6Addr = value.parse().ok()?;
                is_public_ipv6(address).then(|| Question { class: Class::Ipv6, value: address.to_string() })
            }
            ObservableType::Md5 => hash(value, 32),
            ObservableType::Sha1 => hash(value, 40),
            ObservableType::Sha256 => hash(value, 64),
            ObservableType::Domain => domain(value),
            ObservableType::Url => url(value),
        }
    }
}

/// What OTX is asked: a class of indicator and a value in its canonical spelling.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// Which of OTX's indicator sections holds it.
    pub class: Class,
    /// Canonical spelling: lower-case A-labels, lower-case hashes, RFC 5952 addresses, URLs with lower-case scheme
    /// and host.
    pub value: String,
}

/// OTX's sections of indicators, seen from an observable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// `IPv4`.
    Ipv4,
    /// `IPv6`.
    Ipv6,
    /// `file`, whatever the hash.
    File,
    /// `domain`: the name is registrable.
    RegistrableDomain,
    /// `hostname`: the name is below a registrable one.
    Hostname,
    /// `url`.
    Url,
}

/// Longest canonical value that is asked about; OTX's front refuses longer request lines.
const LONGEST_VALUE: usize = 2048;

fn hash(value: &str, digits: usize) -> Option<Question> {
    (value.len() == digits && value.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .then(|| Question { class: Class::File, value: value.to_ascii_lowercase() })
}

fn domain(value: &str) -> Option<Question> {
    let name = host_name(value)?;
    let suffix = psl::suffix(name.as_bytes())?;
    if suffix == name.as_str() && suffix.typ() == Some(psl::Type::Icann) {
        return None;
    }
    // Names such as github.io are suffixes to some and domains to OTX, so "registrable" decides only which section
    // is asked first.
    let registrable = psl::domain_str(&name).is_none_or(|domain| domain == name);
    let class = if registrable { Class::RegistrableDomain } else { Class::Hostname };
    Some(Question { class, value: name })
}

/// A DNS name of at least two labels in lower-case A-label form that can exist in the public DNS.
fn host_name(value: &str) -> Option<String> {
    let mut name = idna::domain_to_ascii(value).ok()?;
    if name.ends_with('.') {
        name.pop();
    }
    let well_formed = name.len() <= 253
        && name.contains('.')
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        });
    // Names of private networks (RFC 6761, 6762, 8375, ICANN's `internal`) say nothing to OTX and are not told to it.
    let private = ["localhost", "local", "internal", "home.arpa"]
        .iter()
        .any(|suffix| name.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.')));
    let address_like = name.rsplit('.').next().is_some_and(|top| top.bytes().all(|byte| byte.is_ascii_digit()));
    (well_formed && !private && !address_like).then_some(name)
}

fn url(value: &str) -> Option<Question> {
    let value = canonical_url(value)?;
    let host = &value[value.find("://")? + 3..];
    let host = &host[..host.find(['/', '?', '#']).unwrap_or(host.len())];
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let public = if let Some(literal) = host.strip_prefix('[') {
        literal.split(']').next()?.parse().is_ok_and(is_public_ipv6)
    } else {
        let host = host.split(':').next()?;
        match host.parse::<Ipv4Addr>() {
            Ok(address) => is_public_ipv4(address),
            Err(_) => host_name(host).is_some(),
        }
    };
    (public && value.len() <= LONGEST_VALUE).then_some(Question { class: Class::Url, value })
}

/// A URL with its scheme and host in lower case and all else untouched; `None` without `scheme://host`.
///
/// OTX calls a URL with an upper-case scheme malformed and keeps paths as they were submitted.
#[must_use]
pub fn canonical_url(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once("://")?;
    let well_formed = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let host_start = authority.rfind('@').map_or(0, |at| at + 1);
    if !well_formed || authority.len() == host_start {
        return None;
    }
    let mut canonical = String::with_capacity(value.len());
    canonical.push_str(&scheme.to_ascii_lowercase());
    canonical.push_str("://");
    canonical.push_str(&rest[..host_start]);
    canonical.push_str(&authority[host_start..].to_lowercase());
    canonical.push_str(&rest[authority.len()..]);
    Some(canonical)
}

/// OTX answers 400 for addresses that are not of the public internet. Documentation ranges are left to its own
/// judgement: sinkholes and reports do name them.
fn is_public_ipv4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    !(first == 0
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || (first == 100 && (second & 0xc0) == 64)
        || (first == 198 && (second & 0xfe) == 18)
        || first >= 224)
}

fn is_public_ipv6(address: Ipv6Addr) -> bool {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_ipv4(mapped);
    }
    let first = address.segments()[0];
    !(address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || address.is_unique_local()
        || (first & 0xffc0) == 0xfe80
        || (first & 0xffc0) == 0xfec0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(kind: ObservableType, value: &str) -> Option<(Class, String)> {
        Observable { kind, value: value.into() }.question().map(|question| (question.class, question.value))
    }

    #[test]
    fn spelling_variants_are_one_question() {
        use ObservableType::{Domain, Ipv6, Md5, Url};
        for (kind, class, canonical, variants) in [
            (
                Domain,
                Class::RegistrableDomain,
                "evil.example",
                &["EVIL.example", "evil.example.", "Evil.Example"][..],
            ),
            (Domain, Class::RegistrableDomain, "xn--bcher-kva.example", &["bücher.example", "XN--BCHER-KVA.example"]),
            (Domain, Class::Hostname, "www.bbc.co.uk", &["WWW.bbc.co.uk"]),
            (Ipv6, Class::Ipv6, "2001:db8::1", &["2001:DB8:0:0:0:0:0:1", "2001:0db8::0001"]),
            (Md5, Class::File, "d41d8cd98f00b204e9800998ecf8427e", &["D41D8CD98F00B204E9800998ECF8427E"]),
            (Url, Class::Url, "http://evil.example/Path?Q=1#F", &["HTTP://EVIL.example/Path?Q=1#F"]),
            (Url, Class::Url, "https://User:Pw@evil.example:8443/", &["https://User:Pw@Evil.Example:8443/"]),
        ] {
            for variant in variants.iter().chain([&canonical]) {
                assert_eq!(question(kind, variant), Some((class, canonical.to_owned())), "{kind} {variant}");
            }
        }
    }

    #[test]
    fn values_that_otx_cannot_know_have_no_question() {
        use ObservableType::{Domain, Email, Ip, Ipv6, Md5, Sha1, Sha256, Url};
        for (kind, values) in [
            (Ip, &["10.0.0.1", "127.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.0.1", "100.64.0.1"][..]),
            (Ip, &["0.0.0.0", "224.0.0.1", "255.255.255.255", "198.18.0.1", "1.2.3", "01.2.3.4", "::1", ".", ".."]),
            (Ipv6, &["::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:10.0.0.1", "1.2.3.4"]),
            (Domain, &["localhost", "com", "co.uk", "gov.uk", ".", "..", "a..b", "printer.local", "x.internal"]),
            (Domain, &["a b.example", "a/b.example", "evil.example/..", "1.2.3.4", "-", "router.home.arpa"]),
            (Md5, &["d41d8cd98f00b204e9800998ecf8427", "g41d8cd98f00b204e9800998ecf8427e"]),
            (Sha1, &["d41d8cd98f00b204e9800998ecf8427e"]),
            (Sha256, &[""]),
            (Url, &["evil.example/x", "http://", "http:///x", "://evil.example", "http://10.0.0.1/", "."]),
            (Url, &["http://[::1]/", "http://localhost/", "http://user@/x"]),
            (Email, &["someone@evil.example"]),
        ] {
            for value in values {
                assert_eq!(question(kind, value), None, "{kind} {value}");
            }
        }
    }

    #[test]
    fn documentation_addresses_are_asked() {
        for value in ["192.0.2.1", "198.51.100.7", "203.0.113.9"] {
            assert_eq!(question(ObservableType::Ip, value), Some((Class::Ipv4, value.to_owned())));
        }
    }

    #[test]
    fn a_suffix_that_only_some_call_public_is_asked() {
        assert_eq!(
            question(ObservableType::Domain, "github.io"),
            Some((Class::RegistrableDomain, "github.io".to_owned()))
        );
    }

    #[test]
    fn unserved_types_and_exact_repetitions_are_dropped_in_order() {
        let raw = |kind: &str, value: &str| RawObservable { kind: kind.into(), value: value.into() };
        let kept = Observable::distinct(vec![
            raw("ip", "192.0.2.1"),
            raw("IP", "192.0.2.2"),
            raw("hostname", "a.example"),
            raw("domain", "b.example"),
            raw("ip", "192.0.2.1"),
        ]);
        let kept: Vec<_> = kept.iter().map(|kept| (kept.kind.as_str(), kept.value.as_str())).collect();
        assert_eq!(kept, [("ip", "192.0.2.1"), ("domain", "b.example")]);
    }
}
