//! The values of a chart. `values.schema.json` is where they are declared, with meaning and default; `values.yaml` and
//! the table of the chart's README are made from it here.

use std::fmt::Write as _;
use std::fs;
use std::io;

use serde::Deserialize;
use serde_json::{Value, json};

use super::folder;
use super::ordered::Ordered;

/// Columns of a comment in `values.yaml`.
const WIDTH: usize = 118;

/// What can go wrong with a chart's schema.
#[derive(Debug, thiserror::Error)]
pub enum ValuesError {
    /// It cannot be read.
    #[error("charts/{0}/values.schema.json: {1}")]
    Unreadable(String, #[source] io::Error),
    /// It is not a schema of values.
    #[error("charts/{0}/values.schema.json: {1}")]
    NotASchema(String, #[source] serde_json::Error),
    /// A default cannot be written as YAML.
    #[error("the default of {0}: {1}")]
    Default(String, #[source] serde_saphyr::ser::Error),
}

/// One value, or a group of them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Property {
    /// What it means, for people.
    pub description: Option<String>,
    /// What it is when nobody sets it. A value without one is not in `values.yaml`.
    pub default: Option<Value>,
    /// The values of a group.
    pub properties: Ordered<Property>,
    /// JSON type or types.
    #[serde(rename = "type")]
    pub kind: Value,
    /// The words it may be.
    #[serde(rename = "enum")]
    pub words: Vec<Value>,
    /// Whether a group takes other names as well.
    #[serde(rename = "additionalProperties")]
    pub others: Option<Value>,
}

/// The root of a chart's values.
///
/// # Errors
/// When the schema cannot be read.
pub fn of(chart: &str) -> Result<Property, ValuesError> {
    let text = fs::read_to_string(folder(chart).join("values.schema.json"))
        .map_err(|error| ValuesError::Unreadable(chart.to_owned(), error))?;
    serde_json::from_str(&text).map_err(|error| ValuesError::NotASchema(chart.to_owned(), error))
}

impl Property {
    /// Whether it is a group of declared values.
    #[must_use]
    pub fn is_group(&self) -> bool {
        !self.properties.0.is_empty()
    }

    /// Every value and group below, with its dotted path.
    #[must_use]
    pub fn all(&self) -> Vec<(String, &Self)> {
        let mut found = Vec::new();
        self.collect("", &mut found);
        found
    }

    fn collect<'a>(&'a self, above: &str, found: &mut Vec<(String, &'a Self)>) {
        for (name, property) in &self.properties.0 {
            let path = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
            found.push((path.clone(), property));
            property.collect(&path, found);
        }
    }

    /// The text of `values.yaml`.
    ///
    /// # Errors
    /// [`ValuesError::Default`].
    pub fn yaml(&self) -> Result<String, ValuesError> {
        let mut text = String::from("# Made from values.schema.json by `cargo xtask charts`.\n");
        self.write(&mut text, 0)?;
        Ok(text)
    }

    fn write(&self, text: &mut String, depth: usize) -> Result<(), ValuesError> {
        let indent = "  ".repeat(depth);
        for (name, property) in &self.properties.0 {
            if !property.is_group() && property.default.is_none() {
                continue;
            }
            if depth == 0 {
                text.push('\n');
            }
            for line in wrapped(property.description.as_deref().unwrap_or_default(), WIDTH - indent.len()) {
                let _infallible = writeln!(text, "{indent}# {line}");
            }
            if property.is_group() {
                let is_empty = !property.all().iter().any(|(_, below)| below.default.is_some());
                let _infallible = writeln!(text, "{indent}{name}:{}", if is_empty { " {}" } else { "" });
                property.write(text, depth + 1)?;
            } else {
                let member = json!({ name: property.default });
                let yaml =
                    serde_saphyr::to_string(&member).map_err(|error| ValuesError::Default(name.clone(), error))?;
                for line in yaml.lines() {
                    let _infallible = writeln!(text, "{indent}{line}");
                }
            }
        }
        Ok(())
    }

    /// The rows of the README's table.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::from("| value | type | default | meaning |\n|---|---|---|---|\n");
        for (path, property) in self.all() {
            if property.is_group() {
                continue;
            }
            let default = property.default.as_ref().map_or_else(|| "-".to_owned(), |default| format!("`{default}`"));
            let meaning = property.description.as_deref().unwrap_or_default().replace('|', "\\|");
            let _infallible = writeln!(text, "| `{path}` | {} | {default} | {meaning} |", property.type_in_words());
        }
        text
    }

    fn type_in_words(&self) -> String {
        if !self.words.is_empty() {
            let words = self.words.iter().filter_map(Value::as_str).filter(|word| !word.is_empty());
            return words.collect::<Vec<_>>().join(", ");
        }
        match (&self.kind, &self.default) {
            (Value::String(kind), _) => kind.clone(),
            (Value::Array(kinds), _) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
            (_, Some(Value::Array(_))) => "array".to_owned(),
            (_, Some(Value::Object(_))) => "object".to_owned(),
            _ => "integer or string".to_owned(),
        }
    }
}

/// The words of `text` in lines of at most `width` bytes.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
