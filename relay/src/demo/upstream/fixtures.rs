//! The checked-in fixtures: eight pulses of invented authors, on documentation addresses and names only.
//!
//! Each stands for one kind of pulse that OTX really has: a sensor's rolling log, a full report, a sandbox dump with
//! 150 tags, a copied feed, IPv6 rows, one-algorithm hashes, harmless noise, and a private case.

use serde::de::DeserializeOwned;

use super::dataset::{Content, FixtureError};

const PULSES: [(&str, &str); 8] = [
    ("honeypot-ssh", include_str!("../fixtures/pulses/honeypot-ssh.json")),
    ("paper-lantern", include_str!("../fixtures/pulses/paper-lantern.json")),
    ("sandbox-dump", include_str!("../fixtures/pulses/sandbox-dump.json")),
    ("phishing-urls", include_str!("../fixtures/pulses/phishing-urls.json")),
    ("ipv6-scanners", include_str!("../fixtures/pulses/ipv6-scanners.json")),
    ("slate-droppers", include_str!("../fixtures/pulses/slate-droppers.json")),
    ("please-ignore", include_str!("../fixtures/pulses/please-ignore.json")),
    ("own-case", include_str!("../fixtures/pulses/own-case.json")),
];

/// Reads them all.
pub(super) fn content() -> Result<Content, FixtureError> {
    Ok(Content {
        accounts: read("accounts", include_str!("../fixtures/accounts.json"))?,
        pulses: PULSES.into_iter().map(|(name, text)| read(name, text)).collect::<Result<_, _>>()?,
        files: read("files", include_str!("../fixtures/files.json"))?,
        remarks: read("remarks", include_str!("../fixtures/remarks.json"))?,
        dns: read("dns", include_str!("../fixtures/dns.json"))?,
    })
}

fn read<T: DeserializeOwned>(name: &'static str, text: &str) -> Result<T, FixtureError> {
    serde_json::from_str(text).map_err(|source| FixtureError::new(name, source))
}
