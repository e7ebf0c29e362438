//! A token issuer for demos and tests: one RSA key made at start, its public half as a JWKS, tokens on demand.
//!
//! It stands where the platform stands: it signs RS256 configuration tokens and publishes the key under a
//! `kid`. Key generation and signing fail only if the crypto library does.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

/// Signs configuration tokens with one key.
pub struct Issuer {
    kid: String,
    key: EncodingKey,
    public: Jwk,
}

/// The claims of a configuration token, as the platform sends them.
#[derive(Clone, Debug, Serialize)]
pub struct Claims {
    /// The OTX API key.
    pub key: String,
    /// Host of the JWKS.
    pub jwks_host: String,
    /// Audience: the relay's own origin.
    pub aud: String,
    /// Pulses reported per observable.
    #[serde(rename = "CTR_ENTITIES_LIMIT", skip_serializing_if = "Option::is_none")]
    pub entities_limit: Option<u32>,
}

/// The crypto library refused.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// No key could be made.
    #[error("an RSA key for the token issuer could not be generated")]
    Generate,
    /// A token could not be signed, or the key not be published.
    #[error("the token issuer cannot use its key: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issuer({})", self.kid)
    }
}

impl Issuer {
    /// Makes a 2048 bit key that is known as `kid`.
    ///
    /// # Errors
    /// [`IssuerError`] when the crypto library has no randomness or refuses the key.
    pub fn generate(kid: &str) -> Result<Self, IssuerError> {
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| IssuerError::Generate)?;
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| IssuerError::Generate)?;
        Self::from_pem(kid, &pem(der.as_ref()))
    }

    /// Takes a PKCS#8 PEM key instead, known as `kid`.
    ///
    /// # Errors
    /// [`IssuerError::Sign`] when it is not an RSA key.
    pub fn from_pem(kid: &str, pem: &str) -> Result<Self, IssuerError> {
        let key = EncodingKey::from_rsa_pem(pem.as_bytes())?;
        let mut public = Jwk::from_encoding_key(&key, Algorithm::RS256)?;
        public.common.key_id = Some(kid.to_owned());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self { kid: kid.to_owned(), key, public })
    }

    /// The public key alone.
    #[must_use]
    pub fn jwk(&self) -> &Jwk {
        &self.public
    }

    /// The JWKS document with this one key.
    #[must_use]
    pub fn jwks(&self) -> JwkSet {
        JwkSet { keys: vec![self.public.clone()] }
    }

    /// The private key, to sign what a well-behaved issuer would not.
    #[must_use]
    pub fn signing_key(&self) -> &EncodingKey {
        &self.key
    }

    /// A signed RS256 token with this issuer's `kid` and any claims.
    ///
    /// # Errors
    /// [`IssuerError::Sign`] when the claims are no JSON object or the library refuses.
    pub fn token(&self, claims: &impl Serialize) -> Result<String, IssuerError> {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::RS256) };
        Ok(jsonwebtoken::encode(&header, claims, &self.key)?)
    }
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut lines = vec!["-----BEGIN PRIVATE KEY-----"];
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        lines.push(line);
        rest = tail;
    }
    lines.push("-----END PRIVATE KEY-----\n");
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_token_verifies_with_the_published_key() {
        let issuer = Issuer::generate("k1").unwrap();
        let claims = Claims {
            key: "K".into(),
            jwks_host: "jwks.example".into(),
            aud: "http://relay.example".into(),
            entities_limit: None,
        };
        let token = issuer.token(&claims).unwrap();
        assert_eq!(decode_header(&token).unwrap().kid.as_deref(), Some("k1"));
        let document = serde_json::to_value(issuer.jwks()).unwrap();
        assert_eq!(document["keys"][0]["kty"], "RSA");
        let key = DecodingKey::from_jwk(&serde_json::from_value(document["keys"][0].clone()).unwrap()).unwrap();
        let mut rules = Validation::new(Algorithm::RS256);
        rules.set_audience(&["http://relay.example"]);
        rules.required_spec_claims.clear();
        let read = decode::<Value>(&token, &key, &rules).unwrap().claims;
        assert_eq!(read, serde_json::json!({"key": "K", "jwks_host": "jwks.example", "aud": "http://relay.example"}));
    }
}
