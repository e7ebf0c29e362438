//! The relay under more than it can take, shortly and with goals that a busy machine can keep; `cargo xtask bench load`
//! is the same for longer, with the goals that count.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::time::Duration;

use tests::bench::strain::{MEMORY, distinct, overload, slow, soak};
use tests::process::binary;

/// Different questions, the first of which are asked before memory is looked at.
const QUESTIONS: (usize, usize) = (20_000, 60_000);
/// What the relay's memory grows by at least when it remembers the others.
const REMEMBERED: u64 = 24 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_much_is_refused_and_the_rest_is_answered() {
    let found = overload(binary(), Duration::from_secs(6)).await.unwrap();
    println!("{found:?}");
    assert!(found.share() > 0.5, "{found:?}");
    assert!(found.refused > 0 && found.without_retry_after == 0 && found.other == 0, "{found:?}");
    assert!(found.refused_in.0 < Duration::from_secs(1), "{found:?}");
    assert!(found.recovery < Duration::from_secs(10) && found.peak <= MEMORY, "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_callers_are_ended_and_good_ones_answered() {
    let found = slow(binary(), 300, Duration::from_secs(4)).await.unwrap();
    println!("{found:?}");
    assert!(found.ended == 300 && found.peak <= MEMORY, "{found:?}");
    assert!(found.beside < found.alone * 20 + Duration::from_millis(500), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_different_questions_are_not_all_remembered() {
    let found = distinct(binary(), QUESTIONS, 1 << 20).await.unwrap();
    println!("{found:?}");
    assert!(found.after <= found.warm + REMEMBERED / 3, "{found:?}");
    assert!(found.peak <= MEMORY && found.series <= 500, "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_remembered_is_seen_in_memory() {
    let found = distinct(binary(), QUESTIONS, 1 << 30).await.unwrap();
    println!("{found:?}");
    assert!(found.after >= found.warm + REMEMBERED, "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_soak_leaves_nothing_behind() {
    let found = soak(binary(), Duration::from_secs(12)).await.unwrap();
    println!("{found}");
    assert!(found.failed == 0 && found.peak <= MEMORY, "{found}");
    assert!(found.is_steady(8 << 20), "{found}");
}
