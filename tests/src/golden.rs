//! Texts that are compared whole with a file that people have read. A change that is meant is written by running the test
//! with [`WRITE`] set, and seen in review.
#![expect(clippy::expect_used, reason = "what cannot be written ends the test")]

use std::fs;
use std::path::Path;

/// Names the variable with which files are written instead of compared.
pub const WRITE: &str = "THREATRELAY_WRITE_GOLDEN";

/// `text` must be what `file` holds, below the folder of the tests' crate.
///
/// # Panics
/// With the line from which on the two differ, or when the file cannot be written.
pub fn matches(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os(WRITE).is_some() {
        fs::create_dir_all(path.parent().unwrap_or(&path)).expect("the folder of the golden file");
        fs::write(&path, text).expect("the golden file");
        return;
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    let both = || text.lines().zip(golden.lines());
    let line = both().position(|(now, before)| now != before).unwrap_or(both().count()) + 1;
    assert!(text == golden, "{file} differs from line {line}; if it is meant, run with {WRITE}=1\n{text}");
}
