//! `cargo xtask docs`: pages made from what the programs themselves say. A test fails when a page is not what is generated.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use threatrelay::config::table::SETTINGS;

/// Writes the pages.
pub(super) fn run() -> Result<ExitCode, Box<dyn Error>> {
    for (path, text) in pages() {
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Every generated page and its text.
fn pages() -> [(PathBuf, String); 1] {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    [(root.join("docs/configuration.md"), configuration())]
}

fn configuration() -> String {
    let mut text = String::from(include_str!("configuration.md"));
    text.push_str("\n| setting | environment | default | allowed | meaning |\n|---|---|---|---|---|\n");
    for setting in SETTINGS {
        let default = setting.default.map_or_else(|| "-".to_owned(), |default| format!("`{default}`"));
        let (path, variable, form, meaning) = (setting.path, setting.variable(), setting.form, setting.meaning);
        let _infallible = writeln!(text, "| `{path}` | `{variable}` | {default} | {form} | {meaning} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_what_is_generated() {
        for (path, text) in pages() {
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(found == text, "{} is out of date: run `cargo xtask docs`", path.display());
        }
    }
}
