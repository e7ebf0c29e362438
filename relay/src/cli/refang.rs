//! What a person writes for an observable, read: disarmed spellings (`hxxp://evil[.]example`) are armed again and the
//! type is guessed from the form. Text goes in, an [`Observable`] comes out, or the reason why it is none.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::observable::{Observable, ObservableType};

/// A text that is no observable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotObservable {
    /// No type has this form.
    #[error("{0:?} is no address, name, URL, mail address or hash; if it is, say which with --type")]
    Unknown(String),
    /// A path without a scheme.
    #[error("{0:?} may be a URL without its scheme; write http:// or https:// before it")]
    SchemeMissing(String),
}

/// Spellings that keep a text from being clicked, and what they stand for. Longer ones stand first.
const DISARMED: &[(&str, &str)] = &[
    ("[://]", "://"),
    ("[:]//", "://"),
    (":[//]", "://"),
    ("[dot]", "."),
    ("(dot)", "."),
    ("{dot}", "."),
    ("[at]", "@"),
    ("(at)", "@"),
    ("{at}", "@"),
    ("[.]", "."),
    ("(.)", "."),
    ("{.}", "."),
    ("[@]", "@"),
    ("(@)", "@"),
    ("[:]", ":"),
    ("(:)", ":"),
    ("[/]", "/"),
    ("\\.", "."),
    ("[.", "."),
    (".]", "."),
];

/// Schemes as they are disarmed.
const SCHEMES: &[(&str, &str)] = &[
    ("hxxps:", "https:"),
    ("hxxp:", "http:"),
    ("h**ps:", "https:"),
    ("h**p:", "http:"),
    ("hxtps:", "https:"),
    ("hxtp:", "http:"),
    ("htxps:", "https:"),
    ("htxp:", "http:"),
    ("fxps:", "ftps:"),
    ("fxp:", "ftp:"),
];

/// The text as it was before somebody disarmed it: without blanks, quotes and angle brackets around it.
#[must_use]
pub fn refanged(text: &str) -> String {
    let around = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>' | ',' | ';');
    let mut text = text.trim_matches(around).to_owned();
    for (disarmed, armed) in DISARMED {
        text = replaced(&text, disarmed, armed);
    }
    for (disarmed, armed) in SCHEMES {
        if starts_with(&text, disarmed) {
            text.replace_range(..disarmed.len(), armed);
            break;
        }
    }
    text
}

/// The observable that a person means by this text; `kind` if they say what it is.
///
/// # Errors
/// [`NotObservable`] when no type was said and none has this form.
pub fn observable(text: &str, kind: Option<ObservableType>) -> Result<Observable, NotObservable> {
    let mut value = refanged(text);
    let kind = match kind {
        Some(kind) => kind,
        None => guess(&value)?,
    };
    if kind == ObservableType::Ipv6 {
        value = value.trim_start_matches('[').trim_end_matches(']').to_owned();
    }
    Ok(Observable { kind, value })
}

fn guess(value: &str) -> Result<ObservableType, NotObservable> {
    let bare = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(value);
    if value.parse::<Ipv4Addr>().is_ok() {
        return Ok(ObservableType::Ip);
    }
    if bare.parse::<Ipv6Addr>().is_ok() {
        return Ok(ObservableType::Ipv6);
    }
    if value.contains("://") {
        return Ok(ObservableType::Url);
    }
    if value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        match value.len() {
            32 => return Ok(ObservableType::Md5),
            40 => return Ok(ObservableType::Sha1),
            64 => return Ok(ObservableType::Sha256),
            _ => {}
        }
    }
    if let Some((name, domain)) = value.rsplit_once('@')
        && !name.is_empty()
        && is_name(domain)
    {
        return Ok(ObservableType::Email);
    }
    if is_name(value) {
        return Ok(ObservableType::Domain);
    }
    let before_path = value.split(['/', '?']).next().unwrap_or_default();
    if before_path.len() < value.len() && (is_name(before_path) || before_path.parse::<Ipv4Addr>().is_ok()) {
        return Err(NotObservable::SchemeMissing(value.to_owned()));
    }
    Err(NotObservable::Unknown(value.to_owned()))
}

