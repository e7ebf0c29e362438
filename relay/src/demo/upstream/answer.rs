//! What every answer of the upstream has in common: JSON, OTX's headers, gzip for who asks for it.
//!
//! Handlers make plain bodies; [`dress`] passes over each on its way out. Nothing here has `ETag`, `Retry-After` or a
//! budget header, because OTX has none.

use std::io::Write;

use axum::body::{Body, to_bytes};
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use super::indicator::Refusal;

const EVERY_ANSWER: [(&str, &str); 8] = [
    ("server", "gunicorn"),
    ("x-frame-options", "SAMEORIGIN"),
    ("x-otx-active", "1"),
    ("access-control-allow-origin", "*"),
    ("vary", "Accept-Encoding"),
    ("x-cache", "Miss from cloudfront"),
    ("via", "1.1 upstream.example (CloudFront)"),
    ("x-amz-cf-pop", "EXA50-P1"),
];

/// A JSON body with a status.
pub(in crate::demo) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => (status, [(CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// `{"detail": ...}`, as OTX words its errors.
pub(in crate::demo) fn detail(status: StatusCode, detail: &str) -> Response {
    #[derive(Serialize)]
    struct Detail<'a> {
        detail: &'a str,
    }
    json(status, &Detail { detail })
}

/// The key is missing or not known where one is needed.
pub(in crate::demo) fn forbidden() -> Response {
    detail(StatusCode::FORBIDDEN, "Authentication required")
}

/// A path the upstream does not have; a web framework's page.
pub(in crate::demo) async fn no_such_path() -> Response {
    let page = "<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>\n";
    (StatusCode::NOT_FOUND, [(CONTENT_TYPE, "text/html")], page).into_response()
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        detail(self.status, self.detail)
    }
}

/// Adds OTX's headers, the key owner's name, and gzip when `request` accepts it.
pub(in crate::demo) async fn dress(request: &HeaderMap, username: Option<&str>, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    for (name, value) in EVERY_ANSWER {
        parts.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if let Some(name) = username.and_then(|name| HeaderValue::from_str(name).ok()) {
        parts.headers.insert("x-remote-user-name", name);
    }
    let accepts_gzip = request
        .get(ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("gzip"));
    if !accepts_gzip {
        return Response::from_parts(parts, body);
    }
    match to_bytes(body, usize::MAX).await.map_err(std::io::Error::other).and_then(|bytes| gzip(&bytes)) {
        Ok(bytes) => {
            parts.headers.remove(CONTENT_LENGTH);
            parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            Response::from_parts(parts, Body::from(bytes))
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}
