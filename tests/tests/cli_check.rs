//! `check`: every finding on settings, OTX, keys, JWKS and addresses, and on a running relay, with exit codes.
#![expect(clippy::expect_used, reason = "a failed step is a failed test")]

use serde_json::Value;
use tempfile::TempDir;
use tests::command::{Command, Said, threatrelay};
use tests::fake_otx::{FakeOtx, Fault, KEY, Route, Rule};
use tests::issuer::{AUDIENCE, Issuer};
use tests::jwks_server::{Document, JwksServer};
use tests::relay::TestRelay;
use tests::tls::{Authority, Certificate};

/// What a check needs around it, all as it should be.
struct World {
    fake: FakeOtx,
    jwks: JwksServer,
    files: TempDir,
}

impl World {
    async fn new() -> Self {
        let authority = Authority::new();
        let issuer = Issuer::generate("k1").expect("a signing key");
        let jwks = JwksServer::start(&authority, Certificate::Good, Document::of(&[&issuer])).await;
        let files = tempfile::tempdir().expect("a directory");
        std::fs::write(files.path().join("ca.pem"), authority.pem()).expect("a file");
        std::fs::write(files.path().join("key"), KEY).expect("a file");
        Self { fake: FakeOtx::start().await.expect("a fake OTX"), jwks: jwks.expect("a JWKS host"), files }
    }

    fn file(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }

    fn check(&self, arguments: &[&str]) -> Command {
        let mut all = vec!["check"];
        all.extend(arguments);
        threatrelay(&all)
            .env("THREATRELAY_OTX_BASE_URL", &self.fake.url())
            .env("THREATRELAY_LISTEN", "127.0.0.1:0")
            .env("THREATRELAY_ADMIN_LISTEN", "127.0.0.1:0")
            .env("THREATRELAY_AUTH_AUDIENCES", AUDIENCE)
            .env("THREATRELAY_AUTH_JWKS_HOSTS", &self.jwks.host())
            .env("THREATRELAY_AUTH_ALLOW_PRIVATE_JWKS", "true")
            .env("THREATRELAY_EXTRA_CA_FILE", &self.file("ca.pem"))
    }

    /// The outcome with what differs from run to run named.
    fn is_golden(&self, said: &Said, name: &str) {
        let files = self.files.path().display().to_string();
        said.is_golden(name, &[(&self.fake.url(), "{otx}"), (&self.jwks.host(), "{jwks}"), (&files, "{files}")]);
    }
}

#[tokio::test]
async fn all_is_well() {
    let world = World::new().await;
    let said = world.check(&["--key-file", &world.file("key")]).run().await.ends_with(0);
    world.is_golden(&said, "check");
}

#[tokio::test]
async fn all_is_well_for_programs_too() {
    let world = World::new().await;
    let said = world.check(&["--key-file", &world.file("key"), "-o", "json"]).run().await.ends_with(0);
    world.is_golden(&said, "check-json");
    let report: Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert_eq!(report["success"], true);
}

#[tokio::test]
async fn wrong_settings_end_with_3() {
    let world = World::new().await;
    let said = world.check(&[]).env("THREATRELAY_LISTEN", "nowhere").run().await.ends_with(3);
    world.is_golden(&said, "check-settings");
}

#[tokio::test]
async fn a_refused_key_ends_with_4() {
    let world = World::new().await;
    std::fs::write(world.file("key"), "a-key-that-is-not-known").expect("a file");
    let said = world.check(&["--key-file", &world.file("key")]).run().await.ends_with(4);
    world.is_golden(&said, "check-key-refused");
}

#[tokio::test]
async fn an_otx_that_cannot_be_reached_ends_with_5() {
    let world = World::new().await;
    let check = world.check(&["--key-file", &world.file("key")]);
    let said = check.env("THREATRELAY_OTX_BASE_URL", "http://127.0.0.1:9").run().await.ends_with(5);
    assert!(said.stdout.contains("✗ http://127.0.0.1:9/: no connection"), "{}", said.stdout);
}

#[tokio::test]
async fn an_otx_whose_certificate_is_not_trusted_is_named() {
    let world = World::new().await;
    // This host is as good as any to show a certificate.
    let stranger = JwksServer::start(&Authority::new(), Certificate::SelfSigned, Document::Silence).await;
    let stranger = stranger.expect("a host");
    let origin = format!("https://{}", stranger.host());
    let said = world.check(&[]).env("THREATRELAY_OTX_BASE_URL", &origin).run().await.ends_with(5);
    assert!(said.stdout.contains("/: Unable to get local issuer certificate"), "{}", said.stdout);
}

