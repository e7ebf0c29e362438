//! `POST /deliberate/observables`: what is to be thought of each observable, as verdicts alone; why stands in the
//! judgements of `/observe/observables`. Asked, refused and limited like that one. Rich answers only.

use http::HeaderMap;

use super::envelope::Answer;
use super::http_error::Refusal;
use super::lookup::{answer, look_up};
use crate::app::App;
use crate::mapping;
use crate::observable::RawObservable;
use crate::trace::TraceId;

/// Answers `POST /deliberate/observables`.
///
/// # Errors
/// 503 when too many requests are under way, `authorization error` when the token or its OTX key is refused.
pub async fn deliberate(
    app: &App,
    trace: TraceId,
    headers: &HeaderMap,
    observables: Vec<RawObservable>,
) -> Result<Answer, Refusal> {
    let found = look_up(app, headers, observables).await?;
    Ok(answer(&found.lookups, mapping::verdicts(&found.lookups, &found.telling), &trace).into())
}
