//! The cases: what each one sets up, asks, and is held against. Cold cases start a relay anew for every repetition and
//! take turns with their reference.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};

use super::load::{self, Line, Shot};
use super::process::{Process, free_port};
use super::report::{Report, Row, mebibytes, median, milliseconds, ratio};
use super::stage::Stage;
use super::{BenchError, Doing, download, growth, naive};
use crate::fake_otx::scale::Scale;

const ROUND_TRIP: Duration = Duration::from_millis(100);
const REPETITIONS: usize = 5;
const LOAD_TIME: Duration = Duration::from_secs(5);
const CONNECTIONS: usize = 16;

/// The two programs a case may start.
#[derive(Clone, Copy)]
pub(super) struct Programs<'a> {
    pub(super) relay: &'a Path,
    pub(super) peer: &'a Path,
}

/// Runs every case whose name contains `filter`.
pub(super) async fn all(relay: &Path, peer: &Path, filter: &str, report: &mut Report) -> Result<(), BenchError> {
    let programs = Programs { relay, peer };
    let wanted = |name: &str| name.contains(filter);
    if wanted("start") {
        start_up(programs, report).await?;
    }
    if wanted("refer") {
        refer(programs, report).await?;
    }
    if wanted("pulses") {
        many_pulses(programs, report).await?;
    }
    if wanted("rows") {
        many_rows(programs, report).await?;
    }
    if wanted("pages") {
        many_pages(programs, report).await?;
    }
    if wanted("observables") {
        many_observables(programs, report).await?;
    }
    if wanted("again") {
        again(programs, report).await?;
    }
    if wanted("load") {
        warm_load(programs, report).await?;
    }
    if wanted("memory") {
        memory(programs, report).await?;
    }
    if wanted("growth") {
        growth::tables(programs, report).await?;
    }
    Ok(())
}

async fn start_up(programs: Programs<'_>, report: &mut Report) -> Result<(), BenchError> {
    let mut times = Vec::new();
    for _ in 0..REPETITIONS {
        times.push(Stage::set(programs.relay, Scale::new(1, 1), Duration::ZERO).await?.relay.start_up);
    }
    let time = median(times);
    report.add(Row {
        case: "start: exec to the first accepted connection",
        relay: milliseconds(time),
        reference: "-".into(),
        ratio: milliseconds(time),
        goal: "≤ 50 ms",
        met: time <= Duration::from_millis(50),
        original: "-",
        naive: String::new(),
    });
    Ok(())
}

/// A load on the relay and on a bare handler that returns the same bytes, by turns.
async fn beside_bare_handler(
    programs: Programs<'_>,
    shot: &Shot,
) -> Result<(load::Measured, load::Measured), BenchError> {
    let body = Line::open(shot.address).await?.send(shot).await?;
    let file = tempfile::NamedTempFile::new().doing("making a file")?;
    std::fs::write(file.path(), &body).doing("writing the answer")?;
    let address = free_port()?;
    let (place, path) = (address.to_string(), file.path().display().to_string());
    let _peer = Process::start(programs.peer, &["peer", &place, &path], &[], address)?;
    let bare = Shot { address, path: "/", token: None, body: shot.body.clone() };
    let (mut relays, mut bares) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        relays.push(load::run(shot, CONNECTIONS, LOAD_TIME).await?);
        bares.push(load::run(&bare, CONNECTIONS, LOAD_TIME).await?);
    }
    Ok((middle(relays), middle(bares)))
}

fn middle(mut measured: Vec<load::Measured>) -> load::Measured {
    measured.sort_by(|one, other| one.per_second.total_cmp(&other.per_second));
    measured.swap_remove(measured.len() / 2)
}

fn rate(measured: &load::Measured) -> String {
    format!("{:.0} rps, p99 {}", measured.per_second, milliseconds(measured.percentile(0.99)))
}

fn references(count: usize) -> Vec<Value> {
    (0..count).map(|index| json!({"type": "domain", "value": format!("refer-{index}.example")})).collect()
}

