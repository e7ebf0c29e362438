//! Twenty defects planted in the relay, one a process, and for each the check that notices it: every check passes on the
//! sound relay, and fails on the relay that lacks just this defence. Needs the feature `broken-variants`.
#![expect(clippy::expect_used, reason = "a failed step is a failed test")]

#[path = "trust_auth/stage.rs"]
#[expect(dead_code, reason = "the attacks on authentication use the rest of it")]
mod stage;

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};
use stage::{KID as KEY_NAME, PATHS, Stage, bearer, changed, header};
use tests::fake_otx::{FakeOtx, Fault, Route, Rule, SECOND_KEY};
use tests::issuer::forge;
use tests::jwks_server::Document;
use tests::names::Names;
use tests::refusals::{AUDIENCE_TEXT, EXPIRED, HOST, KID, NOT_YET, OTX_SIDE, SIGNATURE, STRUCTURE};
use tests::relay::{Builder, TestRelay, payload};
use tests::reply::{docs, errors};
use tests::schema::Answer;
use tests::trial::{run, trial};
use tests::wire::{Reply, Server};
use tests::world::{dataset, domain, pulse};
use threatrelay::auth::outside::Outside;
use threatrelay::broken::{Defect, VARIABLE};

fn main() -> ExitCode {
    let mut trials: Vec<Trial> = Defect::ALL.into_iter().map(check).collect();
    if std::env::var_os(VARIABLE).is_none() {
        trials.extend(Defect::ALL.map(|defect| {
            let name = format!("variant_{defect:?}_is_noticed");
            Trial::test(name, move || noticed(defect))
        }));
    }
    run(trials)
}

/// Runs the check of a defect in a process that has it: it must fail, as a check and not as a program.
fn noticed(defect: Defect) -> Result<(), Failed> {
    let itself = std::env::current_exe()?;
    let output = Command::new(itself)
        .args(["--exact", &name_of(defect), "--nocapture"])
        .env(VARIABLE, format!("{defect:?}"))
        .env("RUST_BACKTRACE", "0")
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    if said.contains("test result: FAILED. 0 passed; 1 failed;") {
        return Ok(());
    }
    Err(format!("the check {} does not notice it: {said}", name_of(defect)).into())
}

fn name_of(defect: Defect) -> String {
    format!("check_{defect:?}")
}

