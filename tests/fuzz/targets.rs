//! What is fuzzed: each function takes any bytes through one of the relay's readers and checks what must hold whatever
//! they are. The fuzz targets call them with what libFuzzer makes up, the suite `trust_fuzz` with seeds and mutations.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde_json::Value;
use threatrelay::api::payload;
use threatrelay::auth::claims::Claims;
use threatrelay::auth::jwk::KeySet;
use threatrelay::auth::token::Token;
use threatrelay::config;
use threatrelay::mapping::{self, Answers, Telling};
use threatrelay::observable::{Observable, ObservableType};
use threatrelay::otx::time::Moment;
use threatrelay::otx::types::General;
use threatrelay::otx::{Known, Lookup, Match, general_urls};
use url::Url;

/// A public key that nobody has the other half of.
const JWKS: &[u8] = include_bytes!("seeds/jwks/one.json");
static KEYS: LazyLock<KeySet> = LazyLock::new(|| KeySet::parse(JWKS).unwrap_or_default());
static ORIGIN: LazyLock<Option<Url>> = LazyLock::new(|| Url::parse("https://otx.example/prefix").ok());

/// A request body: read or refused, and what is read is within its limits.
pub fn body(data: &[u8]) {
    match payload::read(data, 1000) {
        Ok(observables) => {
            assert!(observables.len() <= 1000);
            assert!(observables.iter().all(|item| !item.kind.is_empty() && !item.value.is_empty()));
            for observable in Observable::distinct(observables) {
                one_segment(&observable);
            }
        }
        Err(entry) => assert!(entry.message.starts_with("Invalid JSON payload received. {")),
    }
}

/// A token, and the same bytes as claims: nothing is signed by a key that signs nothing, limits stay limits.
pub fn token(data: &[u8]) {
    if let Some(token) = std::str::from_utf8(data).ok().and_then(|text| Token::parse(text).ok()) {
        if let Some(key) = KEYS.find("seed-key") {
            assert!(!token.is_signed(Algorithm::RS256, key));
        }
        let _ = token.kid();
        let _ = token.claims().map(|said| claims(&said));
    }
    let _ = Claims::parse(data).map(|said| claims(&said));
}

fn claims(claims: &Claims) {
    let _ = claims.jwks_host();
    let _ = claims.otx_key();
    let _ = claims.check_times(1_700_000_000, Duration::from_mins(1), true);
    let ours = ["https://relay.example".to_owned()];
    if claims.check_audience(&ours).is_ok() {
        assert!(claims.check_audience(&[]).is_err());
    }
    assert!((1..=1000).contains(&claims.entities_limit()));
}

/// A JWKS: refused, or at most as many keys as it says.
pub fn jwks(data: &[u8]) {
    if let Ok(keys) = KeySet::parse(data) {
        let document: Value = serde_json::from_slice(data).unwrap_or_default();
        assert!(keys.len() <= document["keys"].as_array().map_or(0, Vec::len));
    }
}

/// An answer of OTX, all of whose pulses hold the observable: documents that are JSON, as many as asked for at most.
pub fn answer(data: &[u8]) {
    let (Ok(general), Some(web)) = (General::parse(data), &*ORIGIN) else { return };
    let Some(since) = Moment::parse("2026-01-01T00:00:00") else { return };
    let matches = (0..general.pulses.len()).map(|pulse| Match { pulse, since, until: None }).collect();
    let known = Known { general: Arc::new(general), matches, ..Known::default() };
    let observable = Observable { kind: ObservableType::Domain, value: "evil.example".to_owned() };
    let lookups = [Lookup { observable, outcome: Ok(Arc::new(known)) }];
    let rich = Answers::Rich { now: since, trusted_authors: &[] };
    for (answers, limit) in [(Answers::Parity, 1), (Answers::Parity, 1000), (rich, 1), (rich, 1000)] {
        let bundle = mapping::bundle(&lookups, &Telling { limit, web, answers });
        let text = serde_json::to_vec(&bundle).unwrap_or_default();
        let documents: Value = serde_json::from_slice(&text).unwrap_or_default();
        assert!(documents.is_object());
        for kind in ["sightings", "indicators"] {
            assert!(documents[kind]["docs"].as_array().map_or(0, Vec::len) <= limit);
        }
    }
}

/// A value: OTX sees exactly one path segment, which is the value. The first byte is its type.
pub fn url(data: &[u8]) {
    let Some((first, value)) = data.split_first() else { return };
    let kind = ObservableType::ALL[usize::from(*first) % ObservableType::ALL.len()];
    one_segment(&Observable { kind, value: String::from_utf8_lossy(value).into_owned() });
}

fn one_segment(observable: &Observable) {
    let (Some(question), Some(origin)) = (observable.question(), &*ORIGIN) else { return };
    for url in general_urls(origin, &question) {
        let parts: Vec<&str> = url.path().split('/').collect();
        let ["", "prefix", "api", "v1", "indicators", _, value, "general"] = parts[..] else {
            unreachable!("{question:?} became {url}")
        };
        assert!(url.query().is_none() && url.fragment().is_none(), "{url}");
        assert_eq!(decoded(value), question.value.as_bytes(), "{url}");
    }
}

fn decoded(segment: &str) -> Vec<u8> {
    let mut parts = segment.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.extend(part.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok()));
        bytes.extend(part.get(2..).unwrap_or_default().bytes());
    }
    bytes
}

/// A configuration file, and its lines as an environment: read, or refused in words.
pub fn config(data: &[u8]) {
    let file = std::env::temp_dir().join(format!("threatrelay-fuzz-{}.yaml", std::process::id()));
    if std::fs::write(&file, data).is_ok() {
        said(config::load(Some(&file), std::iter::empty()));
    }
    let text = String::from_utf8_lossy(data);
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let pairs = pairs.filter(|(name, _)| *name != config::CONFIG_VARIABLE);
    said(config::load(None, pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))));
}

fn said(loaded: Result<config::Loaded, config::Errors>) {
    match loaded {
        Ok(loaded) => assert!(!loaded.settings.is_empty()),
        Err(errors) => assert!(!errors.to_string().is_empty()),
    }
}
