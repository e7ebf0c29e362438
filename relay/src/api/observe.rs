//! `POST /observe/observables`: what OTX knows of each observable, as CTIM documents. The payload is judged before the
//! token; what could not be asked stands in `errors` beside what was found.

use http::HeaderMap;

use super::envelope::{Answer, Envelope};
use super::http_error::Refusal;
use crate::app::App;
use crate::error::{ErrorEntry, Severity};
use crate::observable::{Observable, RawObservable};
use crate::trace::TraceId;
use crate::{mapping, otx};

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
    let observables = Observable::distinct(observables);
    let lookups = app.otx.lookup(&caller.key, observables).await.map_err(|failure| failure.entry())?;
    for lookup in &lookups {
        app.metrics.count_observable(lookup.observable.kind, lookup.label());
    }
    let bundle = mapping::bundle(&lookups, caller.entities_limit, &app.config.otx.web_url);
    let errors = otx::entries(&lookups, &trace);
    // As in the original, an empty bundle says "nothing known" only where nothing failed.
    let failed = errors.iter().any(|entry| entry.severity != Severity::Warning);
    let data = (!failed || !bundle.is_empty()).then_some(bundle);
    Ok(Envelope::with_errors(data, errors).into())
}