async fn refer(programs: Programs<'_>, report: &mut Report) -> Result<(), BenchError> {
    let stage = Stage::set(programs.relay, Scale::new(1, 1), Duration::ZERO).await?;
    let shot = stage.shot("/refer/observables", &references(8))?;
    let (relay, bare) = beside_bare_handler(programs, &shot).await?;
    let share = relay.per_second / bare.per_second;
    report.add(Row {
        case: "`/refer`, 8 observables, 16 connections",
        relay: rate(&relay),
        reference: format!("bare axum handler, same bytes: {}", rate(&bare)),
        ratio: format!("{share:.2}"),
        goal: "≥ 0.8",
        met: share >= 0.8,
        original: "1,796 rps, p99 33 ms",
        naive: String::new(),
    });
    Ok(())
}

/// A cold request, each time on a relay just started; what the fake was called is the same each time.
async fn cold(
    programs: Programs<'_>,
    scale: &Scale,
    round_trip: Duration,
    observables: usize,
) -> Result<(Duration, usize), BenchError> {
    let mut times = Vec::new();
    let mut calls = 0;
    for _ in 0..REPETITIONS {
        let stage = Stage::set(programs.relay, scale.clone(), round_trip).await?;
        times.push(stage.once(&stage.observe(observables)?, observables * scale.pulses).await?);
        calls = stage.otx.total();
    }
    Ok((median(times), calls))
}

/// How long one call of the fake takes a warm client.
async fn round_trip(stage: &Stage) -> Result<Duration, BenchError> {
    let (client, urls) = (download::client()?, stage.general_urls());
    let mut times = Vec::new();
    for _ in 0..=REPETITIONS {
        times.push(download::all(&client, &urls[..1]).await?.0);
    }
    Ok(median(times.split_off(1)))
}

async fn naively(stage: &Stage, observables: usize) -> Result<String, BenchError> {
    stage.otx.forget_calls();
    let domains: Vec<String> = (0..observables).map(Scale::observable).collect();
    let found = naive::look_up(&stage.otx.url(), &domains).await?;
    if found.matches != observables * stage.scale.pulses {
        return Err(BenchError::new(format!("the naive client found {}", found.matches)));
    }
    Ok(format!("{}, {} calls", milliseconds(found.time), stage.otx.total()))
}

async fn many_pulses(programs: Programs<'_>, report: &mut Report) -> Result<(), BenchError> {
    let scale = Scale::new(50, 100);
    let (time, calls) = cold(programs, &scale, ROUND_TRIP, 1).await?;
    let stage = Stage::set(programs.relay, scale, ROUND_TRIP).await?;
    let trip = round_trip(&stage).await?;
    let share = ratio(time, 2 * trip);
    report.add(Row {
        case: "1 domain, 50 pulses × 100 rows, RTT 100 ms, cold",
        relay: format!("{}, {calls} calls", milliseconds(time)),
        reference: format!("2 RTT: {}", milliseconds(2 * trip)),
        ratio: format!("{share:.2}"),
        goal: "≤ 1.10",
        met: share <= 1.10,
        original: "769 ms",
        naive: naively(&stage, 1).await?,
    });
    Ok(())
}

/// The time to download what the relay had to read, after a first download that opened the connections.
async fn downloading(stage: &Stage) -> Result<(Duration, usize), BenchError> {
    let (client, urls) = (download::client()?, stage.listing_urls());
    let mut times = Vec::new();
    let mut size = 0;
    for _ in 0..REPETITIONS {
        let (time, bytes) = download::all(&client, &urls).await?;
        times.push(time);
        size = bytes;
    }
    Ok((median(times), size))
}

async fn many_rows(programs: Programs<'_>, report: &mut Report) -> Result<(), BenchError> {
    let scale = Scale::new(10, 10_000);
    let (time, calls) = cold(programs, &scale, Duration::ZERO, 1).await?;
    let stage = Stage::set(programs.relay, scale, Duration::ZERO).await?;
    let (reference, size) = downloading(&stage).await?;
    let share = ratio(time, reference);
    report.add(Row {
        case: "10 pulses × 10,000 rows, RTT 0, cold",
        relay: format!("{}, {calls} calls", milliseconds(time)),
        reference: format!("download of the same {:.1} MiB: {}", mebibytes(size as u64), milliseconds(reference)),
        ratio: format!("{share:.2}"),
        goal: "≤ 2",
        met: share <= 2.0,
        original: "834 ms",
        naive: naively(&stage, 1).await?,
    });
    Ok(())
}

