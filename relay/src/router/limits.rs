//! Limits on the head of a request: the length of its target (414), the number and bytes of its headers (431), one
//! `Host` (400). Heads beyond all bounds never get here, hyper refuses them with the same statuses and no body.

use http::{StatusCode, header, request};

use crate::api::http_error::HttpError;
use crate::config::Limits;

/// Why a request whose head is beyond the limits is refused.
pub(super) fn refusal(head: &request::Parts, limits: &Limits) -> Option<HttpError> {
    let request::Parts { uri, headers, .. } = head;
    let uri_bytes = uri.path().len() + uri.query().map_or(0, |query| query.len() + 1);
    if uri_bytes > limits.uri_bytes {
        let message = format!("The requested URL is longer than {} bytes.", limits.uri_bytes);
        return Some(HttpError::new(StatusCode::URI_TOO_LONG, "threatrelay.LongUrl", message));
    }
    let header_bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > limits.header_count || header_bytes > limits.header_bytes {
        let message = format!(
            "The request has more than {} headers or {} bytes of them.",
            limits.header_count, limits.header_bytes
        );
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Some(HttpError::new(status, "threatrelay.LargeHeaders", message));
    }
    if headers.get_all(header::HOST).iter().count() > 1 {
        return Some(HttpError::new(
            StatusCode::BAD_REQUEST,
            "threatrelay.SeveralHosts",
            "The request has more than one Host header.",
        ));
    }
    None
}
