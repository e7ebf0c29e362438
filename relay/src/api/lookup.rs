//! What the endpoints that look up observables share: who asks, what OTX says, how it is told, and what could not be asked.

use http::HeaderMap;
use tokio::sync::SemaphorePermit;

use super::envelope::Envelope;
use super::http_error::Refusal;
use crate::app::{App, Share};
use crate::broken;
use crate::ctim::Bundle;
use crate::error::{ErrorEntry, Severity};
use crate::mapping::Telling;
use crate::observable::{Observable, RawObservable};
use crate::otx::time::Moment;
use crate::otx::{self, Lookup};
use crate::trace::TraceId;

/// What was found, with the room that the request keeps until it is answered.
pub(super) struct Found<'a> {
    pub(super) lookups: Vec<Lookup>,
    pub(super) telling: Telling<'a>,
    _slot: SemaphorePermit<'a>,
    _share: Share<'a>,
}

/// Looks up observables for whoever asks.
///
/// # Errors
/// 503 when too many requests are under way, `authorization error` when the token or its OTX key is refused.
pub(super) async fn look_up<'a>(
    app: &'a App,
    headers: &HeaderMap,
    observables: Vec<RawObservable>,
) -> Result<Found<'a>, Refusal> {
    let slot = app.admit()?;
    let caller = app.authenticate(headers).await.map_err(ErrorEntry::from)?;
    let share = app.share(&caller)?;
    let observables = Observable::distinct(observables);
    let lookups = app.otx.lookup(&caller.key, observables).await.map_err(|failure| failure.entry())?;
    for lookup in &lookups {
        app.metrics.count_observable(lookup.observable.kind, lookup.label());
    }
    let now = Moment::now();
    app.journal.note(caller.key.scope(), &lookups, now);
    let telling = Telling::of(&app.config, broken::limit(caller.entities_limit), now);
    Ok(Found { lookups, telling, _slot: slot, _share: share })
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
