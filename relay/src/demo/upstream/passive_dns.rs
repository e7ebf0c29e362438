//! `/indicators/{slug}/{value}/passive_dns`: what resolvers were seen to answer about an address or a name and the names
//! below it, newest first. Records of every type go out, times without a zone; other indicators have no such section.

use serde::{Deserialize, Serialize};

use super::dataset::Dataset;
use super::indicator::{Asked, IndicatorType, Refusal};

/// A record that was seen.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsRecord {
    /// The name that was asked for.
    pub hostname: String,
    /// What was answered: an address, another name, or `NXDOMAIN`.
    pub address: String,
    /// `A`, `AAAA`, `CNAME`, `NS`, `MX` ...
    pub record_type: String,
    /// When it was first seen, as OTX writes it.
    pub first: String,
    /// When it was last seen.
    pub last: String,
}

/// The body.
#[derive(Serialize)]
pub(super) struct PassiveDns<'a> {
    passive_dns: Vec<Row<'a>>,
    count: usize,
}

#[derive(Serialize)]
struct Row<'a> {
    address: &'a str,
    first: &'a str,
    last: &'a str,
    hostname: &'a str,
    record_type: &'a str,
    indicator_link: String,
    flag_url: &'static str,
    flag_title: &'static str,
    asset_type: &'static str,
    asn: Option<&'static str>,
}

impl<'a> PassiveDns<'a> {
    /// What was seen of `asked`.
    ///
    /// # Errors
    /// 404 for an indicator that is neither an address nor a name.
    pub(super) fn about(asked: &Asked, dataset: &'a Dataset) -> Result<Self, Refusal> {
        let is_name = matches!(asked.kind, IndicatorType::Domain | IndicatorType::Hostname);
        if !is_name && !matches!(asked.kind, IndicatorType::Ipv4 | IndicatorType::Ipv6) {
            return Err(Refusal::unknown("endpoint not found"));
        }
        let below = format!(".{}", asked.value);
        let is_of_it = |record: &&DnsRecord| {
            if is_name {
                let name = record.hostname.to_ascii_lowercase();
                name == asked.value || name.ends_with(&below)
            } else {
                asked.kind.normal(&record.address) == asked.value
            }
        };
        let mut records: Vec<&DnsRecord> = dataset.content().dns.iter().filter(is_of_it).collect();
        records.sort_by(|one, other| other.last.cmp(&one.last));
        let passive_dns: Vec<Row<'_>> = records.into_iter().map(Row::from).collect();
        Ok(Self { count: passive_dns.len(), passive_dns })
    }
}

impl<'a> From<&'a DnsRecord> for Row<'a> {
    fn from(record: &'a DnsRecord) -> Self {
        Self {
            address: &record.address,
            first: &record.first,
            last: &record.last,
            hostname: &record.hostname,
            record_type: &record.record_type,
            indicator_link: format!("/indicator/hostname/{}", record.hostname),
            flag_url: "assets/images/flags/ch.png",
            flag_title: "Switzerland",
            asset_type: "hostname",
            asn: None,
        }
    }
}
