//! A JWT in its compact form, taken apart: the header is read, the signature can be checked, the claims can be read.
//! What no RS256 or HS256 token of the platform has (encryption, compression, critical extensions) is refused as a
//! wrong structure before anything is fetched or verified. Key hints in the header (`jku`, `jwk`, `x5u`, `x5c`) are
//! never used.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde_json::{Map, Value};

use super::claims::Claims;
use super::refused::Refused;
use crate::broken::{self, Defect};

/// Longest token that is read, in bytes. Tokens of the platform have below 2 KiB.
const MAX_BYTES: usize = 32 * 1024;

/// A token that has been read and not yet been verified.
pub struct Token<'a> {
    header: Map<String, Value>,
    payload: &'a str,
    /// Header and payload as they were signed.
    signed: &'a str,
    signature: &'a str,
}

impl<'a> Token<'a> {
    /// Takes a compact token apart and reads its header.
    ///
    /// # Errors
    /// [`Refused::Structure`].
    pub fn parse(text: &'a str) -> Result<Self, Refused> {
        if text.len() > MAX_BYTES || text.contains('=') {
            return Err(Refused::Structure);
        }
        let parts: Vec<&str> = text.splitn(4, '.').collect();
        let [header, payload, signature] = parts[..] else { return Err(Refused::Structure) };
        let signed = &text[..header.len() + 1 + payload.len()];
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| Refused::Structure)?;
        let header: Map<String, Value> = serde_json::from_slice(&header).map_err(|_| Refused::Structure)?;
        let changes_meaning = |name: &str| header.contains_key(name) && !broken::is(Defect::CritIgnored);
        if ["crit", "enc", "zip"].into_iter().any(changes_meaning)
            || header.get("b64").is_some_and(|b64| *b64 != Value::Bool(true))
        {
            return Err(Refused::Structure);
        }
        Ok(Self { header, payload, signed, signature })
    }

    /// The name of the key; `None` also for one that is empty or no text.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.header.get("kid").and_then(Value::as_str).filter(|kid| !kid.is_empty())
    }

    /// Whether the header names this algorithm and the signature is this key's.
    #[must_use]
    pub fn is_signed(&self, algorithm: Algorithm, key: &DecodingKey) -> bool {
        let name = match algorithm {
            Algorithm::RS256 => "RS256",
            Algorithm::HS256 => "HS256",
            _ => return false,
        };
        self.header.get("alg").and_then(Value::as_str) == Some(name)
            && crypto::verify(self.signature, self.signed.as_bytes(), key, algorithm).unwrap_or(false)
    }

    /// The claims, whoever signed them.
    ///
    /// # Errors
    /// [`Refused::Structure`].
    pub fn claims(&self) -> Result<Claims, Refused> {
        let payload = URL_SAFE_NO_PAD.decode(self.payload).map_err(|_| Refused::Structure)?;
        Claims::parse(&payload)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use serde_json::json;

    use super::*;
    use crate::auth::fixtures::{ES256, SIGNER, compact, encode};

    fn parsed(text: &str) -> bool {
        Token::parse(text).and_then(|token| token.claims().map(drop)).is_ok()
    }

    #[test]
    fn three_parts_of_base64url_json_are_a_token() {
        assert!(parsed(&SIGNER.token(&json!({}))));
        assert!(parsed(&compact(&json!({}), &json!({"a": 1}), b"")));
        assert!(parsed(&compact(&json!({"b64": true, "typ": "at+jwt", "jku": 5}), &json!({}), b"x")));
    }

    #[test]
    fn any_other_text_is_the_wrong_structure() {
        let good = SIGNER.token(&json!({"a": 1}));
        let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { unreachable!() };
        let cases = [
            "garbage".to_owned(),
            ".".to_owned(),
            "..".to_owned(),
            "...".to_owned(),
            format!("{header}.{payload}"),
            format!("{good}."),
            format!("{good}.{signature}.{signature}"),
            format!("{header}=.{payload}.{signature}"),
            format!("{header}.{payload}==.{signature}"),
            format!("{good}="),
            format!("{header}.{payload}\u{a0}.{signature}"),
            format!("{header}+.{payload}.{signature}"),
            format!("{}.{payload}.{signature}", encode(b"not json")),
            format!("{}.{payload}.{signature}", encode(b"[]")),
            format!("{header}.{}.{signature}", encode(b"[]")),
            format!("{header}.{}.{signature}", encode(b"\"text\"")),
            format!("{header}.{}.{signature}", encode(b"\xff\xfe")),
            format!("{header}.{}.{signature}", encode(&b"[".repeat(10_000))),
            json!({"payload": payload, "protected": header, "signature": signature}).to_string(),
            "a".repeat(MAX_BYTES + 1),
        ];
        for text in cases {
            assert!(!parsed(&text), "{text:.200}");
        }
    }

    #[test]
    fn headers_that_change_the_meaning_are_the_wrong_structure() {
        for extra in [
            json!({"crit": ["exp"]}),
            json!({"crit": []}),
            json!({"b64": false}),
            json!({"b64": false, "crit": ["b64"]}),
            json!({"b64": null}),
            json!({"zip": "DEF"}),
            json!({"enc": "A128GCM"}),
        ] {
            assert!(!parsed(&SIGNER.token_with(&extra, &json!({}))), "{extra}");
        }
        assert!(!parsed("eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..aXY.dGV4dA.dGFn"));
    }

    #[test]
    fn a_signature_counts_for_its_own_key_text_and_algorithm() {
        let key = SIGNER.decoding_key();
        let good = SIGNER.token(&json!({"a": 1}));
        assert!(Token::parse(&good).unwrap().is_signed(Algorithm::RS256, &key));

        let (message, signature) = good.rsplit_once('.').unwrap();
        let other = SIGNER.token(&json!({"a": 2}));
        let (_, other_signature) = other.rsplit_once('.').unwrap();
        for signature in ["", "AA", "!!", other_signature, &signature[1..], &format!("{signature}A")] {
            let text = format!("{message}.{signature}");
            assert!(!Token::parse(&text).unwrap().is_signed(Algorithm::RS256, &key), "{signature}");
        }
    }

    #[test]
    fn genuine_signatures_of_other_algorithms_do_not_count() {
        let key = SIGNER.decoding_key();
        for alg in ["RS384", "RS512", "PS256", "rs256", "RS256 "] {
            let text = SIGNER.token_with(&json!({"alg": alg}), &json!({}));
            assert!(!Token::parse(&text).unwrap().is_signed(Algorithm::RS256, &key), "{alg}");
        }
        assert!(!Token::parse(&ES256).unwrap().is_signed(Algorithm::RS256, &key));
        for alg in [json!("none"), json!("None"), json!("NONE"), json!("nOnE"), json!(null), json!(["RS256"])] {
            let text = SIGNER.token_with(&json!({"alg": alg}), &json!({}));
            let (message, _) = text.rsplit_once('.').unwrap();
            for text in [text.clone(), format!("{message}.")] {
                assert!(!Token::parse(&text).unwrap().is_signed(Algorithm::RS256, &key), "{alg}");
            }
        }
    }

    #[test]
    fn the_public_key_is_no_shared_secret() {
        let key = SIGNER.decoding_key();
        for secret in SIGNER.public_encodings() {
            let text = crate::auth::fixtures::hs256(&secret, &json!({}));
            let token = Token::parse(&text).unwrap();
            assert!(!token.is_signed(Algorithm::RS256, &key) && !token.is_signed(Algorithm::HS256, &key));
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let key = SIGNER.decoding_key();
        let good = SIGNER.token(&json!({"a": 1}));
        for position in 0..good.len() {
            for bit in 0..7 {
                let mut bytes = good.clone().into_bytes();
                bytes[position] ^= 1 << bit;
                let text = String::from_utf8(bytes).unwrap();
                let accepted = Token::parse(&text)
                    .is_ok_and(|token| token.claims().is_ok() && token.is_signed(Algorithm::RS256, &key));
                assert!(!accepted, "bit {bit} of byte {position}");
            }
        }
    }

    #[test]
    fn a_kid_is_a_text_that_is_not_empty() {
        for (kid, expected) in
            [(json!("k"), Some("k")), (json!(""), None), (json!(1), None), (json!(null), None), (json!(["k"]), None)]
        {
            let text = compact(&json!({"kid": kid}), &json!({}), b"");
            assert_eq!(Token::parse(&text).unwrap().kid(), expected);
        }
    }
}