async fn many_pages(programs: Programs<'_>, report: &mut Report) -> Result<(), BenchError> {
    let scale = Scale { depth: 25_000, ..Scale::new(5, 30_000) };
    let (time, calls) = cold(programs, &scale, ROUND_TRIP, 1).await?;
    let stage = Stage::set(programs.relay, scale, Duration::ZERO).await?;
    let (transfer, size) = downloading(&stage).await?;
    stage.otx.set_round_trip(ROUND_TRIP);
    let trip = round_trip(&stage).await?;
    // What the goal calls transfer is reading: a download of the same bytes by a client that does not look at them,
    // twice, as in the case before.
    let bound = 2 * trip + 2 * transfer;
    let share = ratio(time, bound);
    report.add(Row {
        case: "5 pulses × 30,000 rows, match on page 3, RTT 100 ms, cold",
        relay: format!("{}, {calls} calls", milliseconds(time)),
        reference: format!(
            "2 RTT + 2 × download of the same {:.1} MiB: {}",
            mebibytes(size as u64),
            milliseconds(bound)
        ),
        ratio: format!("{share:.2}"),
        goal: "≤ 1",
        met: share <= 1.0,
        original: "1,899 ms",
        naive: naively(&stage, 1).await?,
    });
    Ok(())
}

async fn many_observables(programs: Programs<'_>, report: &mut Report) -> Result<(), BenchError> {
    let scale = Scale { observables: 50, ..Scale::new(10, 100) };
    let (time, calls) = cold(programs, &scale, ROUND_TRIP, 50).await?;
    let stage = Stage::set(programs.relay, scale, ROUND_TRIP).await?;
    let bound = 2 * round_trip(&stage).await? + Duration::from_millis(50);
    let share = ratio(time, bound);
    report.add(Row {
        case: "50 observables × the same 10 pulses, RTT 100 ms, cold",
        relay: format!("{}, {calls} calls", milliseconds(time)),
        reference: format!("2 RTT + 50 ms: {}", milliseconds(bound)),
        ratio: format!("{share:.2}"),
        goal: "≤ 1, 60 calls",
        met: share <= 1.0 && calls == 60,
        original: "3,664 ms, 500 calls",
        naive: naively(&stage, 50).await?,
    });
    Ok(())
}

async fn again(programs: Programs<'_>, report: &mut Report) -> Result<(), BenchError> {
    let stage = Stage::set(programs.relay, Scale::new(10, 1_000), ROUND_TRIP).await?;
    let shot = stage.observe(1)?;
    let first = stage.once(&shot, 10).await?;
    stage.otx.forget_calls();
    let measured = load::run(&shot, 1, LOAD_TIME).await?;
    let (p99, calls) = (measured.percentile(0.99), stage.otx.total());
    report.add(Row {
        case: "the same observable again within the cache time, one connection, as the client sees it",
        relay: format!("p50 {}, p99 {}, {calls} calls", milliseconds(measured.percentile(0.5)), milliseconds(p99)),
        reference: format!("the first time: {}", milliseconds(first)),
        ratio: format!("{:.4}", ratio(p99, first)),
        goal: "p99 ≤ 1 ms, 0 calls",
        met: p99 <= Duration::from_millis(1) && calls == 0,
        original: "314 ms, 10 calls",
        naive: String::new(),
    });
    Ok(())
}

