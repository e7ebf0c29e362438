#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use std::path::Path;

use http::HeaderValue;
use http::header::AUTHORIZATION;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::auth::fixtures::{SIGNER, Signer, compact, hs256};
use crate::config;
use crate::error::ErrorEntry;

const AUDIENCE: &str = "https://relay.example.com";

/// Settings that verify with the fixture key from a file, and more settings.
fn authenticator(dir: &Path, more: &[(&str, &str)]) -> Authenticator {
    let file = dir.join("jwks.json");
    std::fs::write(&file, SIGNER.jwks()).unwrap();
    let mut env = vec![
        ("THREATRELAY_AUTH_AUDIENCES".to_owned(), AUDIENCE.to_owned()),
        ("THREATRELAY_AUTH_JWKS_FILE".to_owned(), file.to_str().unwrap().to_owned()),
    ];
    env.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    Authenticator::new(&config::load(None, env.into_iter()).unwrap().config, &Outside::default(), &Metrics::default())
        .unwrap()
}

/// Claims that are accepted, with some replaced; a null takes its claim away.
fn claims(changes: &Value) -> Value {
    let mut claims = json!({"key": "otx-key", "aud": AUDIENCE, "jwks_host": "visibility.amp.cisco.com"});
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

fn bearer(token: &str) -> HeaderMap {
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    HeaderMap::from_iter([(AUTHORIZATION, value)])
}

/// The caller's key and limit, or the message of the refusal.
async fn verdict(authenticator: &Authenticator, token: &str) -> String {
    match authenticator.authenticate(&bearer(token)).await {
        Ok(caller) => format!("{} {}", caller.key.header().to_str().unwrap(), caller.entities_limit),
        Err(refused) => ErrorEntry::from(refused).message,
    }
}

const WRONG_SIGNATURE: &str = "Authorization failed: Failed to decode JWT with provided key. Make sure domain in custom_jwks_host corresponds to your SecureX instance region.";
const UNKNOWN_KID: &str = "Authorization failed: kid from JWT header not found in API response";
const STRUCTURE: &str = "Authorization failed: Wrong JWT structure";
const AUDIENCE_IS_WRONG: &str = "Authorization failed: Wrong configuration-token-audience";

#[tokio::test]
async fn a_genuine_token_gives_its_key_and_limit() {
    let dir = TempDir::new().unwrap();
    let authenticator = authenticator(dir.path(), &[]);
    assert_eq!(verdict(&authenticator, &SIGNER.token(&claims(&json!({})))).await, "otx-key 100");
    let limited = SIGNER.token(&claims(&json!({"CTR_ENTITIES_LIMIT": "7"})));
    assert_eq!(verdict(&authenticator, &limited).await, "otx-key 7");
}

#[tokio::test]
async fn each_fault_has_its_message() {
    let dir = TempDir::new().unwrap();
    let authenticator = authenticator(dir.path(), &[]);
    let signed = |changes: Value| SIGNER.token(&claims(&changes));
    let with = |headers: Value| SIGNER.token_with(&headers, &claims(&json!({})));
    let cases = [
        ("garbage".to_owned(), STRUCTURE),
        (with(json!({"zip": "DEF"})), STRUCTURE),
        (with(json!({"kid": null})), UNKNOWN_KID),
        (with(json!({"kid": 1})), UNKNOWN_KID),
        (with(json!({"kid": ""})), UNKNOWN_KID),
        (with(json!({"kid": "../../etc/passwd"})), UNKNOWN_KID),
        (with(json!({"kid": "key-1' OR '1'='1"})), UNKNOWN_KID),
        (with(json!({"kid": "key-1\u{0}"})), UNKNOWN_KID),
        (with(json!({"alg": "none"})), WRONG_SIGNATURE),
        (with(json!({"alg": "RS512"})), WRONG_SIGNATURE),
        (with(json!({"alg": null})), WRONG_SIGNATURE),
        (Signer::new("key-1").token(&claims(&json!({}))), WRONG_SIGNATURE),
        (compact(&json!({"alg": "RS256", "kid": "key-1"}), &claims(&json!({})), b""), WRONG_SIGNATURE),
        (signed(json!({"exp": 0})), "Authorization failed: Token has expired"),
        (signed(json!({"exp": "0"})), STRUCTURE),
        (signed(json!({"nbf": 4_000_000_000_u64})), "Authorization failed: Token is not yet valid"),
        (signed(json!({"iat": 4_000_000_000_u64})), "Authorization failed: Token is not yet valid"),
        (signed(json!({"aud": null})), AUDIENCE_IS_WRONG),
        (signed(json!({"aud": 123})), AUDIENCE_IS_WRONG),
        (signed(json!({"aud": [AUDIENCE, 1]})), AUDIENCE_IS_WRONG),
        (signed(json!({"aud": "https://other.example"})), AUDIENCE_IS_WRONG),
        (signed(json!({"key": null})), "Authorization failed: Wrong JWT payload structure"),
        (signed(json!({"key": 5})), "Authorization failed: Authorization failed on AlienVault OTX side"),
    ];
    for (token, message) in cases {
        assert_eq!(verdict(&authenticator, &token).await, message, "{token:.120}");
    }
}

#[tokio::test]
async fn of_two_faults_the_earlier_check_is_named() {
    let dir = TempDir::new().unwrap();
    let authenticator = authenticator(dir.path(), &[]);
    let stranger = Signer::new("key-1");
    let cases = [
        (stranger.token(&claims(&json!({"exp": 0}))), WRONG_SIGNATURE),
        (stranger.token_with(&json!({"kid": "other"}), &claims(&json!({}))), UNKNOWN_KID),
        (SIGNER.token(&claims(&json!({"exp": 0, "aud": "x"}))), "Authorization failed: Token has expired"),
        (SIGNER.token(&claims(&json!({"aud": "x", "key": 5}))), AUDIENCE_IS_WRONG),
    ];
    for (token, message) in cases {
        assert_eq!(verdict(&authenticator, &token).await, message);
    }
}

#[tokio::test]
async fn a_key_that_is_null_is_told_so() {
    let dir = TempDir::new().unwrap();
    let token = SIGNER.token(&json!({"key": null, "aud": AUDIENCE}));
    assert_eq!(verdict(&authenticator(dir.path(), &[]), &token).await, "Authorization failed.");
}

#[tokio::test]
async fn headers_that_a_caller_can_choose_do_not_change_the_audience() {
    let dir = TempDir::new().unwrap();
    let authenticator = authenticator(dir.path(), &[]);
    let mut headers = bearer(&SIGNER.token(&claims(&json!({"aud": "https://evil.example"}))));
    for (name, value) in
        [("host", "evil.example"), ("x-forwarded-host", "evil.example"), ("x-forwarded-proto", "https")]
    {
        headers.insert(name, HeaderValue::from_static(value));
    }
    assert_eq!(authenticator.authenticate(&headers).await.map(drop), Err(Refused::Audience));
}

#[tokio::test]
async fn exp_is_needed_when_it_is_required() {
    let dir = TempDir::new().unwrap();
    let authenticator = authenticator(dir.path(), &[("THREATRELAY_AUTH_REQUIRE_EXP", "true")]);
    let without = SIGNER.token(&claims(&json!({})));
    assert_eq!(verdict(&authenticator, &without).await, "Authorization failed: Token has no exp claim");
    let with = SIGNER.token(&claims(&json!({"exp": 4_000_000_000_u64})));
    assert_eq!(verdict(&authenticator, &with).await, "otx-key 100");
}

#[tokio::test]
async fn a_jwks_host_is_needed_when_keys_are_fetched_and_only_then() {
    let env = [("THREATRELAY_AUTH_AUDIENCES".to_owned(), AUDIENCE.to_owned())];
    let fetching = Authenticator::new(
        &config::load(None, env.into_iter()).unwrap().config,
        &Outside::default(),
        &Metrics::default(),
    )
    .unwrap();
    let message = |host: Value| {
        let token = SIGNER.token(&claims(&json!({"jwks_host": host})));
        let fetching = &fetching;
        async move { verdict(fetching, &token).await }
    };
    assert_eq!(
        message(json!(null)).await,
        "Authorization failed: jwks_host is missing in JWT payload. Make sure custom_jwks_host field is present in module_type"
    );
    for host in [json!("jwks.example"), json!(""), json!(5)] {
        assert_eq!(
            message(host).await,
            "Authorization failed: Wrong jwks_host in JWT payload. Make sure domain follows the visibility.<region>.cisco.com structure"
        );
    }
    let dir = TempDir::new().unwrap();
    let token = SIGNER.token(&claims(&json!({"jwks_host": null})));
    assert_eq!(verdict(&authenticator(dir.path(), &[]), &token).await, "otx-key 100");
}

#[tokio::test]
async fn held_keys_take_the_place_of_the_tokens_key() {
    let dir = TempDir::new().unwrap();
    let keys = dir.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    std::fs::write(keys.join("default"), "held-0\n").unwrap();
    std::fs::write(keys.join("team"), "held-1\n").unwrap();
    let authenticator = authenticator(dir.path(), &[("THREATRELAY_OTX_KEYS_DIR", keys.to_str().unwrap())]);
    for (changes, expected) in [
        (json!({}), "held-0 100"),
        (json!({"key": null}), "held-0 100"),
        (json!({"key_ref": "team"}), "held-1 100"),
        (json!({"key_ref": "nobody"}), "Authorization failed: Unknown key_ref nobody"),
    ] {
        assert_eq!(verdict(&authenticator, &SIGNER.token(&claims(&changes))).await, expected, "{changes}");
    }
}

#[tokio::test]
async fn a_shared_secret_verifies_hs256_and_nothing_else() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("secret");
    let secret = "0123456789abcdef".repeat(4);
    std::fs::write(&file, format!("{secret}\n")).unwrap();
    let more = [("THREATRELAY_AUTH_MODE", "hs256"), ("THREATRELAY_AUTH_HS256_SECRET_FILE", file.to_str().unwrap())];
    let authenticator = authenticator(dir.path(), &more);

    let wrong = "Authorization failed: Failed to decode JWT with provided key";
    let cases = [
        (hs256(secret.as_bytes(), &json!({"key": "otx-key"})), "otx-key 100"),
        (hs256(b"another secret", &json!({"key": "otx-key"})), wrong),
        (hs256(b"", &json!({"key": "otx-key"})), wrong),
        (hs256(format!("{secret}\n").as_bytes(), &json!({"key": "otx-key"})), wrong),
        (SIGNER.token(&claims(&json!({}))), wrong),
        (compact(&json!({"alg": "none"}), &json!({"key": "otx-key"}), b""), wrong),
        (hs256(secret.as_bytes(), &json!({})), "Authorization failed: Wrong JWT payload structure"),
        (hs256(secret.as_bytes(), &json!({"key": "k", "exp": 0})), "Authorization failed: Token has expired"),
    ];
    for (token, expected) in cases {
        assert_eq!(verdict(&authenticator, &token).await, expected, "{token:.120}");
    }
}

