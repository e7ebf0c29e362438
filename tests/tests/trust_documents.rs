//! The threat model names tests that exist.
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

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/threat-model.md")).unwrap();
    let tests = named(&page);
    assert!(tests.len() > 20, "only {} tests are named", tests.len());
    let absent: Vec<_> = tests.into_iter().filter(|(suite, test)| !exists(suite, test)).collect();
    assert!(absent.is_empty(), "{absent:?}");
}

#[test]
fn a_test_that_does_not_exist_is_noticed() {
    assert!(!exists("trust_documents", "nobody_wrote_this".replace("nobody", "no_one").as_str()));
    assert!(!exists("trust_nothing", "named"));
}
