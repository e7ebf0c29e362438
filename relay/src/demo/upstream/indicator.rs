//! What OTX calls an indicator: its type, the word that stands for it in a path, and how an asked value is read.
//!
//! A path segment goes in; an [`Asked`] in the upstream's own normal form comes out, or a [`Refusal`] with the status
//! OTX gives. This notion of "the same value" is the upstream's: it shares nothing with the relay's.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

/// The indicator types that the data set uses, spelled as OTX spells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum IndicatorType {
    #[serde(rename = "IPv4")]
    Ipv4,
    #[serde(rename = "IPv6")]
    Ipv6,
    #[serde(rename = "domain")]
    Domain,
    #[serde(rename = "hostname")]
    Hostname,
    #[serde(rename = "URL")]
    Url,
    #[serde(rename = "FileHash-MD5")]
    Md5,
    #[serde(rename = "FileHash-SHA1")]
    Sha1,
    #[serde(rename = "FileHash-SHA256")]
    Sha256,
    #[serde(rename = "email")]
    Email,
    #[serde(rename = "CVE")]
    Cve,
}

impl IndicatorType {
    /// `slug` of a listed row, and the word in `/indicators/{slug}/...`.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
            Self::Domain => "domain",
            Self::Hostname => "hostname",
            Self::Url => "url",
            Self::Md5 | Self::Sha1 | Self::Sha256 => "file",
            Self::Email => "email",
            Self::Cve => "cve",
        }
    }

    /// `type` at the top of an answer: the slug, but for hashes the algorithm.
    #[must_use]
    pub fn answer_type(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            other => other.slug(),
        }
    }

    /// `type_title` at the top of an answer.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
            Self::Domain => "Domain",
            Self::Hostname => "Hostname",
            Self::Url => "URL",
            Self::Md5 => "FileHash-MD5",
            Self::Sha1 => "FileHash-SHA1",
            Self::Sha256 => "FileHash-SHA256",
            Self::Email => "Email",
            Self::Cve => "CVE",
        }
    }

    /// The parts of OTX's page about such an indicator.
    #[must_use]
    pub fn sections(self) -> &'static [&'static str] {
        match self {
            Self::Ipv4 | Self::Ipv6 => {
                &["general", "geo", "reputation", "url_list", "passive_dns", "malware", "nids_list", "http_scans"]
            }
            Self::Domain | Self::Hostname => {
                &["general", "geo", "url_list", "passive_dns", "malware", "whois", "http_scans"]
            }
            Self::Url => &["general", "url_list", "http_scans", "screenshot"],
            Self::Md5 | Self::Sha1 | Self::Sha256 => &["general", "analysis"],
            Self::Email | Self::Cve => &["general"],
        }
    }

    /// Whether it is one of the three file hashes.
    #[must_use]
    pub fn is_hash(self) -> bool {
        matches!(self, Self::Md5 | Self::Sha1 | Self::Sha256)
    }

    /// The form under which two spellings of a value of this type are one indicator: addresses as OTX prints them,
    /// names and hashes in lower case, URLs to the letter.
    #[must_use]
    pub fn normal(self, value: &str) -> String {
        match self {
            Self::Ipv6 => value.parse().map_or_else(|_| value.to_owned(), expanded),
            Self::Domain | Self::Hostname | Self::Md5 | Self::Sha1 | Self::Sha256 | Self::Email => {
                value.to_ascii_lowercase()
            }
            Self::Ipv4 | Self::Url | Self::Cve => value.to_owned(),
        }
    }
}

/// OTX's spelling of an IPv6 address: all eight groups, none padded, none left out.
fn expanded(address: Ipv6Addr) -> String {
    address.segments().map(|group| format!("{group:x}")).join(":")
}

/// An indicator that was asked for, in normal form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its type, as the path's slug and the value give it.
    pub kind: IndicatorType,
    /// Its value in normal form.
    pub value: String,
    /// The name is of the other sort (a domain asked as a hostname or the reverse): OTX answers, but knows nothing.
    pub wrong_sort: bool,
}

/// OTX refuses the question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: StatusCode,
    /// `detail` of the body.
    pub detail: &'static str,
}

impl Refusal {
    const fn malformed(detail: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, detail }
    }

    /// The thing asked for does not exist.
    #[must_use]
    pub const fn unknown(detail: &'static str) -> Self {
        Self { status: StatusCode::NOT_FOUND, detail }
    }
}

