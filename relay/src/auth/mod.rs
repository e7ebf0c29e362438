//! Who may ask, and with which OTX key: from the `Authorization` header to a [`Caller`], or a [`Refused`].
//!
//! The checks come in the original relay's order, so that of two faults the same one is named: header, structure,
//! `jwks_host` and its allow-list, keys, `kid`, signature, times, audience, OTX key. Nothing is fetched for a host that
//! is not allowed, and nothing of the request but its token has a say.

pub mod claims;
pub mod fetch;
#[cfg(test)]
mod fixtures;
pub mod freshness;
pub mod header;
pub mod jwk;
pub mod jwks;
pub mod keys;
pub mod limit;
pub mod metrics;
pub mod outside;
pub mod refused;
pub mod reload;
pub mod resolver;
pub mod token;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use jsonwebtoken::{Algorithm, DecodingKey};
use secrecy::ExposeSecret;

use crate::broken::{self, Defect};
use crate::config::{AuthMode, Config};
use crate::otx::key::OtxKey;
use crate::trace::span;
use claims::Claims;
use freshness::Times;
use jwk::KeySet;
use jwks::Jwks;
use keys::HeldKeys;
use metrics::Metrics;
use outside::Outside;
pub use refused::Refused;
use reload::{Parsed, Place, Reloaded, Snapshot, without_last_break};
use token::Token;

/// Characters of a `kid` that are traced; whoever sends a token writes it.
const KID_CHARS: usize = 64;

/// Who asks: the OTX key to ask with, and how much is wanted.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The caller's OTX key.
    pub key: OtxKey,
    /// Entities of one kind that one observable may get, 1 to 1000.
    pub entities_limit: usize,
}

/// Authentication could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file or directory of keys cannot be used.
    #[error("{setting}: {why}")]
    Unusable {
        /// The setting that names it.
        setting: &'static str,
        /// What is wrong with it.
        why: reload::Unusable,
    },
    /// There is no client for JWKS.
    #[error(transparent)]
    Client(#[from] fetch::ClientError),
}

/// Turns requests into callers. Dropping it ends the tasks that follow its files.
pub struct Authenticator {
    verifier: Verifier,
    held_keys: Option<HeldKeys>,
    exp_required: bool,
    leeway: Duration,
}

/// How signatures are verified.
enum Verifier {
    /// RS256 with keys of the token's `jwks_host`.
    Fetched { jwks: Jwks, audiences: Vec<String> },
    /// RS256 with keys of a file.
    File { keys: Reloaded<KeySet>, audiences: Vec<String> },
    /// HS256 with a shared secret.
    Secret(Reloaded<DecodingKey>),
}

impl Verifier {
    /// Its mode, as traces name it.
    const fn method(&self) -> &'static str {
        match self {
            Self::Fetched { .. } | Self::File { .. } => "jwks",
            Self::Secret(_) => "hs256",
        }
    }
}

