//! What a token says, read strictly: each claim has one type, and a token with another one is refused rather than
//! guessed at. The JSON may hold `NaN` and `Infinity`, which the platform's parsers let through.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Map, Value};

use super::limit::entities_limit;
use super::refused::Refused;
use crate::broken::{self, Defect};
use crate::otx::key::OtxKey;

/// Longest OTX key that is taken from a token, in bytes. A real one has 64.
const MAX_KEY_BYTES: usize = 4096;

/// The claims of a token. No `Debug`: they hold the caller's OTX key.
pub struct Claims(Map<String, Value>);

impl Claims {
    /// Reads the payload of a token; of a repeated claim the last one counts.
    ///
    /// # Errors
    /// [`Refused::Structure`].
    pub fn parse(payload: &[u8]) -> Result<Self, Refused> {
        let text = str::from_utf8(payload).map_err(|_| Refused::Structure)?;
        serde_json::from_str(text)
            .or_else(|_| serde_json::from_str(&without_non_numbers(text)))
            .map(Self)
            .map_err(|_| Refused::Structure)
    }

    /// The host whose keys verify this token. Not yet to be trusted.
    ///
    /// # Errors
    /// [`Refused::JwksHostMissing`]; [`Refused::JwksHostNotAllowed`] for anything but a text.
    pub fn jwks_host(&self) -> Result<&str, Refused> {
        match self.0.get("jwks_host") {
            None | Some(Value::Null) => Err(Refused::JwksHostMissing),
            Some(Value::String(host)) => Ok(host),
            Some(_) => Err(Refused::JwksHostNotAllowed),
        }
    }

    /// Whether the token is valid at `now`, in seconds since 1970, give or take `leeway`. `iat`, `nbf` and `exp` are
    /// looked at in this order, each only if it is there.
    ///
    /// # Errors
    /// [`Refused::Structure`] for a claim that is no integer, [`Refused::NotYetValid`], [`Refused::Expired`],
    /// [`Refused::ExpMissing`].
    pub fn check_times(&self, now: u64, leeway: Duration, exp_required: bool) -> Result<(), Refused> {
        let (now, leeway) = (i128::from(now), i128::from(leeway.as_secs()));
        for name in ["iat", "nbf"] {
            let start = self.seconds(name)?.filter(|_| !broken::is(Defect::NbfIgnored));
            if start.is_some_and(|start| start > now + leeway) {
                return Err(Refused::NotYetValid);
            }
        }
        match self.seconds("exp")? {
            Some(end) if end <= now - leeway && !broken::is(Defect::ExpIgnored) => Err(Refused::Expired),
            None if exp_required => Err(Refused::ExpMissing),
            _ => Ok(()),
        }
    }

    fn seconds(&self, name: &str) -> Result<Option<i128>, Refused> {
        let Some(claim) = self.0.get(name) else { return Ok(None) };
        let number = claim.as_i64().map(i128::from).or_else(|| claim.as_u64().map(i128::from));
        number.map(Some).ok_or(Refused::Structure)
    }

    /// Whether the token is meant for one of these audiences.
    ///
    /// # Errors
    /// [`Refused::Audience`], also for a missing claim and for a list that holds anything but texts.
    pub fn check_audience(&self, accepted: &[String]) -> Result<(), Refused> {
        let is_ours = |audience: &str| accepted.iter().any(|ours| ours == audience);
        let meant_for_us = match self.0.get("aud") {
            Some(Value::String(audience)) => is_ours(audience),
            Some(Value::Array(audiences)) => {
                audiences.iter().all(Value::is_string) && audiences.iter().filter_map(Value::as_str).any(is_ours)
            }
            Some(_) => broken::is(Defect::AudienceOfAnyType),
            None => false,
        };
        if meant_for_us { Ok(()) } else { Err(Refused::Audience) }
    }

    /// The OTX key the token brings.
    ///
    /// # Errors
    /// [`Refused::PayloadStructure`] without one, [`Refused::KeyIsNull`], [`Refused::KeyUnsendable`].
    pub fn otx_key(&self) -> Result<OtxKey, Refused> {
        match self.0.get("key") {
            None => Err(Refused::PayloadStructure),
            Some(Value::Null) => Err(Refused::KeyIsNull),
            Some(Value::String(key)) if key.len() <= MAX_KEY_BYTES => {
                let told = broken::is(Defect::SecretInErrorText).then(|| Refused::UnknownKeyRef(key.clone()));
                OtxKey::new(&SecretString::from(key.as_str())).map_err(|_| told.unwrap_or(Refused::KeyUnsendable))
            }
            Some(_) => Err(Refused::KeyUnsendable),
        }
    }

    /// The claim `key_ref`, which names a key file.
    #[must_use]
    pub fn key_ref(&self) -> Option<&Value> {
        self.0.get("key_ref")
    }

    /// How many entities of one kind the caller wants for one observable.
    #[must_use]
    pub fn entities_limit(&self) -> usize {
        entities_limit(self.0.get("CTR_ENTITIES_LIMIT"))
    }
}

/// `[]` for `NaN`, `Infinity` and numbers beyond the range of a float: still JSON, and the wrong type for every claim.
fn without_non_numbers(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = ["NaN", "Infinity", "-Infinity"].into_iter().find(|word| rest.starts_with(word));
        let length = match first {
            '"' => string_length(rest),
            _ if word.is_some() => word.map_or(1, str::len),
            '-' | '0'..='9' => {
                rest.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E')).unwrap_or(rest.len())
            }
            other => other.len_utf8(),
        };
        let (part, after) = rest.split_at(length);
        let is_number = word.is_none() && part.parse::<f64>().map_or(true, f64::is_finite);
        written.push_str(if is_number { part } else { "[]" });
        rest = after;
    }
    written
}

/// Bytes of the JSON string that `text` starts with, quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (i, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return i + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
#[path = "claims_tests.rs"]
mod tests;
