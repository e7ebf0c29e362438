//! Stops and rotations under load: the relay's own process is told to end, or its keys change, while callers ask all the
//! time; every request that was begun gets a whole, right answer.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::engine::{EVIL, evil_among, pulse};
use tests::eventually::Eventually;
use tests::fake_otx::{FakeOtx, Key};
use tests::issuer::{Issuer, claims};
use tests::relay::{Builder, JWKS_HOST, TestRelay, payload};
use threatrelay::demo::upstream::{Account, Content, Dataset};
use tokio::task::JoinSet;

/// Stops under load; `THREATRELAY_TEST_STOPS` sets another number.
const STOPS: usize = 20;
const ROTATIONS: usize = 20;
/// How long callers still open connections after a stop: a load balancer learns late.
const LAG: Duration = Duration::from_millis(200);
const LAME_DUCK: &str = "600ms";
/// A new key must be in use this soon.
const IN_USE: Duration = Duration::from_secs(10);

/// Callers that ask without a pause, each on a connection of its own that is kept alive.
struct Load {
    answered: Arc<AtomicUsize>,
    lost: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    callers: JoinSet<()>,
}

impl Load {
    /// Starts that many callers, who take their token from `token` for every request.
    fn start(relay: &TestRelay, callers: usize, token: &Arc<Mutex<String>>) -> Self {
        let mut load =
            Self { answered: Arc::default(), lost: Arc::default(), stop: Arc::default(), callers: JoinSet::new() };
        for _ in 0..callers {
            let client = reqwest::Client::builder().pool_max_idle_per_host(1).build().unwrap();
            let url = format!("http://{}/observe/observables", relay.address());
            let (token, body) = (Arc::clone(token), payload(&[("domain", EVIL)]));
            let (answered, lost) = (Arc::clone(&load.answered), Arc::clone(&load.lost));
            let stop = Arc::clone(&load.stop);
            load.callers.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let bearer = token.lock().unwrap().clone();
                    match ask(&client, &url, &bearer, &body).await {
                        Ok(()) => drop(answered.fetch_add(1, Ordering::Relaxed)),
                        Err(why) => lost.lock().unwrap().push(why),
                    }
                }
            });
        }
        load
    }

    /// Waits until this many more requests are answered.
    async fn goes_on(&self, more: usize) {
        let goal = self.answered.load(Ordering::Relaxed) + more;
        let look = async || self.answered.load(Ordering::Relaxed);
        Eventually::new("requests are answered").matches(look, |answered| *answered >= goal).await.unwrap();
    }

    /// Ends the callers after the request each is at; gives the number answered and those lost.
    async fn end(mut self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(caller) = self.callers.join_next().await {
            caller.unwrap();
        }
        let lost = std::mem::take(&mut *self.lost.lock().unwrap());
        (self.answered.load(Ordering::Relaxed), lost)
    }
}

/// One request, whose answer must be whole and know the domain.
async fn ask(client: &reqwest::Client, url: &str, token: &str, body: &str) -> Result<(), String> {
    let sent = client.post(url).bearer_auth(token).body(body.to_owned()).send().await;
    let answer = sent.map_err(|error| format!("{error:?}"))?;
    let status = answer.status();
    let bytes = answer.bytes().await.map_err(|error| format!("{status}: {error:?}"))?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| format!("{status}: {error}"))?;
    let known = value["errors"].is_null() && value["data"]["sightings"]["count"] == 1;
    if known { Ok(()) } else { Err(format!("{status}: {value}")) }
}

fn account(number: usize) -> Account {
    let user_id = u64::try_from(number).unwrap();
    Account { key: key(number), username: format!("account-{number}"), user_id }
}

fn key(number: usize) -> String {
    format!("key-number-{number:02}-of-one-tenant")
}

/// An OTX with one public pulse and as many accounts as keys come into use.
async fn otx() -> FakeOtx {
    let accounts = (0..=ROTATIONS).map(account).collect();
    let content = Content { accounts, pulses: vec![pulse(0, evil_among(3))], ..Content::default() };
    FakeOtx::with(Dataset::new(content)).await.unwrap()
}

