//! A JWKS document, reduced to the keys that may verify an RS256 token. A key that is broken, weak, meant for something
//! else, or that shares its `kid` with another is left out, so a token that names it is answered as one with an
//! unknown `kid`.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use crate::broken::{self, Defect};

/// Sizes of a modulus that are accepted, in bits. The upper one bounds the time of a verification.
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// RSA keys by their `kid`.
#[derive(Default)]
pub struct KeySet(HashMap<String, DecodingKey>);

/// A document is not a JWKS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAKeySet {
    /// It is not JSON.
    #[error("it is not JSON")]
    NotJson,
    /// It is an object without `keys`.
    #[error("it is an object without `keys`")]
    NoKeys,
    /// It is not an object with a list of `keys`.
    #[error("it is not an object with a list of `keys`")]
    NoList,
}

impl KeySet {
    /// Reads a JWKS document (RFC 7517 section 5).
    ///
    /// # Errors
    /// [`NotAKeySet`]; keys that cannot be used are no error.
    pub fn parse(document: &[u8]) -> Result<Self, NotAKeySet> {
        let document: Value = serde_json::from_slice(document).map_err(|_| NotAKeySet::NotJson)?;
        let document = document.as_object().ok_or(NotAKeySet::NoList)?;
        let keys = document.get("keys").ok_or(NotAKeySet::NoKeys)?.as_array().ok_or(NotAKeySet::NoList)?;
        let mut by_kid: HashMap<&str, Vec<&Map<String, Value>>> = HashMap::new();
        for jwk in keys.iter().filter_map(Value::as_object) {
            if let Some(kid) = jwk.get("kid").and_then(Value::as_str).filter(|kid| !kid.is_empty()) {
                by_kid.entry(kid).or_default().push(jwk);
            }
        }
        let usable = by_kid.into_iter().filter_map(|(kid, jwks)| match jwks[..] {
            [jwk] => Some((kid.to_owned(), rs256_key(jwk)?)),
            [jwk, ..] if broken::is(Defect::AmbiguousKeys) => Some((kid.to_owned(), rs256_key(jwk)?)),
            // Which of them the signer meant cannot be known.
            _ => None,
        });
        Ok(Self(usable.collect()))
    }

    /// The key with this `kid`.
    #[must_use]
    pub fn find(&self, kid: &str) -> Option<&DecodingKey> {
        self.0.get(kid)
    }

    /// Number of usable keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// There is no usable key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The public key of a JWK, if it is a sound RSA key that may verify RS256.
fn rs256_key(jwk: &Map<String, Value>) -> Option<DecodingKey> {
    let is = |name: &str, wanted: &str| jwk.get(name).and_then(Value::as_str) == Some(wanted);
    let absent = |name: &str| !jwk.contains_key(name);
    let may_verify = match jwk.get("key_ops") {
        None => true,
        Some(Value::Array(operations)) => operations.iter().any(|operation| operation == "verify"),
        Some(_) => false,
    };
    let for_rs256 = is("kty", "RSA")
        && (absent("use") || is("use", "sig"))
        && (absent("alg") || is("alg", "RS256"))
        && may_verify;
    if !for_rs256 {
        return None;
    }
    let (n, e) = (number(jwk, "n")?, number(jwk, "e")?);
    let has_size = MODULUS_BITS.contains(&bits(&n)) || broken::is(Defect::WeakKeys);
    let is_sound = has_size && is_odd(&n) && is_odd(&e) && (2..=33).contains(&bits(&e));
    if !is_sound || has_roca_weakness(&n) {
        return None;
    }
    Some(DecodingKey::from_rsa_raw_components(&n, &e))
}

/// A number of a JWK, big-endian without leading zeros.
fn number(jwk: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_str()?).ok()?;
    Some(bytes.into_iter().skip_while(|byte| *byte == 0).collect())
}

