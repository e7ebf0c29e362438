//! Whether OTX accepts a key and answers: asked where OTX always looks at the key, and remembered for a few seconds so
//! that health checks do not eat the budget.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::sync::Cache;
use serde_json::{Map, Value};

use super::budget::Usage;
use super::client::Whole;
use super::endpoint::Endpoint;
use super::failure::Failure;
use super::flights::Flights;
use super::key::Scope;
use super::{Ask, Shared};

/// How long a probe's outcome holds.
const HOLDS: Duration = Duration::from_secs(5);

/// How much of a key's budget is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Calls an hour that the relay allows the key.
    pub hourly_budget: u32,
    /// Calls made in the hour under way.
    pub used: u32,
    /// Since when that hour is under way.
    pub hour_age: Duration,
    /// The next call would have to wait for the budget.
    pub is_spent: bool,
}

/// The latest probe of every key.
pub(super) struct Probes {
    latest: Cache<Scope, Result<(), Failure>>,
    under_way: Flights<Scope, Result<(), Failure>>,
}

impl Default for Probes {
    fn default() -> Self {
        Self { latest: Cache::builder().max_capacity(10_000).time_to_live(HOLDS).build(), under_way: Flights::new() }
    }
}

pub(super) async fn probe(shared: &Arc<Shared>, ask: Ask) -> Result<Health, Failure> {
    let scope = ask.key.scope();
    if let Some(outcome) = shared.probes.latest.get(&scope) {
        return outcome.map(|()| shared.usage(scope));
    }
    let (deadline, patience) = (ask.deadline, ask.patience);
    let (flight, _) = shared.probes.under_way.join(scope, || {
        let shared = Arc::clone(shared);
        async move {
            let outcome = me(&shared, &ask).await;
            shared.probes.latest.insert(scope, outcome.clone());
            outcome
        }
    });
    tokio::time::timeout_at(Instant::into(deadline), flight)
        .await
        .map_err(|_| Failure::Deadline(patience))?
        .unwrap_or(Err(Failure::Internal))
        .map(|()| shared.usage(scope))
}

async fn me(shared: &Shared, ask: &Ask) -> Result<(), Failure> {
    let body = shared.client.call(ask, Endpoint::Me, shared.answer_bytes, Whole::default).await?;
    serde_json::from_slice::<Map<String, Value>>(&body).map_err(|_| Failure::NotJson)?;
    shared.client.gate.key(ask.key.scope()).set_accepted(true);
    Ok(())
}

impl Shared {
    pub(super) fn usage(&self, scope: Scope) -> Health {
        let Usage { used, hour_age, is_spent } = self.client.gate.key(scope).usage();
        Health { hourly_budget: self.client.gate.hourly(), used, hour_age, is_spent }
    }
}