#[tokio::test]
async fn an_otx_that_does_not_say_is_a_failure_of_its_own() {
    let world = World::new().await;
    world.fake.add(Rule::on(Route::Me, Fault::status(418)));
    let said = world.check(&["--key-file", &world.file("key")]).run().await.ends_with(1);
    assert!(said.stdout.contains("did not say whether it accepts the key: 418"), "{}", said.stdout);
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_a_warning() {
    let world = World::new().await;
    let otx = tests::wire::Server::start(([127, 0, 0, 1], 0).into(), None, |_| async {
        let date = [("date".to_owned(), "Tue, 24 Nov 2020 12:00:00 GMT".to_owned())];
        tests::wire::Reply::new(200, &date, b"")
    });
    let otx = otx.await.expect("a server");
    let check = world.check(&[]).env("THREATRELAY_OTX_BASE_URL", &format!("http://{}", otx.address()));
    let said = check.run().await.ends_with(0);
    assert!(said.stdout.contains("! this machine's clock is "), "{}", said.stdout);
    assert!(said.stdout.contains(" s ahead of OTX's\n    next: set the clock"), "{}", said.stdout);
}

#[tokio::test]
async fn jwks_hosts_that_fail_are_named_with_the_cause() {
    let world = World::new().await;
    for (document, why) in [
        (Document::Status(503, Vec::new(), "".into()), "it answered 503 Service Unavailable"),
        (Document::Keys("{}".into()), "it is an object without `keys`"),
        (Document::Keys("{\"keys\":[]}".into()), "publishes no key for RS256"),
    ] {
        world.jwks.set(document);
        let said = world.check(&[]).run().await.ends_with(1);
        assert!(said.stdout.contains(why), "{}", said.stdout);
    }
}

#[tokio::test]
async fn an_address_in_use_is_a_failure_unless_a_relay_has_it() {
    let world = World::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let held = listener.local_addr().expect("its address").to_string();
    let said = world.check(&[]).env("THREATRELAY_LISTEN", &held).run().await.ends_with(1);
    assert!(said.stdout.contains(&format!("✗ listen {held} is in use")), "{}", said.stdout);
    drop(listener);

    let relay = TestRelay::before(&world.fake).await;
    let (listen, admin) = (relay.address().to_string(), relay.admin().to_string());
    let check = world.check(&[]).env("THREATRELAY_LISTEN", &listen).env("THREATRELAY_ADMIN_LISTEN", &admin);
    let said = check.run().await.ends_with(0);
    assert_eq!(said.stdout.matches("is in use, and a relay runs here").count(), 2, "{}", said.stdout);
}

#[tokio::test]
async fn a_running_relay_is_checked_with_and_without_a_token() {
    let world = World::new().await;
    let relay = TestRelay::before(&world.fake).await;
    let server = format!("http://{}", relay.address());
    let token = world.file("token");
    std::fs::write(&token, format!("{}\n", relay.token())).expect("a file");
    let varying = [(server.as_str(), "{relay}"), (env!("CARGO_PKG_VERSION"), "{version}")];
    let said = threatrelay(&["check", "--server", &server]).run().await.ends_with(0);
    said.is_golden("check-server-without-token", &varying);
    let said = threatrelay(&["check", "--server", &server, "--token-file", &token]).run().await.ends_with(0);
    said.is_golden("check-server", &varying);

    std::fs::write(&token, relay.token_with(&serde_json::json!({"aud": "https://other.example"}))).expect("a file");
    let said = threatrelay(&["check", "--server", &server, "--token-file", &token]).run().await.ends_with(4);
    said.is_golden("check-server-token-refused", &varying);
    let nobody = threatrelay(&["check", "--server", "http://127.0.0.1:9"]).run().await.ends_with(5);
    assert!(nobody.stdout.contains("--probe ready"), "{}", nobody.stdout);
}

#[tokio::test]
async fn a_probe_is_one_line_and_one_exit_code() {
    let world = World::new().await;
    let relay = TestRelay::before(&world.fake).await;
    let admin = format!("http://{}", relay.admin());
    for (probe, word) in [("live", "ok\n"), ("ready", "ready\n")] {
        let said = threatrelay(&["check", "--probe", probe, "--server", &admin]).run().await.ends_with(0);
        assert_eq!((said.stdout.as_str(), said.stderr.as_str()), (word, ""));
        let by_settings =
            world.check(&["--probe", probe]).env("THREATRELAY_ADMIN_LISTEN", &relay.admin().to_string());
        assert_eq!(by_settings.run().await.ends_with(0).stdout, word);
    }
    let said = threatrelay(&["check", "--probe", "live", "--server", "http://127.0.0.1:9"]).run().await.ends_with(1);
    assert_eq!(said.stdout, "");
}
