#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;

use super::envelope::Response;
use crate::app::{App, fixture};
use crate::json::is_canonical;
use crate::router;

/// The body of a response.
pub(crate) async fn text_of<B: hyper::body::Body<Data = bytes::Bytes>>(response: http::Response<B>) -> String {
    let Ok(body) = response.into_body().collect().await else { unreachable!("a body that breaks off") };
    let body = body.to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

async fn send(app: &Arc<App>, request: http::request::Builder, body: impl Into<Body>) -> Response {
    router::answer(app, request.body(body.into()).unwrap()).await
}

async fn post(app: &Arc<App>, path: &str, body: impl Into<Body>) -> Response {
    send(app, Request::post(path), body).await
}

/// The answer of a relay with default settings, which must be canonical JSON at 200.
async fn answer(request: http::request::Builder, body: &'static str) -> String {
    let response = send(&fixture::relay(fixture::config()), request, body).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/json");
    let text = text_of(response).await;
    assert!(is_canonical(text.as_bytes()), "{text}");
    text
}

#[tokio::test]
async fn version_has_no_envelope_and_ignores_the_body() {
    let expected = concat!("{\"version\":\"", env!("CARGO_PKG_VERSION"), "\"}\n");
    assert_eq!(answer(Request::post("/version"), "{nonsense").await, expected);
}

#[tokio::test]
async fn watchdog_gives_its_header_back() {
    let request = || Request::get("/watchdog");
    assert_eq!(
        answer(request().header("Health-Check", "a \"b\" \u{e9}"), "").await,
        "{\"data\":\"a \\\"b\\\" \\u00c3\\u00a9\"}\n"
    );
    assert_eq!(answer(request().header("Health-Check", ""), "").await, "{\"data\":\"\"}\n");
    assert_eq!(
        answer(request(), "").await,
        "{\"errors\":[{\"code\":\"health check failed\",\"message\":\"Invalid Health Check\",\"type\":\"fatal\"}]}\n"
    );
}

#[tokio::test]
async fn refer_links_every_supported_type() {
    let body = concat!(
        r#"[{"type":"domain","value":"a.example"},{"type":"email","value":"a+b@example.com"},"#,
        r#"{"type":"ip","value":"192.0.2.1"},{"type":"ipv6","value":"2001:db8::1"},{"type":"md5","value":"m"},"#,
        r#"{"type":"sha1","value":"s"},{"type":"sha256","value":"t"},{"type":"url","value":"http://é.example/~a b?c=%20"}]"#
    );
    let text = answer(Request::post("/refer/observables"), body).await;
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    let seen: Vec<(&str, &str, &str)> = answer["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reference| {
            assert_eq!(reference["categories"], serde_json::json!(["Search", "AlienVault OTX"]));
            let [id, title, url] = ["id", "title", "url"].map(|key| reference[key].as_str().unwrap());
            let name = title.strip_prefix("Search for this ").unwrap();
            assert_eq!(reference["description"], format!("Lookup this {name} on AlienVault OTX"));
            (
                id.strip_prefix("ref-avotx-search-").unwrap(),
                name,
                url.strip_prefix("https://otx.example/indicator/").unwrap(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("domain-a.example", "domain", "domain/a.example"),
            ("email-a%2Bb%40example.com", "email", "email/a%2Bb@example.com"),
            ("ip-192.0.2.1", "IP", "ip/192.0.2.1"),
            ("ipv6-2001%3Adb8%3A%3A1", "IPv6", "ip/2001:db8::1"),
            ("md5-m", "MD5", "file/m"),
            ("sha1-s", "SHA1", "file/s"),
            ("sha256-t", "SHA256", "file/t"),
            (
                "url-http%3A%2F%2F%C3%A9.example%2F~a%20b%3Fc%3D%2520",
                "URL",
                "url/http:%2F%2F%C3%A9.example%2F~a%20b%3Fc%3D%2520"
            ),
        ]
    );
}

#[tokio::test]
async fn refer_leaves_out_unsupported_types_and_repetitions() {
    let body = concat!(
        r#"[{"type":"IP","value":"192.0.2.1"},{"type":"file_name","value":"a"},{"type":"ip","value":"192.0.2.1"},"#,
        r#"{"type":"ip","value":"192.0.2.1"},{"type":"ipv6","value":"192.0.2.1"}]"#
    );
    let text = answer(Request::post("/refer/observables"), body).await;
    assert_eq!(text.matches("\"id\":").count(), 2, "{text}");
    assert_eq!(answer(Request::post("/refer/observables"), "[]").await, "{\"data\":[]}\n");
}

#[tokio::test]
async fn a_trailing_slash_of_the_web_url_is_not_doubled_in_links() {
    let mut config = fixture::config();
    config.otx.web_url = "https://example.com/otx/".parse().unwrap();
    let body = r#"[{"type":"ip","value":"192.0.2.1"}]"#;
    let text = text_of(post(&fixture::relay(config), "/refer/observables", body).await).await;
    assert!(text.contains("\"https://example.com/otx/indicator/ip/192.0.2.1\""), "{text}");
}

#[tokio::test]
async fn a_bad_payload_is_an_error_entry_whatever_its_content_type() {
    for path in ["/refer/observables", "/observe/observables"] {
        let text = answer(Request::post(path).header("content-type", "text/plain"), "{}").await;
        assert_eq!(
            text,
            "{\"errors\":[{\"code\":\"invalid payload received\",\"message\":\"Invalid JSON payload received. \
             {\\\"_schema\\\": [\\\"Invalid input type.\\\"]}.\",\"type\":\"fatal\"}]}\n"
        );
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whether_declared_or_not() {
    let mut config = fixture::config();
    config.limits.body_bytes = 10;
    let app = fixture::relay(config);
    let declared = send(&app, Request::post("/refer/observables").header("content-length", "11"), "").await;
    let sent = post(&app, "/refer/observables", " ".repeat(11)).await;
    for response in [declared, sent] {
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(
            text_of(response).await,
            "{\"code\":413,\"message\":\"The request body is larger than 10 bytes.\",\"reason\":\"threatrelay.LargeBody\"}\n"
        );
    }
    assert_eq!(post(&app, "/refer/observables", "[        ]").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn encoded_bodies_are_refused() {
    let app = fixture::relay(fixture::config());
    let coded = |coding: &str| Request::post("/refer/observables").header("content-encoding", coding);
    assert_eq!(send(&app, coded("gzip"), "[]").await.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(send(&app, coded("identity"), "[]").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_refused() {
    let mut config = fixture::config();
    config.limits.body_timeout = std::time::Duration::from_millis(20);
    let never = Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let response = post(&fixture::relay(config), "/refer/observables", never).await;
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
    assert!(text_of(response).await.contains("did not arrive within 0.02 seconds"));
}

#[tokio::test]
async fn no_room_is_a_quick_503_for_the_endpoints_that_wait_for_others() {
    let mut config = fixture::config();
    config.limits.concurrent_requests = 1;
    let app = fixture::relay(config);
    let under_way = app.admit().unwrap();
    for path in ["/observe/observables", "/health"] {
        let response = post(&app, path, "[]").await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(response.headers()["retry-after"], "1");
    }
    assert_eq!(post(&app, "/refer/observables", "[]").await.status(), StatusCode::OK);
    drop(under_way);
    assert_eq!(post(&app, "/health", "").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn large_bodies_beyond_the_room_they_share_are_a_quick_503_and_small_ones_are_not() {
    let mut config = fixture::config();
    config.limits.body_bytes = 16 << 20;
    let app = fixture::relay(config);
    let held = app.room_for_body((16 << 20) - 1000).unwrap();
    let blanks = |count: usize| "[".to_owned() + &" ".repeat(count - 2) + "]";
    assert_eq!(post(&app, "/refer/observables", blanks((16 << 10) + 1000)).await.status(), StatusCode::OK);
    for path in ["/refer/observables", "/observe/observables"] {
        let response = post(&app, path, blanks((16 << 10) + 1001)).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(response.headers()["retry-after"], "1");
    }
    drop(held);
    assert_eq!(post(&app, "/refer/observables", blanks(16 << 20)).await.status(), StatusCode::OK);
    assert_eq!(post(&app, "/refer/observables", blanks(16 << 20)).await.status(), StatusCode::OK);
}
