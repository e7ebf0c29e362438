//! The threat model and the list of capabilities name tests that exist.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};

/// `suite::test` of everything between backticks that is one.
fn named(page: &str) -> Vec<(&str, &str)> {
    let quoted = page.split('`').skip(1).step_by(2);
    quoted.filter_map(|words| words.split_once("::")).filter(|(suite, _)| *suite != "suite").collect()
}

/// A test is a function of its suite, or a case that a table of it names.
fn exists(suite: &str, test: &str) -> bool {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let parts: Vec<PathBuf> = match fs::read_dir(folder.join(suite)) {
        Ok(files) => files.map(|file| file.unwrap().path()).collect(),
        Err(_) => vec![folder.join(format!("{suite}.rs"))],
    };
    let code: String = parts.iter().map(|part| fs::read_to_string(part).unwrap_or_default()).collect();
    code.contains(&format!("fn {test}(")) || code.contains(&format!("\"{test}\""))
}

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)).unwrap()
}

#[test]
fn every_test_that_a_document_names_exists() {
    for name in ["threat-model.md", "capabilities.md"] {
        let page = page(name);
        let tests = named(&page);
        assert!(tests.len() > 20, "{name}: only {} tests are named", tests.len());
        let absent: Vec<_> = tests.into_iter().filter(|(suite, test)| !exists(suite, test)).collect();
        assert!(absent.is_empty(), "{name}: {absent:?}");
    }
}

#[test]
fn every_capability_is_shown_by_a_test_or_said_not_to_be_there() {
    let page = page("capabilities.md");
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| question"));
    let claimed: Vec<_> = rows.filter(|row| named(row).is_empty() && !row.ends_with("| not there |")).collect();
    assert!(claimed.is_empty(), "{claimed:#?}");
}

#[test]
fn a_test_that_does_not_exist_is_noticed() {
    assert!(!exists("trust_documents", "nobody_wrote_this".replace("nobody", "no_one").as_str()));
    assert!(!exists("trust_nothing", "named"));
}
