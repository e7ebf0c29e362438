//! An OTX that means harm: answers that never end, that unpack to gigabytes, that lead elsewhere. The relay's process
//! answers in time, its memory stays within bounds, and nobody but OTX sees the key.
//!
//! What each single fault is answered with is the table of `engine_faults`; here it is a whole process that is watched.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use tests::fake_otx::{FakeOtx, Fault, Route, Rule};
use tests::relay::{Builder, TestRelay, payload};
use tests::tls::{Authority, Certificate};
use tests::wire::{Reply, Request, Server, Step, open_head};

const MIB: u64 = 1 << 20;
/// What hostile answers may add to the peak of memory: some times what one may hold (8 MiB), because each thread's part
/// of the allocator keeps what it has had. Far from what the answers would take.
const MORE: u64 = 64 * MIB;
const EVIL: [(&str, &str); 1] = [("domain", "evil.example")];

/// Asks once in peace, then several at once under a fault; gives what the fault added to the peak, and the answers.
async fn under(relay: &mut TestRelay, disturb: impl FnOnce()) -> (u64, Vec<Value>) {
    let token = relay.token();
    relay.post_with("/observe/observables", &token, payload(&EVIL)).await;
    let footprint = relay.process().unwrap().footprint();
    footprint.forget_peak().unwrap();
    let before = footprint.peak();
    disturb();
    let begun = Instant::now();
    let mut answers = Vec::new();
    for _ in 0..3 {
        let answer = relay.post_with("/observe/observables", &token, payload(&EVIL)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answers.push(serde_json::from_slice(&answer.body).unwrap());
    }
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    (footprint.peak().saturating_sub(before), answers)
}

async fn relay(fake: &FakeOtx) -> TestRelay {
    let builder = Builder::new(&fake.url()).set("THREATRELAY_CACHE_ENABLED", "false");
    builder.set("THREATRELAY_OTX_DEADLINE", "8s").spawn().await
}

/// 200 with this step as the body, as often as asked.
fn endless(encoding: &str, steps: Vec<Step>) -> Reply {
    let headers = [("content-type", "application/json"), ("content-encoding", encoding)];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut head = open_head(200, &headers);
    head.extend_from_slice(b"connection: close\r\n\r\n");
    Reply([vec![Step::Send(head.freeze())], steps, vec![Step::Close]].concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_in_answers_and_listings_are_cut_within_bounded_memory() {
    for route in [Route::General, Route::Listing] {
        let fake = FakeOtx::start().await.unwrap();
        let mut relay = relay(&fake).await;
        let (more, answers) = under(&mut relay, || _ = fake.add(Rule::on(route, Fault::GzipBomb(10_240)))).await;
        println!("{route:?}: a bomb of 10 GiB adds {} KiB", more / 1024);
        assert!(more <= MORE, "{route:?}: {} MiB", more / MIB);
        assert!(answers.iter().all(|answer| is_told(route, answer)), "{answers:?}");
    }
}

/// A listing may be had another way; an answer about an indicator may not.
fn is_told(route: Route, answer: &Value) -> bool {
    answer["errors"][0]["type"] == "fatal" || (route == Route::Listing && answer["data"].is_object())
}

/// 200 MB that are JSON but for their end, with their length told first and without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_megabytes_are_not_held() {
    for route in [Route::General, Route::Listing] {
        let body = Bytes::from([br#"{"results": [{"indicator": ""#.as_slice(), &vec![b'x'; 200 << 20]].concat());
        let untold = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
        let untold = Bytes::from([untold, body.as_ref()].concat());
        for (fault, most) in [(Fault::body(body), 8 * MIB), (Fault::Raw(untold), MORE)] {
            let fake = FakeOtx::start().await.unwrap();
            let mut relay = relay(&fake).await;
            let words = format!("{route:?}: {fault:?}");
            let (more, answers) = under(&mut relay, || _ = fake.add(Rule::on(route, fault))).await;
            println!("{words} of 200 MB adds {} KiB", more / 1024);
            assert!(more <= most, "{words}: {} MiB", more / MIB);
            assert!(answers.iter().all(|answer| is_told(route, answer)), "{answers:?}");
        }
    }
}

/// A somebody that answers everything alike.
async fn answering(reply: Reply) -> (Server, Arc<Mutex<Vec<Request>>>) {
    let heard = Arc::<Mutex<Vec<Request>>>::default();
    let hearing = Arc::clone(&heard);
    let server = Server::start(SocketAddr::from(([127, 0, 0, 1], 0)), None, move |request| {
        hearing.lock().unwrap().push(request);
        std::future::ready(reply.clone())
    });
    (server.await.unwrap(), heard)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nested_and_claimed_encodings_are_unpacked_once_at_most() {
    for encoding in ["gzip, gzip", "gzip, deflate, br", "br", "zstd", "deflate", "gzip"] {
        let flood = vec![Step::Repeat(vec![0; 1 << 20].into(), 64)];
        let (server, _) = answering(endless(encoding, flood)).await;
        let mut relay = Builder::new(&format!("http://{}", server.address())).spawn().await;
        let (more, answers) = under(&mut relay, || {}).await;
        assert!(more <= MORE, "{encoding}: {} MiB", more / MIB);
        assert!(answers.iter().all(|answer| answer["errors"][0]["type"] == "fatal"), "{encoding}: {answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paging_without_end_ends() {
    let fake = FakeOtx::start().await.unwrap();
    let mut relay = relay(&fake).await;
    // Each page is full, new, and says that there is one more.
    let page = Fault::Change(Arc::new(|request, answer| {
        let number: usize = request.target.split("page=").nth(1).and_then(|text| text.parse().ok()).unwrap_or(1);
        let row = |index: usize| {
            let id = number * 10_000 + index;
            serde_json::json!({"id": id, "indicator": format!("{id}.example"), "type": "domain",
                "created": "2026-01-01T00:00:00", "is_active": 1, "expiration": null})
        };
        let rows: Vec<Value> = (0..100).map(row).collect();
        answer.status = 200;
        answer.set_json(
            &serde_json::json!({"count": 4_000_000_000_u64, "next": "http://localhost/more", "results": rows}),
        );
    }));
    let (more, _) = under(&mut relay, || {
        fake.add(Rule::on(Route::Detail, Fault::status(500)));
        fake.add(Rule::on(Route::Listing, page));
    })
    .await;
    println!("endless paging: {} calls, adds {} KiB", fake.total(), more / 1024);
    assert!(more <= MORE, "{} MiB", more / MIB);
    assert!(fake.total() < 100_000, "{} calls", fake.total());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_redirect_is_followed_wherever_it_leads() {
    let (elsewhere, heard) = answering(Reply::new(200, &[], b"{}")).await;
    let authority = Authority::new();
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let dataset = threatrelay::demo::upstream::Dataset::bundled().unwrap();
    let fake = FakeOtx::serve(dataset, free, Some(authority.server(Certificate::Good))).await.unwrap();
    let builder = Builder::new(&fake.url()).set_file("THREATRELAY_EXTRA_CA_FILE", authority.pem());
    let relay = builder.set("THREATRELAY_CACHE_ENABLED", "false").start().await;
    let port = elsewhere.address().port();
    let targets = [
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/api/v1/user/me"),
        format!("https://127.0.0.1:{port}/"),
        format!("//127.0.0.1:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
    ];
    for status in [301, 302, 303, 307, 308] {
        for target in &targets {
            for route in [Route::General, Route::Listing, Route::Detail, Route::Me] {
                fake.add(Rule::on(route, Fault::redirect(status, target)));
            }
            for path in ["/observe/observables", "/health"] {
                let answer = relay.post(path, payload(&EVIL)).await.text();
                assert!(answer.contains("\"errors\""), "{status} {target}: {answer}");
            }
            fake.recover();
        }
    }
    assert_eq!((elsewhere.connections(), heard.lock().unwrap().len()), (0, 0));
    assert!(fake.total() >= 25, "{} redirects were played", fake.total());
}