fn bits(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

fn is_odd(number: &[u8]) -> bool {
    number.last().is_some_and(|byte| byte % 2 == 1)
}

/// Whether a modulus is of the family whose private key can be computed (CVE-2017-15361, "ROCA"): modulo each of these
/// primes it is a power of 65537. A sound modulus passes as one with a chance of about 2^-27.
fn has_roca_weakness(n: &[u8]) -> bool {
    const PRIMES: [u32; 17] = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];
    PRIMES.iter().all(|prime| {
        let remainder = n.iter().fold(0, |remainder, byte| (remainder * 256 + u32::from(*byte)) % prime);
        let mut power = 1;
        (0..*prime).any(|_| {
            power = power * (65537 % prime) % prime;
            power == remainder
        })
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use serde_json::json;

    use super::*;
    use crate::auth::fixtures::SIGNER;

    fn usable(keys: &Value) -> usize {
        KeySet::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap().len()
    }

    /// The fixture key with some members replaced; a null takes its member away.
    fn jwk_with(changes: &Value) -> Value {
        let mut jwk = SIGNER.jwk();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(jwk.as_object_mut().unwrap().remove(name)),
                value => jwk[name] = value.clone(),
            }
        }
        jwk
    }

    #[test]
    fn a_key_for_rs256_is_used() {
        for changes in [
            json!({}),
            json!({"use": null, "alg": null}),
            json!({"key_ops": ["verify"]}),
            json!({"key_ops": ["sign", "verify"]}),
            json!({"e": "Aw"}),
            json!({"x5t": "unused", "x5c": ["unused"]}),
        ] {
            assert_eq!(usable(&json!([jwk_with(&changes)])), 1, "{changes}");
        }
    }

    #[test]
    fn a_key_that_is_meant_for_something_else_or_broken_is_left_out() {
        let even = |text: &str| {
            let mut bytes = URL_SAFE_NO_PAD.decode(text).unwrap();
            *bytes.last_mut().unwrap() &= 0xfe;
            URL_SAFE_NO_PAD.encode(bytes)
        };
        let modulus = SIGNER.jwk()["n"].as_str().unwrap().to_owned();
        for changes in [
            json!({"kty": "EC"}),
            json!({"kty": "rsa"}),
            json!({"kty": null}),
            json!({"use": "enc"}),
            json!({"use": 1}),
            json!({"alg": "RS512"}),
            json!({"alg": "PS256"}),
            json!({"alg": "RSA1_5"}),
            json!({"key_ops": ["sign"]}),
            json!({"key_ops": []}),
            json!({"key_ops": "verify"}),
            json!({"kid": null}),
            json!({"kid": ""}),
            json!({"kid": 1}),
            json!({"n": null}),
            json!({"n": ""}),
            json!({"n": "!!"}),
            json!({"n": 5}),
            json!({"n": even(&modulus)}),
            json!({"n": modulus[..170]}),
            json!({"n": URL_SAFE_NO_PAD.encode([0xff; 2048])}),
            json!({"e": null}),
            json!({"e": ""}),
            json!({"e": "AQ"}),
            json!({"e": "Ag"}),
            json!({"e": "AQAA"}),
            json!({"e": "AwAAAAE"}),
        ] {
            assert_eq!(usable(&json!([jwk_with(&changes)])), 0, "{changes}");
        }
    }

    #[test]
    fn a_short_modulus_does_not_grow_by_leading_zeros() {
        let mut padded = vec![0; 128];
        padded.extend([0xff; 128]);
        assert_eq!(usable(&json!([jwk_with(&json!({"n": URL_SAFE_NO_PAD.encode(padded)}))])), 0);
    }

    #[test]
    fn keys_that_share_a_kid_are_all_left_out() {
        let other = jwk_with(&json!({"kid": "other"}));
        let symmetric = json!({"kty": "oct", "k": "c2VjcmV0", "kid": SIGNER.jwk()["kid"]});
        assert_eq!(usable(&json!([SIGNER.jwk(), other])), 2);
        assert_eq!(usable(&json!([SIGNER.jwk(), other, SIGNER.jwk()])), 1);
        assert_eq!(usable(&json!([SIGNER.jwk(), symmetric])), 0);
    }

    #[test]
    fn entries_that_are_no_keys_do_not_hide_the_others() {
        assert_eq!(usable(&json!([null, 1, "a", [], {}, SIGNER.jwk()])), 1);
    }

    #[test]
    fn a_document_that_is_no_jwks_says_how() {
        let cases = [
            ("", NotAKeySet::NotJson),
            ("<html>", NotAKeySet::NotJson),
            ("{}", NotAKeySet::NoKeys),
            ("[]", NotAKeySet::NoList),
            ("null", NotAKeySet::NoList),
            ("{\"keys\": null}", NotAKeySet::NoList),
            ("{\"keys\": {}}", NotAKeySet::NoList),
        ];
        for (document, expected) in cases {
            assert_eq!(KeySet::parse(document.as_bytes()).err(), Some(expected), "{document}");
        }
        assert!(KeySet::parse(b"{\"keys\": []}").unwrap().is_empty());
    }

    #[test]
    fn a_roca_modulus_is_recognised() {
        // 65537^k modulo the product of the primes, by the Chinese remainder theorem a member of each subgroup.
        let product =
            [11_u128, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157].iter().product::<u128>();
        let member = (0..5).fold(1_u128, |power, _| power * 65537 % product);
        assert!(has_roca_weakness(&member.to_be_bytes()));
        assert!(!has_roca_weakness(&(member + 2).to_be_bytes()));
        assert!(!has_roca_weakness(&URL_SAFE_NO_PAD.decode(SIGNER.jwk()["n"].as_str().unwrap()).unwrap()));
    }
}
