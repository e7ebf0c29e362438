//! The second cache tier against a real Redis server: what one replica learnt serves the others, and whatever happens to
//! the server costs no answer. Without `redis-server` in the path each test says that it was skipped.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tests::engine::{EngineUnderTest, OWNER, Settings, content, domain, observable, pulse, row};
use tests::fake_otx::{FakeOtx, Fault, KEY, Route, Rule, SECOND_KEY};
use threatrelay::demo::upstream::{Dataset, IndicatorType, Pulse};
use threatrelay::observable::{Observable, ObservableType};

const EVIL: &str = "evil.example";
/// Longest time one access to the cache may take here.
const ACCESS: Duration = Duration::from_millis(300);
/// What a look-up may take beside, on a busy machine.
const BUSY: Duration = Duration::from_millis(900);

/// A server of this test's own.
struct Redis {
    child: Child,
    port: u16,
    folder: TempDir,
    arguments: Vec<String>,
}

impl Redis {
    /// Starts one on a free port; `None`, with a word about it, when the machine has none.
    fn start(test: &str, arguments: &[&str]) -> Option<Self> {
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            println!("skipped: {test}: redis-server is not in the path");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let arguments: Vec<String> =
            arguments.iter().map(|&argument| argument.replace("PORT", &port.to_string())).collect();
        let child = spawn(port, folder.path(), &arguments);
        let redis = Self { child, port, folder, arguments };
        redis.wait();
        Some(redis)
    }

