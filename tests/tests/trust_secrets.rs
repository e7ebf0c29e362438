//! Canary keys, tokens and secrets go through the relay on every way there is, at the most talkative log level. Then
//! everything it said is searched for them, whole or in parts, as they are or encoded.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test, and one panics on purpose")]

use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as Status;
use serde_json::json;
use tests::fake_otx::{At, FakeOtx, Fault, How, Route, Rule};
use tests::otlp::Collector;
use tests::relay::{Builder, TestRelay, payload};
use tests::tls::{Authority, Certificate};
use threatrelay::demo::upstream::{Account, Dataset};
use threatrelay::otx::key::OtxKey;

/// Any so long a part of a secret is a leak.
const PART: usize = 12;
const ASKED: [(&str, &str); 2] = [("domain", "evil.example"), ("ip", "203.0.113.7")];

/// What must not be said, in all its parts and encodings.
#[derive(Default)]
struct Canaries {
    secrets: Vec<String>,
    parts: HashSet<Vec<u8>>,
}

impl Canaries {
    fn add(&mut self, secret: &str) {
        self.secrets.push(secret.to_owned());
        for form in forms(secret) {
            self.parts.extend(form.as_bytes().windows(PART).map(<[u8]>::to_vec));
        }
    }

    /// Where the text says a part of a secret, with what stands around it.
    fn found_in(&self, text: &str) -> Vec<String> {
        let bytes = text.as_bytes();
        let hits = (0..bytes.len().saturating_sub(PART - 1)).filter(|at| self.parts.contains(&bytes[*at..at + PART]));
        let around = |at: usize| {
            let part = &bytes[at.saturating_sub(60)..(at + 60).min(bytes.len())];
            String::from_utf8_lossy(part).into_owned()
        };
        hits.map(around).take(5).collect()
    }
}

/// A secret as it is and as it may be encoded; base64 at each of the places where it can begin in a longer text.
fn forms(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let hex = |format: fn(u8) -> String| bytes.iter().map(|byte| format(*byte)).collect::<String>();
    let mut forms = vec![
        secret.to_owned(),
        secret.chars().rev().collect(),
        hex(|byte| format!("{byte:02x}")),
        hex(|byte| format!("{byte:02X}")),
        hex(|byte| format!("%{byte:02x}")),
        hex(|byte| format!("%{byte:02X}")),
        format!("{bytes:?}"),
        url::form_urlencoded::byte_serialize(bytes).collect(),
    ];
    for before in 0..3 {
        let shifted = [vec![0; before], bytes.to_vec()].concat();
        for engine in [&STANDARD, &URL_SAFE] {
            let text = engine.encode(&shifted);
            // The first characters depend on what stands before, the last ones on what stands behind.
            let within = [0, 2, 3][before]..text.len().saturating_sub(4);
            forms.push(text.get(within).unwrap_or_default().to_owned());
        }
    }
    forms
}

fn canary() -> String {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}

/// A fake that knows a canary key.
async fn fake_with(key: &str, tls: Option<&Authority>) -> FakeOtx {
    let mut content = Dataset::bundled().unwrap().content().clone();
    content.accounts.push(Account { key: key.to_owned(), username: "canary".to_owned(), user_id: 77 });
    let free = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let tls = tls.map(|authority| authority.server(Certificate::Good));
    FakeOtx::serve(Dataset::new(content), free, tls).await.unwrap()
}

/// Everything a relay says.
#[derive(Default)]
struct Said(String);

impl Said {
    async fn ask(&mut self, relay: &TestRelay, path: &str, headers: &[(&str, &str)], body: &str) {
        let answer = relay.send("POST", path, headers, body.to_owned()).await;
        let _infallible = writeln!(self.0, "{} {:?}\n{}", answer.status, answer.headers, answer.text());
    }

