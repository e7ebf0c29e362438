//! The page at `/`, for who opens the relay in a browser: what it is, how it is, how to add it to the platform and, if the
//! settings say so, a form to look up one observable with a token. Everyone else gets the original's 404 there. One HTML
//! file that asks nobody for anything; its scripts and styles are pinned by hash. It tells no secret and asks OTX nothing.

use std::fmt::Write as _;
use std::sync::LazyLock;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, request};
use http_body_util::Full;

use super::envelope::{Answer, Outcome, OutcomeKind, Response};
use super::version::VERSION;
use crate::app::{App, Phase};
use crate::config::{Answers, AuthMode};
use crate::observable::ObservableType;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("lookup.js");

/// Whether a request is that of a browser for the page, as opposed to the platform's or a monitor's.
#[must_use]
pub fn is_asked_for(head: &request::Parts) -> bool {
    head.uri.path() == "/" && matches!(head.method, Method::GET | Method::HEAD) && takes_html(&head.headers)
}

/// `text/html` by name: what takes anything does not ask for a page.
fn takes_html(headers: &HeaderMap) -> bool {
    let kinds = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    kinds.flat_map(|accept| accept.split(',')).any(|kind| {
        let mut parts = kind.split(';').map(str::trim);
        let is_html = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("text/html"));
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse::<f32>);
        is_html && weight.is_ok_and(|weight| weight > 0.0)
    })
}

/// The page.
#[must_use]
pub fn page(app: &App) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(text(app))));
    let headers = response.headers_mut();
    let policy = if app.config.page.lookup { &POLICIES.1 } else { &POLICIES.0 };
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy.as_str()),
        (header::CACHE_CONTROL, "no-store"),
        (header::VARY, "accept"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    Answer { response, outcome: Outcome::of(OutcomeKind::Ok) }
}

/// What the page may do, without the form and with it: nothing but what is written in it, and to ask this relay.
static POLICIES: LazyLock<(String, String)> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(digest::digest(&digest::SHA256, text.as_bytes()));
    let rest = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let plain = format!("default-src 'none'; style-src 'sha256-{}'; {rest}", hash(STYLE));
    let form = format!("{plain}; script-src 'sha256-{}'; connect-src 'self'", hash(SCRIPT));
    (plain, form)
});

fn text(app: &App) -> String {
    let config = &app.config;
    let is_rich = config.answers == Answers::Rich;
    let url = escaped(&urls(&config.auth.mode));
    let (lookup, script) = if config.page.lookup {
        let age = format!("{:#}", jiff::SignedDuration::try_from(config.cache.general_ttl).unwrap_or_default());
        let form = include_str!("lookup.html").replace("{options}", &options()).replace("{age}", &escaped(&age));
        (form, format!("<script>{SCRIPT}</script>\n"))
    } else {
        (String::new(), String::new())
    };
    let key =
        if config.otx.keys_dir.is_some() { "; the relay holds the OTX key itself" } else { ", with your OTX key" };
    include_str!("index.html")
        .replace("{lights}", &lights(app))
        .replace("{url}", &url)
        .replace("{parity}", if is_rich { "" } else { " --parity" })
        .replace("{key}", key)
        .replace("{types}", &types())
        .replace("{version}", VERSION)
        .replace("{answers}", if is_rich { "rich" } else { "those of the original relay" })
        .replace("{lookup}", &lookup)
        .replace("{style}", STYLE)
        .replace("{script}", &script)
}

/// The origin that tokens name, which is how the platform reaches the relay.
fn urls(mode: &AuthMode) -> String {
    match mode {
        AuthMode::Jwks(jwks) => jwks.audiences.first().cloned().unwrap_or_default(),
        AuthMode::Hs256 { .. } => "https://relay.example.com".to_owned(),
    }
}

fn lights(app: &App) -> String {
    let relay = match app.phase() {
        Phase::Ready => ("good", "Relay", "ready"),
        Phase::Starting => ("warn", "Relay", "starting"),
        Phase::Draining => ("warn", "Relay", "stopping"),
    };
    let otx = match app.otx.circuit() {
        "closed" => ("good", "OTX", "no outage seen"),
        "half_open" => ("warn", "OTX", "asked again after an outage"),
        _ => ("bad", "OTX", "outage, left alone for some seconds"),
    };
    let tokens = match app.config.auth.mode {
        AuthMode::Jwks(_) => ("good", "Tokens", "verified by JWKS"),
        AuthMode::Hs256 { .. } => ("good", "Tokens", "verified by a shared secret"),
    };
    let mut list = String::new();
    for (tone, name, state) in [relay, otx, tokens] {
        let _infallible = writeln!(list, "<li class=\"light {tone}\">{name}: <b>{state}</b></li>");
    }
    list
}

fn types() -> String {
    ObservableType::ALL.map(|kind| format!("<li>{kind}</li>\n")).concat()
}

fn options() -> String {
    let looked_up = ObservableType::ALL.into_iter().filter(|kind| *kind != ObservableType::Email);
    looked_up.map(|kind| format!("<option>{kind}</option>")).collect::<Vec<_>>().concat()
}

/// A text inside HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use http::Request;

    use super::*;

    fn asks(method: &str, path: &str, accept: Option<&str>) -> bool {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        is_asked_for(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn only_who_names_html_asks_for_the_page() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert!(asks("GET", "/", Some(browser)) && asks("HEAD", "/", Some("TEXT/HTML;q=0.1")));
        for accept in [None, Some("*/*"), Some("application/json"), Some("text/*"), Some("text/html;q=0")] {
            assert!(!asks("GET", "/", accept), "{accept:?}");
        }
        assert!(!asks("POST", "/", Some(browser)) && !asks("GET", "/health", Some(browser)));
    }

    #[test]
    fn what_stands_in_the_page_is_text() {
        assert_eq!(escaped("<a href='\"'>&"), "&lt;a href=&#39;&quot;&#39;&gt;&amp;");
    }
}
