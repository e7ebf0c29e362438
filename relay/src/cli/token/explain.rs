//! `token explain`: a token taken apart, and what the relay with these settings says of it: the check that fails, in
//! the order the relay makes them, and the message its caller reads. The verdict is the relay's own; what is shown of
//! the content never includes the OTX key or a claim that is not known here, which might be secret too.

use std::fmt::Write as _;
use std::io::{Read, stdin};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::runtime::Runtime;

use crate::auth::metrics::Metrics;
use crate::auth::outside::Outside;
use crate::auth::{Authenticator, Refused};
use crate::cli::ConfigFile;
use crate::cli::config::refusal;
use crate::cli::outcome::{ERROR, FAILURE, FAINT, GOOD, Outcome, SETTINGS, STRONG};
use crate::cli::text::harmless;
use crate::config::{AuthMode, Config};
use crate::error::ErrorEntry;

/// Which token.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Explanation {
    /// File with the token; standard input when not given
    #[arg(value_name = "FILE")]
    token: Option<PathBuf>,
    #[command(flatten)]
    file: ConfigFile,
}

pub(super) const AFTER_HELP: &str = "\
Examples:
  threatrelay token explain --config FILE token.txt
  pbpaste | threatrelay token explain

The token is judged by the settings: give those of the relay that refuses it.";

/// Longest text that is read as a token.
const MAX_BYTES: u64 = 1 << 20;

/// Says what there is to say.
pub(super) fn run(explanation: &Explanation) -> Outcome {
    let text = match read(explanation.token.as_deref()) {
        Ok(text) => text,
        Err(why) => return Outcome::failed(why, FAILURE),
    };
    let token = bare(&text);
    let mut stdout = content(token);
    let loaded = match explanation.file.load() {
        Ok(loaded) => loaded,
        Err(errors) => {
            // What it says needs no settings; whether it is accepted does.
            return Outcome { stdout, ..refusal(&errors, SETTINGS) };
        }
    };
    let verdict = match Runtime::new() {
        Ok(runtime) => runtime.block_on(judge(&loaded.config, token)),
        Err(error) => return Outcome::failed(error, FAILURE),
    };
    match verdict {
        Ok(verdict) => {
            stdout.push_str(&checks(&loaded.config, verdict.as_ref().err()));
            let exit_code = if verdict.is_ok() { 0 } else { FAILURE };
            Outcome { stdout, exit_code, ..Outcome::default() }
        }
        Err(outcome) => Outcome { stdout, ..outcome },
    }
}

fn read(file: Option<&Path>) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = match file.filter(|file| *file != Path::new("-")) {
        Some(file) => std::fs::File::open(file).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes)),
        None => stdin().take(MAX_BYTES).read_to_end(&mut bytes),
    };
    match read {
        Ok(_) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => {
            Err(format!("{}: {error}", file.map_or("standard input".into(), |file| file.display().to_string())))
        }
    }
}

/// The token itself, of a text that may be a whole header.
fn bare(text: &str) -> &str {
    let last = text.split_whitespace().last().unwrap_or_default();
    last.trim_matches(|c| matches!(c, '"' | '\'' | ','))
}

async fn judge(config: &Config, token: &str) -> Result<Result<(), Refused>, Outcome> {
    let authenticator = Authenticator::new(config, &Outside::default(), &Metrics::default())
        .map_err(|error| Outcome::failed(error, SETTINGS))?;
    let mut headers = HeaderMap::new();
    match HeaderValue::from_str(&format!("Bearer {token}")) {
        Ok(value) => headers.insert(header::AUTHORIZATION, value),
        Err(_) => return Ok(Err(Refused::Structure)),
    };
    Ok(authenticator.authenticate(&headers).await.map(drop))
}

/// Header and claims, line by line.
fn content(token: &str) -> String {
    let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok());
    let mut object = || -> Option<Map<String, Value>> { serde_json::from_slice(&parts.next()??).ok() };
    let mut text = String::new();
    for (name, part) in [("Header", object()), ("Claims", object())] {
        let _infallible = writeln!(text, "{STRONG}{name}{STRONG:#}");
        match part {
            None => text.push_str("  cannot be read: it is not base64url of a JSON object\n"),
            Some(entries) => {
                for (name, value) in &entries {
                    let _infallible = writeln!(text, "  {}: {}", harmless(name), shown(name, value));
                }
            }
        }
    }
    text
}