    async fn admin(&mut self, relay: &TestRelay) {
        for path in ["livez", "readyz", "metrics", "log-level", "absent"] {
            let url = format!("http://{}/{path}", relay.admin());
            let request = reqwest::Client::new().get(url).header("accept", "application/openmetrics-text");
            let answer = request.send().await.unwrap();
            let _infallible = writeln!(self.0, "{:?}\n{}", answer.headers().clone(), answer.text().await.unwrap());
        }
    }

    async fn config(&mut self, builder: &Builder) {
        for form in ["table", "yaml", "json"] {
            let mut command = builder.command(&format!("config print -o {form}"));
            let output = command.stdout(std::process::Stdio::piped()).output().await.unwrap();
            self.0.push_str(&String::from_utf8_lossy(&output.stdout));
            self.0.push_str(&String::from_utf8_lossy(&output.stderr));
            assert!(self.0.contains("otx.baseUrl"), "{}", self.0);
        }
    }

    /// Ends the relay and takes in its log and its spans.
    async fn end(&mut self, relay: &mut TestRelay, collector: &Collector) {
        let process = relay.process().unwrap();
        process.signal("TERM").await;
        process.ended(Duration::from_secs(20)).await;
        let spans = collector.spans();
        for name in ["POST /observe/observables", "POST /health", "jwt.verify"] {
            assert!(spans.iter().any(|span| span.name == name), "no span {name} among {}", spans.len());
        }
        assert!(spans.iter().any(|span| span.status == Status::Error), "no failure is told of");
        assert!(collector.was_told(ASKED[0].1), "what spans say does not stand in them as text");
        self.0.push_str(&String::from_utf8_lossy(&collector.bodies()));
        let log = relay.process().unwrap().log();
        assert!(log.contains("\"TRACE\""), "not talkative: {log}");
        self.0.push_str(&log);
    }
}

/// Asks with tokens good and bad, of an OTX well and ill.
async fn ask_all(said: &mut Said, canaries: &mut Canaries, relay: &TestRelay, fake: &FakeOtx, key: &str) {
    let good = relay.token_with(&json!({"key": key}));
    let now = 1_700_000_000;
    let mut tokens = vec![
        good.clone(),
        relay.token_with(&json!({"key": canary()})),
        relay.token_with(&json!({"key": format!("{}\r\n", canary())})),
        relay.token_with(&json!({"key": {"nested": key}})),
        relay.token_with(&json!({"key": key, "exp": now})),
        relay.token_with(&json!({"key": key, "aud": "https://other.example"})),
        relay.token_with(&json!({"key": key, "jwks_host": "other.example"})),
        relay.token_with(&json!({"key": key, "key_ref": "absent"})),
        good[..good.len() - 4].to_owned(),
        format!("{good}.more"),
        good.replace('.', "-"),
    ];
    tokens.push(STANDARD.encode(canary()));
    for token in &tokens {
        for part in token.split('.').filter(|part| part.len() > 30) {
            // All tokens begin alike; the head is no secret.
            if !good.starts_with(part) {
                canaries.add(part);
            }
        }
        for scheme in ["Bearer", "bearer", "Basic", "Token"] {
            for path in ["/observe/observables", "/health"] {
                said.ask(relay, path, &[("authorization", &format!("{scheme} {token}"))], &payload(&ASKED)).await;
            }
        }
    }
    let bearer = format!("Bearer {good}");
    for fault in [
        Fault::status(401),
        Fault::throttled(Some("0")),
        Fault::status(500),
        Fault::body("<html>"),
        Fault::redirect(302, "https://elsewhere.example/"),
        Fault::Break(At::Body, How::Reset),
        Fault::Break(At::Start, How::Close),
        Fault::TruncatedGzip,
        Fault::GzipBomb(20),
        Fault::Break(At::Start, How::Stall),
    ] {
        for route in [Route::General, Route::Me] {
            fake.add(Rule::on(route, fault.clone()));
        }
        for path in ["/observe/observables", "/health"] {
            said.ask(relay, path, &[("authorization", &bearer)], &payload(&ASKED)).await;
        }
        fake.recover();
    }
    // A token where it does not belong.
    said.ask(relay, &format!("/absent?token={good}"), &[], "").await;
    said.ask(relay, "/version", &[("x-token", &good), ("cookie", &good)], "").await;
}

