//! Tokens for tests: the demo's issuer, and claims with the fields a relay reads.

use serde_json::{Value, json};

pub use threatrelay::demo::issuer::{Claims, Issuer, IssuerError};

/// The audience tests configure.
pub const AUDIENCE: &str = "https://relay.example";

/// Claims that a relay with [`AUDIENCE`] accepts; to be changed field by field.
#[must_use]
pub fn claims(otx_key: &str, jwks_host: &str) -> Value {
    json!({"key": otx_key, "jwks_host": jwks_host, "aud": AUDIENCE})
}
