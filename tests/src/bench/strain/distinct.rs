//! Questions no two of which are the same: what is remembered and counted stays bounded.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::super::load::Line;
use super::{BenchError, Doing, metrics, stage, unknown};
use crate::wire::{Reply, Server};

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Distinct {
    /// Resident memory after the first request, in bytes.
    pub idle: u64,
    /// Resident memory at the end.
    pub after: u64,
    /// The most at any time.
    pub peak: u64,
    /// Lines of metrics.
    pub series: usize,
}

/// Observables in one request.
const AT_ONCE: usize = 500;
const CONNECTIONS: usize = 4;

/// Asks a relay whose cache has `cache` bytes about `count` observables.
///
/// # Errors
/// [`BenchError`] when a request fails.
pub async fn distinct(relay: &Path, count: usize, cache: u64) -> Result<Distinct, BenchError> {
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
    let requests = count / AT_ONCE;
    let numbers = Arc::new(AtomicUsize::new(1));
    Line::open(stage.address).await?.send(&unknown(&stage, 0, AT_ONCE)?).await?;
    let footprint = stage.relay.footprint();
    let idle = footprint.resident();
    let workers = (0..CONNECTIONS).map(|_| {
        let (stage, numbers) = (Arc::clone(&stage), Arc::clone(&numbers));
        tokio::spawn(async move {
            let mut line = Line::open(stage.address).await?;
            loop {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                if number >= requests {
                    return Ok::<_, BenchError>(());
                }
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
    let series = metrics(&stage).await?.lines().filter(|line| !line.starts_with('#')).count();
    Ok(Distinct { idle, after: footprint.resident(), peak: footprint.peak(), series })
}
