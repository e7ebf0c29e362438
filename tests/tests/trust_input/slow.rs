//! Slow clients: a head, a body or a read that never ends is cut off after its time, and others are served meanwhile.
//! The times are short here; a thousand such clients at once are a load test.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use tests::fake_otx::FakeOtx;
use tests::relay::{Builder, TestRelay};
use tests::trial::trial;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Connections of each kind.
const CLIENTS: usize = 20;

pub fn trials() -> Vec<Trial> {
    let head = "POST /refer/observables HTTP/1.1\r\nHost: a\r\n";
    vec![
        trial("a_head_that_never_ends_is_cut_off", move || drip(head.to_owned(), "x: y\r\n", "")),
        trial("a_body_that_never_ends_is_408", move || {
            drip(format!("{head}Content-Length: 1000\r\n\r\n["), " ", "HTTP/1.1 408 ")
        }),
        trial("chunks_that_never_end_are_408", move || {
            drip(format!("{head}Transfer-Encoding: chunked\r\n\r\n"), "1\r\n \r\n", "HTTP/1.1 408 ")
        }),
        trial("silence_is_cut_off", || drip(String::new(), "", "")),
    ]
}

async fn relay(fake: &FakeOtx) -> TestRelay {
    Builder::new(&fake.url())
        .set("THREATRELAY_LIMITS_HEADER_TIMEOUT", "1s")
        .set("THREATRELAY_LIMITS_BODY_TIMEOUT", "1s")
        .set("THREATRELAY_LIMITS_IDLE_TIMEOUT", "1s")
        .start()
        .await
}

/// Clients that send `start` and then `more` for ever; each gets `answer` and its connection ends.
async fn drip(start: String, more: &'static str, answer: &'static str) {
    let fake = FakeOtx::start().await.expect("a fake OTX");
    let relay = relay(&fake).await;
    let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(one(relay.address(), start.clone(), more))).collect();
    let end = Instant::now() + Duration::from_millis(700);
    while Instant::now() < end {
        assert_eq!(relay.send("POST", "/version", &[], "").await.status, 200);
    }
    for client in clients {
        let said = client.await.expect("a client");
        assert!(said.starts_with(answer) && (!answer.is_empty() || said.is_empty()), "{said:?}");
    }
}

/// What one such client is told until its connection ends.
async fn one(address: std::net::SocketAddr, start: String, more: &'static str) -> String {
    let patience = Duration::from_secs(20);
    let talk = async {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(start.as_bytes()).await.expect("a start");
        let (mut read, mut write) = stream.split();
        let mut said = Vec::new();
        let send = async {
            // Ends when the relay has closed the connection.
            while write.write_all(more.as_bytes()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = read.read_to_end(&mut said) => {}
            () = send => {}
        }
        String::from_utf8_lossy(&said).into_owned()
    };
    tokio::time::timeout(patience, talk).await.expect("an end within the patience of this test")
}
