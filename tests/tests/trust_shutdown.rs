//! Stops and rotations under load: nobody who asked goes without an answer, whatever the relay is told to do or its
//! files turn into.
//!
//! Callers behave as behind a balancer: they keep their connections, and go elsewhere as soon as the relay says that it
//! is not ready. `THREATRELAY_TEST_STOPS` says how often the relay is stopped under load (20 when not set).
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed step is a failed test")]

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::Client;
use serde_json::{Value, json};
use tests::eventually::Eventually;
use tests::fake_otx::{At, FakeOtx, Fault, How, KEY, Key, Route, Rule, SECOND_KEY};
use tests::issuer::{Issuer, claims};
use tests::jwks_server::{Document, JwksServer};
use tests::process;
use tests::relay::{Builder, JWKS_HOST, TestRelay, payload};
use tests::tls::{Authority, Certificate};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

const EVIL: [(&str, &str); 1] = [("domain", "evil.example")];
const SOON: Duration = Duration::from_secs(10);
const CALLERS: usize = 16;
/// How long callers still come after the relay has said that it is not ready.
const BALANCER_LAG: Duration = Duration::from_millis(300);

/// A payload of 16 KiB about one domain.
fn long_payload() -> String {
    format!("{:<16384}", payload(&EVIL))
}

/// A client that keeps its connections and does not repeat what failed.
fn client() -> Client {
    Client::builder().no_proxy().retry(reqwest::retry::never()).timeout(Duration::from_secs(30)).build().unwrap()
}

/// Callers that send one request after another until told to leave.
struct Load {
    leave: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    callers: JoinSet<Vec<String>>,
}

impl Load {
    /// `token` gives the token of each request.
    fn start(relay: &TestRelay, token: impl Fn() -> String + Clone + Send + 'static) -> Self {
        let (leave, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let (leave, answered, token) = (Arc::clone(&leave), Arc::clone(&answered), token.clone());
            let url = format!("http://{}/observe/observables", relay.address());
            callers.spawn(async move {
                let (client, mut lost) = (client(), Vec::new());
                while !leave.load(Ordering::Acquire) {
                    match ask(&client, &url, &token()).await {
                        Ok(()) => _ = answered.fetch_add(1, Ordering::Relaxed),
                        Err(why) => lost.push(why),
                    }
                }
                lost
            });
        }
        Self { leave, answered, callers }
    }

    async fn reaches(&self, count: usize) {
        let answered = async || self.answered.load(Ordering::Relaxed);
        Eventually::new(format!("{count} answers"))
            .within(SOON)
            .matches(answered, |&seen| seen >= count)
            .await
            .unwrap();
    }

    /// Requests that were answered and what became of the others.
    async fn end(self) -> (usize, Vec<String>) {
        self.leave.store(true, Ordering::Release);
        let lost = self.callers.join_all().await.into_iter().flatten().collect();
        (self.answered.load(Ordering::Relaxed), lost)
    }
}

async fn ask(client: &Client, url: &str, token: &str) -> Result<(), String> {
    let sent = client.post(url).bearer_auth(token).body(long_payload()).send().await;
    let answer = sent.map_err(|error| format!("no answer: {error:?}"))?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(|error| format!("no whole answer: {error:?}"))?;
    let body: Value = serde_json::from_slice(&body).map_err(|error| format!("no JSON: {error}"))?;
    match &body["errors"] {
        Value::Null if status == 200 && body["data"]["sightings"]["count"].as_u64() > Some(0) => Ok(()),
        errors => Err(format!("{status}: {errors}")),
    }
}

async fn is_ready(admin: std::net::SocketAddr) -> bool {
    client().get(format!("http://{admin}/readyz")).send().await.is_ok_and(|answer| answer.status() == 200)
}

