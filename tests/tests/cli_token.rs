//! `token`: what is minted is accepted, what is explained is what the relay says, and no OTX key is shown.
#![expect(clippy::expect_used, reason = "a failed step is a failed test")]

use serde_json::json;
use tempfile::TempDir;
use tests::command::{Command, threatrelay};
use tests::fake_otx::{FakeOtx, KEY};
use tests::issuer::{AUDIENCE, Issuer, claims};
use tests::relay::{Builder, JWKS_HOST};
use tests::reply::errors;

const SECRET: &str = "a-shared-secret-of-more-than-32-bytes";

/// Files for issuers: `secret`, `key`, and the public keys of `issuer` in `jwks.json`.
struct Files {
    dir: TempDir,
    issuer: Issuer,
}

impl Files {
    fn new() -> Self {
        let issuer = Issuer::generate("k1").expect("a signing key");
        let files = Self { dir: tempfile::tempdir().expect("a directory"), issuer };
        files.write("secret", &format!("{SECRET}\n"));
        files.write("key", KEY);
        files.write("jwks.json", &json!(files.issuer.jwks()).to_string());
        files
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.dir.path().join(name), content).expect("a file");
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn explain(&self, token: &str) -> Command {
        threatrelay(&["token", "explain"])
            .env("THREATRELAY_AUTH_AUDIENCES", AUDIENCE)
            .env("THREATRELAY_AUTH_JWKS_FILE", &self.path("jwks.json"))
            .input(token)
    }
}

#[tokio::test]
async fn a_minted_hs256_token_is_accepted() {
    let files = Files::new();
    let fake = FakeOtx::start().await.expect("a fake OTX");
    let relay = Builder::new(&fake.url())
        .unset("THREATRELAY_AUTH_AUDIENCES")
        .unset("THREATRELAY_AUTH_JWKS_FILE")
        .set("THREATRELAY_AUTH_MODE", "hs256")
        .set("THREATRELAY_AUTH_HS256_SECRET_FILE", &files.path("secret"))
        .start()
        .await;
    let arguments = ["--secret-file", &files.path("secret"), "--key-file", &files.path("key"), "--expires-in", "1h"];
    let mut mint = vec!["token", "mint"];
    mint.extend(arguments);
    let token = threatrelay(&mint).run().await.ends_with(0).stdout;
    let health = relay.post_with("/health", token.trim(), "").await;
    assert_eq!(health.text(), "{\"data\":{\"status\":\"ok\"}}\n");
    let said = threatrelay(&["token", "explain"])
        .env("THREATRELAY_AUTH_MODE", "hs256")
        .env("THREATRELAY_AUTH_HS256_SECRET_FILE", &files.path("secret"))
        .input(&token);
    assert!(said.run().await.ends_with(0).stdout.ends_with("accepted\n"));
}

#[tokio::test]
async fn a_minted_rs256_token_is_accepted_by_a_relay_with_its_jwks() {
    let files = Files::new();
    let generated = std::process::Command::new("openssl")
        .args(["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out"])
        .arg(files.path("issuer.pem"))
        .status()
        .expect("openssl, as the help says");
    assert!(generated.success());
    let pem = files.path("issuer.pem");
    let jwks = threatrelay(&["token", "jwks", "--private-key-file", &pem]).run().await.ends_with(0).stdout;
    let fake = FakeOtx::start().await.expect("a fake OTX");
    let relay = Builder::new(&fake.url()).set_file("THREATRELAY_AUTH_JWKS_FILE", &jwks).start().await;
    let key = files.path("key");
    let mint = ["token", "mint", "--private-key-file", &pem, "--audience", AUDIENCE, "--key-file", &key];
    let token = threatrelay(&mint).run().await.ends_with(0).stdout;
    let health = relay.post_with("/health", token.trim(), "").await;
    assert_eq!(health.text(), "{\"data\":{\"status\":\"ok\"}}\n");
}

