//! The observables of a request, read from its body within the limits on size, time and number. A body that cannot be
//! taken is refused by HTTP status (413, 408, 415, 400), one that is no payload inside the envelope.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::http_error::{HttpError, Refusal};
use super::payload;
use crate::app::App;
use crate::config::Limits;
use crate::observable::RawObservable;
use crate::router::access::ObservableCount;

/// The payload of the endpoints that take observables.
#[derive(Debug)]
pub struct Observables(pub Vec<RawObservable>);

impl FromRequest<Arc<App>> for Observables {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Refusal> {
        let limits = &app.config.limits;
        let (head, body) = request.into_parts();
        let body = receive(&head.headers, body, limits).await?;
        let observables = payload::read(&body, limits.observables)?;
        if let Some(count) = head.extensions.get::<ObservableCount>() {
            count.set(observables.len());
        }
        Ok(Self(observables))
    }
}

async fn receive(headers: &HeaderMap, body: Body, limits: &Limits) -> Result<Bytes, HttpError> {
    if headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(HttpError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "threatrelay.EncodedBody",
            "Encoded request bodies are not taken. Send the body without Content-Encoding.",
        ));
    }
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limits.body_bytes)) {
        return Err(too_large(limits));
    }
    let whole = Limited::new(body, limits.body_bytes).collect();
    match tokio::time::timeout(limits.body_timeout, whole).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(limits)),
        Ok(Err(_)) => Err(HttpError::new(
            StatusCode::BAD_REQUEST,
            "threatrelay.BrokenBody",
            "The request body ended early or was not framed as its headers say.",
        )),
        Err(_) => Err(HttpError::new(
            StatusCode::REQUEST_TIMEOUT,
            "threatrelay.SlowBody",
            format!("The request body did not arrive within {} seconds.", limits.body_timeout.as_secs_f32()),
        )),
    }
}

fn too_large(limits: &Limits) -> HttpError {
    HttpError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "threatrelay.LargeBody",
        format!("The request body is larger than {} bytes.", limits.body_bytes),
    )
}
