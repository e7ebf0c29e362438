//! What OTX's passive DNS has on an address or a name (`/passive_dns`): which name resolved to which address, from when to
//! when. Records of other kinds than A and AAAA, and those without a date, are no part of it. OTX's answer is far longer
//! than anybody is told; the newest are kept. An answer that is no object with a list is refused.

use std::collections::HashSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::lenient::{self, List, Object};
use super::time::Moment;
use super::types::General;
use crate::observable::{Class, Question};

/// Records kept of an answer; more can be asked for by no setting.
pub const MOST: usize = 100;
/// Records read of an answer.
const READ: usize = 10_000;

/// A name resolved to an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// The name, lower case.
    pub name: String,
    /// The address, in its shortest spelling.
    pub address: String,
    /// When it was first seen to.
    pub first: Moment,
    /// When it last was; not before the first.
    pub last: Moment,
}

/// The answer was no object with a list of records.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it is no answer of `/passive_dns`")]
pub struct NotPassiveDns;

/// Reads a body into an answer about an indicator that has resolutions and nothing else, the newest first.
///
/// # Errors
/// [`NotPassiveDns`].
pub(super) fn parse(body: &[u8]) -> Result<General, NotPassiveDns> {
    #[derive(Deserialize)]
    struct Wire {
        passive_dns: List<Object<WireRecord>, READ>,
    }
    let Wire { passive_dns } = serde_json::from_slice(body).map_err(|_| NotPassiveDns)?;
    let records = passive_dns.0.into_iter().filter_map(|record| record.0);
    let mut resolutions: Vec<_> = records.filter_map(WireRecord::into_domain).collect();
    resolutions.sort_by(|one, other| other.last.cmp(&one.last).then_with(|| one.name.cmp(&other.name)));
    let mut seen = HashSet::new();
    resolutions.retain(|Resolution { name, address, .. }| seen.insert((name.clone(), address.clone())));
    resolutions.truncate(MOST);
    Ok(General { resolutions, ..General::default() })
}

impl Resolution {
    /// Whether it says something of what is asked: of this address, of this name or of one below it.
    #[must_use]
    pub fn is_of(&self, question: &Question) -> bool {
        let asked = question.value.as_str();
        match question.class {
            Class::Ipv4 | Class::Ipv6 => asked.parse::<IpAddr>().is_ok_and(|asked| self.address.parse() == Ok(asked)),
            Class::RegistrableDomain | Class::Hostname => {
                self.name.strip_suffix(asked).is_some_and(|below| below.is_empty() || below.ends_with('.'))
            }
            Class::File | Class::Url => false,
        }
    }

    /// Rough bytes held.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + self.name.len() + self.address.len() + 48
    }
}

#[derive(Deserialize)]
struct WireRecord {
    #[serde(default, deserialize_with = "lenient::text")]
    hostname: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    address: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    record_type: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    first: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    last: Option<String>,
}

impl WireRecord {
    fn into_domain(self) -> Option<Resolution> {
        let Self { hostname, address, record_type, first, last } = self;
        let is_resolution = record_type.is_some_and(|kind| matches!(kind.trim(), "A" | "AAAA" | "a" | "aaaa"));
        let address: IpAddr = address.filter(|_| is_resolution)?.trim().parse().ok()?;
        let name = hostname?.trim().trim_end_matches('.').to_ascii_lowercase();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || name.len() > 253 || !name.bytes().all(is_name) {
            return None;
        }
        let time = |text: Option<String>| text.as_deref().and_then(Moment::parse);
        let (first, last) = (time(first), time(last));
        let (first, last) = (first.or(last)?, last.or(first)?);
        Some(Resolution { name, address: address.to_string(), first: first.min(last), last: last.max(first) })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::*;
    use crate::observable::{Observable, ObservableType};

    fn resolution(name: &str, address: &str) -> Resolution {
        let (first, last) = (Moment::from_seconds(1), Moment::from_seconds(2));
        Resolution { name: name.into(), address: address.into(), first, last }
    }

    #[test]
    fn only_dated_records_of_addresses_are_read_the_newest_first_and_each_once() {
        let body = r#"{"count": 9, "passive_dns": [
            {"hostname": "Old.Example.", "address": "192.0.2.1", "record_type": "A", "first": "2025-01-01T00:00:00", "last": "2025-02-01T00:00:00"},
            {"hostname": "new.example", "address": "2001:db8:0:0:0:0:0:1", "record_type": "AAAA", "first": null, "last": "2026-01-01T00:00:00"},
            {"hostname": "old.example", "address": "192.0.2.1", "record_type": "A", "first": "2024-01-01T00:00:00", "last": "2024-02-01T00:00:00"},
            {"hostname": "mail.example", "address": "other.example", "record_type": "CNAME", "last": "2026-01-01T00:00:00"},
            {"hostname": "gone.example", "address": "NXDOMAIN", "record_type": "A", "last": "2026-01-01T00:00:00"},
            {"hostname": "undated.example", "address": "192.0.2.1", "record_type": "A"},
            {"hostname": "a b", "address": "192.0.2.1", "record_type": "A", "last": "2026-01-01T00:00:00"},
            {"hostname": null, "address": "192.0.2.1", "record_type": "A", "last": "2026-01-01T00:00:00"}, null, 7]}"#;
        let resolutions = parse(body.as_bytes()).unwrap().resolutions;
        let read: Vec<_> = resolutions
            .iter()
            .map(|it| (it.name.as_str(), it.address.as_str(), it.first.to_rfc3339(), it.last.to_rfc3339()))
            .collect();
        let moment = str::to_owned;
        assert_eq!(
            read,
            [
                ("new.example", "2001:db8::1", moment("2026-01-01T00:00:00Z"), moment("2026-01-01T00:00:00Z")),
                ("old.example", "192.0.2.1", moment("2025-01-01T00:00:00Z"), moment("2025-02-01T00:00:00Z")),
            ]
        );
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for body in ["", "{}", "[]", "<html></html>", r#"{"pulse_info": {}}"#] {
            assert!(parse(body.as_bytes()).is_err(), "{body}");
        }
        assert_eq!(parse(br#"{"passive_dns": [], "count": 0}"#).unwrap(), General::default());
    }

    #[test]
    fn a_record_is_of_its_address_its_name_and_the_names_above() {
        let question = |kind, value: &str| Observable { kind, value: value.into() }.question().unwrap();
        let record = resolution("www.evil.example", "2001:db8::66");
        assert!(record.is_of(&question(ObservableType::Ipv6, "2001:DB8:0:0::66")));
        assert!(record.is_of(&question(ObservableType::Domain, "evil.example")));
        assert!(record.is_of(&question(ObservableType::Domain, "www.evil.example")));
        assert!(!record.is_of(&question(ObservableType::Domain, "vil.example")));
        assert!(!record.is_of(&question(ObservableType::Ip, "192.0.2.1")));
        assert!(!record.is_of(&question(ObservableType::Url, "http://www.evil.example/")));
    }
}
