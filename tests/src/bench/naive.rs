//! A client that goes about it as the original relay did: two nested pools of at most ten workers, pages one after
//! another, a connection for every call, nothing shared and nothing remembered.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use serde_json::Value;

use super::{BenchError, Doing};
use crate::fake_otx::KEY;

/// The original made five threads a core, on two cores.
const POOL: usize = 10;
const PAGE: usize = 10_000;

/// What it found and what that cost.
pub(super) struct Found {
    pub(super) matches: usize,
    pub(super) time: Duration,
}

/// Looks up domains.
pub(super) async fn look_up(otx: &str, domains: &[String]) -> Result<Found, BenchError> {
    let started = Instant::now();
    let found: Vec<_> = stream::iter(domains.iter().cloned())
        .map(|domain| one_domain(otx.to_owned(), domain))
        .buffered(POOL)
        .collect()
        .await;
    let mut matches = 0;
    for count in found {
        matches += count?;
    }
    Ok(Found { matches, time: started.elapsed() })
}

async fn one_domain(otx: String, domain: String) -> Result<usize, BenchError> {
    let general = get(&format!("{otx}/api/v1/indicators/domain/{domain}/general")).await?;
    let pulses: Vec<String> = general["pulse_info"]["pulses"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|pulse| pulse["id"].as_str().map(str::to_owned))
        .collect();
    let scanned: Vec<_> = stream::iter(pulses).map(|pulse| scan(&otx, pulse, &domain)).buffered(POOL).collect().await;
    let mut matches = 0;
    for found in scanned {
        matches += usize::from(found?);
    }
    Ok(matches)
}

async fn scan(otx: &str, pulse: String, domain: &str) -> Result<bool, BenchError> {
    for page in 1.. {
        let url = format!("{otx}/api/v1/pulses/{pulse}/indicators?sort=-created&limit={PAGE}&page={page}");
        let listing = get(&url).await?;
        if listing["results"].as_array().into_iter().flatten().any(|row| row["indicator"] == domain) {
            return Ok(true);
        }
        if listing["next"].is_null() {
            break;
        }
    }
    Ok(false)
}

async fn get(url: &str) -> Result<Value, BenchError> {
    let client = super::download::client()?;
    let response = client.get(url).header("x-otx-api-key", KEY).send().await.doing("asking")?;
    serde_json::from_slice(&response.bytes().await.doing("asking")?).doing("asking")
}
