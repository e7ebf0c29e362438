//! The settings as their sources wrote them: the YAML file and the environment, brought to one shape (path of the
//! setting, text, origin). Names that no setting has are refused here; values are read later, by `resolve`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::form::Text;
use super::problem::{Origin, Problem};
use super::table::{PREFIX, SETTINGS, Setting, find};

/// The variable that names the configuration file.
pub const CONFIG_VARIABLE: &str = "THREATRELAY_CONFIG";

/// Texts by the path of their setting.
pub type Given = BTreeMap<&'static str, (Text, Origin)>;

/// The settings of a YAML file.
pub fn from_file(path: &Path, problems: &mut Vec<Problem>) -> Given {
    let mut walk = Walk { file: path, given: Given::new(), problems };
    match std::fs::read_to_string(path) {
        Ok(text) => walk.document(&text),
        Err(source) => walk.problems.push(Problem::Unreadable { path: path.to_owned(), source }),
    }
    walk.given
}

/// The settings of the environment. Variables with another prefix are not looked at.
pub fn from_environment(
    variables: impl Iterator<Item = (String, String)>,
    problems: &mut Vec<Problem>,
) -> (Given, Option<PathBuf>) {
    let mut given = Given::new();
    let mut file = None;
    for (name, value) in variables.filter(|(name, _)| name.starts_with(PREFIX)) {
        if name == CONFIG_VARIABLE {
            file = Some(value).filter(|value| !value.is_empty()).map(PathBuf::from);
        } else if let Some(setting) = SETTINGS.iter().find(|setting| setting.variable() == name) {
            given.insert(setting.path, (Text::One(value), Origin::Environment));
        } else if !is_service_link(&name, &value) {
            let hint = nearest(&name, SETTINGS.iter().map(Setting::variable));
            problems.push(Problem::Unknown { origin: Origin::Environment, name, hint });
        }
    }
    given.retain(|_, (text, _)| !text.is_empty());
    (given, file)
}

/// Whether Kubernetes made this variable for a Service whose name starts with `threatrelay`.
fn is_service_link(name: &str, value: &str) -> bool {
    let words: Vec<&str> = name.split('_').collect();
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    match words.as_slice() {
        [_, "PORT"] | [.., "SERVICE", "HOST" | "PORT"] => true,
        [.., "PORT"] if value.contains("://") => true,
        [.., "PORT", port, "TCP" | "UDP" | "SCTP"]
        | [.., "PORT", port, "TCP" | "UDP" | "SCTP", "PROTO" | "PORT" | "ADDR"]
            if is_port(port) =>
        {
            true
        }
        // A port with a name, which may have several words.
        words => words.windows(2).any(|pair| pair == ["SERVICE", "PORT"]),
    }
}

/// Turns a YAML document into [`Given`].
struct Walk<'a> {
    file: &'a Path,
    given: Given,
    problems: &'a mut Vec<Problem>,
}

impl Walk<'_> {
    fn document(&mut self, text: &str) {
        // `off` is a log level and no boolean.
        let options = serde_saphyr::options! { strict_booleans: true };
        match serde_saphyr::from_str_with_options::<Option<Node>>(text, options) {
            Ok(None | Some(Node::Null)) => {}
            Ok(Some(Node::Map(entries))) => self.section("", entries),
            Ok(Some(_)) => self.not_yaml(1, "the document is not a mapping of settings".to_owned()),
            // The snippet would repeat the file's text.
            Err(error) => self.not_yaml(
                error.location().map_or(1, |location| location.line()),
                error.without_snippet().to_string(),
            ),
        }
    }

    fn section(&mut self, prefix: &str, entries: Vec<(String, Spanned<Node>)>) {
        for (name, Spanned { value: node, referenced, .. }) in entries {
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            let origin = self.at(referenced.line());
            // A path in one name is no nesting, and two spellings of one setting could contradict each other.
            let is_nested = !name.contains('.');
            let setting = find(&path).filter(|_| is_nested);
            let is_section = is_nested && known_paths().any(|known| known == path);
            match (setting, node) {
                (_, Node::Null) if setting.is_some() || is_section => {}
                (Some(setting), Node::Scalar(text)) => self.give(setting, Text::One(text), origin),
                (Some(setting), Node::List(entries)) => {
                    let texts = entries.into_iter().map(Node::into_scalar).collect::<Option<Vec<_>>>();
                    match texts {
                        Some(texts) => self.give(setting, Text::Many(texts), origin),
                        None => self.invalid(setting, origin, "has an entry that is no text"),
                    }
                }
                (Some(setting), _) => self.invalid(setting, origin, "is a section where a value is expected"),
                (None, Node::Map(entries)) if is_section => self.section(&path, entries),
                (None, _) if is_section => self.problems.push(Problem::NotYaml {
                    origin,
                    why: format!("{path} is a section; write its settings below it, indented"),
                }),
                (None, _) => {
                    let hint = if is_nested {
                        nearest(&path, known_paths())
                    } else {
                        "; write the part after the dot on a line of its own, indented".to_owned()
                    };
                    self.problems.push(Problem::Unknown { origin, name: path, hint });
                }
            }
        }
    }

    fn give(&mut self, setting: &'static Setting, text: Text, origin: Origin) {
        if !text.is_empty() {
            self.given.insert(setting.path, (text, origin));
        }
    }

    fn invalid(&mut self, setting: &'static Setting, origin: Origin, why: &str) {
        self.problems.push(Problem::Invalid { setting, origin, why: why.to_owned() });
    }

    fn not_yaml(&mut self, line: u64, why: String) {
        self.problems.push(Problem::NotYaml { origin: self.at(line), why });
    }

    fn at(&self, line: u64) -> Origin {
        Origin::File { path: self.file.to_owned(), line }
    }
}

/// Every setting and every section.
fn known_paths() -> impl Iterator<Item = String> {
    SETTINGS.iter().flat_map(|Setting { path, .. }| {
        path.match_indices('.').map(|(end, _)| path[..end].to_owned()).chain([(*path).to_owned()])
    })
}

/// `; did you mean X?` for the name that differs least, if one is near, or where all names stand.
fn nearest(name: &str, known: impl Iterator<Item = String>) -> String {
    let last = |path: &str| path.trim_start_matches(PREFIX).rsplit('.').next().unwrap_or_default().to_lowercase();
    let best = known
        .map(|candidate| {
            let whole = distance(&name.to_lowercase(), &candidate.to_lowercase());
            let end = distance(&last(name), &last(&candidate));
            (whole.min(end), whole, candidate)
        })
        .min();
    match best {
        Some((near, _, candidate)) if near <= 2.max(last(name).len() / 4) => format!("; did you mean {candidate}?"),
        _ => "; docs/configuration.md lists all".to_owned(),
    }
}

/// Levenshtein distance in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let cost = (diagonal + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], cost);
        }
    }
    row[b.len()]
}

/// YAML of any shape, with the line of every value.
enum Node {
    Null,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(String, Spanned<Node>)>),
}

impl Node {
    fn into_scalar(self) -> Option<String> {
        match self {
            Self::Scalar(text) => Some(text),
            Self::Null | Self::List(_) | Self::Map(_) => None,
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_owned()))
    }

    fn visit_some<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = seq.next_element()? {
            entries.push(entry);
        }
        Ok(Node::List(entries))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }
}

#[cfg(test)]
#[path = "raw_tests.rs"]
mod tests;
