//! The relay under more than it can take, or for longer than a benchmark lasts: overload, slow callers, a million
//! different questions, hours. Each measurement starts a relay of its own and gives figures; what is good enough is the
//! caller's to say: `cargo xtask bench load` prints them beside their goals, the suite `trust_load` runs short ones.

mod distinct;
mod overload;
mod slow;
mod soak;

use std::path::Path;
use std::time::Duration;

use serde_json::json;

pub use self::distinct::{Distinct, distinct};
pub use self::overload::{Overload, overload};
pub use self::slow::{Slow, slow};
pub use self::soak::{Soak, soak};
use super::load::Shot;
use super::report::{mebibytes, milliseconds};
use super::stage::Stage;
use super::{BenchError, Doing};
use crate::fake_otx::scale::Scale;

/// What everything must fit in.
pub const MEMORY: u64 = 128 << 20;

/// Runs everything long and prints a Markdown table of it. True when all goals are met.
///
/// # Errors
/// [`BenchError`].
pub async fn run(relay: &Path, time: Duration, soaking: Duration) -> Result<bool, BenchError> {
    println!("| tried | measured | goal | |\n|---|---|---|---|");
    let mut all = true;
    let mut row = |tried: &str, measured: String, goal: &str, met: bool| {
        println!("| {tried} | {measured} | {goal} | {} |", if met { "met" } else { "**missed**" });
        all &= met;
    };
    let found = overload(relay, time).await?;
    row(
        &format!("4 × capacity for {} s", time.as_secs()),
        format!(
            "capacity {:.0} rps; goodput {:.0} rps = {:.0} %; {} refused, p50 {}, p99 {}, {} without Retry-After; {} other; \
             back to normal after {}; peak {:.0} MiB",
            found.capacity,
            found.goodput,
            found.share() * 100.0,
            found.refused,
            milliseconds(found.refused_in.0),
            milliseconds(found.refused_in.1),
            found.without_retry_after,
            found.other,
            milliseconds(found.recovery),
            mebibytes(found.peak),
        ),
        "≥ 90 %, refusals p99 ≤ 10 ms with Retry-After, no other, ≤ 5 s, ≤ 128 MiB",
        found.share() >= 0.9
            && found.refused_in.1 <= Duration::from_millis(10)
            && found.without_retry_after + found.other == 0
            && found.recovery <= Duration::from_secs(5)
            && found.peak <= MEMORY,
    );
    let found = slow(relay, 1000, time / 2).await?;
    row(
        "1,000 slow connections beside 8 good ones",
        format!(
            "good ones: p99 {} alone, {} beside, 0 errors; {} of the slow ones ended by the relay; peak {:.0} MiB",
            milliseconds(found.alone),
            milliseconds(found.beside),
            found.ended,
            mebibytes(found.peak)
        ),
        "p99 ≤ 2 ×, slow ones ended, ≤ 128 MiB",
        found.beside <= found.alone * 2 && found.ended == 1000 && found.peak <= MEMORY,
    );
    let cache = 32 << 20;
    let found = distinct(relay, (600_000, 400_000), cache).await?;
    row(
        "10⁶ distinct observables, cache of 32 MiB",
        format!(
            "{:.0} MiB after the first request, {:.0} MiB after 600,000, {:.0} MiB at the end, peak {:.0} MiB; \
             the cache holds {:.0} MiB; {} metric series",
            mebibytes(found.idle),
            mebibytes(found.warm),
            mebibytes(found.after),
            mebibytes(found.peak),
            mebibytes(found.cached),
            found.series
        ),
        "the cache ≤ its bytes, growth ≤ 4 MiB once it is full, ≤ 128 MiB, ≤ 500 series",
        found.cached <= cache && found.after <= found.warm + (4 << 20) && found.peak <= MEMORY && found.series <= 500,
    );
    let found = soak(relay, soaking).await?;
    row(
        &format!("soak of {:.0} min at 200 rps", soaking.as_secs_f64() / 60.0),
        found.to_string(),
        "0 failed, last third ≤ middle third + 2 MiB, descriptors and threads constant, ≤ 128 MiB",
        found.is_steady(2 << 20) && found.failed == 0 && found.peak <= MEMORY,
    );
    Ok(all)
}

/// A stage whose OTX knows one pulse.
async fn stage(relay: &Path, round_trip: Duration, settings: &[(&'static str, &str)]) -> Result<Stage, BenchError> {
    Stage::set_with(relay, Scale { pulses: 1, rows: 100, observables: 1, depth: 50 }, round_trip, settings).await
}

/// A request about `count` addresses of which OTX knows nothing; no two numbers have one in common.
fn unknown(stage: &Stage, number: usize, count: usize) -> Result<Shot, BenchError> {
    let address = |index: usize| {
        let index = number * count + index;
        json!({"type": "ipv6", "value": format!("2001:db8::{:x}:{:x}", index >> 16, index & 0xffff)})
    };
    stage.shot("/observe/observables", &(0..count).map(address).collect::<Vec<_>>())
}

async fn metrics(stage: &Stage) -> Result<String, BenchError> {
    let answer = reqwest::Client::new()
        .get(format!("http://{}/metrics", stage.admin))
        .send()
        .await
        .doing("reading metrics")?;
    answer.text().await.doing("reading metrics")
}
