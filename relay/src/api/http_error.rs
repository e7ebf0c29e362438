//! Refusals by HTTP status, for what is not a relay answer: wrong paths and methods, limits, overload, defects. The
//! body has the three keys of the original's error handler (`code`, `message`, `reason`).

use std::borrow::Cow;

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::envelope::{Answer, Outcome, OutcomeKind, json};
use crate::error::ErrorEntry;

/// A response with a status of 4xx or 5xx.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpError {
    status: StatusCode,
    message: Cow<'static, str>,
    /// `module.Class` of the original's exception where it has one, else a name of this relay's.
    reason: &'static str,
}

impl HttpError {
    /// A refusal in this relay's own words.
    pub fn new(status: StatusCode, reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, message: message.into(), reason }
    }

    /// 404.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "werkzeug.exceptions.NotFound",
            "The requested URL was not found on the server. If you entered the URL manually please check your \
             spelling and try again.",
        )
    }

    /// 405.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "werkzeug.exceptions.MethodNotAllowed",
            "The method is not allowed for the requested URL.",
        )
    }

    /// 500, for a defect of the relay itself.
    #[must_use]
    pub fn defect() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "threatrelay.Defect", "Something went wrong.")
    }

    /// 503, to be asked again.
    #[must_use]
    pub fn overloaded() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "threatrelay.Overloaded",
            "Too many requests are under way. Please try again in a moment.",
        )
    }
}

impl From<HttpError> for Answer {
    fn from(error: HttpError) -> Self {
        #[derive(Serialize)]
        struct Body<'a> {
            code: u16,
            message: &'a str,
            reason: &'a str,
        }
        let HttpError { status, message, reason } = error;
        let mut response = json(status, &Body { code: status.as_u16(), message: &message, reason });
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        Self { response, outcome: Outcome::of(OutcomeKind::Refused) }
    }
}

/// Why a handler has no answer: by HTTP status or inside the envelope.
#[derive(Debug)]
pub enum Refusal {
    /// Not a relay answer at all.
    Http(HttpError),
    /// A relay answer with `errors` alone.
    Relay(ErrorEntry),
}

impl From<HttpError> for Refusal {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

impl From<ErrorEntry> for Refusal {
    fn from(entry: ErrorEntry) -> Self {
        Self::Relay(entry)
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Http(error) => error.into(),
            Refusal::Relay(entry) => entry.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::text_of;

    #[tokio::test]
    async fn the_body_has_code_message_and_reason() {
        let response = Answer::from(HttpError::method_not_allowed()).response;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.headers().get("retry-after"), None);
        assert_eq!(
            text_of(response).await,
            "{\"code\":405,\"message\":\"The method is not allowed for the requested URL.\",\
             \"reason\":\"werkzeug.exceptions.MethodNotAllowed\"}\n"
        );
    }

    #[test]
    fn overload_says_when_to_come_back() {
        let response = Answer::from(HttpError::overloaded()).response;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["retry-after"], "1");
    }
}
