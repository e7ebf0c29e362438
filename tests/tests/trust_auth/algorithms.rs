//! Classes 8 to 28: what the token says it is signed with, and with which key.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::PublicEncryptingKey;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use tests::issuer::{Issuer, forge, unsigned};
use tests::refusals::{SIGNATURE, STRUCTURE};

use crate::stage::{Class, Stage, changed, headed, header};

pub fn classes() -> Vec<Class> {
    let mut classes = Vec::new();
    for (number, name, alg) in
        [(8, "alg none", "none"), (9, "alg None", "None"), (10, "alg NONE", "NONE"), (11, "alg nOnE", "nOnE")]
    {
        classes.push(Class::tokens(number, name, SIGNATURE, move |stage| {
            let alg = json!({"alg": alg});
            let bare = unsigned(&header(&alg).to_string(), &changed(&json!({})).to_string());
            vec![format!("{bare}."), format!("{bare}.AA"), stage.headed(&alg)]
        }));
    }
    classes.push(Class::tokens(12, "a signature of nothing or of another token", SIGNATURE, signatures));
    let secrets: [(u16, &str, Secret); 5] = [
        (13, "HS256 with the public key as PEM", |issuer| pem("PUBLIC KEY", &spki(issuer))),
        (14, "HS256 with the public key as PKCS 1 PEM", |issuer| pem("RSA PUBLIC KEY", &pkcs1(issuer))),
        (15, "HS256 with the public key as DER", spki),
        (16, "HS256 with the public key as JWK", |issuer| serde_json::to_vec(issuer.jwk()).unwrap_or_default()),
        (17, "HS256 with the modulus", |issuer| modulus(issuer).into_bytes()),
    ];
    for (number, name, secret) in secrets {
        classes.push(Class::tokens(number, name, SIGNATURE, move |stage| {
            let secret = secret(&stage.signer);
            let trimmed = secret.strip_suffix(b"\n").unwrap_or(&secret);
            vec![hs256(&secret), hs256(trimmed), hs256(STANDARD.encode(&secret).as_bytes())]
        }));
    }
    classes.push(Class::tokens(18, "HS256 with a common secret", SIGNATURE, |_| {
        common_secrets().iter().map(|secret| hs256(secret.as_bytes())).collect()
    }));
    for (number, name, algorithm) in [
        (19, "a genuine RS384", Algorithm::RS384),
        (20, "a genuine RS512", Algorithm::RS512),
        (21, "a genuine PS256", Algorithm::PS256),
    ] {
        classes.push(Class::tokens(number, name, SIGNATURE, move |stage| {
            let claims = changed(&json!({})).to_string();
            [json!({"alg": format!("{algorithm:?}")}), json!({})]
                .map(|alg| forge(&header(&alg).to_string(), &claims, algorithm, stage.signer.signing_key()))
                .into()
        }));
    }
    classes.push(Class::tokens(22, "a genuine ES256", SIGNATURE, |_| vec![es256()]));
    classes.push(Class::tokens(23, "a genuine EdDSA", SIGNATURE, |_| vec![eddsa()]));
    classes.extend(pointers());
    classes.push(Class::tokens(28, "a header that changes the meaning", STRUCTURE, |stage| {
        let headers = [
            json!({"crit": ["exp"]}),
            json!({"crit": []}),
            json!({"crit": ["b64"], "b64": false}),
            json!({"b64": false}),
            json!({"b64": null}),
            json!({"zip": "DEF"}),
            json!({"enc": "A256GCM"}),
        ];
        let jwe = format!("{}.AA.AA.AA.AA", URL_SAFE_NO_PAD.encode(r#"{"alg":"dir","enc":"A256GCM"}"#));
        headers.iter().map(|changes| stage.headed(changes)).chain([jwe]).collect()
    }));
    classes
}

type Secret = fn(&Issuer) -> Vec<u8>;

/// Classes 24 to 27: the attacker's own key, and where to find it.
fn pointers() -> Vec<Class> {
    let certificate = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A";
    vec![
        Class::tokens(24, "an embedded jwk", SIGNATURE, |stage| {
            vec![headed(&json!({"jwk": stage.attacker.jwk()}), &stage.attacker)]
        }),
        Class::tokens(25, "a jku", SIGNATURE, |stage| lures("jku", stage)),
        Class::tokens(26, "an x5u", SIGNATURE, |stage| lures("x5u", stage)),
        Class::tokens(27, "an x5c", SIGNATURE, move |stage| {
            let chain = json!({"x5c": [certificate], "x5t": "AA", "x5t#S256": "AA"});
            vec![headed(&chain, &stage.attacker)]
        }),
    ]
}

fn lures(member: &str, stage: &Stage) -> Vec<String> {
    let address = stage.hostile_address();
    [
        "https://attacker.example/.well-known/jwks".to_owned(),
        format!("https://{address}/"),
        "file:///etc/keys".to_owned(),
    ]
    .map(|place| headed(&json!({ (member): place }), &stage.attacker))
    .into()
}

fn signatures(stage: &Stage) -> Vec<String> {
    let (good, other) = (stage.good(), stage.claiming(&json!({"x": 1})));
    let (message, signature) = good.rsplit_once('.').expect("three parts");
    let (_, other) = other.rsplit_once('.').expect("three parts");
    let zeros = URL_SAFE_NO_PAD.encode([0; 256]);
    let ones = URL_SAFE_NO_PAD.encode([255; 256]);
    ["", "AA", "!!", other, &zeros, &ones, &signature[4..], &format!("{signature}AAAA")]
        .map(|signature| format!("{message}.{signature}"))
        .into()
}

fn hs256(secret: &[u8]) -> String {
    let claims = changed(&json!({})).to_string();
    let header = header(&json!({"alg": "HS256"})).to_string();
    forge(&header, &claims, Algorithm::HS256, &EncodingKey::from_secret(secret))
}

fn es256() -> String {
    let message = unsigned(&header(&json!({"alg": "ES256"})).to_string(), &changed(&json!({})).to_string());
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let signature = key.sign(&SystemRandom::new(), message.as_bytes()).expect("a signature");
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

fn eddsa() -> String {
    let message = unsigned(&header(&json!({"alg": "EdDSA"})).to_string(), &changed(&json!({})).to_string());
    let key = Ed25519KeyPair::generate().expect("a key");
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).as_ref()))
}

