//! The OTX API key: held as a secret, sent only in `X-OTX-API-KEY`, known elsewhere by its scope alone.

use std::fmt;

use aws_lc_rs::digest;
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use crate::broken::{self, Defect};

/// A key that can stand in an HTTP header. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct OtxKey {
    header: HeaderValue,
    scope: Scope,
}

/// The key's text cannot be sent as a header value (Cyrillic, line breaks, a leading space ...).
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the OTX key has characters that cannot be sent in an HTTP header")]
pub struct UnsendableKey;

/// A one-way name of a key: what caches, pacing and breakers are told apart by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope([u8; 16]);

impl OtxKey {
    /// Takes a key as the original did: characters up to U+00FF are sent as Latin-1, a trailing space is allowed
    /// (and trimmed by HTTP itself), a leading one is not.
    ///
    /// # Errors
    /// [`UnsendableKey`] for anything that cannot be a header value.
    pub fn new(key: &SecretString) -> Result<Self, UnsendableKey> {
        let text = key.expose_secret();
        if text.starts_with([' ', '\t']) {
            return Err(UnsendableKey);
        }
        let latin1 =
            text.chars().map(|c| u8::try_from(c).map_err(|_| UnsendableKey)).collect::<Result<Vec<u8>, _>>()?;
        let mut header = HeaderValue::from_bytes(&latin1).map_err(|_| UnsendableKey)?;
        header.set_sensitive(true);
        Ok(Self { header, scope: Scope::of(&latin1) })
    }

    /// The value of `X-OTX-API-KEY`, marked sensitive.
    #[must_use]
    pub fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// The one-way name of this key.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }
}

impl fmt::Debug for OtxKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OtxKey([redacted])")
    }
}

impl Scope {
    fn of(key: &[u8]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"threatrelay otx key scope\0");
        context.update(if broken::is(Defect::CacheWithoutScope) { b"" } else { key });
        let mut short = [0; 16];
        short.copy_from_slice(&context.finish().as_ref()[..16]);
        Self(short)
    }

    /// The 16 bytes, for keys of a shared cache.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scope(..)")
    }
}