async fn warm_load(programs: Programs<'_>, report: &mut Report) -> Result<(), BenchError> {
    let stage = Stage::set(programs.relay, Scale::new(10, 100), Duration::ZERO).await?;
    let observe = stage.observe(1)?;
    stage.once(&observe, 10).await?;
    let size = body(&observe).await?.len();
    let one = body(&stage.shot("/refer/observables", &references(1))?).await?.len();
    let refer = stage.shot("/refer/observables", &references(size.div_ceil(one)))?;
    let refer_size = body(&refer).await?.len();
    stage.otx.forget_calls();
    let (mut observes, mut refers) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        observes.push(load::run(&observe, CONNECTIONS, LOAD_TIME).await?);
        refers.push(load::run(&refer, CONNECTIONS, LOAD_TIME).await?);
    }
    let (observes, refers) = (middle(observes), middle(refers));
    let share = observes.per_second / refers.per_second;
    report.add(Row {
        case: "observe load: 1 domain in 10 pulses, warm, 16 connections, RTT 0",
        relay: format!("{}, {size} B, {} calls", rate(&observes), stage.otx.total()),
        reference: format!("`/refer` with {refer_size} B: {}", rate(&refers)),
        ratio: format!("{share:.2}"),
        goal: "≥ 0.6",
        met: share >= 0.6,
        original: "26 rps",
        naive: String::new(),
    });
    Ok(())
}

async fn body(shot: &Shot) -> Result<Bytes, BenchError> {
    Line::open(shot.address).await?.send(shot).await
}

async fn memory(programs: Programs<'_>, report: &mut Report) -> Result<(), BenchError> {
    let stage = Stage::set(programs.relay, Scale::new(1, 335_000), Duration::ZERO).await?;
    let idle = stage.relay.footprint().resident();
    let shot = stage.observe(1)?;
    stage.relay.footprint().forget_peak().doing("forgetting the peak of memory")?;
    let started = Instant::now();
    stage.once(&shot, 1).await?;
    let streaming = started.elapsed();
    let peak = stage.relay.footprint().peak();
    let added = peak.saturating_sub(idle);
    report.add(Row {
        case: "memory: a pulse of 335,000 rows while it streams, and its index",
        relay: format!("{:.1} MiB peak, {} for all 34 pages", mebibytes(peak), milliseconds(streaming)),
        reference: format!("idle: {:.1} MiB", mebibytes(idle)),
        ratio: format!("+{:.1} MiB", mebibytes(added)),
        goal: "idle ≤ 24 MiB, + ≤ 16 MiB",
        met: mebibytes(idle) <= 24.0 && mebibytes(added) <= 16.0,
        original: "345 MB",
        naive: String::new(),
    });
    drop(stage);
    after_all(programs, idle, report).await
}

/// The requests of all cases, one after another, on one relay. It forgets answers at once, so that the same name can be
/// asked of one data set after the other; listings stay.
async fn after_all(programs: Programs<'_>, idle: u64, report: &mut Report) -> Result<(), BenchError> {
    let forget = [("THREATRELAY_CACHE_GENERAL_TTL", "1ms"), ("THREATRELAY_CACHE_MAX_STALE", "1ms")];
    let mut stage = Stage::set_with(programs.relay, Scale::new(50, 100), Duration::ZERO, &forget).await?;
    let refer = stage.shot("/refer/observables", &references(8))?;
    load::run(&refer, CONNECTIONS, LOAD_TIME).await?;
    stage.once(&stage.observe(1)?, 50).await?;
    for scale in [
        Scale::new(10, 10_000),
        Scale { depth: 25_000, ..Scale::new(5, 30_000) },
        Scale { observables: 50, ..Scale::new(10, 101) },
        Scale::new(1, 335_000),
        Scale::new(10, 102),
    ] {
        let (observables, pulses) = (scale.observables, scale.pulses);
        stage.change(scale);
        stage.once(&stage.observe(observables)?, observables * pulses).await?;
    }
    load::run(&stage.observe(1)?, CONNECTIONS, LOAD_TIME).await?;
    let (after, peak) = (stage.relay.footprint().resident(), stage.relay.footprint().peak());
    report.add(Row {
        case: "memory: one relay after the requests and loads of all cases",
        relay: format!("{:.1} MiB, peak {:.1} MiB", mebibytes(after), mebibytes(peak)),
        reference: format!("idle: {:.1} MiB", mebibytes(idle)),
        ratio: format!("{:.1} MiB", mebibytes(after)),
        goal: "≤ 64 MiB",
        met: mebibytes(after) <= 64.0,
        original: "345 MB",
        naive: String::new(),
    });
    Ok(())
}
