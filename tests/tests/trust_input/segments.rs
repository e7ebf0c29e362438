//! Whatever the value, OTX sees exactly one path segment, and it is the value: checked on the relay's own URLs for a
//! hundred thousand random values, and on the wire for naughty strings and a sample.

use libtest_mimic::Trial;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tests::fake_otx::FakeOtx;
use tests::relay::{Builder, TestRelay, payload};
use tests::trial::trial;
use threatrelay::observable::{Observable, ObservableType};
use threatrelay::otx::general_urls;

/// Random values, shared out among the types that are asked about.
const VALUES: usize = 100_000;
/// Of them so many go over the wire.
const SAMPLE: usize = 2_000;

pub fn trials() -> Vec<Trial> {
    let strings = tests::shared::folder("data/naughty-strings/blns.base64.json");
    let absent = !strings.is_file();
    vec![
        trial("a_hundred_thousand_values_are_one_path_segment_each", || async { every_value() }),
        trial("a_sample_of_values_is_one_path_segment_on_the_wire", sample),
        trial("naughty_strings_of_every_type_are_answered", move || naughty(strings)).with_ignored_flag(absent),
    ]
}

/// Values that look like what they are to be, with anything in the places where anything may stand.
fn value(kind: ObservableType) -> &'static str {
    match kind {
        ObservableType::Url => {
            "(https?|HTTP|ftp)://([a-z0-9]{1,9}\\.example|203\\.0\\.113\\.7|\\[2001:db8::7\\])(:[0-9]{1,5})?([/?#](\\PC|[\\x00-\\x1f]|\\.\\.?/|%2[eEfF]|[?#&;\\\\]){0,40})?"
        }
        ObservableType::Domain => "(\\PC|[a-z0-9_.-]|\\.\\.|/){0,20}\\.(example|com|co\\.uk)\\.?",
        ObservableType::Ip => "([0-9]{1,3}\\.){3}[0-9]{1,3}|\\PC{0,20}",
        ObservableType::Ipv6 => "([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}|2001:db8::[0-9a-f]{1,4}(%\\PC{0,3})?",
        ObservableType::Md5 => "[0-9a-fA-F]{32}",
        ObservableType::Sha1 => "[0-9a-fA-F]{40}",
        ObservableType::Sha256 => "[0-9a-fA-F]{64}|[./%\\x00-\\x1f]{64}",
        ObservableType::Email => "\\PC{1,20}@\\PC{1,20}",
    }
}

/// So many values; the same in every run.
fn values(count: usize) -> impl Iterator<Item = Observable> {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let kinds: Vec<_> = ObservableType::ALL
        .into_iter()
        .map(|kind| (kind, proptest::string::string_regex(value(kind)).expect("a pattern")))
        .collect();
    (0..count).map(move |index| {
        let (kind, pattern) = &kinds[index % kinds.len()];
        Observable { kind: *kind, value: pattern.new_tree(&mut runner).expect("a value").current() }
    })
}

fn every_value() {
    let base: url::Url = "https://otx.example/prefix".parse().expect("a URL");
    let mut asked = 0;
    for observable in values(VALUES) {
        let Some(question) = observable.question() else { continue };
        asked += 1;
        for url in general_urls(&base, &question) {
            let target = url.as_str().strip_prefix("https://otx.example/prefix").expect("the origin and its prefix");
            assert_eq!(segment(target).as_deref(), Some(question.value.as_str()), "{observable:?} {target}");
        }
    }
    println!("{VALUES} values, {asked} of them asked about");
    assert!(asked > VALUES / 2, "{asked}");
}

/// The value in a target of `/general`, if all else of it is as it must be.
fn segment(target: &str) -> Option<String> {
    let parts: Vec<&str> = target.split('/').collect();
    let ["", "api", "v1", "indicators", section, value, "general"] = parts[..] else { return None };
    let known = ["IPv4", "IPv6", "domain", "hostname", "file", "url"].contains(&section);
    let clean = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\".contains(&byte));
    let decoded = percent_decoded(value)?;
    (known && clean && !matches!(value, "." | "..")).then_some(decoded)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let code = std::str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(code, 16).ok()?);
            rest = &rest[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

/// A relay that may ask as much as it likes and remembers nothing.
async fn relay(fake: &FakeOtx) -> TestRelay {
    Builder::new(&fake.url())
        .set("THREATRELAY_OTX_HOURLY_BUDGET", "10000000")
        .set("THREATRELAY_CACHE_ENABLED", "false")
        .start()
        .await
}

/// Asks about these observables; every target that OTX saw holds one of their values and nothing else.
async fn hold(fake: &FakeOtx, relay: &TestRelay, observables: &[Observable]) -> usize {
    fake.forget_calls();
    let sent: Vec<(&str, &str)> =
        observables.iter().map(|observable| (observable.kind.as_str(), observable.value.as_str())).collect();
    for path in ["/observe/observables", "/refer/observables"] {
        let answer = relay.post(path, payload(&sent)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(!answer.text().contains("\"code\":\"invalid"), "{}", answer.text());
    }
    let known: std::collections::HashSet<String> =
        observables.iter().filter_map(Observable::question).map(|question| question.value).collect();
    let calls = fake.calls();
    for call in calls.iter().filter(|call| call.target.starts_with("/api/v1/indicators/")) {
        assert!(segment(&call.target).is_some_and(|value| known.contains(&value)), "{}", call.target);
    }
    let foreign = calls
        .iter()
        .find(|call| !["/api/v1/indicators/", "/api/v1/pulses/"].iter().any(|start| call.target.starts_with(start)));
    assert!(foreign.is_none(), "{foreign:?}");
    calls.len()
}

async fn sample() {
    let fake = FakeOtx::start().await.expect("a fake OTX");
    let relay = relay(&fake).await;
    let observables: Vec<Observable> = values(SAMPLE).filter(|observable| !observable.value.is_empty()).collect();
    let mut calls = 0;
    for some in observables.chunks(100) {
        calls += hold(&fake, &relay, some).await;
    }
    println!("{} values over the wire, {calls} calls", observables.len());
    assert!(calls > SAMPLE / 2, "{calls}");
}

async fn naughty(file: std::path::PathBuf) {
    use base64::Engine;
    let text = std::fs::read(file).expect("the strings");
    let coded: Vec<String> = serde_json::from_slice(&text).expect("a list of texts");
    let decode = |text: &String| base64::engine::general_purpose::STANDARD.decode(text).expect("base64");
    let strings: Vec<String> = coded.iter().filter_map(|text| String::from_utf8(decode(text)).ok()).collect();
    let fake = FakeOtx::start().await.expect("a fake OTX");
    let relay = relay(&fake).await;
    let mut calls = 0;
    for kind in ObservableType::ALL {
        let of_kind = |text: &String| Observable { kind, value: text.clone() };
        let in_url = |text: &String| Observable { kind, value: format!("http://evil.example/{text}") };
        let mut observables: Vec<Observable> = strings.iter().filter(|text| !text.is_empty()).map(of_kind).collect();
        if kind == ObservableType::Url {
            observables.extend(strings.iter().map(in_url));
        }
        for some in observables.chunks(100) {
            calls += hold(&fake, &relay, some).await;
        }
    }
    println!("{} strings of {} types, {calls} calls", strings.len(), ObservableType::ALL.len());
    assert!(calls > 400, "{calls}");
}