impl Authenticator {
    /// Reads the files that the configuration names and follows them. Needs a Tokio runtime; asks no JWKS host yet.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn new(config: &Config, outside: &Outside, metrics: &Metrics) -> Result<Self, StartError> {
        let unusable = |setting| move |why| StartError::Unusable { setting, why };
        let verifier = match &config.auth.mode {
            AuthMode::Hs256 { secret_file } => {
                let (setting, place) = ("auth.hs256SecretFile", Place::File(secret_file.clone()));
                let secret = Reloaded::start(place, parse_secret, metrics.place(setting));
                Verifier::Secret(secret.map_err(unusable(setting))?)
            }
            AuthMode::Jwks(settings) => {
                let audiences = settings.audiences.clone();
                if let Some(file) = &settings.file {
                    let (setting, place) = ("auth.jwksFile", Place::File(file.clone()));
                    let keys = Reloaded::start(place, parse_jwks, metrics.place(setting));
                    Verifier::File { keys: keys.map_err(unusable(setting))?, audiences }
                } else {
                    let extra_ca = config.extra_ca_file.as_deref();
                    let client = fetch::client(settings.timeout, settings.allow_private, extra_ca, outside)?;
                    let times =
                        Times { ttl: settings.ttl, max_stale: settings.max_stale, cooldown: settings.cooldown };
                    Verifier::Fetched { jwks: Jwks::new(&settings.hosts, &client, times, metrics), audiences }
                }
            }
        };
        let setting = "otx.keysDir";
        let held_keys = config.otx.keys_dir.clone().map(|dir| HeldKeys::start(dir, metrics.place(setting)));
        let held_keys = held_keys.transpose().map_err(unusable(setting))?;
        Ok(Self { verifier, held_keys, exp_required: config.auth.require_exp, leeway: config.auth.leeway })
    }

    /// The caller of a request with these headers.
    ///
    /// # Errors
    /// [`Refused`], which converts into the entry of `errors` that the caller gets.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, Refused> {
        let token = Token::parse(header::bearer_token(headers)?)?;
        span::record("relay.auth.method", self.verifier.method());
        if let Some(kid) = token.kid() {
            span::record("relay.auth.kid", kid.chars().take(KID_CHARS).collect::<String>());
        }
        let claims = token.claims()?;
        let audiences = self.verify(&token, &claims).await?;
        claims.check_times(unix_seconds(), self.leeway, self.exp_required)?;
        if let Some(audiences) = audiences {
            let spoofed = broken::is(Defect::AudienceFromHost).then(|| header::origin(headers));
            claims.check_audience(spoofed.as_deref().unwrap_or(audiences))?;
        }
        let key = match &self.held_keys {
            Some(keys) => keys.find(claims.key_ref())?,
            None => claims.otx_key()?,
        };
        Ok(Caller { key, entities_limit: claims.entities_limit() })
    }

    /// The OTX keys that the relay holds itself, by name; none when they come in tokens.
    #[must_use]
    pub fn held_keys(&self) -> Vec<(String, OtxKey)> {
        self.held_keys.as_ref().map(HeldKeys::all).unwrap_or_default()
    }

    /// Checks the signature; gives the audiences the token may be meant for, none where it needs no audience.
    async fn verify(&self, token: &Token<'_>, claims: &Claims) -> Result<Option<&[String]>, Refused> {
        let (key, audiences) = match &self.verifier {
            Verifier::Fetched { jwks, audiences } => (jwks.key(claims.jwks_host()?, token.kid()).await?, audiences),
            Verifier::File { keys, audiences } => {
                let keys = keys.current();
                let key = token.kid().and_then(|kid| keys.find(kid)).ok_or(Refused::UnknownKid)?;
                (key.clone(), audiences)
            }
            Verifier::Secret(secret) => {
                let is_signed = token.is_signed(Algorithm::HS256, &secret.current());
                return if is_signed { Ok(None) } else { Err(Refused::SharedSecret) };
            }
        };
        let confused = broken::is(Defect::Hs256WithPublicSecret)
            && token
                .is_signed(Algorithm::HS256, &DecodingKey::from_secret(token.kid().unwrap_or_default().as_bytes()));
        if token.is_signed(Algorithm::RS256, &key) || confused {
            Ok(Some(audiences))
        } else {
            Err(Refused::Signature)
        }
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The keys of a file, read as `auth.jwksFile` is.
///
/// # Errors
/// [`reload::Unusable`] when it cannot be read or holds no key.
pub fn parse_jwks_file(file: &Path) -> Result<KeySet, reload::Unusable> {
    let place = Place::File(file.to_owned());
    parse_jwks(&place.read()?, None).map(|parsed| parsed.value).map_err(|why| place.unusable(&why))
}

fn parse_secret(snapshot: &Snapshot, _: Option<&DecodingKey>) -> Result<Parsed<DecodingKey>, String> {
    let content = snapshot.values().next().map(ExposeSecret::expose_secret).unwrap_or_default();
    match without_last_break(content) {
        [] => Err("is empty; write the shared secret into it".to_owned()),
        secret => Ok(Parsed::whole(DecodingKey::from_secret(secret))),
    }
}

fn parse_jwks(snapshot: &Snapshot, _: Option<&KeySet>) -> Result<Parsed<KeySet>, String> {
    let content = snapshot.values().next().map(ExposeSecret::expose_secret).unwrap_or_default();
    match KeySet::parse(content) {
        Ok(keys) if keys.is_empty() => Err("holds no RSA key that may verify RS256".to_owned()),
        Ok(keys) => Ok(Parsed::whole(keys)),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
