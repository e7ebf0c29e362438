//! `POST /refer/observables`: for each observable of a supported type a link to its page on OTX. Pure text work, no
//! token and no call to OTX; unsupported types are left out, and an observable sent twice is answered once.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::envelope::Envelope;
use crate::app::App;
use crate::observable::{Observable, ObservableType, RawObservable};

/// What Python's `quote(value, safe='')` escapes.
const IN_ID: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What Python's `quote(value, safe='@:')` escapes.
const IN_URL: &AsciiSet = &IN_ID.remove(b'@').remove(b':');

/// A link to a page about an observable. Fields in alphabetical order, as they are written.
#[derive(Debug, Serialize)]
pub struct Reference {
    categories: [&'static str; 2],
    description: &'static str,
    id: String,
    title: &'static str,
    url: String,
}

/// Answers `POST /refer/observables`.
pub fn refer(app: &App, observables: Vec<RawObservable>) -> Envelope<Vec<Reference>> {
    let site = app.config.otx.web_url.as_str().trim_end_matches('/');
    let observables = Observable::distinct(observables);
    Envelope::of(observables.iter().map(|observable| reference(observable, site)).collect())
}

fn reference(observable: &Observable, site: &str) -> Reference {
    let Observable { kind, value } = observable;
    let (title, description, category) = words(*kind);
    Reference {
        categories: ["Search", "AlienVault OTX"],
        description,
        id: quoted(&["ref-avotx-search-", kind.as_str(), "-"], value, IN_ID),
        title,
        url: quoted(&[site, "/indicator/", category, "/"], value, IN_URL),
    }
}

/// Title, description and OTX's page category of references to observables of this type.
fn words(kind: ObservableType) -> (&'static str, &'static str, &'static str) {
    match kind {
        ObservableType::Domain => ("Search for this domain", "Lookup this domain on AlienVault OTX", "domain"),
        ObservableType::Email => ("Search for this email", "Lookup this email on AlienVault OTX", "email"),
        ObservableType::Md5 => ("Search for this MD5", "Lookup this MD5 on AlienVault OTX", "file"),
        ObservableType::Sha1 => ("Search for this SHA1", "Lookup this SHA1 on AlienVault OTX", "file"),
        ObservableType::Sha256 => ("Search for this SHA256", "Lookup this SHA256 on AlienVault OTX", "file"),
        ObservableType::Ip => ("Search for this IP", "Lookup this IP on AlienVault OTX", "ip"),
        ObservableType::Ipv6 => ("Search for this IPv6", "Lookup this IPv6 on AlienVault OTX", "ip"),
        ObservableType::Url => ("Search for this URL", "Lookup this URL on AlienVault OTX", "url"),
    }
}

fn quoted(before: &[&str], value: &str, escaped: &'static AsciiSet) -> String {
    let mut text = before.concat();
    text.extend(utf8_percent_encode(value, escaped));
    text
}