/// One stop under load: how many requests were answered, which were lost.
async fn stop_under_load(fake: &FakeOtx) -> (usize, Vec<String>) {
    let mut relay = Builder::new(&fake.url()).set("THREATRELAY_SHUTDOWN_LAME_DUCK", LAME_DUCK).spawn().await;
    let token = relay.token_with(&serde_json::json!({"key": key(0)}));
    let load = Load::start(&relay, 8, &Arc::new(Mutex::new(token)));
    load.goes_on(40).await;
    let process = relay.process().unwrap();
    process.signal("TERM").await;
    tokio::time::sleep(LAG).await;
    let counted = load.end().await;
    let status = process.ended(Duration::from_secs(10)).await;
    assert_eq!(status.code(), Some(0));
    counted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_loses_no_request() {
    let stops = std::env::var("THREATRELAY_TEST_STOPS").map_or(STOPS, |stops| stops.parse().unwrap());
    let fake = otx().await;
    let (mut answered, mut lost) = (0, Vec::new());
    for _ in 0..stops {
        let (more, gone) = stop_under_load(&fake).await;
        answered += more;
        lost.extend(gone);
    }
    println!("{stops} stops, {answered} requests answered, {} lost", lost.len());
    assert!(lost.is_empty(), "{} of {answered} lost: {:?}", lost.len(), &lost[..lost.len().min(3)]);
    assert!(answered >= 40 * stops, "{answered}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_lame_duck_time_requests_are_lost() {
    // Shows that the test above can fail: callers who learn late find nobody.
    let fake = otx().await;
    let mut relay = Builder::new(&fake.url()).spawn().await;
    let token = relay.token_with(&serde_json::json!({"key": key(0)}));
    let load = Load::start(&relay, 8, &Arc::new(Mutex::new(token)));
    load.goes_on(40).await;
    relay.process().unwrap().signal("TERM").await;
    tokio::time::sleep(LAG).await;
    let (_, lost) = load.end().await;
    assert!(!lost.is_empty());
}

#[tokio::test]
async fn a_second_stop_signal_ends_it_at_once_and_not_with_0() {
    let fake = otx().await;
    fake.set_round_trip(Duration::from_secs(20));
    let mut relay = Builder::new(&fake.url()).set("THREATRELAY_SHUTDOWN_DRAIN", "30s").spawn().await;
    let token = relay.token_with(&serde_json::json!({"key": key(0)}));
    let url = format!("http://{}/observe/observables", relay.address());
    let asked =
        tokio::spawn(async move { ask(&reqwest::Client::new(), &url, &token, &payload(&[("domain", EVIL)])).await });
    Eventually::new("OTX is asked").matches(async || fake.total(), |total| *total > 0).await.unwrap();
    let process = relay.process().unwrap();
    process.signal("TERM").await;
    process.signal("INT").await;
    assert!(!process.ended(Duration::from_secs(5)).await.success());
    assert!(asked.await.unwrap().is_err(), "an answer from nobody");
}

/// Files as the kubelet mounts a Secret: a name leads through `..data` to a folder that is swapped as a whole.
struct Mounted(PathBuf);

impl Mounted {
    fn path(&self) -> &Path {
        &self.0
    }

    /// Puts other content in place of all there is.
    fn swap(&self, number: usize, files: &[(&str, &str)]) {
        let folder = format!("..2026_01_01_00_00_{number:02}.{number}");
        fs::create_dir_all(self.0.join(&folder)).unwrap();
        for (name, content) in files {
            fs::write(self.0.join(&folder).join(name), content).unwrap();
            let link = self.0.join(name);
            if fs::symlink_metadata(&link).is_err() {
                symlink(Path::new("..data").join(name), link).unwrap();
            }
        }
        let before = fs::read_link(self.0.join("..data")).ok();
        symlink(&folder, self.0.join("..data_tmp")).unwrap();
        fs::rename(self.0.join("..data_tmp"), self.0.join("..data")).unwrap();
        if let Some(before) = before {
            fs::remove_dir_all(self.0.join(before)).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_keys_of_otx_in_turn_cost_no_request() {
    let fake = otx().await;
    let folder = tempfile::tempdir().unwrap();
    let keys = Mounted(folder.path().join("keys"));
    keys.swap(0, &[("default", &key(0))]);
    let relay = Builder::new(&fake.url())
        .set("THREATRELAY_OTX_KEYS_DIR", &keys.path().display().to_string())
        .set("THREATRELAY_CACHE_ENABLED", "false")
        .spawn()
        .await;
    let load = Load::start(&relay, 4, &Arc::new(Mutex::new(relay.token())));
    load.goes_on(20).await;
    let mut slowest = Duration::ZERO;
    for number in 1..=ROTATIONS {
        keys.swap(number, &[("default", &key(number))]);
        let (swapped, new) = (Instant::now(), Key::Of(format!("account-{number}")));
        let look = async || fake.calls().last().map(|call| call.key.clone());
        let used = Eventually::new(format!("key {number} is used")).within(IN_USE);
        used.matches(look, |last| last.as_ref() == Some(&new)).await.unwrap();
        slowest = slowest.max(swapped.elapsed());
        fake.forget_calls();
        load.goes_on(20).await;
    }
    let (answered, lost) = load.end().await;
    println!("{ROTATIONS} keys, {answered} requests answered, {} lost; in use after {slowest:?} at most", lost.len());
    assert!(lost.is_empty(), "{} of {answered}: {:?}", lost.len(), &lost[..lost.len().min(3)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_signing_keys_in_turn_cost_no_request() {
    let fake = otx().await;
    let folder = tempfile::tempdir().unwrap();
    let mounted = Mounted(folder.path().join("jwks"));
    let issuer = |number: usize| Issuer::generate(&format!("signing-key-{number}")).unwrap();
    let token = |issuer: &Issuer| issuer.token(&claims(&key(0), JWKS_HOST)).unwrap();
    let document = |issuers: &[&Issuer]| {
        let keys: Vec<_> = issuers.iter().map(|issuer| issuer.jwk()).collect();
        serde_json::json!({ "keys": keys }).to_string()
    };
    // The key in use and the next one are published; callers change to the next, then the one before is withdrawn.
    let (mut current, mut next) = (issuer(0), issuer(1));
    mounted.swap(0, &[("jwks.json", &document(&[&current, &next]))]);
    let relay = Builder::new(&fake.url())
        .set("THREATRELAY_AUTH_JWKS_FILE", &mounted.path().join("jwks.json").display().to_string())
        .spawn()
        .await;
    let bearer = Arc::new(Mutex::new(token(&current)));
    let load = Load::start(&relay, 4, &bearer);
    let accepts = async |token: &str| {
        let answer = relay.post_with("/observe/observables", token, payload(&[("domain", EVIL)])).await;
        !answer.text().contains("authorization error")
    };
    for number in 1..=ROTATIONS {
        let old = token(&current);
        bearer.lock().unwrap().clone_from(&token(&next));
        load.goes_on(20).await;
        (current, next) = (next, issuer(number + 1));
        mounted.swap(number, &[("jwks.json", &document(&[&current, &next]))]);
        let new = token(&next);
        let accepted = Eventually::new(format!("signing key {} is accepted", number + 1)).within(IN_USE);
        accepted.matches(async || accepts(&new).await, |accepted| *accepted).await.unwrap();
        assert!(!accepts(&old).await, "signing key {} is withdrawn", number - 1);
    }
    let (answered, lost) = load.end().await;
    println!("{ROTATIONS} signing keys, {answered} requests answered, {} lost", lost.len());
    assert!(lost.is_empty(), "{} of {answered}: {:?}", lost.len(), &lost[..lost.len().min(3)]);
}