/// At least two labels, the last one not a number.
fn is_name(text: &str) -> bool {
    let labels: Vec<&str> = text.strip_suffix('.').unwrap_or(text).split('.').collect();
    let is_label =
        |label: &&str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
    labels.len() >= 2
        && labels.iter().all(is_label)
        && labels.last().is_some_and(|top| top.chars().any(char::is_alphabetic))
}

/// Every occurrence of `from`, whose letters may be in any case, replaced.
fn replaced(text: &str, from: &str, to: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut done = String::with_capacity(text.len());
    let mut last = 0;
    for (at, found) in lower.match_indices(from) {
        done.push_str(&text[last..at]);
        done.push_str(to);
        last = at + found.len();
    }
    done + &text[last..]
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ObservableType::{Domain, Email, Ip, Ipv6, Md5, Sha1, Sha256, Url};

    #[test]
    fn disarmed_spellings_are_armed_again_and_their_type_is_guessed() {
        let (md5, sha1, sha256) = ("d".repeat(32), "A".repeat(40), "0".repeat(64));
        for (text, kind, value) in [
            ("203.0.113.7", Ip, "203.0.113.7"),
            ("203[.]0[.]113[.]7", Ip, "203.0.113.7"),
            ("203.0.113[.7", Ip, "203.0.113.7"),
            ("203(.)0{.}113\\.7", Ip, "203.0.113.7"),
            (" \"203.0.113.7\", ", Ip, "203.0.113.7"),
            ("2001:db8::7", Ipv6, "2001:db8::7"),
            ("2001[:]db8::7", Ipv6, "2001:db8::7"),
            ("[2001:db8::7]", Ipv6, "2001:db8::7"),
            ("evil[.]example", Domain, "evil.example"),
            ("Evil(dot)Example", Domain, "Evil.Example"),
            ("a.evil{DOT}example", Domain, "a.evil.example"),
            ("evil.example.", Domain, "evil.example."),
            ("bücher.example", Domain, "bücher.example"),
            ("_dmarc.evil.example", Domain, "_dmarc.evil.example"),
            ("hxxp://evil[.]example/a?b=c#d", Url, "http://evil.example/a?b=c#d"),
            ("hXXps[://]evil[.]example", Url, "https://evil.example"),
            ("hxxp[:]//evil.example", Url, "http://evil.example"),
            ("h**p://evil.example", Url, "http://evil.example"),
            ("fxp://evil.example/f", Url, "ftp://evil.example/f"),
            ("http://[2001:db8::7]/x", Url, "http://[2001:db8::7]/x"),
            ("<http://evil.example/>", Url, "http://evil.example/"),
            ("rose[@]evil[.]example", Email, "rose@evil.example"),
            ("rose(at)evil(dot)example", Email, "rose@evil.example"),
            (md5.as_str(), Md5, md5.as_str()),
            (sha1.as_str(), Sha1, sha1.as_str()),
            (sha256.as_str(), Sha256, sha256.as_str()),
        ] {
            assert_eq!(observable(text, None), Ok(Observable { kind, value: value.to_owned() }), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused_with_a_next_step() {
        for (text, why) in [
            ("", "--type"),
            ("localhost", "--type"),
            ("203.0.113", "--type"),
            ("203.0.113.7/24", "http:// or https://"),
            ("evil.example/login", "http:// or https://"),
            ("two words.example", "--type"),
            ("@evil.example", "--type"),
            ("deadbeef", "--type"),
        ] {
            let said = observable(text, None).map_or_else(|error| error.to_string(), |found| format!("{found:?}"));
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn a_type_that_was_said_is_not_guessed() {
        let said = observable("203[.]0.113.7", Some(Domain));
        assert_eq!(said, Ok(Observable { kind: Domain, value: "203.0.113.7".to_owned() }));
    }
}
