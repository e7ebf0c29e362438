//! Classes 61 to 75 but 67: what an allowed JWKS host may answer. Each test has a stage of its own, since a host that
//! fails is left alone for some seconds.

use std::io::Write;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::GzEncoder;
use jsonwebtoken::{Algorithm, EncodingKey};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tests::issuer::forge;
use tests::jwks_server::Document;
use tests::refusals::{HOST, KID};
use tests::trial::{slug, trial};

use crate::stage::{Stage, changed, header};

pub const NUMBERS: &[u16] = &[61, 62, 63, 64, 65, 66, 68, 69, 70, 71, 72, 73, 74, 75];

/// What a host answers.
type Answer = fn() -> Document;
/// The keys it publishes, made from the right one.
type Keys = fn(&Value) -> Vec<Value>;

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    let answers: [(u16, &str, Answer); 6] = [
        (61, "a redirect", || Document::redirect("https://attacker.example/.well-known/jwks")),
        (62, "500", || Document::Status(500, Vec::new(), "down".into())),
        (63, "silence", || Document::Silence),
        (64, "ten MiB", || Document::Endless(10)),
        (65, "a gzip bomb", bomb),
        (66, "no JSON", || Document::Keys("<html></html>".into())),
    ];
    for (number, name, document) in answers {
        trials.push(trial(slug(&format!("class {number:03} jwks answer {name}")), move || async move {
            let stage = Stage::with(|builder| builder.set("THREATRELAY_AUTH_JWKS_TIMEOUT", "1s")).await;
            stage.trusted.set(document());
            let begun = Instant::now();
            stage.refuses(&stage.good(), HOST).await;
            assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
            stage.was_lured_nowhere();
            assert_eq!(stage.fake.connections(), 0);
        }));
        let name = slug(&format!("class {number:03} keys that are known serve through {name}"));
        trials.push(trial(name, move || async move {
            let quick = |builder: tests::relay::Builder| {
                builder.set("THREATRELAY_AUTH_JWKS_TIMEOUT", "1s").set("THREATRELAY_AUTH_JWKS_TTL", "1ms")
            };
            let stage = Stage::with(quick).await;
            stage.accepts(&stage.good()).await;
            stage.trusted.set(document());
            stage.accepts(&stage.good()).await;
            stage.was_lured_nowhere();
        }));
    }
    let keys: [(u16, &str, Keys); 8] = [
        (68, "a kid twice", |key| vec![key.clone(), key.clone()]),
        (69, "a secret beside the key", |key| {
            vec![key.clone(), json!({"kty": "oct", "kid": key["kid"], "k": URL_SAFE_NO_PAD.encode("secret")})]
        }),
        (70, "a modulus of 1024 bits", |key| vec![with(key, "n", &json!(number(128)))]),
        (71, "the exponent 1", |key| vec![with(key, "e", &json!("AQ"))]),
        (72, "a key for encryption", |key| vec![with(key, "use", &json!("enc"))]),
        (73, "a key for other operations", |key| vec![with(key, "key_ops", &json!(["sign", "encrypt"]))]),
        (74, "a key for another algorithm", |key| vec![with(key, "alg", &json!("RS512"))]),
        (75, "a modulus of 16384 bits", |key| vec![with(key, "n", &json!(number(2048)))]),
    ];
    for (number, name, keys) in keys {
        trials.push(trial(slug(&format!("class {number:03} jwks with {name}")), move || async move {
            let stage = Stage::set().await;
            let key = serde_json::to_value(stage.signer.jwk()).expect("a JWK");
            stage.trusted.set(Document::Keys(json!({"keys": keys(&key)}).to_string().into()));
            stage.refuses(&stage.good(), KID).await;
            let secret = EncodingKey::from_secret(b"secret");
            let claims = changed(&json!({})).to_string();
            let hs256 = forge(&header(&json!({"alg": "HS256"})).to_string(), &claims, Algorithm::HS256, &secret);
            stage.refuses(&hs256, KID).await;
            stage.was_lured_nowhere();
            assert_eq!(stage.fake.connections(), 0);
        }));
    }
    trials
}

fn with(key: &Value, member: &str, value: &Value) -> Value {
    let mut key = key.clone();
    key[member] = value.clone();
    key
}

/// An odd number of so many bytes.
fn number(bytes: usize) -> String {
    URL_SAFE_NO_PAD.encode(vec![0xc7; bytes])
}

fn bomb() -> Document {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..64 {
        gzip.write_all(&vec![b' '; 1 << 20]).expect("memory");
    }
    let headers = vec![("content-encoding".to_owned(), "gzip".to_owned())];
    Document::Status(200, headers, gzip.finish().expect("memory").into())
}
