//! The binary that is shipped, as a process: it serves, stops when told, and says why it cannot start.
#![expect(clippy::expect_used, reason = "a failed step is a failed test")]

use std::time::Duration;

use tests::fake_otx::FakeOtx;
use tests::relay::Builder;
use tests::reply::docs;

#[tokio::test]
async fn it_answers_like_the_relay_in_this_process() {
    let fake = FakeOtx::start().await.expect("a fake OTX");
    let within = Builder::new(&fake.url()).start().await;
    let apart = Builder::new(&fake.url()).spawn().await;
    let asked = [("domain", "evil.example"), ("ip", "203.0.113.7")];
    let body = apart.observe(&asked).await;
    assert_eq!(docs(&body, "sightings").len(), 5);
    assert_eq!(body, within.observe(&asked).await);
}

#[tokio::test]
async fn it_ends_with_0_when_told_to_stop() {
    let fake = FakeOtx::start().await.expect("a fake OTX");
    for signal in ["TERM", "INT"] {
        let mut relay = Builder::new(&fake.url()).spawn().await;
        let process = relay.process().expect("a process");
        process.signal(signal).await;
        let status = process.ended(Duration::from_secs(5)).await;
        assert_eq!(status.code(), Some(0), "{signal}");
    }
}
