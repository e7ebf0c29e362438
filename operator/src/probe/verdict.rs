//! What a relay's answer to `GET /upstream` means. Pure. Of several keys the worst is told, with its name.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What is known of OTX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// OTX accepts every key; how many there are.
    Reachable(usize),
    /// OTX refuses these keys.
    Unauthorized(Vec<String>),
    /// OTX, or the relay's own budget, throttles these keys.
    RateLimited(Vec<String>),
    /// OTX cannot be asked; the relay's words.
    Unreachable(String),
    /// Not known, and why.
    Unknown(String),
}

#[derive(Deserialize)]
struct Answer {
    keys: BTreeMap<String, Key>,
}

#[derive(Deserialize)]
struct Key {
    result: String,
    #[serde(default)]
    message: String,
}

impl Verdict {
    pub(super) fn of(body: &[u8]) -> Self {
        let Ok(Answer { keys }) = serde_json::from_slice(body) else {
            return Self::Unknown("the relay's answer is not understood; is its version the operator's?".to_owned());
        };
        if keys.is_empty() {
            return Self::Unknown("keys come in the callers' tokens, so there is none to ask with".to_owned());
        }
        let with = |results: &[&str]| {
            let found = keys.iter().filter(|(_, key)| results.contains(&key.result.as_str()));
            found.map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        let unauthorized = with(&["unauthorized"]);
        if !unauthorized.is_empty() {
            return Self::Unauthorized(unauthorized);
        }
        let limited = with(&["rate_limited", "budget_spent"]);
        if let Some((_, failed)) = keys.iter().find(|(name, key)| key.result != "ok" && !limited.contains(*name)) {
            return Self::Unreachable(failed.message.clone());
        }
        if limited.is_empty() { Self::Reachable(keys.len()) } else { Self::RateLimited(limited) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_worst_key_is_told() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (keys, expected) in [
            (json!({"a": "ok", "b": "ok"}), Verdict::Reachable(2)),
            (json!({"a": "ok", "b": "unauthorized"}), Verdict::Unauthorized(names(&["b"]))),
            (json!({"a": "unreachable", "b": "unauthorized"}), Verdict::Unauthorized(names(&["b"]))),
            (json!({"a": "rate_limited", "b": "budget_spent", "c": "ok"}), Verdict::RateLimited(names(&["a", "b"]))),
            (json!({"a": "timeout", "b": "rate_limited"}), Verdict::Unreachable("said of a".to_owned())),
            (json!({"a": "a word of a later version"}), Verdict::Unreachable("said of a".to_owned())),
        ] {
            let with_message = |(name, result): (&String, &serde_json::Value)| {
                (name.clone(), json!({"result": result, "message": format!("said of {name}")}))
            };
            let keys: serde_json::Map<_, _> = keys.as_object().into_iter().flatten().map(with_message).collect();
            assert_eq!(Verdict::of(json!({"keys": keys}).to_string().as_bytes()), expected, "{keys:?}");
        }
    }

    #[test]
    fn what_says_nothing_leaves_it_unknown() {
        for body in ["", "<html>", "{}", r#"{"keys": {}}"#, r#"{"keys": {"a": 1}}"#] {
            assert!(matches!(Verdict::of(body.as_bytes()), Verdict::Unknown(_)), "{body}");
        }
    }
}
