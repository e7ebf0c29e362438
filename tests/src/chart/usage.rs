//! Which values the templates of a chart use.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use super::folder;

/// The text of all templates.
///
/// # Errors
/// When a file cannot be read.
pub fn templates(chart: &str) -> io::Result<String> {
    let mut text = String::new();
    read(&folder(chart).join("templates"), &mut text)?;
    Ok(text)
}

fn read(folder: &Path, text: &mut String) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read(&path, text)?;
        } else {
            text.push_str(&fs::read_to_string(path)?);
        }
    }
    Ok(())
}

/// Dotted paths that follow `.Values.` in templates.
#[must_use]
pub fn used(templates: &str) -> BTreeSet<String> {
    let path = |rest: &str| {
        let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '.').unwrap_or(rest.len());
        rest[..end].trim_end_matches('.').to_owned()
    };
    templates.split(".Values.").skip(1).map(path).collect()
}

/// Whether a value is used: by its path, or as a member of a group that is handed to a named template as a whole.
#[must_use]
pub fn is_used(path: &str, used: &BTreeSet<String>, templates: &str) -> bool {
    let (group, name) = path.rsplit_once('.').unwrap_or(("", path));
    used.contains(path) || (used.contains(group) && mentions(templates, name))
}

/// Whether `.name` stands in the text as a whole word.
fn mentions(text: &str, name: &str) -> bool {
    let follows = |rest: &str| !rest.starts_with(|letter: char| letter.is_ascii_alphanumeric());
    text.split(&format!(".{name}")).skip(1).any(follows)
}