fn check(defect: Defect) -> Trial {
    let name = name_of(defect);
    match defect {
        Defect::AnyJwksHost => trial(name, any_jwks_host),
        Defect::AudienceFromHost => trial(name, audience_from_host),
        Defect::AudienceOfAnyType => {
            trial(name, || is_refused(AUDIENCE_TEXT, |stage| stage.claiming(&json!({"aud": 123}))))
        }
        Defect::ExpIgnored => {
            trial(name, || is_refused(EXPIRED, |stage| stage.claiming(&json!({"exp": now() - 3600}))))
        }
        Defect::NbfIgnored => {
            trial(name, || is_refused(NOT_YET, |stage| stage.claiming(&json!({"nbf": now() + 3600}))))
        }
        Defect::Hs256WithPublicSecret => trial(name, || is_refused(SIGNATURE, |_| hs256(KEY_NAME.as_bytes()))),
        Defect::CritIgnored => trial(name, || is_refused(STRUCTURE, |stage| stage.headed(&json!({"crit": ["exp"]})))),
        Defect::WeakKeys => trial(name, || {
            keys_are_ignored(|key| {
                let mut key = key.clone();
                key["n"] = URL_SAFE_NO_PAD.encode([0xc7; 128]).into();
                vec![key]
            })
        }),
        Defect::AmbiguousKeys => trial(name, || keys_are_ignored(|key| vec![key.clone(), key.clone()])),
        Defect::PrivateJwksAddress => trial(name, private_address),
        Defect::KidsFetchFreely => trial(name, unknown_kids),
        Defect::EndlessJwks => trial(name, endless_jwks),
        Defect::RedirectsFollowed => trial(name, redirect),
        Defect::CacheWithoutScope => trial(name, private_pulse),
        Defect::LimitOfAnother => trial(name, limits),
        Defect::EndlessBody => trial(name, endless_body),
        Defect::DecompressedNotCounted => trial(name, bomb),
        Defect::SegmentNotEncoded => trial(name, segment),
        Defect::RetriesWithoutBudget => trial(name, retries),
        Defect::SecretInErrorText => trial(name, secret),
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn hs256(secret: &[u8]) -> String {
    let header = header(&json!({"alg": "HS256"})).to_string();
    forge(&header, &changed(&json!({})).to_string(), Algorithm::HS256, &EncodingKey::from_secret(secret))
}

async fn is_refused(reason: &'static str, token: impl Fn(&Stage) -> String) {
    let stage = Stage::set().await;
    stage.refuses(&token(&stage), reason).await;
    assert_eq!(stage.fake.total(), 0);
    stage.is_unmoved().await;
}

async fn any_jwks_host() {
    is_refused(HOST, |stage| {
        stage.attacker.token(&changed(&json!({"jwks_host": "attacker.example"}))).expect("a token")
    })
    .await;
}

async fn audience_from_host() {
    let stage = Stage::set().await;
    let mut headers = bearer(&stage.claiming(&json!({"aud": "https://other.example"})));
    headers.push(("host", "other.example".to_owned()));
    for path in PATHS {
        stage
            .ask(path, &headers)
            .await
            .refuses("authorization error", &format!("Authorization failed: {AUDIENCE_TEXT}"));
    }
}

async fn keys_are_ignored(keys: fn(&Value) -> Vec<Value>) {
    let stage = Stage::set().await;
    let key = serde_json::to_value(stage.signer.jwk()).expect("a JWK");
    stage.trusted.set(Document::Keys(json!({"keys": keys(&key)}).to_string().into()));
    stage.refuses(&stage.good(), KID).await;
}

async fn private_address() {
    let fake = FakeOtx::start().await.expect("a fake OTX");
    let inside =
        Server::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None, |_| async { Reply::default() }).await;
    let inside = inside.expect("a port");
    let outside = Outside::named_by(Arc::new(Names::all_at(inside.address())));
    let relay = Builder::new(&fake.url()).reaching(&outside).unset("THREATRELAY_AUTH_JWKS_FILE").start().await;
    relay.post("/health", "").await.refuses("authorization error", &format!("Authorization failed: {HOST}"));
    assert_eq!(inside.connections(), 0, "a connection into the network");
}

async fn unknown_kids() {
    let stage = Stage::set().await;
    for index in 0..20 {
        stage.refuses(&stage.headed(&json!({"kid": format!("kid-{index}")})), KID).await;
    }
    assert!(stage.trusted.fetches().len() <= 2, "{} fetches", stage.trusted.fetches().len());
}

/// 2 MiB of blanks before the keys: sound JSON, but for its size.
async fn endless_jwks() {
    let stage = Stage::set().await;
    let keys = serde_json::to_vec(&stage.signer.jwks()).expect("a JWKS");
    stage.trusted.set(Document::Keys([vec![b' '; 2 << 20], keys].concat().into()));
    stage.refuses(&stage.good(), HOST).await;
}

async fn redirect() {
    let (fake, elsewhere) = (FakeOtx::start().await.expect("a fake OTX"), FakeOtx::start().await.expect("another"));
    let location = format!("{}/api/v1/user/me", elsewhere.url());
    let headers = vec![("location".to_owned(), location)];
    fake.add(Rule::always(Fault::Status { status: 302, headers, body: bytes::Bytes::new() }));
    let relay = TestRelay::before(&fake).await;
    let _ = relay.post("/health", "").await;
    assert!(fake.total() > 0);
    assert_eq!(elsewhere.total(), 0, "the key went elsewhere");
}

/// What one account may see alone, another is not told.
async fn private_pulse() {
    let mut own = pulse("p1", vec![domain("evil.example", "2026-01-01T08:00:00")]);
    own.visible_to = Some("first".to_owned());
    let fake = FakeOtx::with(dataset(vec![own])).await.expect("a fake OTX");
    let relay = TestRelay::before(&fake).await;
    let mine = relay.observe(&[("domain", "evil.example")]).await;
    assert_eq!(docs(&mine, "sightings").len(), 1, "{mine}");
    let theirs = relay.observe_with(&json!({"key": SECOND_KEY}), &[("domain", "evil.example")]).await;
    assert_eq!(docs(&theirs, "sightings").len(), 0, "{theirs}");
}

async fn limits() {
    let rows = || vec![domain("evil.example", "2026-01-01T08:00:00")];
    let fake = FakeOtx::with(dataset(vec![pulse("p1", rows()), pulse("p2", rows())])).await.expect("a fake OTX");
    let relay = TestRelay::before(&fake).await;
    for (limit, expected) in [(1, 1), (2, 2), (1, 1)] {
        let body = relay.observe_with(&json!({"CTR_ENTITIES_LIMIT": limit}), &[("domain", "evil.example")]).await;
        assert_eq!(docs(&body, "sightings").len(), expected, "{body}");
    }
}

async fn endless_body() {
    let fake = FakeOtx::start().await.expect("a fake OTX");
    let relay = TestRelay::before(&fake).await;
    let head =
        "POST /refer/observables HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = format!("{:x}\r\n{}\r\n2\r\n[]\r\n0\r\n\r\n", 1 << 20, " ".repeat(1 << 20));
    let answer = relay.raw(format!("{head}{body}").as_bytes()).await;
    assert!(!answer.contains(" 200 "), "{answer}");
}

async fn bomb() {
    let fake = FakeOtx::start().await.expect("a fake OTX");
    fake.add(Rule::on(Route::General, Fault::GzipBomb(64)));
    let relay = TestRelay::before(&fake).await;
    let body =
        relay.post("/observe/observables", payload(&[("domain", "evil.example")])).await.checked(Answer::Observe);
    let said = errors(&body);
    assert!(said.iter().any(|(_, _, message)| message.contains("8388608 bytes")), "{said:?}");
}

async fn segment() {
    let fake = FakeOtx::start().await.expect("a fake OTX");
    let relay = TestRelay::before(&fake).await;
    let _ = relay.post("/observe/observables", payload(&[("url", "http://evil.example/../x?y#z")])).await;
    let calls: Vec<String> = fake.calls().into_iter().map(|call| call.target).collect();
    assert_eq!(calls, ["/api/v1/indicators/url/http:%2F%2Fevil.example%2F..%2Fx%3Fy%23z/general"]);
}

/// The first call for each of many URLs fails: retries are a fifth of the answers and ten a second beside, not one for
/// each that failed. Nine fail at once and then one does not, because ten in a row would open the circuit.
async fn retries() {
    const ROUNDS: usize = 20;
    let fake = FakeOtx::with(dataset(Vec::new())).await.expect("a fake OTX");
    let tried = Mutex::new(HashSet::new());
    let first_fails = Fault::Change(Arc::new(move |request, answer| {
        if tried.lock().is_ok_and(|mut tried| tried.insert(request.target.clone())) {
            answer.status = 503;
        }
    }));
    fake.add(Rule::on(Route::General, first_fails).containing("bad"));
    let begun = Instant::now();
    let relay = TestRelay::before(&fake).await;
    for round in 0..ROUNDS {
        let bad: Vec<_> = (0..9).map(|index| format!("http://bad.example/{round}/{index}")).collect();
        relay.observe(&bad.iter().map(|url| ("url", url.as_str())).collect::<Vec<_>>()).await;
        relay.observe(&[("url", &format!("http://good.example/{round}"))]).await;
    }
    let (retries, seconds) = (fake.total() - ROUNDS * 10, begun.elapsed().as_secs_f64());
    println!("{retries} retries for {} failures in {seconds:.1} s", ROUNDS * 9);
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let (retries, answered) = (retries as f64, (ROUNDS + retries) as f64);
    assert!(retries >= 9.0, "{retries} retries, yet the first failures find the budget full");
    assert!(retries <= 10.0 + 0.2 * answered + 10.0 * seconds, "{retries} retries in {seconds:.1} s");
}

async fn secret() {
    let stage = Stage::set().await;
    let token = stage.claiming(&json!({"key": "canary-\u{20ac}-canary"}));
    for path in PATHS {
        let text = stage.ask(path, &bearer(&token)).await.text();
        assert!(text.contains(OTX_SIDE) && !text.contains("canary"), "{text}");
    }
}
