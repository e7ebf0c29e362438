//! `POST /observe/observables`: what OTX knows of each observable, as CTIM documents. The payload is judged before the
//! token; what could not be asked stands in `errors` beside what was found.

use http::HeaderMap;

use super::envelope::Answer;
use super::http_error::Refusal;
use super::lookup::{answer, look_up};
use crate::app::App;
use crate::mapping;
use crate::observable::RawObservable;
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
    let found = look_up(app, headers, observables).await?;
    Ok(answer(&found.lookups, mapping::bundle(&found.lookups, &found.telling), &trace).into())
}
