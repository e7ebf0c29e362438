//! JSON as a body: the torture files, depth bombs. A body that is no JSON is refused; one that is, is judged by its
//! content, which in the torture files never is a list of observables.

use std::collections::BTreeMap;

use libtest_mimic::Trial;
use serde_json::Value;
use tests::fake_otx::FakeOtx;
use tests::relay::TestRelay;
use tests::trial::trial;

const PATHS: [&str; 2] = ["/observe/observables", "/refer/observables"];

/// Files of which the relay's verdict is not that of their name, and why: the original read JSON as Python does.
const DEVIATIONS: &[(&str, &str)] = &[
    ("n_number_NaN.json", "Python reads NaN"),
    ("n_number_infinity.json", "Python reads Infinity"),
    ("n_number_minus_infinity.json", "Python reads -Infinity"),
];

pub fn trials() -> Vec<Trial> {
    let absent = !folder().is_dir();
    vec![
        trial("torture_files_are_read_or_refused_as_their_names_say", torture).with_ignored_flag(absent),
        trial("torture_files_of_python_are_answered", transform).with_ignored_flag(absent),
        trial("depth_bombs_are_refused", depth),
    ]
}

fn folder() -> std::path::PathBuf {
    tests::shared::folder("data/json-parsing/test_parsing")
}

fn files(folder: &std::path::Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("a folder of files");
    let read = |path: std::path::PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (name, std::fs::read(&path).expect("a file"))
    };
    entries.map(|entry| read(entry.expect("an entry").path())).collect()
}

/// Whether the body was read as JSON: a list is judged by its elements, so its text does not speak of the whole. What is
/// no list is put into one as well, unless it is blank: then that would be a list.
async fn is_read(relay: &TestRelay, path: &str, body: &[u8]) -> bool {
    let mut verdicts = Vec::new();
    let blank = body.trim_ascii().is_empty();
    for body in std::iter::once(body.to_vec()).chain((!blank).then(|| [b"[", body, b"]"].concat())) {
        let answer = relay.post(path, body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer: Value = serde_json::from_slice(&answer.body).expect("an answer in JSON");
        let message = answer["errors"][0]["message"].as_str().unwrap_or_default();
        verdicts.push(!message.starts_with("Invalid JSON payload received. {\"_schema\""));
    }
    verdicts.contains(&true)
}

async fn torture() {
    let fake = FakeOtx::start().await.expect("a fake OTX");
    let relay = TestRelay::before(&fake).await;
    let files = files(&folder());
    assert_eq!(files.len(), 318);
    let (mut read, mut wrong) = (0, Vec::new());
    for (name, body) in &files {
        let verdicts = [is_read(&relay, PATHS[0], body).await, is_read(&relay, PATHS[1], body).await];
        assert_eq!(verdicts[0], verdicts[1], "{name}");
        read += usize::from(verdicts[0]);
        let deviates = DEVIATIONS.iter().any(|(file, _)| file == name);
        let expected = match name.as_bytes()[0] {
            b'y' => Some(!deviates),
            b'n' => Some(deviates),
            _ => None,
        };
        if expected.is_some_and(|expected| expected != verdicts[0]) {
            wrong.push(format!("{name}: read {}", verdicts[0]));
        }
    }
    println!("{} files at 2 endpoints, {read} read as JSON", files.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(fake.connections(), 0);
}

async fn transform() {
    let fake = FakeOtx::start().await.expect("a fake OTX");
    let relay = TestRelay::before(&fake).await;
    let files = files(&folder().with_file_name("test_transform"));
    assert_eq!(files.len(), 22);
    for body in files.values() {
        for path in PATHS {
            assert_eq!(relay.post(path, body.clone()).await.status, 200);
        }
    }
}

async fn depth() {
    let fake = FakeOtx::start().await.expect("a fake OTX");
    let relay = TestRelay::before(&fake).await;
    let unended = |text: &str, times: usize| text.repeat(times);
    let nested = |depth: usize| format!("[{{\"type\":\"ip\",\"value\":{}{}}}]", "[".repeat(depth), "]".repeat(depth));
    let whole = "{\"_schema\"";
    for (body, expected) in [
        (unended("[", 1_000_000), whole),
        (unended("{\"a\":", 200_000), whole),
        (unended("[{\"type\":", 100_000), whole),
        (nested(100_000), whole),
        (nested(127), whole),
        (nested(100), "{\"0\": {\"value\": [\"Not a valid string.\"]}}"),
    ] {
        for path in PATHS {
            let text = relay.post(path, body.clone()).await.text().replace("\\\"", "\"");
            assert!(text.contains(&format!("Invalid JSON payload received. {expected}")), "{text}");
        }
    }
    assert_eq!(fake.connections(), 0);
}