#[tokio::test]
async fn a_start_with_an_unusable_file_names_its_setting() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("jwks.json");
    let mut config = {
        std::fs::write(&file, SIGNER.jwks()).unwrap();
        let env = [
            ("THREATRELAY_AUTH_AUDIENCES".to_owned(), AUDIENCE.to_owned()),
            ("THREATRELAY_AUTH_JWKS_FILE".to_owned(), file.to_str().unwrap().to_owned()),
        ];
        config::load(None, env.into_iter()).unwrap().config
    };
    let said = |config: &Config| {
        Authenticator::new(config, &Outside::default(), &Metrics::default())
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    for (content, why) in [
        ("{", "it is not JSON"),
        ("{}", "it is an object without `keys`"),
        ("{\"keys\": []}", "holds no RSA key that may verify RS256"),
    ] {
        std::fs::write(&file, content).unwrap();
        let text = said(&config);
        assert!(text.starts_with("auth.jwksFile: ") && text.ends_with(why), "{text}");
    }
    std::fs::write(&file, SIGNER.jwks()).unwrap();
    config.otx.keys_dir = Some(dir.path().join("absent"));
    assert!(said(&config).starts_with("otx.keysDir: "));
}

#[tokio::test]
async fn a_changed_secret_is_in_use_without_a_restart() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, "a".repeat(64)).unwrap();
    let more = [("THREATRELAY_AUTH_MODE", "hs256"), ("THREATRELAY_AUTH_HS256_SECRET_FILE", file.to_str().unwrap())];
    let authenticator = authenticator(dir.path(), &more);
    let token = |letter: &str| hs256(letter.repeat(64).as_bytes(), &json!({"key": "otx-key"}));
    let (old, new) = (token("a"), token("b"));
    assert_eq!(verdict(&authenticator, &old).await, "otx-key 100");

    std::fs::write(&file, "b".repeat(64)).unwrap();
    // A server runs requests as tasks, so this must be possible.
    let waiting = tokio::spawn(async move {
        while verdict(&authenticator, &new).await != "otx-key 100" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        verdict(&authenticator, &old).await
    });
    let old_verdict = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    let old_verdict = old_verdict.expect("the new secret is not in use after 20 s").unwrap();
    assert_eq!(old_verdict, "Authorization failed: Failed to decode JWT with provided key");
}
