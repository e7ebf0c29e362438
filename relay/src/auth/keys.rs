//! OTX keys that the relay holds itself, one file a key: `default` for tokens that name none, any other by the token's
//! claim `key_ref`. A file that turns bad while the relay runs keeps the key it had.

use std::collections::HashMap;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde_json::Value;

use super::metrics::PlaceMetrics;
use super::refused::Refused;
use super::reload::{Parsed, Place, Reloaded, Snapshot, Unusable, without_last_break};
use crate::otx::key::OtxKey;

/// The file of tokens that name none.
const DEFAULT: &str = "default";
/// Characters of an unknown name that are repeated to the caller.
const SHOWN_CHARS: usize = 64;

/// The keys of a directory, followed as its files change.
pub struct HeldKeys(Reloaded<HashMap<String, OtxKey>>);

impl HeldKeys {
    /// Reads all keys of a directory. Needs a Tokio runtime.
    ///
    /// # Errors
    /// [`Unusable`] when the directory, or any file in it that is named like a key, cannot be used.
    pub fn start(directory: PathBuf, metrics: PlaceMetrics) -> Result<Self, Unusable> {
        Reloaded::start(Place::Directory(directory), parse, metrics).map(Self)
    }

    /// The key that a token's claim `key_ref` names.
    ///
    /// # Errors
    /// [`Refused::UnknownKeyRef`] for a name without a key, and for anything that is no name.
    pub fn find(&self, key_ref: Option<&Value>) -> Result<OtxKey, Refused> {
        find(&self.0.current(), key_ref)
    }

    /// All keys by name.
    #[must_use]
    pub fn all(&self) -> Vec<(String, OtxKey)> {
        self.0.current().iter().map(|(name, key)| (name.clone(), key.clone())).collect()
    }
}

/// The key that one file holds.
///
/// # Errors
/// [`Unusable`] when it cannot be read or holds no key.
pub fn key_of_file(file: PathBuf) -> Result<OtxKey, Unusable> {
    let place = Place::File(file);
    let snapshot = place.read()?;
    let key = snapshot.values().next().map_or(Err("is empty; write the OTX key into it"), read);
    key.map_err(|why| place.unusable(&why))
}

fn find(keys: &HashMap<String, OtxKey>, key_ref: Option<&Value>) -> Result<OtxKey, Refused> {
    let name = match key_ref {
        None => DEFAULT.to_owned(),
        Some(Value::String(name)) => name.clone(),
        Some(other) => other.to_string(),
    };
    let is_text = key_ref.is_none_or(Value::is_string);
    match keys.get(&name) {
        Some(key) if is_text => Ok(key.clone()),
        _ => {
            let shown = name.chars().take(SHOWN_CHARS).map(|c| if c.is_control() { '?' } else { c });
            Err(Refused::UnknownKeyRef(shown.collect()))
        }
    }
}

type Keys = HashMap<String, OtxKey>;

fn parse(snapshot: &Snapshot, previous: Option<&Keys>) -> Result<Parsed<Keys>, String> {
    let (mut keys, mut left_out) = (Keys::new(), 0);
    for (name, content) in snapshot.iter().filter(|(name, _)| is_key_name(name)) {
        let key = match (read(content), previous) {
            (Ok(key), _) => key,
            (Err(why), None) => return Err(format!("the file {name} {why}")),
            (Err(why), Some(previous)) => {
                left_out += 1;
                let Some(old) = previous.get(name) else {
                    tracing::error!(key_ref = name, "new key file left out: it {why}");
                    continue;
                };
                tracing::error!(key_ref = name, "changed key file left out, the old key stays in use: it {why}");
                old.clone()
            }
        };
        keys.insert(name.clone(), key);
    }
    Ok(Parsed { value: keys, left_out })
}

fn read(content: &SecretSlice<u8>) -> Result<OtxKey, &'static str> {
    let text = str::from_utf8(without_last_break(content.expose_secret())).map_err(|_| "is not UTF-8")?;
    if text.trim().is_empty() {
        return Err("is empty; write the OTX key into it");
    }
    OtxKey::new(&SecretString::from(text)).map_err(|_| "holds characters that no OTX key has, or several lines")
}

