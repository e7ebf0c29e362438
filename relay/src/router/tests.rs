#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use axum::body::Body;
use futures_util::FutureExt;

use super::*;
use crate::api::tests::text_of;
use crate::app::fixture;
use crate::config::{Log, LogFormat};
use crate::metrics::Exposition;
use crate::telemetry::{self, tests::Captured};

const NOT_FOUND: &str = "{\"code\":404,\"message\":\"The requested URL was not found on the server. If you entered the URL \
    manually please check your spelling and try again.\",\"reason\":\"werkzeug.exceptions.NotFound\"}\n";
const NOT_ALLOWED: &str = "{\"code\":405,\"message\":\"The method is not allowed for the requested URL.\",\
    \"reason\":\"werkzeug.exceptions.MethodNotAllowed\"}\n";

async fn send(app: &Arc<App>, method: &str, path: &str) -> Response {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    answer(app, request).await
}

async fn ask(method: &str, path: &str) -> Response {
    send(&fixture::relay(fixture::config()), method, path).await
}

#[tokio::test]
async fn wrong_paths_are_answered_as_the_original_did() {
    for path in ["/", "/nowhere", "/version/x", "/VERSION", "/observe", "/./version"] {
        for method in ["GET", "POST", "OPTIONS"] {
            let response = ask(method, path).await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{method} {path}");
            assert_eq!(response.headers()["content-type"], "application/json");
            assert_eq!(text_of(response).await, NOT_FOUND);
        }
    }
}

