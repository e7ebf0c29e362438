//! Keys and tokens for the tests of this module, made once a run.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
    RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use serde_json::{Value, json};

/// The signer that tests trust.
pub static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new("key-1"));

/// A token with a genuine ES256 signature.
pub static ES256: LazyLock<String> = LazyLock::new(|| {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let message = message(&json!({"alg": "ES256", "kid": "key-1"}), &json!({}));
    let signature = key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
    format!("{message}.{}", encode(signature.as_ref()))
});

/// An RSA key pair with a name.
pub struct Signer {
    kid: &'static str,
    pair: KeyPair,
}

pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn message(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()))
}

/// A token with any header and any signature.
pub fn compact(header: &Value, claims: &Value, signature: &[u8]) -> String {
    format!("{}.{}", message(header, claims), encode(signature))
}

/// A token signed with a shared secret.
pub fn hs256(secret: &[u8], claims: &Value) -> String {
    let message = message(&json!({"alg": "HS256", "typ": "JWT"}), claims);
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
    format!("{message}.{}", encode(aws_lc_rs::hmac::sign(&key, message.as_bytes()).as_ref()))
}

impl Signer {
    pub fn new(kid: &'static str) -> Self {
        Self { kid, pair: KeyPair::generate(KeySize::Rsa2048).unwrap() }
    }

    /// A token of this signer.
    pub fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({}), claims)
    }

    /// A token with more headers; the signature is genuine for RS256, RS384, RS512 and PS256.
    pub fn token_with(&self, headers: &Value, claims: &Value) -> String {
        let mut header = json!({"alg": "RS256", "kid": self.kid, "typ": "JWT"});
        for (name, value) in headers.as_object().unwrap() {
            header[name] = value.clone();
        }
        let algorithm: &'static dyn RsaEncoding = match header["alg"].as_str() {
            Some("RS384") => &RSA_PKCS1_SHA384,
            Some("RS512") => &RSA_PKCS1_SHA512,
            Some("PS256") => &RSA_PSS_SHA256,
            _ => &RSA_PKCS1_SHA256,
        };
        let message = message(&header, claims);
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(algorithm, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        format!("{message}.{}", encode(&signature))
    }

    fn components(&self) -> RsaPublicKeyComponents<Vec<u8>> {
        self.pair.public_key().into()
    }

    pub fn decoding_key(&self) -> DecodingKey {
        let RsaPublicKeyComponents { n, e } = self.components();
        DecodingKey::from_rsa_raw_components(&n, &e)
    }

    pub fn jwk(&self) -> Value {
        let RsaPublicKeyComponents { n, e } = self.components();
        json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "n": encode(&n), "e": encode(&e)})
    }

    /// A JWKS document with this key alone.
    pub fn jwks(&self) -> String {
        json!({"keys": [self.jwk()]}).to_string()
    }

    /// The public key in the forms that an attacker would use as a shared secret.
    pub fn public_encodings(&self) -> Vec<Vec<u8>> {
        let pem = |label: &str, der: &[u8]| {
            format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der)).into_bytes()
        };
        let spki: PublicKeyX509Der<'_> = self.pair.public_key().as_der().unwrap();
        let pkcs1 = self.pair.public_key().as_ref();
        vec![
            pem("PUBLIC KEY", spki.as_ref()),
            pem("RSA PUBLIC KEY", pkcs1),
            spki.as_ref().to_vec(),
            self.jwk().to_string().into_bytes(),
            encode(&self.components().n).into_bytes(),
        ]
    }
}