fn talkative(fake: &FakeOtx, collector: &Collector) -> Builder {
    Builder::new(&fake.url())
        .set("THREATRELAY_TELEMETRY_OTLP_ENDPOINT", collector.url())
        .set("THREATRELAY_TELEMETRY_RECORD_OBSERVABLES", "true")
        .set("THREATRELAY_TELEMETRY_TRUST_TRACEPARENT", "true")
        .set("THREATRELAY_LOG_LEVEL", "trace")
        .set("THREATRELAY_OTX_CALL_TIMEOUT", "300ms")
        .set("THREATRELAY_OTX_DEADLINE", "1s")
        .set("THREATRELAY_CACHE_ENABLED", "false")
}

/// Nothing was said; and had it been said anywhere in any form, it would have been found.
fn check(canaries: &Canaries, said: &Said) {
    let found = canaries.found_in(&said.0);
    assert!(found.is_empty(), "{found:#?}");
    println!(
        "{} secrets, {} parts, {} bytes searched, 0 hits",
        canaries.secrets.len(),
        canaries.parts.len(),
        said.0.len()
    );
    let half = said.0.char_indices().nth(said.0.chars().count() / 2).map_or(0, |(at, _)| at);
    for secret in &canaries.secrets {
        for form in forms(secret).into_iter().filter(|form| form.len() > PART) {
            let middle = (form.len() - PART) / 2;
            for leak in [form.as_str(), &form[middle..middle + PART]] {
                let planted = format!("{{\"message\":\"{leak}\"}}");
                assert!(!canaries.found_in(&planted).is_empty(), "a planted leak is not found: {leak}");
            }
        }
    }
    let mut planted = said.0.clone();
    planted.insert_str(half, &format!("{{\"key\":\"{}\"}}", &canaries.secrets[0][5..5 + PART]));
    assert!(!canaries.found_in(&planted).is_empty(), "a leak in the midst of what was said is not found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_said_of_keys_and_tokens() {
    let (mut canaries, mut said, key) = (Canaries::default(), Said::default(), canary());
    canaries.add(&key);
    let authority = Authority::new();
    let fake = fake_with(&key, Some(&authority)).await;
    let collector = Collector::start().await;
    let builder = talkative(&fake, &collector).set_file("THREATRELAY_EXTRA_CA_FILE", authority.pem());
    said.config(&builder).await;
    let mut relay = builder.spawn().await;
    ask_all(&mut said, &mut canaries, &relay, &fake, &key).await;
    said.admin(&relay).await;
    said.end(&mut relay, &collector).await;
    assert!(fake.total() > 20, "OTX was hardly asked");
    check(&canaries, &said);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_said_of_what_stands_in_files() {
    let (mut canaries, mut said) = (Canaries::default(), Said::default());
    let [key, broken, secret, password, collects] = std::array::from_fn(|_| canary());
    for secret in [&key, &broken, &secret, &password, &collects] {
        canaries.add(secret);
    }
    let fake = fake_with(&key, None).await;
    let keys = tempfile::tempdir().unwrap();
    std::fs::write(keys.path().join("default"), &key).unwrap();
    let collector = Collector::start().await;
    let builder = talkative(&fake, &collector)
        .set("THREATRELAY_OTX_KEYS_DIR", &keys.path().display().to_string())
        .set("THREATRELAY_AUTH_MODE", "hs256")
        .set_file("THREATRELAY_AUTH_HS256_SECRET_FILE", &secret)
        .set("THREATRELAY_CACHE_ENABLED", "true")
        .set("THREATRELAY_CACHE_SHARED_URL", &format!("redis://{}", fake.address()))
        .set_file("THREATRELAY_CACHE_SHARED_PASSWORD_FILE", &password)
        .set_file("THREATRELAY_TELEMETRY_OTLP_HEADERS_FILE", &format!("x-collector-key: {collects}"));
    said.config(&builder).await;
    let mut relay = builder.spawn().await;
    let signed = |secret: &str| {
        let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
        let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
        jsonwebtoken::encode(&header, &json!({"key": "unused", "exp": 4_000_000_000_u64}), &key).unwrap()
    };
    for token in [signed(&secret), signed("another")] {
        let header = [("authorization", &*format!("Bearer {token}"))];
        said.ask(&relay, "/observe/observables", &header, &payload(&ASKED)).await;
        said.ask(&relay, "/health", &header, "").await;
    }
    // A key that cannot be sent turns up while it runs.
    std::fs::write(keys.path().join("broken"), format!("{broken}\n{broken}")).unwrap();
    let said_so = async || relay.process().unwrap().log().contains("new key file left out");
    tests::eventually::Eventually::new("the broken key is refused").matches(said_so, |said| *said).await.unwrap();
    said.admin(&relay).await;
    said.end(&mut relay, &collector).await;
    assert!(fake.total() > 0, "OTX was not asked: {}", said.0);
    check(&canaries, &said);
}

#[tokio::test]
async fn a_start_that_fails_says_nothing_of_the_files_it_read() {
    let (mut canaries, mut said, secret) = (Canaries::default(), Said::default(), canary());
    canaries.add(&secret);
    let keys = tempfile::tempdir().unwrap();
    std::fs::write(keys.path().join("default"), format!("{secret}\u{7f}\n{secret}")).unwrap();
    let starts = [
        Builder::new("http://127.0.0.1:9").set("THREATRELAY_OTX_KEYS_DIR", &keys.path().display().to_string()),
        Builder::new("http://127.0.0.1:9").set_file("THREATRELAY_AUTH_JWKS_FILE", &secret),
        Builder::new("http://127.0.0.1:9").set_file("THREATRELAY_EXTRA_CA_FILE", &secret),
        Builder::new(&format!("http://user:{secret}@127.0.0.1:9")),
        Builder::new("http://127.0.0.1:9")
            .set("THREATRELAY_CACHE_SHARED_URL", &format!("redis://:{secret}@127.0.0.1")),
        Builder::new("http://127.0.0.1:9")
            .set("THREATRELAY_TELEMETRY_OTLP_ENDPOINT", "http://127.0.0.1:9")
            .set_file("THREATRELAY_TELEMETRY_OTLP_HEADERS_FILE", &secret),
        Builder::new("http://127.0.0.1:9").set("THREATRELAY_OTX_PROXY", &format!("http://user:{secret}@127.0.0.1")),
    ];
    for builder in starts {
        let output = builder.command("serve").output().await.unwrap();
        assert_eq!(output.status.code(), Some(78), "{}", String::from_utf8_lossy(&output.stderr));
        said.0.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    check(&canaries, &said);
}

#[test]
fn debug_output_and_panics_say_nothing_of_a_key() {
    let (mut canaries, mut said, secret) = (Canaries::default(), Said::default(), canary());
    canaries.add(&secret);
    let key = OtxKey::new(&secret.as_str().into()).unwrap();
    let caller = threatrelay::auth::Caller { key: key.clone(), entities_limit: 1 };
    let _infallible = write!(said.0, "{key:?} {key:#?} {:?} {:?} {caller:?} {caller:#?}", key.header(), key.scope());
    let panic = std::panic::catch_unwind(|| -> () { panic!("{caller:?}") }).unwrap_err();
    said.0.push_str(panic.downcast_ref::<String>().unwrap());
    check(&canaries, &said);
}