#[tokio::test]
async fn wrong_methods_are_answered_without_an_allow_header() {
    let wrong = [
        ("GET", "/version"),
        ("PUT", "/health"),
        ("POST", "/watchdog"),
        ("TRACE", "/version"),
        ("NONSENSE", "/health"),
    ];
    for (method, path) in wrong {
        let response = ask(method, path).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        assert_eq!(response.headers().get("allow"), None);
        assert_eq!(text_of(response).await, NOT_ALLOWED);
    }
    assert_eq!(ask("HEAD", "/version").await.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn options_of_a_route_lists_its_methods_on_an_empty_page() {
    for path in Route::ALL.map(Route::path) {
        let response = ask("OPTIONS", path).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
        let expected = if path == "/watchdog" { "GET, HEAD, OPTIONS" } else { "POST, OPTIONS" };
        assert_eq!(response.headers()["allow"], expected);
        assert_eq!(text_of(response).await, "");
    }
}

#[tokio::test]
async fn doubled_and_trailing_slashes_do_not_matter() {
    for path in ["/version/", "//version", "/version//?a=b", "///version"] {
        assert_eq!(ask("POST", path).await.status(), StatusCode::OK, "{path}");
    }
    assert_eq!(ask("OPTIONS", "//observe//observables/").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn every_response_has_a_trace_id_of_its_own() {
    let app = fixture::relay(fixture::config());
    let mut ids = std::collections::HashSet::new();
    for (method, path) in [("POST", "/version"), ("POST", "/version"), ("GET", "/"), ("GET", "/version")] {
        let response = send(&app, method, path).await;
        let id = response.headers()["x-trace-id"].to_str().unwrap().to_owned();
        assert!(id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{id}");
        assert!(ids.insert(id));
    }
}

#[tokio::test]
async fn a_long_target_is_414() {
    let fits = format!("/{}", "a".repeat(8191));
    assert_eq!(ask("GET", &fits).await.status(), StatusCode::NOT_FOUND);
    for long in [format!("{fits}a"), format!("/version?{}", "a".repeat(8184))] {
        let response = ask("POST", &long).await;
        assert_eq!(response.status(), StatusCode::URI_TOO_LONG);
        assert_eq!(
            text_of(response).await,
            "{\"code\":414,\"message\":\"The requested URL is longer than 8192 bytes.\",\"reason\":\"threatrelay.LongUrl\"}\n"
        );
    }
}

#[tokio::test]
async fn too_many_or_too_large_headers_are_431_and_two_hosts_400() {
    let status = async |names: &[&str], value: &str| {
        let mut request = Request::post("/version");
        for name in names {
            request = request.header(*name, value);
        }
        let app = fixture::relay(fixture::config());
        answer(&app, request.body(Body::empty()).unwrap()).await.status()
    };
    assert_eq!(status(&["a"; 100], "").await, StatusCode::OK);
    assert_eq!(status(&["a"; 101], "").await, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(status(&["a"], &"b".repeat(32_767)).await, StatusCode::OK);
    assert_eq!(status(&["a"], &"b".repeat(32_768)).await, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(status(&["host", "host"], "relay.example").await, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_draining_relay_answers_and_ends_the_connection() {
    let app = fixture::relay(fixture::config());
    app.enter(Phase::Ready);
    assert_eq!(send(&app, "POST", "/version").await.headers().get("connection"), None);
    app.enter(Phase::Draining);
    let response = send(&app, "POST", "/version").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["connection"], "close");
}

#[tokio::test]
#[expect(clippy::panic, reason = "that is what is tested")]
async fn a_panic_costs_its_own_request_a_500() {
    let app = fixture::relay(fixture::config());
    let body = Body::from_stream(futures_util::stream::poll_fn(
        |_| -> std::task::Poll<Option<Result<Bytes, std::io::Error>>> { panic!("a defect") },
    ));
    let response = answer(&app, Request::post("/refer/observables").body(body).unwrap()).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(response.headers().contains_key("x-trace-id"));
    assert_eq!(
        text_of(response).await,
        "{\"code\":500,\"message\":\"Something went wrong.\",\"reason\":\"threatrelay.Defect\"}\n"
    );
    let metrics = app.metrics.encode(Exposition::Text);
    assert!(metrics.contains("http_response_status_code=\"500\",error_type=\"500\"} 1"), "{metrics}");
}

#[tokio::test]
async fn metrics_know_routes_and_known_methods_alone() {
    let app = fixture::relay(fixture::config());
    send(&app, "POST", "/version/").await;
    send(&app, "SECRET", "/secret?secret").await;
    send(&app, "POST", "/health").await;
    let metrics = app.metrics.encode(Exposition::Text);
    for expected in [
        "http_server_request_duration_seconds_count{http_request_method=\"POST\",http_route=\"/version\",\
         http_response_status_code=\"200\",error_type=\"\"} 1",
        "http_server_request_duration_seconds_count{http_request_method=\"_OTHER\",http_route=\"(unmatched)\",\
         http_response_status_code=\"404\",error_type=\"\"} 1",
        "relay_responses_total{endpoint=\"/version\",outcome=\"ok\",error_code=\"\"} 1",
        "relay_responses_total{endpoint=\"(unmatched)\",outcome=\"refused\",error_code=\"\"} 1",
        "relay_responses_total{endpoint=\"/health\",outcome=\"error\",error_code=\"authorization error\"} 1",
        "http_server_active_requests 0",
    ] {
        assert!(metrics.lines().any(|line| line == expected), "no line {expected} in\n{metrics}");
    }
    assert!(!metrics.to_lowercase().contains("secret"), "{metrics}");
}

#[tokio::test]
async fn a_request_whose_caller_went_away_is_counted_as_cancelled() {
    let app = fixture::relay(fixture::config());
    let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
    let request = Request::post("/refer/observables").body(never).unwrap();
    assert!(answer(&app, request).now_or_never().is_none());
    let metrics = app.metrics.encode(Exposition::Text);
    assert!(metrics.contains("http_response_status_code=\"499\",error_type=\"cancelled\"} 1"), "{metrics}");
    assert!(metrics.contains("http_server_active_requests 0"), "{metrics}");
}

#[tokio::test]
async fn one_line_tells_of_a_request_without_its_path_token_or_observables() {
    let captured = Captured::default();
    let log = Log { level: "info".to_owned(), format: LogFormat::Json };
    let (subscriber, _) = telemetry::subscriber(&log, false, captured.writer());
    let _guard = tracing::subscriber::set_default(subscriber);
    let request = Request::post("/refer/observables/?q=secret-query")
        .header("authorization", "Bearer secret-token")
        .body(Body::from(r#"[{"type":"domain","value":"secret.example"},{"type":"x","value":"y"}]"#))
        .unwrap();
    let response = answer(&fixture::relay(fixture::config()), request).await;

    let text = captured.text();
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["trace_id"], response.headers()["x-trace-id"].to_str().unwrap());
    assert_eq!(line["route"], "/refer/observables");
    assert_eq!((&line["status"], &line["observables"], &line["outcome"]), (&200.into(), &2.into(), &"ok".into()));
    assert!(line["duration_ms"].as_f64().unwrap() > 0.0, "{text}");
    assert!(!text.contains("secret"), "{text}");
}
