//! `POST /observe/observables`: what OTX knows of each observable, as CTIM documents. The payload is judged before the
//! token; what could not be asked stands in `errors` beside what was found.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::envelope::Answer;
use super::http_error::Refusal;
use super::lookup::{answer, look_up};
use crate::app::App;
use crate::mapping;
use crate::observable::RawObservable;
use crate::otx::Lookup;
use crate::trace::TraceId;

/// Header of an answer: how many seconds ago OTX gave the oldest part of it.
const X_CACHE_AGE: HeaderName = HeaderName::from_static("x-cache-age");

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
    let found = look_up(app, headers, observables).await?;
    let bundle = mapping::bundle(&found.lookups, &found.telling);
    let mut answer = Answer::from(answer(&found.lookups, bundle, &trace));
    if let Some(age) = age(&found.lookups) {
        answer.response.headers_mut().insert(X_CACHE_AGE, HeaderValue::from(age));
    }
    Ok(answer)
}

/// Seconds since OTX was asked what is answered, the longest of all observables; `None` when it was asked nothing.
fn age(lookups: &[Lookup]) -> Option<u64> {
    let asked = lookups.iter().filter(|lookup| lookup.observable.question().is_some());
    asked.filter_map(|lookup| Some(lookup.outcome.as_ref().ok()?.age.as_secs())).max()
}