    /// Waits until it takes connections.
    fn wait(&self) {
        let end = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < end, "redis-server does not listen on {}", self.port);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// What the server answers to a command.
    fn tell(&self, words: &[&str]) -> String {
        let mut client = Command::new("redis-cli");
        client.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "--no-auth-warning"]).args(words);
        String::from_utf8_lossy(&client.output().unwrap().stdout).trim().to_owned()
    }

    fn names(&self) -> Vec<String> {
        self.tell(&["--scan"]).lines().map(str::to_owned).collect()
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success(), "kill {name}");
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn revive(&mut self) {
        self.child = spawn(self.port, self.folder.path(), &self.arguments);
        self.wait();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn spawn(port: u16, folder: &Path, arguments: &[String]) -> Child {
    let mut server = Command::new("redis-server");
    server.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    if !arguments.iter().any(|argument| argument == "--tls-port") {
        server.args(["--port", &port.to_string()]);
    }
    server.args(arguments).current_dir(folder).stdout(Stdio::null()).spawn().unwrap()
}

/// Two pulses, the second private, that both hold one domain; and a hundred addresses.
async fn fake() -> FakeOtx {
    let evil = || row(IndicatorType::Domain, EVIL);
    let addresses = (0..100).map(|index| row(IndicatorType::Ipv4, &address(index)));
    let pulses = vec![
        pulse(0, std::iter::once(evil()).chain(addresses).collect()),
        Pulse { visible_to: Some(OWNER.to_owned()), ..pulse(1, vec![evil()]) },
    ];
    FakeOtx::with(Dataset::new(content(pulses))).await.unwrap()
}

fn address(index: usize) -> String {
    format!("203.0.113.{index}")
}

fn settings(fake: &FakeOtx, redis: &Redis) -> Settings {
    Settings::asking(fake)
        .set("cache.shared.url", redis.url())
        .set("cache.shared.timeout", format!("{}ms", ACCESS.as_millis()))
}

fn shared(engine: &EngineUnderTest, event: &str) -> u64 {
    engine.metric("relay_cache_events_total", &format!("cache=\"shared\",event=\"{event}\""))
}

/// Waits until the engine reaches the server, as seen by a look-up of what nobody else asks about.
async fn connected(engine: &EngineUnderTest) {
    let reached = || shared(engine, "hit") + shared(engine, "miss");
    let (before, end) = (reached(), Instant::now() + Duration::from_secs(10));
    for index in 0.. {
        let unknown = format!("2001:db8:{:x}::{index:x}", std::process::id() & 0xffff);
        engine.lookup(&[observable(ObservableType::Ipv6, &unknown)]).await.unwrap();
        if reached() > before {
            return;
        }
        assert!(Instant::now() < end, "the engine never reaches the shared cache");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A replica that has reached the server.
async fn replica(settings: &Settings) -> EngineUnderTest {
    let engine = settings.start();
    connected(&engine).await;
    engine
}

#[tokio::test]
async fn what_one_replica_learnt_costs_another_no_call() {
    let Some(redis) = Redis::start("what_one_replica_learnt_costs_another_no_call", &[]) else { return };
    let fake = fake().await;
    let (one, other) = (replica(&settings(&fake, &redis)).await, replica(&settings(&fake, &redis)).await);
    let asked = [domain(EVIL), observable(ObservableType::Ip, &address(7)), domain("unknown.example")];
    let learnt = one.lookup(&asked).await.unwrap();
    fake.forget_calls();
    let told = other.lookup(&asked).await.unwrap();
    assert_eq!((told.hits(), told.entries(), fake.total()), (learnt.hits(), vec![], 0));
    assert_eq!(learnt.hits().len(), 3);
}

#[tokio::test]
async fn what_is_kept_tells_nothing_by_its_name_and_goes_by_itself() {
    let Some(redis) = Redis::start("what_is_kept_tells_nothing_by_its_name_and_goes_by_itself", &[]) else { return };
    let fake = fake().await;
    let engine =
        replica(&settings(&fake, &redis).set("cache.listingTtl", "100s").set("cache.generalTtl", "100s")).await;
    engine.lookup(&[domain(EVIL)]).await.unwrap();
    let names = redis.names();
    assert!(names.len() >= 3, "{names:?}");
    for name in names {
        let digits = name.strip_prefix("threatrelay:").unwrap();
        assert!(digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()), "{name}");
        let left: i64 = redis.tell(&["TTL", &name]).parse().unwrap();
        assert!((1..=100).contains(&left), "{name} lives {left} s");
        assert!(!redis.tell(&["GET", &name]).contains(KEY));
    }
}

#[tokio::test]
async fn private_answers_are_apart_by_key() {
    let Some(redis) = Redis::start("private_answers_are_apart_by_key", &[]) else { return };
    let fake = fake().await;
    let (one, other) = (replica(&settings(&fake, &redis)).await, replica(&settings(&fake, &redis)).await);
    assert_eq!(one.lookup_as(KEY, &[domain(EVIL)]).await.unwrap().hits().len(), 2);
    fake.forget_calls();
    assert_eq!(other.lookup_as(SECOND_KEY, &[domain(EVIL)]).await.unwrap().hits().len(), 1);
    let calls = (fake.count(Route::General), fake.count(Route::Listing) + fake.count(Route::Detail));
    assert_eq!(calls, (1, 0), "the public listing is shared, the answer about the domain is not");
}

#[tokio::test]
async fn a_private_listing_is_not_shared_with_another_key() {
    let Some(redis) = Redis::start("a_private_listing_is_not_shared_with_another_key", &[]) else { return };
    let fake = fake().await;
    fake.add(Rule::on(Route::General, Fault::in_pulses(|pulse| pulse["public"] = 0.into())));
    let (one, other) = (replica(&settings(&fake, &redis)).await, replica(&settings(&fake, &redis)).await);
    one.lookup_as(KEY, &[domain(EVIL)]).await.unwrap();
    fake.forget_calls();
    assert_eq!(other.lookup_as(SECOND_KEY, &[domain(EVIL)]).await.unwrap().hits().len(), 1);
    assert_eq!((fake.count(Route::General), fake.count(Route::Listing)), (1, 1));
}

/// Does something to the value of this name.
type Spoil<'a> = &'a dyn Fn(&str);

#[tokio::test]
async fn a_value_that_cannot_be_read_is_as_good_as_none() {
    let Some(redis) = Redis::start("a_value_that_cannot_be_read_is_as_good_as_none", &[]) else { return };
    let fake = fake().await;
    let settings = settings(&fake, &redis);
    let another_type = |name: &str| {
        redis.tell(&["DEL", name]);
        redis.tell(&["LPUSH", name, "x"]);
    };
    let ways: [(&str, Spoil<'_>); 5] = [
        ("empty", &|name| drop(redis.tell(&["SET", name, ""]))),
        ("words", &|name| drop(redis.tell(&["SET", name, "<html>not a value</html>"]))),
        ("another format", &|name| drop(redis.tell(&["SETRANGE", name, "0", "\u{7f}"]))),
        ("more than there was", &|name| drop(redis.tell(&["APPEND", name, "0123456789"]))),
        ("another type", &another_type),
    ];
    for (words, spoil) in ways {
        redis.tell(&["FLUSHALL"]);
        let (writer, reader) = (replica(&settings).await, replica(&settings).await);
        let honest = writer.lookup(&[domain(EVIL)]).await.unwrap().hits();
        redis.names().iter().for_each(|name| spoil(name));
        fake.forget_calls();
        let unread = || shared(&reader, "undecodable") + shared(&reader, "error");
        let before = unread();
        assert_eq!(reader.lookup(&[domain(EVIL)]).await.unwrap().hits(), honest, "{words}");
        assert!(fake.count(Route::General) == 1 && unread() > before, "{words}: it was not read");
        // The server itself is still trusted, and holds a good value again.
        let third = replica(&settings).await;
        fake.forget_calls();
        assert_eq!(third.lookup(&[domain(EVIL)]).await.unwrap().hits(), honest, "{words}");
        assert_eq!(fake.total(), 0, "{words}: it was not replaced");
    }
}

#[tokio::test]
async fn a_full_server_still_serves_what_it_has() {
    let Some(redis) = Redis::start("a_full_server_still_serves_what_it_has", &[]) else { return };
    let fake = fake().await;
    let (one, other) = (replica(&settings(&fake, &redis)).await, replica(&settings(&fake, &redis)).await);
    one.lookup(&[domain(EVIL)]).await.unwrap();
    redis.tell(&["CONFIG", "SET", "maxmemory", "1"]);
    // This cannot be stored ...
    assert_eq!(other.lookup(&[observable(ObservableType::Ip, &address(1))]).await.unwrap().hits().len(), 1);
    assert!(shared(&other, "error") > 0, "the server is not full");
    // ... and right after it what is there can be read.
    fake.forget_calls();
    assert_eq!((other.lookup(&[domain(EVIL)]).await.unwrap().hits().len(), fake.total()), (2, 0));
}

#[tokio::test]
async fn a_rotated_password_is_used() {
    let Some(redis) = Redis::start("a_rotated_password_is_used", &["--requirepass", "first-password"]) else {
        return;
    };
    let fake = fake().await;
    let file = redis.folder.path().join("password");
    std::fs::write(&file, "first-password\n").unwrap();
    let settings = settings(&fake, &redis).set("cache.shared.passwordFile", file.display());
    let engine = replica(&settings).await;
    std::fs::write(&file, "second-password\n").unwrap();
    redis.tell(&["-a", "first-password", "CONFIG", "SET", "requirepass", "second-password"]);
    redis.tell(&["-a", "second-password", "CLIENT", "KILL", "TYPE", "normal"]);
    connected(&engine).await;
    // A wrong password is no more than a cache that cannot be reached.
    std::fs::write(&file, "third-password\n").unwrap();
    let locked_out = settings.start();
    assert_eq!(locked_out.lookup(&[domain(EVIL)]).await.unwrap().hits().len(), 2);
    assert_eq!((shared(&locked_out, "hit"), shared(&locked_out, "miss")), (0, 0));
}

/// Asks without pause while `happens` happens, and gives how many look-ups there were and the longest. None may fail.
async fn under_load(engine: &Arc<EngineUnderTest>, happens: impl Future<Output = ()>) -> (usize, Duration) {
    let over = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..4_usize)
        .map(|worker| {
            let (engine, over) = (Arc::clone(engine), Arc::clone(&over));
            tokio::spawn(async move {
                let mut times = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    let asked = address((worker * 25 + times.len() % 25) % 100);
                    let answer = engine.lookup(&[observable(ObservableType::Ip, &asked)]).await.unwrap();
                    assert_eq!((answer.hits().len(), answer.entries()), (1, vec![]));
                    times.push(answer.took);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                times
            })
        })
        .collect();
    happens.await;
    over.store(true, Ordering::Relaxed);
    let mut times: Vec<Duration> = Vec::new();
    for worker in workers {
        times.extend(worker.await.unwrap());
    }
    (times.len(), times.into_iter().max().unwrap())
}

/// An engine that asks the shared cache at every look-up, as its own memory holds nothing for long.
async fn forgetful(fake: &FakeOtx, redis: &Redis) -> Arc<EngineUnderTest> {
    Arc::new(replica(&settings(fake, redis).set("cache.generalTtl", "1ms").set("cache.negativeTtl", "1ms")).await)
}

async fn until_hit(engine: &EngineUnderTest) {
    let (hits, end) = (shared(engine, "hit"), Instant::now() + Duration::from_secs(10));
    while shared(engine, "hit") == hits {
        assert!(Instant::now() < end, "the shared cache is never used again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_costs_no_answer() {
    let Some(mut redis) = Redis::start("a_server_that_is_killed_costs_no_answer", &[]) else { return };
    let fake = fake().await;
    let engine = forgetful(&fake, &redis).await;
    let (lookups, longest) = under_load(&engine, async {
        until_hit(&engine).await;
        redis.kill();
        let unavailable = shared(&engine, "unavailable");
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(shared(&engine, "unavailable") > unavailable, "nobody noticed");
        redis.revive();
        until_hit(&engine).await;
    })
    .await;
    assert!(lookups > 50 && longest < ACCESS + BUSY, "{lookups} look-ups, the longest of {longest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_costs_no_more_than_one_access() {
    let Some(redis) = Redis::start("a_server_that_hangs_costs_no_more_than_one_access", &[]) else { return };
    let fake = fake().await;
    let engine = forgetful(&fake, &redis).await;
    let (lookups, longest) = under_load(&engine, async {
        until_hit(&engine).await;
        redis.signal("-STOP");
        let end = Instant::now() + Duration::from_secs(10);
        while shared(&engine, "timeout") < 2 {
            assert!(Instant::now() < end, "nobody noticed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        redis.signal("-CONT");
        until_hit(&engine).await;
    })
    .await;
    assert!(lookups > 50 && longest < ACCESS + BUSY, "{lookups} look-ups, the longest of {longest:?}");
}

#[tokio::test]
async fn a_server_that_was_never_there_costs_nothing() {
    let fake = fake().await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let engine = Settings::asking(&fake).set("cache.shared.url", format!("redis://127.0.0.1:{port}/")).start();
    let asked: Vec<Observable> = (0..20).map(|index| observable(ObservableType::Ip, &address(index))).collect();
    let answer = engine.lookup(&asked).await.unwrap();
    assert_eq!((answer.hits().len(), answer.entries().len()), (20, 0));
    assert!(shared(&engine, "unavailable") > 0 && answer.took < BUSY, "{:?}", answer.took);
}

/// Writes a certificate for 127.0.0.1 and its key, and gives the authority to trust.
fn write_certificate(folder: &Path) -> String {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(params, authority_key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    std::fs::write(folder.join("server.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
    std::fs::write(folder.join("ca.pem"), &authority).unwrap();
    authority
}

#[tokio::test]
async fn it_is_reached_over_tls_and_only_with_a_trusted_certificate() {
    let folder = tempfile::tempdir().unwrap();
    write_certificate(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (certificate, key, ca) = (file("server.pem"), file("server.key"), file("ca.pem"));
    let arguments = [
        "--port",
        "0",
        "--tls-port",
        "PORT",
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
        "--tls-auth-clients",
        "no",
    ];
    let Some(redis) = Redis::start("it_is_reached_over_tls_and_only_with_a_trusted_certificate", &arguments) else {
        return;
    };
    let fake = fake().await;
    let settings = settings(&fake, &redis).set("cache.shared.url", format!("rediss://127.0.0.1:{}/", redis.port));
    let trusting = settings.clone().set("extraCaFile", &ca);
    let (one, other) = (replica(&trusting).await, replica(&trusting).await);
    one.lookup(&[domain(EVIL)]).await.unwrap();
    fake.forget_calls();
    assert_eq!((other.lookup(&[domain(EVIL)]).await.unwrap().hits().len(), fake.total()), (2, 0));
    let distrusting = settings.start();
    assert_eq!(distrusting.lookup(&[domain(EVIL)]).await.unwrap().hits().len(), 2);
    assert!(fake.total() > 0 && shared(&distrusting, "hit") == 0);
}
