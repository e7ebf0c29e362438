//! Whether OTX accepts the keys that this relay holds itself, for whoever watches over it. OTX is asked when somebody
//! wants to know, about each key at most once in ten seconds, and never twice at the same time. Names of keys go out, keys
//! never do; a relay that takes keys from tokens has none to tell of.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::otx::key::{OtxKey, Scope};
use crate::otx::{Engine, Failure};

/// How long an answer holds.
const HOLDS: Duration = Duration::from_secs(10);
/// The longest that OTX may take to answer: who watches over a relay does not wait for long.
const PATIENCE: Duration = Duration::from_secs(8);

/// The answer of `GET /upstream`.
#[derive(Clone, Debug, Serialize)]
pub struct Upstream {
    /// By the name of the key; empty when keys come in tokens.
    pub keys: BTreeMap<String, KeyReport>,
}

/// What OTX last said to one key.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyReport {
    /// `ok`, or the closed word of the failure: `unauthorized`, `rate_limited`, `unreachable` ...
    pub result: &'static str,
    /// The failure in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When OTX was asked, RFC 3339.
    pub asked_at: String,
}

/// The latest answers. Its lock is held while OTX is asked: others who want to know wait for the same answer.
#[derive(Default)]
pub struct Watchman(Mutex<BTreeMap<String, Asked>>);

struct Asked {
    scope: Scope,
    at: Instant,
    report: KeyReport,
}

impl Watchman {
    /// What OTX says to each of `keys`, now or within the last ten seconds.
    pub async fn report(&self, otx: &Engine, keys: Vec<(String, OtxKey)>) -> Upstream {
        let mut latest = self.0.lock().await;
        latest.retain(|name, asked| {
            let is_held = keys.iter().any(|(held, key)| held == name && key.scope() == asked.scope);
            is_held && asked.at.elapsed() < HOLDS
        });
        let unknown = keys.into_iter().filter(|(name, _)| !latest.contains_key(name)).collect::<Vec<_>>();
        let asked = join_all(unknown.into_iter().map(async |(name, key)| {
            let outcome = timeout(PATIENCE, otx.health(&key)).await.unwrap_or(Err(Failure::Timeout(PATIENCE)));
            (name, Asked { scope: key.scope(), at: Instant::now(), report: report(outcome.map(drop)) })
        }));
        latest.extend(asked.await);
        Upstream { keys: latest.iter().map(|(name, asked)| (name.clone(), asked.report.clone())).collect() }
    }
}

fn report(outcome: Result<(), Failure>) -> KeyReport {
    let (result, message) = match outcome {
        Ok(()) => ("ok", None),
        Err(failure) => (failure.label(), Some(failure.to_string())),
    };
    KeyReport { result, message, asked_at: format!("{:.0}", Timestamp::now()) }
}
