//! The admin listener: probes and metrics. It answers from the start of the process on; readiness says why it is not
//! ready, because that is what somebody who looks at a pod that does not become ready wants to know.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::{HeaderMap, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::metrics::Metrics;

/// Connections open at once.
const CONNECTIONS: usize = 64;
/// Longest time for a request's head.
const HEAD: std::time::Duration = std::time::Duration::from_secs(10);

/// What the operator still waits for. Ready when that is nothing; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<String, String>>>);

impl Readiness {
    /// Something is waited for; `why` says how it comes about.
    pub fn waits(&self, what: impl Into<String>, why: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(what.into(), why.into());
    }

    /// It is there.
    pub fn has(&self, what: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(what);
    }

    /// What is still waited for, a line each; none when ready.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        let missing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = missing.iter().map(|(what, why)| format!("waiting for {what}: {why}\n"));
        (!missing.is_empty()).then(|| lines.collect())
    }
}

/// What the listener tells of.
#[derive(Clone, Debug)]
pub struct Admin {
    /// What is waited for.
    pub readiness: Readiness,
    /// What is counted.
    pub metrics: Metrics,
}

/// Answers on `listener` for as long as the process lives.
pub async fn serve(listener: TcpListener, admin: Admin) {
    let service = router(admin);
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(place) = room.clone().acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            continue;
        };
        let service = TowerToHyperService::new(service.clone());
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD);
        tokio::spawn(async move {
            let _broken_connections_end_themselves = http.serve_connection(TokioIo::new(stream), service).await;
            drop(place);
        });
    }
}

/// Listens for [`serve`].
///
/// # Errors
/// With the address and the setting to change.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    let unusable = |error| {
        format!("cannot listen on {address}: {error}; set --listen (THREATRELAY_OPERATOR_LISTEN) to a free address")
    };
    TcpListener::bind(address).await.map_err(unusable)
}

fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

async fn readyz(State(admin): State<Admin>) -> (StatusCode, String) {
    match admin.readiness.missing() {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(missing) => (StatusCode::SERVICE_UNAVAILABLE, missing),
    }
}

async fn metrics(State(admin): State<Admin>, headers: HeaderMap) -> impl IntoResponse {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    let open = accepts.into_iter().any(|accept| accept.contains("application/openmetrics-text"));
    let (kind, text) = admin.metrics.encode(open);
    ([(header::CONTENT_TYPE, kind)], text)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use axum::body::{Body, to_bytes};
    use http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn ask(admin: &Admin, path: &str) -> (u16, String) {
        let response = router(admin.clone()).oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readiness_names_what_is_waited_for_and_liveness_does_not_care() {
        let admin = Admin { readiness: Readiness::default(), metrics: Metrics::new(1) };
        admin.readiness.waits("the CRD", "install it");
        assert_eq!(ask(&admin, "/readyz").await, (503, "waiting for the CRD: install it\n".to_owned()));
        assert_eq!(ask(&admin, "/livez").await, (200, "ok\n".to_owned()));
        admin.readiness.has("the CRD");
        assert_eq!(ask(&admin, "/readyz").await, (200, "ready\n".to_owned()));
    }

    #[tokio::test]
    async fn metrics_are_served() {
        let admin = Admin { readiness: Readiness::default(), metrics: Metrics::new(1) };
        let (status, text) = ask(&admin, "/metrics").await;
        assert!(status == 200 && text.contains("controller_runtime_max_concurrent_reconciles"), "{text}");
    }
}