#[tokio::test]
async fn an_accepted_token_is_explained_without_its_key() {
    let files = Files::new();
    let mut content = claims(KEY, JWKS_HOST);
    content["exp"] = 4_102_444_800_u64.into();
    content["note"] = "something of which nobody knows whether it is secret".into();
    let token = files.issuer.token(&content).expect("a token");
    let said = files.explain(&format!("Authorization: Bearer {token}\n")).run().await.ends_with(0);
    let line = said.stdout.lines().find(|line| line.contains("exp: ")).expect("a line on exp");
    let varying = [(line, "  exp: {2100-01-01 and how far away}")];
    said.is_golden("token-explain", &varying);
    assert!(!said.stdout.contains(KEY) && !said.stdout.contains("nobody knows"));
}

#[tokio::test]
async fn a_refused_token_is_explained_with_the_relays_own_words() {
    let files = Files::new();
    let fake = FakeOtx::start().await.expect("a fake OTX");
    let jwks = json!(files.issuer.jwks()).to_string();
    let relay = Builder::new(&fake.url()).set_file("THREATRELAY_AUTH_JWKS_FILE", &jwks).start().await;
    let with = |change: serde_json::Value| {
        let mut content = claims(KEY, JWKS_HOST);
        for (name, value) in change.as_object().into_iter().flatten() {
            content[name] = value.clone();
        }
        files.issuer.token(&content).expect("a token")
    };
    let stranger = Issuer::generate("k1").expect("a signing key").token(&claims(KEY, JWKS_HOST)).expect("a token");
    let nameless = Issuer::generate("k2").expect("a signing key").token(&claims(KEY, JWKS_HOST)).expect("a token");
    for (token, check) in [
        ("garbage".to_owned(), "three parts of base64url JSON"),
        (nameless, "kid among the keys"),
        (stranger, "signature"),
        (with(json!({"exp": 1})), "exp, nbf and iat"),
        (with(json!({"nbf": 4_102_444_800_u64})), "exp, nbf and iat"),
        (with(json!({"aud": "https://other.example"})), "audience"),
        (with(json!({"key": null})), "OTX key"),
        (with(json!({"key": 5})), "OTX key"),
    ] {
        let answer = relay.post_with("/health", &token, "").await;
        let body = serde_json::from_slice(&answer.body).expect("JSON");
        let (_, _, message) = errors(&body).remove(0);
        let said = files.explain(&token).run().await.ends_with(1);
        assert!(said.stdout.contains(&format!("✗ {check}\n")), "{check}: {}", said.stdout);
        assert!(said.stdout.contains(&format!("refused: authorization error: {message}\n")), "{}", said.stdout);
        assert!(said.stdout.lines().last().is_some_and(|line| line.starts_with("  next: ")), "{}", said.stdout);
        assert!(!said.stdout.contains(KEY));
    }
}

#[tokio::test]
async fn a_host_that_is_not_allowed_is_named_before_anything_is_fetched() {
    let files = Files::new();
    let token = files.issuer.token(&claims(KEY, "evil.example")).expect("a token");
    let explain = threatrelay(&["token", "explain"]).env("THREATRELAY_AUTH_AUDIENCES", AUDIENCE).input(&token);
    explain.run().await.ends_with(1).is_golden("token-explain-host", &[]);
}

#[tokio::test]
async fn without_valid_settings_the_content_is_shown_all_the_same() {
    let files = Files::new();
    let token = files.issuer.token(&claims(KEY, JWKS_HOST)).expect("a token");
    let said = threatrelay(&["token", "explain"]).input(&token).run().await.ends_with(3);
    assert!(said.stdout.contains("  aud: https://relay.example\n"), "{}", said.stdout);
    assert!(said.stderr.contains("auth.audiences"), "{}", said.stderr);
}

#[tokio::test]
async fn files_that_cannot_be_used_end_with_3() {
    let files = Files::new();
    let (key, absent) = (files.path("key"), files.path("absent"));
    files.write("empty", "\n");
    for arguments in [
        ["--secret-file", &absent, "--key-file", &key],
        ["--secret-file", &files.path("empty"), "--key-file", &key],
        ["--secret-file", &files.path("secret"), "--key-file", &absent],
        ["--secret-file", &files.path("secret"), "--key-file", &files.path("empty")],
    ] {
        let mut mint = vec!["token", "mint"];
        mint.extend(arguments);
        let said = threatrelay(&mint).run().await.ends_with(3);
        assert!(said.stdout.is_empty() && said.stderr.starts_with("error: "), "{}", said.stderr);
    }
}
