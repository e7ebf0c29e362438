//! Four times what the relay can take, sent at a fixed rate whether or not it keeps up. What it can take is bounded by
//! its room for requests and a slow OTX, not by the cores, which it shares with the load.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use http::header::RETRY_AFTER;

use super::super::load::{Line, Shot};
use super::{BenchError, Doing, Stage, stage, unknown};

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Overload {
    /// Answers a second when as many ask as there is room for.
    pub capacity: f64,
    /// Good answers a second when four times as many come.
    pub goodput: f64,
    /// Answers 503.
    pub refused: usize,
    /// The median and the 99th percentile of the time to such an answer.
    pub refused_in: (Duration, Duration),
    /// Such answers that do not say when to come back.
    pub without_retry_after: usize,
    /// Neither a good answer nor a refusal.
    pub other: usize,
    /// From the end of the overload until requests take the usual time again.
    pub recovery: Duration,
    /// Most resident memory, in bytes.
    pub peak: u64,
}

impl Overload {
    /// Goodput as a part of the capacity.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.goodput / self.capacity
    }
}

const ROUND_TRIP: Duration = Duration::from_millis(200);
const ROOM: usize = 64;
/// One caller is not given the last eighth of the room.
const CONNECTIONS: usize = ROOM - ROOM / 8;
/// Connections of the overload; those that are not waiting for a good answer are refused at once.
const CALLERS: usize = 256;

/// One request that was answered.
struct Shed {
    status: StatusCode,
    took: Duration,
    says_when: bool,
}

/// Measures what a relay can take for a third of `time`, then sends four times as much for `time`.
///
/// # Errors
/// [`BenchError`] when the relay cannot be started or asked, or an answer is cut.
pub async fn overload(relay: &Path, time: Duration) -> Result<Overload, BenchError> {
    let room = ROOM.to_string();
    let settings = [
        ("THREATRELAY_LIMITS_CONCURRENT_REQUESTS", room.as_str()),
        ("THREATRELAY_OTX_MAX_CONCURRENT_CALLS_PER_KEY", "256"),
        ("THREATRELAY_CACHE_ENABLED", "false"),
    ];
    let stage = Arc::new(stage(relay, ROUND_TRIP, &settings).await?);
    let numbers = Arc::new(AtomicUsize::new(0));
    let normal = paced(&stage, &numbers, CONNECTIONS, f64::INFINITY, time / 3).await?;
    let capacity = rate(&normal, time / 3);
    let outcomes = paced(&stage, &numbers, CALLERS, capacity * 4.0, time).await?;
    let recovery = recovered(&stage, &numbers).await?;
    let mut refused: Vec<&Shed> =
        outcomes.iter().filter(|outcome| outcome.status == StatusCode::SERVICE_UNAVAILABLE).collect();
    refused.sort_by_key(|outcome| outcome.took);
    let at = |index: usize| refused.get(index).map_or(Duration::ZERO, |outcome| outcome.took);
    let good = outcomes.iter().filter(|outcome| outcome.status == StatusCode::OK).count();
    Ok(Overload {
        capacity,
        goodput: rate(&outcomes, time),
        refused: refused.len(),
        refused_in: (at(refused.len() / 2), at(refused.len() * 99 / 100)),
        without_retry_after: refused.iter().filter(|outcome| !outcome.says_when).count(),
        other: outcomes.len() - good - refused.len(),
        recovery,
        peak: stage.relay.footprint().peak(),
    })
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn rate(outcomes: &[Shed], time: Duration) -> f64 {
    outcomes.iter().filter(|outcome| outcome.status == StatusCode::OK).count() as f64 / time.as_secs_f64()
}

/// Sends `rate` requests a second for `time`, each on the first of some connections that is free.
async fn paced(
    stage: &Arc<Stage>,
    numbers: &Arc<AtomicUsize>,
    connections: usize,
    rate: f64,
    time: Duration,
) -> Result<Vec<Shed>, BenchError> {
    let (begin, sent) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let workers: Vec<_> = (0..connections)
        .map(|_| {
            let (stage, numbers, sent) = (Arc::clone(stage), Arc::clone(numbers), Arc::clone(&sent));
            tokio::spawn(async move {
                let (mut line, mut outcomes) = (Line::open(stage.address).await?, Vec::new());
                loop {
                    #[expect(clippy::cast_precision_loss, reason = "a time")]
                    let due = Duration::from_secs_f64(sent.fetch_add(1, Ordering::Relaxed) as f64 / rate);
                    if due.max(begin.elapsed()) >= time {
                        return Ok::<_, BenchError>(outcomes);
                    }
                    tokio::time::sleep_until((begin + due).into()).await;
                    let shot = unknown(&stage, numbers.fetch_add(1, Ordering::Relaxed), 1)?;
                    outcomes.push(send(&mut line, &shot).await?);
                }
            })
        })
        .collect();
    let mut outcomes = Vec::new();
    for worker in workers {
        outcomes.extend(worker.await.doing("a connection")??);
    }
    Ok(outcomes)
}

async fn send(line: &mut Line, shot: &Shot) -> Result<Shed, BenchError> {
    let sent = Instant::now();
    let (head, _) = line.exchange(shot).await?;
    Ok(Shed { status: head.status, took: sent.elapsed(), says_when: head.headers.contains_key(RETRY_AFTER) })
}

/// Asks one thing after another until ten in a row take no more than twice the usual time.
async fn recovered(stage: &Stage, numbers: &AtomicUsize) -> Result<Duration, BenchError> {
    let mut line = Line::open(stage.address).await?;
    let (begin, mut since, mut usual) = (Instant::now(), Instant::now(), 0);
    while usual < 10 && begin.elapsed() < Duration::from_mins(1) {
        let outcome = send(&mut line, &unknown(stage, numbers.fetch_add(1, Ordering::Relaxed), 1)?).await?;
        if outcome.status == StatusCode::OK && outcome.took <= ROUND_TRIP * 2 {
            usual += 1;
        } else {
            (usual, since) = (0, Instant::now());
        }
    }
    Ok(if usual == 10 { since.duration_since(begin) } else { begin.elapsed() })
}
