//! `token mint` and `token jwks`: what an issuer of one's own needs. HS256 tokens are signed with the secret of
//! `auth.hs256SecretFile`, RS256 ones with an RSA key in a PEM file whose public half `jwks` prints.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::SignedDuration;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretSlice};
use serde_json::{Map, Value};

use crate::auth::keys::key_of_file;
use crate::auth::reload::without_last_break;
use crate::cli::outcome::{FAILURE, Outcome, SETTINGS, USAGE};
use crate::demo::issuer::Issuer;

/// What the token is to say and who signs it.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Minting {
    /// File with the shared secret of HS256, as auth.hs256SecretFile names it
    #[arg(long, value_name = "FILE", required_unless_present = "private_key_file")]
    secret_file: Option<PathBuf>,
    /// File with an RSA private key (PKCS#8 PEM) for RS256
    #[arg(long, value_name = "FILE", conflicts_with = "secret_file")]
    private_key_file: Option<PathBuf>,
    /// Name of the key, with --private-key-file
    #[arg(long, value_name = "KID", default_value = "local")]
    kid: String,
    /// File with the OTX key that goes into the token; /dev/stdin works
    #[arg(long, value_name = "FILE", required_unless_present = "key_ref")]
    key_file: Option<PathBuf>,
    /// Name of a key that the relay holds (otx.keysDir), instead of the key itself
    #[arg(long, value_name = "NAME", conflicts_with = "key_file")]
    key_ref: Option<String>,
    /// Audience: the origin of the relay; needed with --private-key-file
    #[arg(long, value_name = "AUDIENCE")]
    audience: Option<String>,
    /// Host that publishes the public key; not needed where auth.jwksFile holds it
    #[arg(long, value_name = "HOST")]
    jwks_host: Option<String>,
    /// Most pulses reported of one observable
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: Option<u16>,
    /// Time until the token expires, such as 1h; never when not given
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    expires_in: Option<Duration>,
}

pub(super) const AFTER_HELP: &str = "\
Examples:
  threatrelay token mint --secret-file FILE --key-file FILE --expires-in 1h
  openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out issuer.pem
  threatrelay token mint --private-key-file issuer.pem --audience https://relay.example.com --key-file FILE";

/// A private key and its name.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Signer {
    /// File with an RSA private key (PKCS#8 PEM)
    #[arg(long, value_name = "FILE")]
    private_key_file: PathBuf,
    /// Name of the key
    #[arg(long, value_name = "KID", default_value = "local")]
    kid: String,
}

/// Makes a token.
pub(super) fn run(minting: &Minting) -> Outcome {
    if minting.private_key_file.is_some() && minting.audience.is_none() {
        return Outcome::failed(
            "--audience is needed: relays accept RS256 tokens for one of auth.audiences alone",
            USAGE,
        );
    }
    let claims = match claims(minting) {
        Ok(claims) => claims,
        Err(outcome) => return *outcome,
    };
    let token = match (&minting.private_key_file, &minting.secret_file) {
        (Some(file), _) => issuer(file, &minting.kid)
            .and_then(|issuer| issuer.token(&claims).map_err(|error| Outcome::failed(error, FAILURE).into())),
        (None, Some(file)) => secret(file).and_then(|secret| {
            let key = EncodingKey::from_secret(without_last_break(secret.expose_secret()));
            let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key);
            token.map_err(|error| Outcome::failed(error, FAILURE).into())
        }),
        (None, None) => Err(Outcome::failed("--secret-file or --private-key-file is needed", USAGE).into()),
    };
    match token {
        Ok(token) => Outcome::done(token + "\n"),
        Err(outcome) => *outcome,
    }
}

/// Gives the public half.
pub(super) fn jwks(signer: &Signer) -> Outcome {
    match issuer(&signer.private_key_file, &signer.kid) {
        Ok(issuer) => match serde_json::to_string_pretty(&issuer.jwks()) {
            Ok(document) => Outcome::done(document + "\n"),
            Err(error) => Outcome::failed(error, FAILURE),
        },
        Err(outcome) => *outcome,
    }
}

fn claims(minting: &Minting) -> Result<Map<String, Value>, Box<Outcome>> {
    let mut claims = Map::new();
    if let Some(file) = &minting.key_file {
        let key =
            key_of_file(file.clone()).map_err(|error| Outcome::failed(format!("the OTX key: {error}"), SETTINGS))?;
        // Keys are Latin-1 in headers.
        let text: String = key.header().as_bytes().iter().map(|byte| char::from(*byte)).collect();
        claims.insert("key".to_owned(), text.into());
    }
    let mut put = |name: &str, value: Option<Value>| value.map(|value| claims.insert(name.to_owned(), value));
    put("key_ref", minting.key_ref.clone().map(Value::from));
    put("aud", minting.audience.clone().map(Value::from));
    // Relays that read the keys from a file never ask this host, but want the claim.
    put("jwks_host", minting.jwks_host.clone().map(Value::from));
    put("CTR_ENTITIES_LIMIT", minting.limit.map(Value::from));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    put("iat", Some(now.into()));
    put("exp", minting.expires_in.map(|time| (now + time.as_secs()).into()));
    Ok(claims)
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let time = text.parse::<SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
    time.filter(|time| time.as_secs() > 0).ok_or_else(|| "it is a time such as 30m, 1h or 24h".to_owned())
}

fn secret(file: &Path) -> Result<SecretSlice<u8>, Box<Outcome>> {
    let content =
        std::fs::read(file).map_err(|error| Outcome::failed(format!("{}: {error}", file.display()), SETTINGS))?;
    if without_last_break(&content).is_empty() {
        let why = format!("{}: is empty; write the shared secret into it", file.display());
        return Err(Outcome::failed(why, SETTINGS).into());
    }
    Ok(content.into())
}

fn issuer(file: &Path, kid: &str) -> Result<Issuer, Box<Outcome>> {
    let refuse = |why: String| Box::new(Outcome::failed(format!("{}: {why}", file.display()), SETTINGS));
    let pem = std::fs::read_to_string(file).map_err(|error| refuse(error.to_string()))?;
    Issuer::from_pem(kid, &pem).map_err(|_| refuse("is no RSA private key in PKCS#8 PEM form".to_owned()))
}