impl Asked {
    /// Reads `/indicators/{slug}/{value}/general`; `value` is percent-decoded once.
    ///
    /// # Errors
    /// 404 for a slug OTX does not have and for what is no file hash; 400 for malformed or private addresses,
    /// malformed names, public suffixes, over-long values and URLs without a lower-case scheme.
    pub fn read(slug: &str, value: &str) -> Result<Self, Refusal> {
        if value.len() > 2048 {
            return Err(Refusal::malformed("indicator too long"));
        }
        let (kind, wrong_sort) = match slug {
            "IPv4" => (ipv4(value)?, false),
            "IPv6" => (ipv6(value)?, false),
            "domain" => named(value, IndicatorType::Domain)?,
            "hostname" => named(value, IndicatorType::Hostname)?,
            "file" => (hash(value)?, false),
            "url" => (url(value)?, false),
            "cve" => (IndicatorType::Cve, false),
            _ => return Err(Refusal::unknown("endpoint not found")),
        };
        Ok(Self { kind, value: kind.normal(value), wrong_sort })
    }
}

fn ipv4(value: &str) -> Result<IndicatorType, Refusal> {
    let address: Ipv4Addr = value.parse().map_err(|_| Refusal::malformed("invalid IPv4 address"))?;
    if address.is_private() || address.is_loopback() || address.is_link_local() || address.is_unspecified() {
        return Err(Refusal::malformed("IP is private"));
    }
    Ok(IndicatorType::Ipv4)
}

fn ipv6(value: &str) -> Result<IndicatorType, Refusal> {
    let address: Ipv6Addr = value.parse().map_err(|_| Refusal::malformed("invalid IPv6 address"))?;
    if address.is_loopback() || address.is_unspecified() || address.is_unique_local() {
        return Err(Refusal::malformed("IP is private"));
    }
    Ok(IndicatorType::Ipv6)
}

fn named(value: &str, sort: IndicatorType) -> Result<(IndicatorType, bool), Refusal> {
    let name = value.to_ascii_lowercase();
    let label_is_fine = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if name.len() > 253 || !name.split('.').all(label_is_fine) {
        return Err(Refusal::malformed("malformed domain or hostname"));
    }
    let registrable = psl::domain_str(&name).ok_or(Refusal::malformed("indicator is a public suffix"))?;
    Ok((sort, (registrable == name) != (sort == IndicatorType::Domain)))
}

fn hash(value: &str) -> Result<IndicatorType, Refusal> {
    let kind = match value.len() {
        32 => IndicatorType::Md5,
        40 => IndicatorType::Sha1,
        64 => IndicatorType::Sha256,
        _ => return Err(Refusal::unknown("indicator not found")),
    };
    if value.bytes().all(|b| b.is_ascii_hexdigit()) { Ok(kind) } else { Err(Refusal::unknown("indicator not found")) }
}

fn url(value: &str) -> Result<IndicatorType, Refusal> {
    let rest = ["http://", "https://", "ftp://"].iter().find_map(|scheme| value.strip_prefix(scheme));
    match rest {
        Some(rest) if !rest.is_empty() => Ok(IndicatorType::Url),
        _ => Err(Refusal::malformed("malformed URL")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(slug: &str, value: &str) -> Option<u16> {
        Asked::read(slug, value).err().map(|refusal| refusal.status.as_u16())
    }

    #[test]
    fn ipv6_is_spelled_with_eight_unpadded_groups() {
        assert_eq!(IndicatorType::Ipv6.normal("2001:db8::66"), "2001:db8:0:0:0:0:0:66");
        assert_eq!(IndicatorType::Ipv6.normal("::ffff:192.0.2.1"), "0:0:0:0:0:ffff:c000:201");
    }

    #[test]
    fn a_subdomain_asked_as_a_domain_is_of_the_wrong_sort() {
        let sort = |slug, value| Asked::read(slug, value).map(|asked| asked.wrong_sort);
        assert_eq!(sort("domain", "evil.example"), Ok(false));
        assert_eq!(sort("domain", "www.evil.example"), Ok(true));
        assert_eq!(sort("hostname", "www.evil.example"), Ok(false));
        assert_eq!(sort("hostname", "evil.example"), Ok(true));
    }

    #[test]
    fn what_otx_calls_malformed_is_400() {
        for (slug, value) in [
            ("IPv4", "10.0.0.1"),
            ("IPv4", "127.0.0.1"),
            ("IPv4", "not-an-ip"),
            ("IPv6", "fd00::1"),
            ("domain", "gov.uk"),
            ("domain", "-.."),
            ("url", "HTTP://evil.example/"),
            ("url", "evil.example"),
        ] {
            assert_eq!(status(slug, value), Some(400), "{slug} {value}");
        }
    }

    #[test]
    fn what_otx_does_not_have_is_404() {
        assert_eq!(status("FileHash-MD5", "00"), Some(404));
        assert_eq!(status("file", "no hash"), Some(404));
    }
}
