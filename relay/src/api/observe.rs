//! `POST /observe/observables`: what OTX knows of each observable, as CTIM documents. The payload is judged before the
//! token; what could not be asked stands in `errors` beside what was found.

use http::HeaderMap;
use url::Url;

use super::envelope::{Answer, Envelope};
use super::http_error::Refusal;
use crate::app::App;
use crate::ctim::Bundle;
use crate::error::{ErrorEntry, Severity};
use crate::observable::{Observable, RawObservable};
use crate::otx::Lookup;
use crate::trace::TraceId;
use crate::{broken, mapping, otx};

/// Answers `POST /observe/observables`.
///
/// # Errors
/// 503 when too many requests are under way, `authorization error` when the token or its OTX key is refused.
pub async fn observe(
    app: &App,
    trace: TraceId,
    headers: &HeaderMap,
    observables: Vec<RawObservable>,
) -> Result<Answer, Refusal> {
    let _slot = app.admit()?;
    let caller = app.authenticate(headers).await.map_err(ErrorEntry::from)?;
    let _share = app.share(&caller)?;
    let observables = Observable::distinct(observables);
    let lookups = app.otx.lookup(&caller.key, observables).await.map_err(|failure| failure.entry())?;
    for lookup in &lookups {
        app.metrics.count_observable(lookup.observable.kind, lookup.label());
    }
    Ok(answer(&lookups, broken::limit(caller.entities_limit), &app.config.otx.web_url, &trace).into())
}

/// What some look-ups are answered with, of each observable the `limit` newest matches; links for people start with
/// `web`.
#[must_use]
pub fn answer<'a>(lookups: &'a [Lookup], limit: usize, web: &Url, trace: &TraceId) -> Envelope<Bundle<'a>> {
    let bundle = mapping::bundle(lookups, limit, web);
    let errors = otx::entries(lookups, trace);
    // As in the original, an empty bundle says "nothing known" only where nothing failed.
    let failed = errors.iter().any(|entry| entry.severity != Severity::Warning);
    let data = (!failed || !bundle.is_empty()).then_some(bundle);
    Envelope::with_errors(data, errors)
}