/// Words people take for secrets, with what they add to them; 100 with the empty one.
fn common_secrets() -> Vec<String> {
    let words = [
        "secret",
        "password",
        "changeme",
        "admin",
        "key",
        "jwt",
        "token",
        "test",
        "private",
        "relay",
        "default",
        "letmein",
        "qwerty",
        "otx",
        "threat",
        "example",
        "hmac",
        "signing",
        "supersecret",
        "shared",
    ];
    let suffixes = ["", "1", "123", "-key", "_secret"];
    let mut secrets: Vec<String> =
        words.iter().flat_map(|word| suffixes.map(|suffix| format!("{word}{suffix}"))).collect();
    secrets.push(String::new());
    secrets
}

fn modulus(issuer: &Issuer) -> String {
    let jwk = serde_json::to_value(issuer.jwk()).unwrap_or_default();
    jwk["n"].as_str().unwrap_or_default().to_owned()
}

fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in STANDARD.encode(der).as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.extend(["-----END ", label, "-----\n"]);
    text.into_bytes()
}

/// `RSAPublicKey` of RFC 8017: a sequence of two integers.
fn pkcs1(issuer: &Issuer) -> Vec<u8> {
    let jwk: Value = serde_json::to_value(issuer.jwk()).unwrap_or_default();
    let integer = |name: &str| {
        let mut bytes = URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap_or_default()).unwrap_or_default();
        if bytes.first().is_some_and(|first| first & 0x80 != 0) {
            bytes.insert(0, 0);
        }
        der(0x02, &bytes)
    };
    der(0x30, &[integer("n"), integer("e")].concat())
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    let head = if content.len() < 128 {
        vec![tag, length[0]]
    } else {
        [&[tag, 0x80 | u8::try_from(length.len()).unwrap_or_default()][..], &length].concat()
    };
    [head, content.to_vec()].concat()
}

/// `SubjectPublicKeyInfo` of the same key.
fn spki(issuer: &Issuer) -> Vec<u8> {
    let rsa = [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    let bits = [&[0][..], &pkcs1(issuer)].concat();
    let info = der(0x30, &[&rsa[..], &der(0x03, &bits)].concat());
    // The crypto library reads it back, or the attack would be no attack.
    let read = PublicEncryptingKey::from_der(&info).expect("a public key");
    assert_eq!(read.as_der().expect("its encoding").as_ref(), info);
    info
}
