//! What a setting may look like, and the reading of it: text in, a typed [`Value`] out. Files and directories are
//! looked at here too, so that a wrong path is found at start. A refusal says why and never repeats a text that could
//! hold a secret.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::HeaderValue;
use jiff::SignedDuration;
use url::Url;

use crate::telemetry;

/// The allowed form of a setting. Its `Display` is the phrase documentation and error lines use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// IP address and port.
    Address,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// URL with one of these schemes and nothing after its path.
    Url(&'static [&'static str]),
    /// Directory that can be listed.
    Directory,
    /// File that can be read and is not empty.
    File,
    /// File that holds PEM certificates.
    Certificates,
    /// Value of an HTTP header.
    Header,
    /// `tracing` filter directives.
    Filter,
    /// Length of time.
    Duration {
        /// Zero is allowed.
        zero: bool,
        /// Longest, in seconds.
        max: u64,
    },
    /// Whole number.
    Count {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// Number from 0 to 1.
    Ratio,
    /// `true` or `false`.
    Switch,
    /// Texts, none of them empty.
    List,
    /// Host names with optional ports.
    Hosts,
}

/// A setting's value as one of the sources wrote it. It may hold a credential that is yet to be refused, so its `Debug`
/// shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub enum Text {
    /// One text; a list may stand in it, comma-separated.
    One(String),
    /// The entries of a YAML list.
    Many(Vec<String>),
}

/// A value of the right form.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each variant is named after the type it holds")]
pub enum Value {
    Address(SocketAddr),
    Word(&'static str),
    Url(Url),
    Path(PathBuf),
    Header(HeaderValue),
    Filter(String),
    Duration(Duration),
    Count(u64),
    Ratio(f64),
    Switch(bool),
    List(Vec<String>),
}

impl Text {
    /// Nothing was written: an empty variable, an empty string, an empty list.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::One(text) => text.trim().is_empty(),
            Self::Many(entries) => entries.is_empty(),
        }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text(..)")
    }
}

/// As an environment variable would hold it.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(text) => f.write_str(text.trim()),
            Self::Many(entries) => f.write_str(&entries.join(",")),
        }
    }
}

impl Form {
    /// Reads what a source wrote.
    ///
    /// # Errors
    /// The reason for a refusal, as the end of a sentence whose subject is the setting.
    pub fn parse(self, text: &Text) -> Result<Value, String> {
        match (self, text) {
            (Self::List | Self::Hosts, Text::Many(entries)) => self.parse_list(entries),
            (_, Text::Many(_)) => Err("is a list where one value is expected".to_owned()),
            (_, Text::One(text)) => self.parse_text(text),
        }
    }

    /// Reads the text of an environment variable, of a YAML scalar or of a default.
    ///
    /// # Errors
    /// As [`Form::parse`].
    pub fn parse_text(self, text: &str) -> Result<Value, String> {
        let text = text.trim();
        match self {
            Self::Address => text.parse().map(Value::Address).map_err(|_| format!("{} is no address", quoted(text))),
            Self::OneOf(words) => words
                .iter()
                .find(|word| **word == text)
                .map(|word| Value::Word(word))
                .ok_or_else(|| format!("{} is none of the allowed words", quoted(text))),
            Self::Url(schemes) => parse_url(text, schemes).map(Value::Url).map_err(str::to_owned),
            Self::Directory => check_directory(Path::new(text)).map(Value::Path),
            Self::File => check_file(Path::new(text)).map(|_| Value::Path(text.into())),
            Self::Certificates => check_certificates(Path::new(text)).map(Value::Path),
            Self::Header => HeaderValue::from_str(text)
                .map(Value::Header)
                .map_err(|_| "has characters that cannot be sent in a header".to_owned()),
            Self::Filter => match telemetry::filter(text) {
                Ok(_) => Ok(Value::Filter(text.to_owned())),
                Err(error) => Err(format!("{} is no log filter: {error}", quoted(text))),
            },
            Self::Duration { zero, max } => parse_duration(text, zero, max).map(Value::Duration),
            Self::Count { min, max } => match text.parse::<u64>() {
                Ok(count) if (min..=max).contains(&count) => Ok(Value::Count(count)),
                Ok(count) => Err(format!("{count} is out of range")),
                Err(_) => Err(format!("{} is no whole number in range", quoted(text))),
            },
            Self::Ratio => match text.parse::<f64>() {
                Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(Value::Ratio(ratio)),
                _ => Err(format!("{} is no number from 0 to 1", quoted(text))),
            },
            Self::Switch => text.parse().map(Value::Switch).map_err(|_| format!("{} is no switch", quoted(text))),
            Self::List | Self::Hosts => self.parse_list(&text.split(',').map(str::to_owned).collect::<Vec<_>>()),
        }
    }

