//! `POST /refer/observables`: for each observable of a supported type a link to its page on OTX. Pure text work, no
//! token and no call to OTX; unsupported types are left out, and an observable that was sent twice is answered once.

use std::sync::Arc;

use axum::extract::State;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::envelope::Envelope;
use super::observables::Observables;
use crate::app::App;
use crate::observable::{Observable, ObservableType};

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
pub async fn refer(State(app): State<Arc<App>>, Observables(observables): Observables) -> Envelope<Vec<Reference>> {
    let site = app.config.otx.web_url.as_str().trim_end_matches('/');
    let observables = Observable::distinct(observables);
    Envelope::of(observables.iter().map(|observable| reference(observable, site)).collect())
}

fn reference(observable: &Observable, site: &str) -> Reference {
    let Observable { kind, value } = observable;
    let (name, category) = match kind {
        ObservableType::Domain => ("domain", "domain"),
        ObservableType::Email => ("email", "email"),
        ObservableType::Md5 => ("MD5", "file"),
        ObservableType::Sha1 => ("SHA1", "file"),
        ObservableType::Sha256 => ("SHA256", "file"),
        ObservableType::Ip => ("IP", "ip"),
        ObservableType::Ipv6 => ("IPv6", "ip"),
        ObservableType::Url => ("URL", "url"),
    };
    Reference {
        categories: ["Search", "AlienVault OTX"],
        description: format!("Lookup this {name} on AlienVault OTX"),
        id: format!("ref-avotx-search-{kind}-{}", utf8_percent_encode(value, IN_ID)),
        title: format!("Search for this {name}"),
        url: format!("{site}/indicator/{category}/{}", utf8_percent_encode(value, IN_URL)),
    }
}
