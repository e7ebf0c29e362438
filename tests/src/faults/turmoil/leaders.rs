//! Two operators of which one leads. The leader's process is stopped (SIGSTOP) while a write of it is under way, longer
//! than its lease; the other takes over; the first goes on, has to end instead of writing, and comes back as whoever waits.
//! That only the holder of the lease has written meanwhile is G5.

use std::future::ready;
use std::time::Duration;

use super::unseen;
use crate::faults::lives::LEADS;
use crate::faults::oracles::Finding;
use crate::faults::stage::{Stage, comes_true};

/// A lease runs out after 15 s, and is looked at every 2 s or a little more. The rest is for a busy machine.
const TAKEOVER: Duration = Duration::from_secs(40);

pub(super) async fn pass(stage: &Stage<'_>) -> Vec<Finding> {
    if !stage.is_struck(Duration::from_secs(20)).await {
        return Vec::new();
    }
    let before = transitions(stage).await;
    let mut findings = Vec::new();
    let Some(pair) = stage.lives.pair().await else { return vec![unseen("O5", "there are no two".to_owned())] };
    let (first, second) = &*pair;
    first.signal("STOP").await;
    if !comes_true(TAKEOVER, || ready(second.log().contains(LEADS))).await {
        findings.push(unseen("O7", format!("nobody took over within {TAKEOVER:?}")));
    }
    first.signal("CONT").await;
    drop(pair);
    match stage.lives.first_returns().await {
        Some(1) => {}
        code => findings.push(unseen("G5", format!("who was stopped ended with {code:?} instead of 1"))),
    }
    let changes = transitions(stage).await - before;
    if changes != 1 {
        findings.push(unseen("G5", format!("the lease changed its holder {changes} times")));
    }
    findings
}

async fn transitions(stage: &Stage<'_>) -> i64 {
    let lease = stage.path("apis/coordination.k8s.io/v1", "leases", "threatrelay-operator");
    let found = stage.api.field(&lease, "/spec/leaseTransitions").await;
    found.ok().and_then(|count| count.as_i64()).unwrap_or_default()
}
