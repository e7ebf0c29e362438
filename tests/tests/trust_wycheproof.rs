//! Published vectors of broken keys and signatures, read by the relay's own key and token code: classes 67 and 76 of the
//! attacks on authentication. They lie outside of the project (`../shared/data/wycheproof`, or
//! `THREATRELAY_TEST_SHARED`); without them each of these tests is reported as ignored, by name.
#![expect(clippy::expect_used, reason = "a failed step is a failed test")]

use std::path::PathBuf;
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tests::trial::{run, trial};
use threatrelay::auth::jwk::KeySet;
use threatrelay::auth::token::Token;

/// Files, the vectors in each, and how many of them the relay must accept.
const FILES: [(&str, &str, usize, usize); 6] = [
    ("class_067_json_web_key", "json_web_key_test.json", 26, 1),
    ("class_076_json_web_signature", "json_web_signature_test.json", 401, 18),
    ("class_076_json_web_crypto", "json_web_crypto_test.json", 83, 2),
    ("class_076_rsa_2048", "rsa_signature_2048_sha256_test.json", 259, 9),
    ("class_076_rsa_3072", "rsa_signature_3072_sha256_test.json", 259, 8),
    ("class_076_rsa_4096", "rsa_signature_4096_sha256_test.json", 258, 7),
];

/// Valid vectors that the relay refuses, with the reason: group or key, and what it is.
const REFUSED_THOUGH_VALID: &[(&str, &str)] =
    &[("InvalidCharacterInsertedIn", "what is not base64url is no token, whatever signed it")];

/// Invalid vectors that the relay accepts, with the reason.
const ACCEPTED_THOUGH_INVALID: &[(&str, &str)] = &[(
    "invalidBase64Padding",
    "the vectors lost the padding that their name speaks of; what is left is a sound token",
)];

fn main() -> ExitCode {
    let absent = !folder().is_dir();
    let vectors = FILES.map(|(name, file, vectors, accepted)| {
        trial(name, move || async move { hold(file, vectors, accepted) }).with_ignored_flag(absent)
    });
    run(vectors.into_iter().collect::<Vec<Trial>>())
}

fn folder() -> PathBuf {
    tests::shared::folder("data/wycheproof/testvectors_v1")
}

/// No invalid vector is accepted, and of the valid ones of algorithms that the relay speaks none is refused.
fn hold(file: &str, vectors: usize, accepted: usize) {
    let text = std::fs::read(folder().join(file)).expect("a file of vectors");
    let document: Value = serde_json::from_slice(&text).expect("JSON");
    let (mut count, mut taken, mut wrong) = (0, 0, Vec::new());
    for group in document["testGroups"].as_array().into_iter().flatten() {
        for vector in group["tests"].as_array().into_iter().flatten() {
            count += 1;
            let is_taken =
                if vector["sig"].is_string() { is_signature(group, vector) } else { is_token(group, vector) };
            taken += usize::from(is_taken);
            let verdict = vector["result"].as_str().unwrap_or_default();
            let comment = format!("{} {}: {}", group["comment"], vector["tcId"], vector["comment"]);
            let may_accept = ACCEPTED_THOUGH_INVALID.iter().any(|(part, _)| comment.contains(part));
            let may_refuse =
                !is_spoken(group, vector) || REFUSED_THOUGH_VALID.iter().any(|(part, _)| comment.contains(part));
            if (is_taken && verdict == "invalid" && !may_accept) || (!is_taken && verdict == "valid" && !may_refuse) {
                wrong.push(format!("{comment} is {verdict}"));
            }
        }
    }
    println!("{file}: {count} vectors, {taken} accepted");
    assert!(wrong.is_empty(), "wrong verdicts: {wrong:#?}");
    assert_eq!((count, taken), (vectors, accepted));
}

/// The relay's verdict on a bare RSA signature.
fn is_signature(group: &Value, vector: &Value) -> bool {
    let Some(key) = keys(&group["keyJwk"]).find("none").cloned() else { return false };
    let bytes = |field: &str| hex(vector[field].as_str().unwrap_or_default());
    let signature = URL_SAFE_NO_PAD.encode(bytes("sig"));
    crypto::verify(&signature, &bytes("msg"), &key, Algorithm::RS256).unwrap_or(false)
}

/// The relay's verdict on a token, by an RSA key or by a secret, whichever the group has.
fn is_token(group: &Value, vector: &Value) -> bool {
    let Some(token) = vector["jws"].as_str().and_then(|jws| Token::parse(jws).ok()) else { return false };
    // The relay reads the claims, so decodes the payload, before it looks at the signature. Payloads of vectors are no JSON.
    let payload = vector["jws"].as_str().and_then(|jws| jws.split('.').nth(1)).unwrap_or_default();
    if URL_SAFE_NO_PAD.decode(payload).is_err() {
        return false;
    }
    let public = if group["public"].is_null() { &group["private"] } else { &group["public"] };
    let by_key = token
        .kid()
        .is_some_and(|kid| keys(public).find(kid).is_some_and(|key| token.is_signed(Algorithm::RS256, key)));
    by_key || secret(&group["private"]).is_some_and(|secret| token.is_signed(Algorithm::HS256, &secret))
}

/// Whether the vector's token names an algorithm that the relay speaks.
fn is_spoken(group: &Value, vector: &Value) -> bool {
    if vector["sig"].is_string() {
        return true;
    }
    let header = vector["jws"].as_str().and_then(|jws| jws.split('.').next()).unwrap_or_default();
    let header: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap_or_default()).unwrap_or_default();
    header["alg"] == "RS256" || (header["alg"] == "HS256" && secret(&group["private"]).is_some())
}

/// The JWKS of a key or of a set.
fn keys(key: &Value) -> KeySet {
    let document = if key["keys"].is_array() { key.clone() } else { json!({ "keys": [key] }) };
    KeySet::parse(document.to_string().as_bytes()).expect("a JWKS")
}

/// A key of HS256; a set that mixes kinds has none here, as hs256 mode knows one secret and no set.
fn secret(key: &Value) -> Option<DecodingKey> {
    let secret = URL_SAFE_NO_PAD.decode(key["k"].as_str()?).ok()?;
    (key["alg"] == "HS256").then(|| DecodingKey::from_secret(&secret))
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).filter_map(|at| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()).collect()
}
