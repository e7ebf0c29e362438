//! `POST /health`: whether this caller's token and OTX key work, found out by asking OTX. The body is ignored.

use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;
use serde::Serialize;

use super::envelope::Envelope;
use super::http_error::Refusal;
use crate::app::App;
use crate::config::Answers;
use crate::error::ErrorEntry;
use crate::otx;

/// The platform's `ModuleHealthStatus`.
#[derive(Debug, Serialize)]
pub struct Health {
    /// The original said nothing of quotas, so only rich answers do.
    #[serde(skip_serializing_if = "Option::is_none")]
    quotas: Option<Quotas>,
    status: &'static str,
}

/// The quotas that the relay keeps for the caller's key.
#[derive(Debug, Serialize)]
struct Quotas {
    #[serde(rename = "AlienVault OTX")]
    otx: Quota,
}

#[derive(Debug, Serialize)]
struct Quota {
    description: &'static str,
    values: Bucket,
}

/// A quota as the platform has it: a bucket that fills up within its unit of time.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are the platform's")]
struct Bucket {
    bucket_limit: u32,
    bucket_unit: &'static str,
    current_bucket_consumption: u32,
    current_bucket_end_time: String,
    current_bucket_limit_reached: bool,
    current_bucket_start_time: String,
}

/// Answers `POST /health`.
///
/// # Errors
/// 503 when too many requests are under way; `authorization error` when the token or its OTX key is refused, `too many
/// requests` when OTX throttles the key, `oops` with the reason when OTX is down or slow.
pub async fn health(app: &App, headers: &HeaderMap) -> Result<Envelope<Health>, Refusal> {
    let _slot = app.admit()?;
    let caller = app.authenticate(headers).await.map_err(ErrorEntry::from)?;
    let _share = app.share(&caller)?;
    let health = app.otx.health(&caller.key).await.map_err(|failure| failure.entry())?;
    let quotas = (app.config.answers == Answers::Rich).then(|| Quotas::new(&health, Timestamp::now()));
    Ok(Envelope::of(Health { quotas, status: "ok" }))
}

impl Quotas {
    fn new(health: &otx::Health, now: Timestamp) -> Self {
        let otx::Health { hourly_budget, used, hour_age, is_spent } = *health;
        let start = now.checked_sub(hour_age).unwrap_or(now);
        let end = start.checked_add(Duration::from_hours(1)).unwrap_or(start);
        let whole_seconds = |moment: Timestamp| format!("{moment:.0}");
        Self {
            otx: Quota {
                description: "Calls to AlienVault OTX that this relay makes with the key",
                values: Bucket {
                    bucket_limit: hourly_budget,
                    bucket_unit: "hour",
                    current_bucket_consumption: used,
                    current_bucket_end_time: whole_seconds(end),
                    current_bucket_limit_reached: is_spent,
                    current_bucket_start_time: whole_seconds(start),
                },
            },
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::*;

    #[test]
    fn the_quota_is_the_budget_of_the_hour_under_way() {
        let health = otx::Health { hourly_budget: 100, used: 40, hour_age: Duration::from_mins(15), is_spent: false };
        let quotas = Quotas::new(&health, "2026-11-24T12:15:00.7Z".parse().unwrap());
        assert_eq!(
            serde_json::to_value(&quotas).unwrap()["AlienVault OTX"]["values"],
            serde_json::json!({
                "bucket_limit": 100, "bucket_unit": "hour", "current_bucket_consumption": 40,
                "current_bucket_start_time": "2026-11-24T12:00:00Z", "current_bucket_end_time": "2026-11-24T13:00:00Z",
                "current_bucket_limit_reached": false,
            })
        );
    }
}
