//! The proxy's own requests to the API server: a client's request passed on, and a read turned into a read of the past.

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONNECTION, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::call::{Call, Verb};
use crate::cluster::Access;

/// A client of the API server that adds nothing of its own: identity and headers are the caller's.
pub(super) struct Upstream {
    http: reqwest::Client,
    server: String,
}

/// A whole answer.
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Upstream {
    pub fn new(access: &Access) -> reqwest::Result<Self> {
        let ca = reqwest::Certificate::from_pem(access.ca.as_bytes())?;
        let http = reqwest::Client::builder()
            .tls_certs_only([ca])
            .no_proxy()
            .gzip(false)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { http, server: access.server.clone() })
    }

    /// Passes a request on and returns when the answer's headers are there.
    pub async fn send(&self, parts: &Parts, path_and_query: &str, body: Bytes) -> reqwest::Result<reqwest::Response> {
        let mut headers = parts.headers.clone();
        // A compressed answer could not be looked into; the others belong to the client's connection.
        for name in [HOST, CONNECTION, TRANSFER_ENCODING, ACCEPT_ENCODING] {
            headers.remove(name);
        }
        let url = format!("{}{path_and_query}", self.server);
        self.http.request(parts.method.clone(), url).headers(headers).body(body).send().await
    }

    /// Passes a request on and reads the whole answer.
    pub async fn fetch(&self, parts: &Parts, body: Bytes) -> reqwest::Result<Answer> {
        let response = self.send(parts, path_and_query(parts), body).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Answer { status, headers, body: response.bytes().await? })
    }

    /// Answers a GET or LIST with the state at `revision`. The API has no GET of the past, so it is a LIST of one name.
    pub async fn fetch_stale(&self, parts: &Parts, call: &Call, revision: &str) -> reqwest::Result<Answer> {
        let response = self.send(parts, &stale_query(parts, call, revision), Bytes::new()).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await?;
        if call.verb != Verb::Get || !status.is_success() {
            return Ok(Answer { status, headers, body });
        }
        let mut list: Value = serde_json::from_slice(&body).unwrap_or_default();
        let Some(mut object) = list.pointer_mut("/items/0").map(Value::take) else {
            return Ok(refusal(404, &format!("{} {:?} not found", call.resource, call.name), None));
        };
        // Items of a list carry neither.
        object["apiVersion"] = list["apiVersion"].clone();
        let kind = list["kind"].as_str().unwrap_or_default();
        object["kind"] = json!(kind.strip_suffix("List").unwrap_or(kind));
        Ok(Answer { status, headers: json_headers(), body: object.to_string().into() })
    }
}

/// The path and query of a LIST at `revision` that answers `call`.
fn stale_query(parts: &Parts, call: &Call, revision: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let asked = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
    query.extend_pairs(asked.filter(|(key, _)| !key.starts_with("resourceVersion")));
    query.extend_pairs([("resourceVersion", revision), ("resourceVersionMatch", "Exact")]);
    let path = parts.uri.path();
    if call.verb != Verb::Get {
        return format!("{path}?{}", query.finish());
    }
    query.append_pair("fieldSelector", &format!("metadata.name={}", call.name));
    let list = path.rfind('/').and_then(|end| path.get(..end)).unwrap_or(path);
    format!("{list}?{}", query.finish())
}

/// An error answer in the API server's form.
pub(super) fn refusal(status: u16, message: &str, retry_after: Option<u32>) -> Answer {
    let reason = match status {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        422 => "Invalid",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "Unknown",
    };
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": status,
    });
    let mut headers = json_headers();
    if let Some(seconds) = retry_after {
        headers.insert(http::header::RETRY_AFTER, seconds.into());
    }
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Answer { status, headers, body: body.to_string().into() }
}

fn json_headers() -> HeaderMap {
    HeaderMap::from_iter([(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"))])
}

pub(super) fn path_and_query(parts: &Parts) -> &str {
    parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str)
}

/// `metadata.resourceVersion` of an answer, if it is an object or a list.
pub(super) fn resource_version(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    value.pointer("/metadata/resourceVersion")?.as_str().map(str::to_owned)
}
