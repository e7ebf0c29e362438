//! `POST /observe/observables`: what OTX knows of each observable, as CTIM documents. The payload is judged before the
//! token; what could not be asked stands in `errors` beside what was found.

use http::HeaderMap;

use super::envelope::{Answer, Envelope};
use super::http_error::Refusal;
use crate::app::App;
use crate::broken;
use crate::ctim::Bundle;
use crate::error::{ErrorEntry, Severity};
use crate::mapping::{self, Telling};
use crate::observable::{Observable, RawObservable};
use crate::otx::time::Moment;
use crate::otx::{self, Lookup};
use crate::trace::TraceId;

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
    let telling = Telling::of(&app.config, broken::limit(caller.entities_limit), Moment::now());
    Ok(answer(&lookups, mapping::bundle(&lookups, &telling), &trace).into())
}

/// What some look-ups are answered with: what is told of them, and what could not be asked.
#[must_use]
pub fn answer<'a>(lookups: &'a [Lookup], bundle: Bundle<'a>, trace: &TraceId) -> Envelope<Bundle<'a>> {
    let errors = otx::entries(lookups, trace);
    // As in the original, an empty bundle says "nothing known" only where nothing failed.
    let failed = errors.iter().any(|entry| entry.severity != Severity::Warning);
    let data = (!failed || !bundle.is_empty()).then_some(bundle);
    Envelope::with_errors(data, errors)
}
