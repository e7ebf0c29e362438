//! The observables of a request, read from its body within the limits on size, time and number, and on what all
//! requests hold together. A body that cannot be taken is refused by HTTP status (413, 408, 415, 400, 503), one that
//! is no payload inside the envelope.

use std::pin::pin;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

use super::http_error::{HttpError, Refusal};
use super::payload;
use crate::app::App;
use crate::broken::{self, Defect};
use crate::config::Limits;
use crate::observable::RawObservable;

/// Bytes of a body that take none of the room which bodies share, so that ordinary requests never lack it.
const SMALL_BODY: usize = 16 << 10;

/// The payload of the endpoints that take observables, and the room it takes.
#[derive(Debug)]
pub struct Observables<'a> {
    /// As they were sent.
    pub list: Vec<RawObservable>,
    /// Given back when the request is over.
    pub room: Option<SemaphorePermit<'a>>,
}

impl<'a> Observables<'a> {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`Refusal`], as the module says.
    pub async fn receive(app: &'a App, headers: &HeaderMap, body: impl Body<Data = Bytes>) -> Result<Self, Refusal> {
        let (body, room) = whole(app, headers, body).await?;
        Ok(Self { list: payload::read(&body, app.config.limits.observables)?, room })
    }
}

/// The whole body of a request, within the limits on size and time, with the room that it takes.
///
/// # Errors
/// 413, 408, 415, 400 or 503, as the module says.
pub async fn whole<'a>(
    app: &'a App,
    headers: &HeaderMap,
    body: impl Body<Data = Bytes>,
) -> Result<(Vec<u8>, Option<SemaphorePermit<'a>>), HttpError> {
    let limits = &app.config.limits;
    check_headers(headers, limits)?;
    let mut received = pin!(receive(app, body));
    // Most bodies came with their heads and need no timer.
    match received.as_mut().now_or_never() {
        Some(received) => received,
        None => timeout(limits.body_timeout, received).await.unwrap_or_else(|_| Err(too_slow(limits))),
    }
}

fn check_headers(headers: &HeaderMap, limits: &Limits) -> Result<(), HttpError> {
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
    Ok(())
}

/// The whole body, with the room taken for it.
async fn receive(
    app: &App,
    body: impl Body<Data = Bytes>,
) -> Result<(Vec<u8>, Option<SemaphorePermit<'_>>), HttpError> {
    let limits = &app.config.limits;
    let mut body = pin!(body);
    let (mut received, mut room) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| broken())?.into_data() else { continue };
        let length = received.len() + data.len();
        if length > limits.body_bytes && !broken::is(Defect::EndlessBody) {
            return Err(too_large(limits));
        }
        if length > SMALL_BODY {
            let more = app.room_for_body(data.len().min(length - SMALL_BODY))?;
            match &mut room {
                None => room = Some(more),
                Some(room) => room.merge(more),
            }
        }
        received.extend_from_slice(&data);
    }
    Ok((received, room))
}

fn too_large(limits: &Limits) -> HttpError {
    HttpError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "threatrelay.LargeBody",
        format!("The request body is larger than {} bytes.", limits.body_bytes),
    )
}

fn too_slow(limits: &Limits) -> HttpError {
    HttpError::new(
        StatusCode::REQUEST_TIMEOUT,
        "threatrelay.SlowBody",
        format!("The request body did not arrive within {} seconds.", limits.body_timeout.as_secs_f32()),
    )
}

fn broken() -> HttpError {
    HttpError::new(
        StatusCode::BAD_REQUEST,
        "threatrelay.BrokenBody",
        "The request body ended early or was not framed as its headers say.",
    )
}