/// Stops a relay under load; gives how many requests were answered and those that were not, or nothing when this machine
/// was too busy for the balancer to turn away in time, which is not the relay's fault.
async fn stop_under_load() -> Option<(usize, Vec<String>)> {
    let fake = FakeOtx::start().await.unwrap();
    fake.set_round_trip(Duration::from_millis(20));
    let builder = Builder::new(&fake.url()).set("THREATRELAY_CACHE_ENABLED", "false");
    let mut relay = builder.set("THREATRELAY_SHUTDOWN_LAME_DUCK", "2s").spawn().await;
    let token = relay.token();
    let load = Load::start(&relay, move || token.clone());
    load.reaches(CALLERS).await;
    let process = relay.process().unwrap();
    let begun = Instant::now();
    process.signal("TERM").await;
    let admin = process.admin();
    // What a balancer does: it asks now and then, and sends nobody here any more once it is told not to.
    let readiness = async || is_ready(admin).await;
    Eventually::new("a relay that is not ready").within(SOON).matches(readiness, |ready| !ready).await.unwrap();
    tokio::time::sleep(BALANCER_LAG).await;
    let outcome = load.end().await;
    let is_in_time = begun.elapsed() < Duration::from_secs(2);
    let status = process.ended(Duration::from_secs(20)).await;
    assert_eq!(status.code(), Some(0));
    is_in_time.then_some(outcome)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_loses_no_request() {
    let stops = std::env::var("THREATRELAY_TEST_STOPS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let tries = futures_util::stream::iter((0..stops * 3).map(|_| stop_under_load())).buffer_unordered(2);
    let outcomes: Vec<_> = tries.filter_map(std::future::ready).take(stops).collect().await;
    assert_eq!(outcomes.len(), stops, "too few stops in time");
    let answered: usize = outcomes.iter().map(|(answered, _)| answered).sum();
    let lost: Vec<String> = outcomes.into_iter().flat_map(|(_, lost)| lost).collect();
    println!("{stops} stops, {answered} requests answered, {} lost", lost.len());
    assert!(lost.is_empty(), "{} of {answered} lost: {lost:#?}", lost.len());
}

#[tokio::test]
async fn while_it_drains_new_connections_are_answered_and_told_to_end() {
    let fake = FakeOtx::start().await.unwrap();
    let mut relay = Builder::new(&fake.url()).set("THREATRELAY_SHUTDOWN_LAME_DUCK", "3s").spawn().await;
    let admin = relay.admin();
    relay.process().unwrap().signal("TERM").await;
    Eventually::new("not ready").matches(async || is_ready(admin).await, |ready| !ready).await.unwrap();
    let answer = relay.post("/observe/observables", payload(&EVIL)).await;
    assert_eq!((answer.status, &answer.headers["connection"]), (200, &"close".parse().unwrap()));
}

#[tokio::test]
async fn a_request_whose_body_is_half_sent_when_the_relay_is_stopped_is_answered() {
    let fake = FakeOtx::start().await.unwrap();
    let mut relay = Builder::new(&fake.url()).set("THREATRELAY_SHUTDOWN_LAME_DUCK", "300ms").spawn().await;
    let (token, body) = (relay.token(), long_payload());
    let mut stream = TcpStream::connect(relay.address()).await.unwrap();
    let head = format!(
        "POST /observe/observables HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body[..8000]).as_bytes()).await.unwrap();
    let admin = relay.admin();
    let active = async || client().get(format!("http://{admin}/metrics")).send().await.unwrap().text().await.unwrap();
    let one = |text: &String| text.contains("http_server_active_requests 1");
    Eventually::new("a request under way").matches(active, one).await.unwrap();
    let process = relay.process().unwrap();
    process.signal("TERM").await;
    let gone = async || TcpStream::connect(process.address()).await.is_err();
    Eventually::new("no more connections").matches(gone, |gone| *gone).await.unwrap();
    stream.write_all(&body.as_bytes()[8000..]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("\"sightings\""), "{answer}");
    assert_eq!(process.ended(SOON).await.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once_and_says_so() {
    for (first, second) in [("TERM", "TERM"), ("INT", "TERM"), ("INT", "INT")] {
        let fake = FakeOtx::start().await.unwrap();
        fake.add(Rule::on(Route::General, Fault::Break(At::Start, How::Stall)));
        let mut relay = Builder::new(&fake.url()).spawn().await;
        let (address, token) = (relay.address(), relay.token());
        let waiting = tokio::spawn(async move {
            let request = client().post(format!("http://{address}/observe/observables")).bearer_auth(token);
            request.body(payload(&EVIL)).send().await
        });
        Eventually::new("a request under way").matches(async || fake.total(), |&calls| calls > 0).await.unwrap();
        let process = relay.process().unwrap();
        process.signal(first).await;
        let log = async || process.log();
        Eventually::new("draining").matches(log, |log| log.contains("\"draining\"")).await.unwrap();
        process.signal(second).await;
        let status = process.ended(Duration::from_secs(8)).await;
        assert_eq!(status.code(), Some(1), "{first} {second}");
        assert!(waiting.await.unwrap().is_err(), "{first} {second}: its request cannot have been answered");
        let log = async || process.log();
        Eventually::new("its reason").matches(log, |log| log.contains("a second signal")).await.unwrap();
    }
}

#[tokio::test]
async fn a_signal_while_it_starts_ends_it() {
    let fake = FakeOtx::start().await.unwrap();
    for milliseconds in 0..20 {
        let builder = Builder::new(&fake.url());
        let mut child = builder.command("serve").stderr(std::process::Stdio::null()).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        process::signal(child.id().unwrap(), if milliseconds % 2 == 0 { "TERM" } else { "INT" }).await;
        let status = tokio::time::timeout(SOON, child.wait()).await.expect("it goes on").unwrap();
        // Before it can catch signals, they end it as they end any program.
        assert!(status.code() == Some(0) || matches!(status.signal(), Some(2 | 15)), "{milliseconds} ms: {status}");
    }
}

/// A folder as the kubelet mounts a Secret: each file a link into `..data`, which is a link to a folder of the version.
struct Mounted {
    folder: tempfile::TempDir,
    version: usize,
}

impl Mounted {
    fn new(files: &[(&str, &str)]) -> Self {
        let mut mounted = Self { folder: tempfile::tempdir().unwrap(), version: 0 };
        mounted.swap(files);
        for (name, _) in files {
            std::os::unix::fs::symlink(Path::new("..data").join(name), mounted.path().join(name)).unwrap();
        }
        mounted
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Changes all files at once, as the kubelet does.
    fn swap(&mut self, files: &[(&str, &str)]) {
        let name = |version| format!("..2026_11_24_{version}");
        let (old, new) = (self.path().join(name(self.version)), name(self.version + 1));
        self.version += 1;
        std::fs::create_dir(self.path().join(&new)).unwrap();
        for (file, content) in files {
            std::fs::write(self.path().join(&new).join(file), content).unwrap();
        }
        std::os::unix::fs::symlink(&new, self.path().join("..data_tmp")).unwrap();
        std::fs::rename(self.path().join("..data_tmp"), self.path().join("..data")).unwrap();
        let _none_at_first = std::fs::remove_dir_all(old);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_rotations_of_mounted_keys_under_load_fail_no_request() {
    let fake = FakeOtx::start().await.unwrap();
    let issuers: Vec<Issuer> = (0..21).map(|index| Issuer::generate(&format!("key-{index}")).unwrap()).collect();
    let jwks = |upto: usize| {
        let keys: Vec<_> = issuers[upto.saturating_sub(1)..=upto].iter().map(Issuer::jwk).collect();
        json!({ "keys": keys }).to_string()
    };
    let mut keys = Mounted::new(&[("default", KEY)]);
    let mut verification = Mounted::new(&[("jwks.json", &jwks(0))]);
    let relay = Builder::new(&fake.url())
        .set("THREATRELAY_CACHE_ENABLED", "false")
        .set("THREATRELAY_OTX_HOURLY_BUDGET", "10000000")
        .set("THREATRELAY_OTX_KEYS_DIR", &keys.path().display().to_string())
        .set("THREATRELAY_AUTH_JWKS_FILE", &verification.path().join("jwks.json").display().to_string())
        .spawn()
        .await;
    let token = |issuer: &Issuer| issuer.token(&claims("unused", JWKS_HOST)).unwrap();
    let current = Arc::new(std::sync::Mutex::new(token(&issuers[0])));
    let sending = Arc::clone(&current);
    let load = Load::start(&relay, move || sending.lock().unwrap().clone());
    load.reaches(CALLERS).await;
    let accounts = ["relay-demo", "relay-demo-two"];
    let mut slowest = Duration::ZERO;
    for round in 1..=20 {
        fake.forget_calls();
        let swapped = Instant::now();
        keys.swap(&[("default", [KEY, SECOND_KEY][round % 2])]);
        verification.swap(&[("jwks.json", &jwks(round))]);
        let new = token(&issuers[round]);
        let accepted = async || relay.post_with("/observe/observables", &new, payload(&EVIL)).await.text();
        let is_accepted = |text: &String| text.contains("\"data\"");
        Eventually::new("the new signature").within(SOON).matches(accepted, is_accepted).await.unwrap();
        current.lock().unwrap().clone_from(&new);
        let in_use = async || fake.calls().last().map(|call| call.key.clone());
        let is_new = |key: &Option<Key>| *key == Some(Key::Of(accounts[round % 2].to_owned()));
        Eventually::new("the new OTX key").within(SOON).matches(in_use, is_new).await.unwrap();
        slowest = slowest.max(swapped.elapsed());
    }
    let (answered, lost) = load.end().await;
    println!("20 rotations, {answered} requests answered, {} failed, new keys in use after {slowest:?}", lost.len());
    assert!(lost.is_empty(), "{} of {answered} failed: {:#?}", lost.len(), &lost[..lost.len().min(5)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_rotations_of_a_jwks_host_under_load_fail_no_request() {
    let (fake, authority) = (FakeOtx::start().await.unwrap(), Authority::new());
    let issuers: Vec<Issuer> = (0..21).map(|index| Issuer::generate(&format!("key-{index}")).unwrap()).collect();
    let server = JwksServer::start(&authority, Certificate::Good, Document::of(&[&issuers[0]])).await.unwrap();
    let relay = Builder::new(&fake.url())
        .fetching_keys(&server, &authority)
        .set("THREATRELAY_AUTH_JWKS_COOLDOWN", "100ms")
        .spawn()
        .await;
    let token = |issuer: &Issuer| issuer.token(&claims(KEY, &server.host())).unwrap();
    let current = Arc::new(std::sync::Mutex::new(token(&issuers[0])));
    let sending = Arc::clone(&current);
    let load = Load::start(&relay, move || sending.lock().unwrap().clone());
    load.reaches(CALLERS).await;
    for round in 1..=20 {
        server.set(Document::of(&[&issuers[round - 1], &issuers[round]]));
        let new = token(&issuers[round]);
        let accepted = async || relay.post_with("/observe/observables", &new, payload(&EVIL)).await.text();
        let is_accepted = |text: &String| text.contains("\"data\"");
        Eventually::new("the new signature").within(SOON).matches(accepted, is_accepted).await.unwrap();
        current.lock().unwrap().clone_from(&new);
    }
    let (answered, lost) = load.end().await;
    println!("20 rotations, {answered} requests answered, {} failed, {} fetches", lost.len(), server.fetches().len());
    assert!(lost.is_empty(), "{} of {answered} failed: {:#?}", lost.len(), &lost[..lost.len().min(5)]);
}