fn is_key_name(name: &str) -> bool {
    (1..=253).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use serde_json::json;

    use super::*;

    fn snapshot(files: &[(&str, &str)]) -> Snapshot {
        files.iter().map(|(name, content)| ((*name).to_owned(), content.as_bytes().to_vec().into())).collect()
    }

    fn keys(files: &[(&str, &str)]) -> HashMap<String, OtxKey> {
        parse(&snapshot(files), None).unwrap().value
    }

    fn sent(key: Result<OtxKey, Refused>) -> String {
        key.map_or_else(|refused| refused.to_string(), |key| key.header().to_str().unwrap_or_default().to_owned())
    }

    #[test]
    fn a_token_names_its_key_or_gets_the_default() {
        let keys = keys(&[("default", "k0\n"), ("team-a", "k1"), ("Team_A.2", "k2\r\n")]);
        assert_eq!(sent(find(&keys, None)), "k0");
        assert_eq!(sent(find(&keys, Some(&json!("team-a")))), "k1");
        assert_eq!(sent(find(&keys, Some(&json!("Team_A.2")))), "k2");
    }

    #[test]
    fn what_names_no_key_is_refused() {
        let keys = keys(&[("team-a", "k1"), ("7", "k2"), ("null", "k3")]);
        assert_eq!(sent(find(&keys, None)), "Unknown key_ref default");
        for (key_ref, expected) in [
            (json!("team-b"), "Unknown key_ref team-b"),
            (json!("TEAM-A"), "Unknown key_ref TEAM-A"),
            (json!("../team-a"), "Unknown key_ref ../team-a"),
            (json!("a\nb\u{1b}"), "Unknown key_ref a?b?"),
            (json!(""), "Unknown key_ref "),
            (json!(7), "Unknown key_ref 7"),
            (json!(null), "Unknown key_ref null"),
            (json!(["team-a"]), "Unknown key_ref [\"team-a\"]"),
        ] {
            assert_eq!(sent(find(&keys, Some(&key_ref))), expected);
        }
    }

    #[test]
    fn of_a_long_name_the_start_is_repeated() {
        let refused = find(&HashMap::new(), Some(&json!("ä".repeat(1000)))).map(drop);
        assert_eq!(refused, Err(Refused::UnknownKeyRef("ä".repeat(64))));
    }

    #[test]
    fn files_that_are_not_named_like_a_key_are_left_out() {
        let long = "a".repeat(254);
        let keys = keys(&[(".default", "k"), ("a b", "k"), ("ключ", "k"), ("a/b", "k"), (&long, "k"), ("ok", "k")]);
        assert_eq!(keys.into_keys().collect::<Vec<_>>(), ["ok"]);
    }

    #[test]
    fn at_start_any_bad_key_file_is_an_error_that_does_not_repeat_it() {
        for content in ["", "\n", "  \n", "canary\ncanary", "canary\u{2028}", " canary"] {
            let why = parse(&snapshot(&[("default", content)]), None).unwrap_err();
            assert!(why.starts_with("the file default ") && !why.contains("canary"), "{why}");
        }
        let binary = Snapshot::from([("default".to_owned(), vec![0xff, 0xfe].into())]);
        assert_eq!(parse(&binary, None).unwrap_err(), "the file default is not UTF-8");
    }

    #[test]
    fn later_a_bad_key_file_keeps_its_old_key_and_the_others_change() {
        let before = keys(&[("default", "k0"), ("gone", "k1")]);
        let after = parse(&snapshot(&[("default", ""), ("new", "k2"), ("bad", "")]), Some(&before)).unwrap();
        assert_eq!(after.left_out, 2);
        let after = after.value;
        assert_eq!(sent(find(&after, None)), "k0");
        assert_eq!(sent(find(&after, Some(&json!("new")))), "k2");
        assert_eq!(sent(find(&after, Some(&json!("gone")))), "Unknown key_ref gone");
        assert_eq!(sent(find(&after, Some(&json!("bad")))), "Unknown key_ref bad");
    }
}
