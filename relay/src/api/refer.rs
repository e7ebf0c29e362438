//! `POST /refer/observables`: for each observable of a supported type a link to its page on OTX. Pure text work, no
//! token and no call to OTX; unsupported types are left out, and an observable that was sent twice is answered once.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::State;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::envelope::Envelope;
use super::observables::Observables;
use crate::app::App;
use crate::observable::RawObservable;

/// Types that can be referred to: on the wire, in a sentence, in a link.
const REFERABLE: [(&str, &str, &str); 8] = [
    ("domain", "domain", "domain"),
    ("email", "email", "email"),
    ("ip", "IP", "ip"),
    ("ipv6", "IPv6", "ip"),
    ("md5", "MD5", "file"),
    ("sha1", "SHA1", "file"),
    ("sha256", "SHA256", "file"),
    ("url", "URL", "url"),
];

/// What Python's `quote(value, safe='')` escapes.
const IN_ID: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What Python's `quote(value, safe='@:')` escapes.
const IN_URL: &AsciiSet = &IN_ID.remove(b'@').remove(b':');

/// A link to a page about an observable. Fields in alphabetical order, as they are written.
#[derive(Debug, Serialize)]
pub struct Reference {
    categories: [&'static str; 2],
    description: String,
    id: String,
    title: String,
    url: String,
}

/// Answers `POST /refer/observables`.
pub async fn refer(
    State(app): State<Arc<App>>,
    Observables(observables): Observables,
) -> Envelope<Vec<Reference>> {
    let site = app.config.otx.web_url.as_str().trim_end_matches('/');
    let mut seen = HashSet::new();
    let references = observables
        .iter()
        .filter(|observable| seen.insert(*observable))
        .filter_map(|observable| reference(observable, site))
        .collect();
    Envelope::of(references)
}

fn reference(observable: &RawObservable, site: &str) -> Option<Reference> {
    let RawObservable { kind, value } = observable;
    let (_, name, category) = REFERABLE.into_iter().find(|(wire, _, _)| wire == kind)?;
    Some(Reference {
        categories: ["Search", "AlienVault OTX"],
        description: format!("Lookup this {name} on AlienVault OTX"),
        id: format!("ref-avotx-search-{kind}-{}", utf8_percent_encode(value, IN_ID)),
        title: format!("Search for this {name}"),
        url: format!("{site}/indicator/{category}/{}", utf8_percent_encode(value, IN_URL)),
    })
}
