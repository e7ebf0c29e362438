//! Callers that are slow on purpose, beside good ones: some send a head and some a body a byte a second, some nothing.

use std::path::Path;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::super::load;
use super::{BenchError, Doing, stage};

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Slow {
    /// 99th percentile of the good callers' requests without the slow ones.
    pub alone: Duration,
    /// The same beside them.
    pub beside: Duration,
    /// Slow connections that the relay ended.
    pub ended: usize,
    /// Most resident memory, in bytes.
    pub peak: u64,
}

const GOOD: usize = 8;

/// Measures good callers alone and beside `count` slow ones, for `time` each.
///
/// # Errors
/// [`BenchError`] when a good request fails.
pub async fn slow(relay: &Path, count: usize, time: Duration) -> Result<Slow, BenchError> {
    let settings = [
        ("THREATRELAY_LIMITS_HEADER_TIMEOUT", "3s"),
        ("THREATRELAY_LIMITS_BODY_TIMEOUT", "3s"),
        ("THREATRELAY_LIMITS_IDLE_TIMEOUT", "3s"),
    ];
    let stage = stage(relay, Duration::ZERO, &settings).await?;
    let shot = stage.observe(1)?;
    let alone = load::run(&shot, GOOD, time).await?;
    let mut slow = JoinSet::new();
    for index in 0..count {
        let begun = [
            "POST /observe/observables HTTP/1.1\r\nhost: relay\r\nx-slow: ",
            "POST /observe/observables HTTP/1.1\r\nhost: relay\r\ncontent-length: 1000\r\n\r\n[",
            "",
        ][index % 3];
        let mut stream = TcpStream::connect(stage.address).await.doing("a slow connection")?;
        slow.spawn(async move {
            let _ended_already = stream.write_all(begun.as_bytes()).await;
            let (mut from, mut to) = stream.split();
            let trickle = async {
                while begun.is_empty() || to.write_all(b" ").await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            };
            let mut answer = Vec::new();
            tokio::select! {
                _ = from.read_to_end(&mut answer) => {}
                () = trickle => {}
            }
        });
    }
    let beside = load::run(&shot, GOOD, time).await?;
    let (mut ended, end) = (0, Instant::now() + Duration::from_secs(15));
    while let Ok(Some(_)) = tokio::time::timeout_at(end.into(), slow.join_next()).await {
        ended += 1;
    }
    Ok(Slow {
        alone: alone.percentile(0.99),
        beside: beside.percentile(0.99),
        ended,
        peak: stage.relay.footprint().peak(),
    })
}