/// A claim as it may be shown.
fn shown(name: &str, value: &Value) -> String {
    match (name, value) {
        ("key", Value::String(key)) => format!("{} characters, not shown", key.chars().count()),
        ("key", other) => format!("no text but {}", kind(other)),
        ("exp" | "nbf" | "iat", value) => {
            value.as_i64().and_then(|seconds| Timestamp::from_second(seconds).ok()).map_or_else(
                || format!("no time but {}", kind(value)),
                |moment| format!("{moment} ({})", relative(moment)),
            )
        }
        (
            "alg" | "kid" | "typ" | "aud" | "iss" | "sub" | "jwks_host" | "key_ref" | "CTR_ENTITIES_LIMIT" | "jti"
            | "cty" | "crit" | "enc" | "zip" | "b64",
            value,
        ) => harmless(&value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
        _ => "not shown".to_owned(),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn relative(moment: Timestamp) -> String {
    let seconds = moment.as_second() - Timestamp::now().as_second();
    let amount = match seconds.unsigned_abs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    };
    if seconds < 0 { format!("{amount} ago") } else { format!("in {amount}") }
}

/// The relay's checks in its order, and which of them a refusal belongs to.
const CHECKS: [&str; 7] = [
    "three parts of base64url JSON",
    "jwks_host allowed, its keys at hand",
    "kid among the keys",
    "signature",
    "exp, nbf and iat",
    "audience",
    "OTX key",
];

fn failed_check(refused: &Refused) -> usize {
    match refused {
        Refused::HeaderMissing | Refused::NotBearer | Refused::Structure => 0,
        Refused::JwksHostMissing | Refused::JwksHostNotAllowed | Refused::JwksUnavailable => 1,
        Refused::UnknownKid => 2,
        Refused::Signature | Refused::SharedSecret => 3,
        Refused::Expired | Refused::NotYetValid | Refused::ExpMissing => 4,
        Refused::Audience => 5,
        Refused::PayloadStructure | Refused::KeyIsNull | Refused::KeyUnsendable | Refused::UnknownKeyRef(_) => 6,
    }
}

fn checks(config: &Config, refused: Option<&Refused>) -> String {
    let failed = refused.map(failed_check);
    // With a shared secret there is neither host nor audience, with a file of keys no host.
    let is_made = |check: usize| match &config.auth.mode {
        AuthMode::Hs256 { .. } => !matches!(check, 1 | 2 | 5),
        AuthMode::Jwks(jwks) => check != 1 || jwks.file.is_none(),
    };
    let mut text = format!("{STRONG}Checks{STRONG:#}\n");
    for (index, name) in CHECKS.iter().enumerate() {
        let line = match failed {
            Some(failed) if failed == index => format!("  {ERROR}✗{ERROR:#} {name}\n"),
            _ if !is_made(index) => continue,
            Some(failed) if failed < index => format!("  {FAINT}- {name}: not reached{FAINT:#}\n"),
            _ => format!("  {GOOD}✔{GOOD:#} {name}\n"),
        };
        text.push_str(&line);
    }
    let _infallible = match refused {
        None => writeln!(text, "{GOOD}accepted{GOOD:#}"),
        Some(refused) => {
            let entry = ErrorEntry::from(refused.clone());
            let (code, message, next) = (entry.code, harmless(&entry.message), next(config, refused));
            writeln!(text, "{ERROR}refused{ERROR:#}: {code}: {message}\n  next: {next}")
        }
    };
    text
}

/// What the person who has the token can do about it.
fn next(config: &Config, refused: &Refused) -> String {
    match refused {
        Refused::HeaderMissing | Refused::NotBearer | Refused::Structure => {
            "give the token whole: three parts of base64url with dots between them, nothing after".to_owned()
        }
        Refused::JwksHostMissing => "put custom_jwks_host into properties of module_type.json".to_owned(),
        Refused::JwksHostNotAllowed | Refused::JwksUnavailable => match &config.auth.mode {
            AuthMode::Jwks(jwks) => format!(
                "jwks_host has to be one of auth.jwksHosts ({}); whether they can be asked is told by `threatrelay check`",
                jwks.hosts.join(", ")
            ),
            AuthMode::Hs256 { .. } => "set auth.mode to jwks".to_owned(),
        },
        Refused::UnknownKid => "have the token made anew: its key is no longer, or not yet, published".to_owned(),
        Refused::Signature => {
            "the token is not RS256, or was signed by another region or issuer than jwks_host names".to_owned()
        }
        Refused::SharedSecret => {
            "the token is not HS256, or signed with another secret than auth.hs256SecretFile holds".to_owned()
        }
        Refused::Expired => "have a new token made".to_owned(),
        Refused::NotYetValid => {
            "compare the clocks of issuer and relay; auth.leeway is allowed between them".to_owned()
        }
        Refused::ExpMissing => "have tokens made with exp, or set auth.requireExp to false".to_owned(),
        Refused::Audience => match &config.auth.mode {
            AuthMode::Jwks(jwks) => format!("aud has to be one of auth.audiences ({})", jwks.audiences.join(", ")),
            AuthMode::Hs256 { .. } => "set auth.audiences".to_owned(),
        },
        Refused::PayloadStructure | Refused::KeyIsNull | Refused::KeyUnsendable => {
            "the claim key has to be an OTX key; set custom_key in the module's settings".to_owned()
        }
        Refused::UnknownKeyRef(name) => format!("put a file {name:?} with an OTX key into otx.keysDir"),
    }
}
