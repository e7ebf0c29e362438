//! `POST /refer/observables`: for each observable of a supported type a link to its page on OTX. Pure text work, no
//! token and no call to OTX; unsupported types are left out, and an observable sent twice is answered once.
//!
//! The answer is written as text: its parts are words of this file, a URL and percent-encoded values, which are the
//! same inside a JSON string.

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::envelope::Answer;
use crate::app::App;
use crate::observable::{Observable, ObservableType, RawObservable};

/// What Python's `quote(value, safe='')` escapes.
const IN_ID: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What Python's `quote(value, safe='@:')` escapes.
const IN_URL: &AsciiSet = &IN_ID.remove(b'@').remove(b':');

/// Bytes of a reference with a value of ordinary length.
const REFERENCE: usize = 320;

/// Answers `POST /refer/observables`.
#[must_use]
pub fn refer(app: &App, observables: Vec<RawObservable>) -> Answer {
    Answer::complete(references(&Observable::distinct(observables), &app.config.otx.web_url))
}

/// The answer about these observables, with links that start with `web`.
#[must_use]
pub fn references(observables: &[Observable], web: &Url) -> Bytes {
    let site = web.as_str().trim_end_matches('/');
    let mut text = String::with_capacity(16 + REFERENCE * observables.len());
    text.push_str("{\"data\":[");
    for (index, observable) in observables.iter().enumerate() {
        text.push_str(if index == 0 { "{" } else { ",{" });
        write_reference(&mut text, observable, site);
        text.push('}');
    }
    text.push_str("]}\n");
    text.into()
}

/// The members of a link to a page about an observable, in alphabetical order.
fn write_reference(text: &mut String, observable: &Observable, site: &str) {
    let Observable { kind, value } = observable;
    let (name, _) = words(*kind);
    let mut push = |parts: &[&str]| parts.iter().for_each(|part| text.push_str(part));
    push(&[r#""categories":["Search","AlienVault OTX"],"description":"Lookup this "#, name, " on AlienVault OTX"]);
    push(&[r#"","id":"ref-avotx-search-"#, kind.as_str(), "-"]);
    utf8_percent_encode(value, IN_ID).for_each(|part| push(&[part]));
    push(&[r#"","title":"Search for this "#, name, r#"","url":""#]);
    write_link(text, observable, site);
    text.push('"');
}

/// OTX's page about an observable, on the site `web`.
#[must_use]
pub fn link(observable: &Observable, web: &Url) -> String {
    let mut text = String::new();
    write_link(&mut text, observable, web.as_str().trim_end_matches('/'));
    text
}

fn write_link(text: &mut String, Observable { kind, value }: &Observable, site: &str) {
    let (_, category) = words(*kind);
    text.extend([site, "/indicator/", category, "/"]);
    text.extend(utf8_percent_encode(value, IN_URL));
}

/// What people and OTX's pages call observables of this type.
fn words(kind: ObservableType) -> (&'static str, &'static str) {
    match kind {
        ObservableType::Domain => ("domain", "domain"),
        ObservableType::Email => ("email", "email"),
        ObservableType::Md5 => ("MD5", "file"),
        ObservableType::Sha1 => ("SHA1", "file"),
        ObservableType::Sha256 => ("SHA256", "file"),
        ObservableType::Ip => ("IP", "ip"),
        ObservableType::Ipv6 => ("IPv6", "ip"),
        ObservableType::Url => ("URL", "url"),
    }
}
