//! The admin listener: probes, metrics, the log level and what OTX says to the keys held here, for the cluster and the
//! people who run the relay. No authentication; it is not to be reachable from outside.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, StatusCode, header};

use crate::app::{App, Phase};
use crate::metrics::Exposition;
use crate::telemetry::LogLevelError;
use crate::upstream::Upstream;

/// Most bytes of a new log level.
const LOG_LEVEL_BYTES: usize = 4096;

/// The service of the admin listener.
pub fn admin(app: Arc<App>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/upstream", get(upstream))
        .route("/log-level", get(log_level).put(set_log_level))
        .layer(DefaultBodyLimit::max(LOG_LEVEL_BYTES))
        .with_state(app)
}

async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    match app.phase() {
        Phase::Ready => (StatusCode::OK, "ready\n"),
        Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        Phase::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    }
}

async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> impl IntoResponse {
    let asks_for_open_metrics = headers
        .get_all(header::ACCEPT)
        .iter()
        .any(|accept| accept.to_str().is_ok_and(|accept| accept.contains("application/openmetrics-text")));
    let form = if asks_for_open_metrics { Exposition::OpenMetrics } else { Exposition::Text };
    ([(header::CONTENT_TYPE, form.content_type())], app.scrape(form))
}

async fn upstream(State(app): State<Arc<App>>) -> Json<Upstream> {
    Json(app.upstream().await)
}

async fn log_level(State(app): State<Arc<App>>) -> Result<String, (StatusCode, String)> {
    app.log_level.get().map(|directives| directives + "\n").map_err(|error| refusal(&error))
}

async fn set_log_level(State(app): State<Arc<App>>, directives: String) -> Result<String, (StatusCode, String)> {
    let directives = directives.trim();
    app.log_level.set(directives).map_err(|error| refusal(&error))?;
    tracing::warn!(directives, "log level changed");
    Ok(format!("{directives}\n"))
}

fn refusal(error: &LogLevelError) -> (StatusCode, String) {
    let status = match error {
        LogLevelError::Unreadable(_) => StatusCode::BAD_REQUEST,
        LogLevelError::Detached(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, format!("{error}\n"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use axum::body::Body;
    use axum::response::Response;
    use http::Request;
    use tower::ServiceExt;

    use super::*;
    use crate::api::tests::text_of;
    use crate::app::fixture;
    use crate::telemetry;

    async fn send(app: &Arc<App>, request: http::request::Builder, body: &'static str) -> Response {
        admin(app.clone()).oneshot(request.body(Body::from(body)).unwrap()).await.unwrap()
    }

    async fn get(app: &Arc<App>, path: &str) -> (u16, String) {
        let response = send(app, Request::get(path), "").await;
        (response.status().as_u16(), text_of(response).await)
    }

    #[tokio::test]
    async fn readiness_follows_the_phase_and_liveness_does_not() {
        let app = fixture::relay(fixture::config());
        assert_eq!(get(&app, "/readyz").await, (503, "starting\n".to_owned()));
        app.enter(Phase::Ready);
        assert_eq!(get(&app, "/readyz").await, (200, "ready\n".to_owned()));
        app.enter(Phase::Draining);
        assert_eq!(get(&app, "/readyz").await, (503, "draining\n".to_owned()));
        assert_eq!(get(&app, "/livez").await, (200, "ok\n".to_owned()));
    }

    #[tokio::test]
    async fn metrics_are_open_metrics_only_when_asked_for() {
        let app = fixture::relay(fixture::config());
        for (accept, content_type, end) in [
            ("*/*", "text/plain; version=0.0.4; charset=utf-8", ""),
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1",
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                "# EOF\n",
            ),
        ] {
            let response = send(&app, Request::get("/metrics").header("accept", accept), "").await;
            assert_eq!(response.headers()["content-type"], content_type);
            let text = text_of(response).await;
            assert_eq!(text.contains("# EOF"), !end.is_empty());
            assert!(text.ends_with(end), "{text}");
        }
    }

    #[tokio::test]
    async fn the_log_level_is_read_and_changed() {
        let config = fixture::config();
        let (_subscriber, level) = telemetry::subscriber(&config.log, false, std::io::sink);
        let app = App::new(config, level).unwrap();
        assert_eq!(get(&app, "/log-level").await, (200, "info\n".to_owned()));
        let put = async |body| send(&app, Request::put("/log-level"), body).await;
        assert_eq!(put("debug,hyper=warn\n").await.status(), StatusCode::OK);
        assert_eq!(get(&app, "/log-level").await, (200, "hyper=warn,debug\n".to_owned()));
        for wrong in ["a=b=c", "debugg"] {
            let refused = put(wrong).await;
            assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
            assert!(text_of(refused).await.starts_with("the log level is not understood: `"), "{wrong}");
        }
        assert_eq!(get(&app, "/log-level").await.1, "hyper=warn,debug\n");
    }

    #[tokio::test]
    async fn a_log_level_without_a_subscriber_says_so() {
        let (status, text) = get(&fixture::relay(fixture::config()), "/log-level").await;
        assert_eq!(status, 500);
        assert!(text.starts_with("the log level cannot be changed: "), "{text}");
    }
}
