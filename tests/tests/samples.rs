//! The relay on answers that OTX really gave. They lie outside of the project (`../shared/otx-samples` beside the
//! workspace, or `THREATRELAY_TEST_SHARED`); without them each of these tests is reported as ignored, by name.
#![expect(clippy::expect_used, reason = "a failed step is a failed test")]

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::Value;
use tests::relay::Builder;
use tests::reply::{docs, errors};
use tests::trial::{run, trial};
use threatrelay::demo::samples::{Samples, router};

/// Captured answers about an indicator, by file; of each the pulses that an answer of the relay must name.
const GENERALS: [(&str, usize); 11] = [
    ("general-domain-0pulses.2023.json", 0),
    ("general-domain-4pulses.2025.json", 4),
    ("general-file-md5-1pulse.2025.json", 1),
    ("general-file-sha1-0pulses.2023.json", 0),
    ("general-ipv4-1pulse.2022.json", 1),
    ("general-ipv4-2pulses.2025.json", 2),
    ("general-ipv4-31k-pulse.2023.json", 1),
    ("general-ipv4-inactive-whitelisted.2021.json", 0),
    ("general-ipv4-validation-0pulses.2017.json", 0),
    ("general-ipv6-0pulses.2023.json", 0),
    ("general-url-1pulse.2022.json", 1),
];

fn main() -> ExitCode {
    let dir = directory();
    let absent = !dir.is_dir();
    let mut trials: Vec<Trial> = GENERALS
        .iter()
        .map(|&(file, pulses)| {
            let name = format!("sample_{}", file.trim_end_matches(".json"));
            trial(name, move || answered(file, pulses)).with_ignored_flag(absent)
        })
        .collect();
    trials.push(trial("sample_pulse-detail-2775indicators", || rows(2775)).with_ignored_flag(absent));
    trials.push(trial("sample_every_file_is_known_to_a_test", no_file_left_out).with_ignored_flag(absent));
    run(trials)
}

fn directory() -> PathBuf {
    tests::shared::folder("otx-samples")
}

/// An upstream of all samples; gives its origin.
async fn upstream() -> String {
    let samples = Samples::read(&directory()).expect("readable samples");
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move { axum::serve(listener, router(Arc::new(samples))).await });
    format!("http://{address}")
}

/// The relay, asked for the indicator of a captured answer, names its pulses and nothing else, and no error.
async fn answered(file: &str, pulses: usize) {
    let text = fs::read(directory().join(file)).expect("the sample");
    let sample: Value = serde_json::from_slice(&text).expect("JSON");
    let kind = match sample["type"].as_str().unwrap_or_default() {
        "IPv4" => "ip",
        "IPv6" => "ipv6",
        other => other,
    };
    let asked = [(kind, sample["indicator"].as_str().unwrap_or_default())];
    // All that there is to say of a real answer is valid CTIM, too.
    let rich = Builder::new(&upstream().await).rich().start().await.observe(&asked).await;
    assert_eq!(docs(&rich, "sightings").len(), pulses, "{rich}");
    assert_eq!(docs(&rich, "verdicts").len(), docs(&rich, "judgements").len(), "{rich}");
    let relay = Builder::new(&upstream().await).start().await;
    let body = relay.observe(&asked).await;
    // One sample says that there are 29 pulses and shows one of them.
    let shown = sample["pulse_info"]["pulses"].as_array().map_or(0, Vec::len);
    let cut = sample["pulse_info"]["count"].as_u64().unwrap_or(0) > u64::try_from(shown).unwrap_or(0);
    let severities: Vec<String> = errors(&body).into_iter().map(|(_, severity, _)| severity).collect();
    assert_eq!(severities, vec!["warning"; usize::from(cut)], "{body}");
    assert_eq!(docs(&body, "sightings").len(), pulses, "{body}");
    let mut named: Vec<&Value> = docs(&body, "indicators").iter().map(|document| &document["title"]).collect();
    let active = sample["pulse_info"]["pulses"].as_array().into_iter().flatten();
    let mut expected: Vec<&Value> =
        active.filter(|pulse| pulse["related_indicator_is_active"] != 0).map(|pulse| &pulse["name"]).collect();
    named.sort_by_key(ToString::to_string);
    expected.sort_by_key(ToString::to_string);
    assert_eq!(named, expected);
    for (document, tlp) in
        docs(&body, "indicators").iter().filter_map(|document| Some((document, document.get("tlp")?)))
    {
        assert!(["white", "green", "amber", "red"].contains(&tlp.as_str().unwrap_or_default()), "{document}");
    }
}

/// The rows of the largest captured pulse come back as a listing, all of them.
async fn rows(count: usize) {
    let origin = upstream().await;
    let target =
        format!("{origin}/api/v1/pulses/56cdb68f4637f27567167dce/indicators?sort=-created&limit=10000&page=1");
    let response = reqwest::Client::new().get(target).header("X-OTX-API-KEY", "k").send().await.expect("an answer");
    let page: Value = serde_json::from_slice(&response.bytes().await.expect("a body")).expect("JSON");
    assert_eq!((&page["count"], page["results"].as_array().map(Vec::len)), (&count.into(), Some(count)));
}

async fn no_file_left_out() {
    let known = |name: &str| {
        GENERALS.iter().any(|(file, _)| *file == name)
            || ["pulse-detail-", "pulse-indicators-", "search-", "errors", "users-me", "README"]
                .iter()
                .any(|start| name.starts_with(start))
            || name == "general-pulse-object-with-observation.2017.json"
    };
    let files = fs::read_dir(directory()).expect("the directory").filter_map(Result::ok);
    let unknown: Vec<String> =
        files.map(|file| file.file_name().to_string_lossy().into_owned()).filter(|name| !known(name)).collect();
    assert_eq!(unknown, Vec::<String>::new(), "add these samples to GENERALS");
}
