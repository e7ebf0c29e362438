//! The envelope of relay answers: `data`, `errors` or both, always at HTTP 200. Handlers return [`Envelope`] or an
//! [`ErrorEntry`]; both become an [`Answer`] here, which is a response and its [`Outcome`] for logs and metrics.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

use crate::error::{ErrorEntry, Severity};
use crate::json::to_canonical;

/// An answer with data, and with what is wrong with it.
#[derive(Debug, Serialize)]
pub struct Envelope<T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<T>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ErrorEntry>,
}

impl<T> Envelope<T> {
    /// A complete answer.
    pub fn of(data: T) -> Self {
        Self::with_errors(Some(data), Vec::new())
    }

    /// What could be found out, if anything, beside what could not.
    pub fn with_errors(data: Option<T>, errors: Vec<ErrorEntry>) -> Self {
        Self { data, errors }
    }
}

/// A response whose body is whole.
pub type Response = http::Response<Full<Bytes>>;

/// What an endpoint answers.
#[derive(Debug)]
pub struct Answer {
    /// What is sent.
    pub response: Response,
    /// What it comes to.
    pub outcome: Outcome,
}

impl Answer {
    /// A complete answer that is canonical JSON already.
    #[must_use]
    pub fn complete(text: Bytes) -> Self {
        Self { response: response(StatusCode::OK, text), outcome: Outcome::of(OutcomeKind::Ok) }
    }
}

/// A refusal is an answer too.
impl<T: Into<Self>, E: Into<Self>> From<Result<T, E>> for Answer {
    fn from(result: Result<T, E>) -> Self {
        result.map_or_else(Into::into, Into::into)
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How complete the answer is.
    pub kind: OutcomeKind,
    /// The code of the first, and of the worst, entry of `errors`.
    pub error_code: Option<&'static str>,
}

impl Outcome {
    /// An answer of this kind without entries in `errors`.
    #[must_use]
    pub const fn of(kind: OutcomeKind) -> Self {
        Self { kind, error_code: None }
    }
}

/// How complete an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeKind {
    /// All of it.
    Ok,
    /// All of it, with a warning.
    Warning,
    /// Parts are missing.
    Partial,
    /// There is none, as `errors` says.
    Error,
    /// There is none, as the HTTP status says.
    Refused,
    /// There is none, because the caller went away.
    Cancelled,
}

impl OutcomeKind {
    /// Its word in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Partial => "partial",
            Self::Error => "error",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
        }
    }
}

impl<T: Serialize> From<Envelope<T>> for Answer {
    fn from(envelope: Envelope<T>) -> Self {
        let worst = envelope.errors.iter().find(|entry| entry.severity != Severity::Warning);
        let kind = match (worst, &envelope.data) {
            (None, _) if envelope.errors.is_empty() => OutcomeKind::Ok,
            (None, _) => OutcomeKind::Warning,
            (Some(_), Some(_)) => OutcomeKind::Partial,
            (Some(_), None) => OutcomeKind::Error,
        };
        let error_code = worst.or(envelope.errors.first()).map(|entry| entry.code);
        Self { response: json(StatusCode::OK, &envelope), outcome: Outcome { kind, error_code } }
    }
}

impl From<ErrorEntry> for Answer {
    fn from(entry: ErrorEntry) -> Self {
        #[derive(Serialize)]
        struct Refused {
            errors: [ErrorEntry; 1],
        }
        let outcome = Outcome { kind: OutcomeKind::Error, error_code: Some(entry.code) };
        Self { response: json(StatusCode::OK, &Refused { errors: [entry] }), outcome }
    }
}

/// A JSON response in the canonical form.
pub(super) fn json(status: StatusCode, document: &(impl Serialize + ?Sized)) -> Response {
    response(status, to_canonical(document))
}

fn response(status: StatusCode, text: Bytes) -> Response {
    let mut response = Response::new(Full::new(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::text_of;
    use crate::error::code;

    fn entry(code: &'static str, severity: Severity) -> ErrorEntry {
        ErrorEntry { code, message: "Why.".to_owned(), severity }
    }

    async fn parts(answer: impl Into<Answer>) -> (String, Outcome) {
        let Answer { response, outcome } = answer.into();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "application/json");
        (text_of(response).await, outcome)
    }

    #[tokio::test]
    async fn a_complete_answer_has_data_alone() {
        let (text, outcome) = parts(Envelope::of([1])).await;
        assert_eq!(text, "{\"data\":[1]}\n");
        assert_eq!(outcome, Outcome { kind: OutcomeKind::Ok, error_code: None });
    }

    #[tokio::test]
    async fn a_refusal_has_errors_alone() {
        let (text, outcome) = parts(ErrorEntry::fatal(code::OOPS, "Why.")).await;
        assert_eq!(text, "{\"errors\":[{\"code\":\"oops\",\"message\":\"Why.\",\"type\":\"fatal\"}]}\n");
        assert_eq!(outcome, Outcome { kind: OutcomeKind::Error, error_code: Some("oops") });
    }

    #[tokio::test]
    async fn a_partial_answer_has_both_and_is_counted_by_its_worst_entry() {
        let errors = vec![entry(code::STALE, Severity::Warning), entry(code::OOPS, Severity::Error)];
        let (text, outcome) = parts(Envelope::with_errors(Some(()), errors)).await;
        assert!(text.starts_with("{\"data\":null,\"errors\":[{\"code\":\"stale answer\""), "{text}");
        assert_eq!(outcome, Outcome { kind: OutcomeKind::Partial, error_code: Some("oops") });
    }

    #[tokio::test]
    async fn an_answer_without_data_is_an_error() {
        let errors = vec![entry(code::OOPS, Severity::Fatal), entry(code::OOPS, Severity::Fatal)];
        let (text, outcome) = parts(Envelope::<()>::with_errors(None, errors)).await;
        assert!(text.starts_with("{\"errors\":["), "{text}");
        assert_eq!(outcome, Outcome { kind: OutcomeKind::Error, error_code: Some("oops") });
    }

    #[tokio::test]
    async fn warnings_leave_an_answer_complete() {
        let (_, outcome) = parts(Envelope::with_errors(Some(()), vec![entry(code::STALE, Severity::Warning)])).await;
        assert_eq!(outcome, Outcome { kind: OutcomeKind::Warning, error_code: Some("stale answer") });
    }
}
