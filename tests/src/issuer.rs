//! Tokens for tests: the demo's issuer, claims with the fields a relay reads, and tokens no issuer should make.
#![expect(clippy::expect_used, reason = "a token that cannot be made ends the test, with the step's name")]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};

pub use threatrelay::demo::issuer::Issuer;

/// The audience tests configure.
pub const AUDIENCE: &str = "https://relay.example";

/// Claims that a relay with [`AUDIENCE`] accepts; to be changed field by field.
#[must_use]
pub fn claims(otx_key: &str, jwks_host: &str) -> Value {
    json!({"key": otx_key, "jwks_host": jwks_host, "aud": AUDIENCE})
}

/// A token of any header and payload, signed by `key` as `algorithm` whatever the header says.
///
/// # Panics
/// When the key is not of the algorithm.
#[must_use]
pub fn forge(header: &str, payload: &str, algorithm: Algorithm, key: &EncodingKey) -> String {
    let message = unsigned(header, payload);
    let signature = crypto::sign(message.as_bytes(), key, algorithm).expect("a signature");
    format!("{message}.{signature}")
}

/// The first two parts of a token.
#[must_use]
pub fn unsigned(header: &str, payload: &str) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
}
