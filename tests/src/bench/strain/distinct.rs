//! Questions no two of which are the same: what is remembered and counted stays bounded.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::super::load::Line;
use super::{BenchError, Doing, Stage, metrics, stage, unknown};
use crate::wire::{Reply, Server};

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Distinct {
    /// Resident memory after the first request, in bytes.
    pub idle: u64,
    /// Resident memory after the first questions, which fill the cache and take what such a load takes at any time.
    pub warm: u64,
    /// Resident memory at the end.
    pub after: u64,
    /// What the cache says that it holds at the end, in bytes.
    pub cached: u64,
    /// The most at any time.
    pub peak: u64,
    /// Lines of metrics.
    pub series: usize,
}

/// Observables in one request: few, because what is under way takes memory too, and more of it on a busy machine.
const AT_ONCE: usize = 100;
const CONNECTIONS: usize = 4;

/// Asks a relay whose cache has `cache` bytes about `first` observables and then about `more`, no two of them the same.
///
/// # Errors
/// [`BenchError`] when a request fails.
pub async fn distinct(relay: &Path, (first, more): (usize, usize), cache: u64) -> Result<Distinct, BenchError> {
    let reply = Reply::new(
        200,
        &[("content-type".to_owned(), "application/json".to_owned())],
        br#"{"pulse_info": {"count": 0, "pulses": []}}"#,
    );
    let loopback = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let otx = Server::start(loopback, None, move |_| std::future::ready(reply.clone())).await.doing("an OTX")?;
    let (origin, cache) = (format!("http://{}", otx.address()), cache.to_string());
    let settings = [("THREATRELAY_OTX_BASE_URL", origin.as_str()), ("THREATRELAY_CACHE_MAX_BYTES", cache.as_str())];
    let stage = Arc::new(stage(relay, Duration::ZERO, &settings).await?);
    Line::open(stage.address).await?.send(&unknown(&stage, 0, AT_ONCE)?).await?;
    let footprint = stage.relay.footprint();
    let idle = footprint.resident();
    let (first, all) = (1 + first / AT_ONCE, 1 + (first + more) / AT_ONCE);
    ask(&stage, 1..first).await?;
    let warm = footprint.resident();
    ask(&stage, first..all).await?;
    let metrics = metrics(&stage).await?;
    let series = metrics.lines().filter(|line| !line.starts_with('#')).count();
    let cached = metrics.lines().find_map(|line| line.strip_prefix("relay_cache_bytes ")?.parse().ok());
    let cached = cached.ok_or_else(|| BenchError::new("no relay_cache_bytes among the metrics"))?;
    Ok(Distinct { idle, warm, after: footprint.resident(), cached, peak: footprint.peak(), series })
}

/// Sends the requests of these numbers, over several connections.
async fn ask(stage: &Arc<Stage>, requests: Range<usize>) -> Result<(), BenchError> {
    let requests = Arc::new(Mutex::new(requests));
    let workers = (0..CONNECTIONS).map(|_| {
        let (stage, requests) = (Arc::clone(stage), Arc::clone(&requests));
        tokio::spawn(async move {
            let mut line = Line::open(stage.address).await?;
            loop {
                let next = requests.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(number) = next else { return Ok::<_, BenchError>(()) };
                let body = line.send(&unknown(&stage, number, AT_ONCE)?).await?;
                if body.windows(8).any(|window| window == b"\"errors\"") {
                    return Err(BenchError::new(String::from_utf8_lossy(&body)));
                }
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.doing("a connection")??;
    }
    Ok(())
}