    fn parse_list(self, entries: &[String]) -> Result<Value, String> {
        let entries: Vec<String> = entries.iter().map(|entry| entry.trim().to_owned()).collect();
        if entries.iter().any(String::is_empty) {
            return Err("has an empty entry".to_owned());
        }
        if self == Self::Hosts
            && let Some(entry) = entries.iter().find(|entry| !is_host(entry))
        {
            return Err(if entry.contains('@') {
                "has an entry with user information".to_owned()
            } else {
                format!("{} is no lower-case host name with an optional port", quoted(entry))
            });
        }
        Ok(Value::List(entries))
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("an IP address and a port, such as 0.0.0.0:9090 or [::]:9090"),
            Self::OneOf(words) => f.write_str(&words.join(", ")),
            Self::Url(schemes) => {
                write!(f, "a URL with the scheme {} and no credentials, query or fragment", schemes.join(" or "))
            }
            Self::Directory => f.write_str("the path of a directory that can be read"),
            Self::File => f.write_str("the path of a file that can be read and is not empty"),
            Self::Certificates => f.write_str("the path of a file with PEM certificates"),
            Self::Header => f.write_str("visible ASCII characters and spaces"),
            Self::Filter => {
                f.write_str("off, error, warn, info, debug or trace, also per module as in info,hyper=warn")
            }
            Self::Duration { zero, max } => {
                let sign = if *zero { "zero or positive" } else { "positive" };
                write!(f, "a {sign} duration of at most {}, such as 50ms, 25s, 5m or 1h", in_largest_unit(*max))
            }
            Self::Count { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Ratio => f.write_str("a number from 0 to 1"),
            Self::Switch => f.write_str("true or false"),
            Self::List => f.write_str("a YAML list, or texts separated by commas"),
            Self::Hosts => f.write_str("a YAML list, or texts separated by commas, of `host` or `host:port`"),
        }
    }
}

/// Seconds in the largest unit that divides them.
fn in_largest_unit(seconds: u64) -> String {
    match seconds {
        s if s % 3600 == 0 => format!("{}h", s / 3600),
        s if s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

/// At most 80 characters of a text, on one line.
fn quoted(text: &str) -> String {
    let short: String = text.chars().take(80).collect();
    format!("\"{}\"", short.escape_debug())
}

fn parse_duration(text: &str, zero: bool, max: u64) -> Result<Duration, String> {
    let not_one = || format!("{} is no duration", quoted(text));
    let duration = text.parse::<SignedDuration>().map_err(|_| not_one())?;
    let duration = Duration::try_from(duration).map_err(|_| not_one())?;
    if duration.is_zero() && !zero {
        return Err("is zero".to_owned());
    }
    if duration > Duration::from_secs(max) {
        return Err(format!("{} is too long", quoted(text)));
    }
    Ok(duration)
}

/// The refusals repeat nothing of the text: it may hold a password.
fn parse_url(text: &str, schemes: &[&str]) -> Result<Url, &'static str> {
    // What the URL standard forgives (tabs, backslashes, a missing `//`) is a mistake in a setting.
    if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
        return Err("has spaces, control characters or backslashes");
    }
    let mut url = Url::parse(text).map_err(|_| "is no URL")?;
    if !schemes.contains(&url.scheme()) || !text[url.scheme().len()..].starts_with("://") {
        return Err("has another scheme");
    }
    if !url.username().is_empty() || url.password().is_some() || text.contains('@') {
        return Err("holds credentials, which would end up in logs");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment");
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("names no host");
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// `host` or `host:port`, in the one spelling the URL standard gives it.
fn is_host(entry: &str) -> bool {
    let Ok(url) = Url::parse(&format!("https://{entry}/")) else { return false };
    let Some(host) = url.host_str() else { return false };
    match entry.strip_prefix(host) {
        Some("") => true,
        Some(port) => port
            .strip_prefix(':')
            .is_some_and(|port| port.parse::<u16>().is_ok_and(|number| number > 0 && port == number.to_string())),
        None => false,
    }
}

/// A path for an error line. A text without a slash may be the secret itself, put where its path belongs.
fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    if text.contains('/') { quoted(&text) } else { "the path (not shown, it has no `/`)".to_owned() }
}

fn check_directory(path: &Path) -> Result<PathBuf, String> {
    match std::fs::read_dir(path) {
        Ok(_) => Ok(path.to_owned()),
        Err(error) => Err(format!("{} cannot be listed: {error}", shown(path))),
    }
}

fn check_file(path: &Path) -> Result<Vec<u8>, String> {
    let content = std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", shown(path)))?;
    if content.trim_ascii().is_empty() {
        return Err(format!("{} is empty", shown(path)));
    }
    Ok(content)
}

fn check_certificates(path: &Path) -> Result<PathBuf, String> {
    match reqwest::Certificate::from_pem_bundle(&check_file(path)?) {
        Ok(certificates) if !certificates.is_empty() => Ok(path.to_owned()),
        _ => Err(format!("{} holds no PEM certificate, or a broken one", shown(path))),
    }
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
