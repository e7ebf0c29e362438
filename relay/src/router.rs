//! The relay listener's routes and what every request passes before them: path tidying, trace id and access record,
//! draining, limits on the request head, panics. Wrong paths and methods are answered as the original did.

pub mod access;
mod limits;
mod panics;
mod path;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::middleware::{from_fn, from_fn_with_state, map_request, map_response_with_state};
use axum::response::Response;
use axum::routing::{MethodRouter, any};
use http::{HeaderValue, StatusCode, header};

use crate::api::health::health;
use crate::api::http_error::HttpError;
use crate::api::observe::observe;
use crate::api::refer::refer;
use crate::api::version::version;
use crate::api::watchdog::watchdog;
use crate::app::{App, Phase};

/// Every route of the relay listener, as it stands in logs and metrics.
pub const ROUTES: [&str; 5] = ["/health", "/observe/observables", "/refer/observables", "/version", "/watchdog"];

/// The service of the relay listener.
pub fn relay(app: Arc<App>) -> Router {
    let [health_path, observe_path, refer_path, version_path, watchdog_path] = ROUTES;
    let routes = Router::new()
        .route(health_path, only("POST, OPTIONS").post(health))
        .route(observe_path, only("POST, OPTIONS").post(observe))
        .route(refer_path, only("POST, OPTIONS").post(refer))
        .route(version_path, only("POST, OPTIONS").post(version))
        .route(watchdog_path, only("GET, HEAD, OPTIONS").get(watchdog))
        .fallback(async || HttpError::not_found());
    layered(routes, app)
}

/// A route that tells `OPTIONS` its methods and answers 405, without `Allow`, to those it lacks.
fn only(methods: &'static str) -> MethodRouter<Arc<App>> {
    any(async || HttpError::method_not_allowed()).options(async move || {
        let headers = [(header::ALLOW, methods), (header::CONTENT_TYPE, "text/html; charset=utf-8")];
        (headers, StatusCode::OK)
    })
}

/// What a request passes before `routes`; the last layer stands outermost.
fn layered(routes: Router<Arc<App>>, app: Arc<App>) -> Router {
    let routes = routes
        .layer(from_fn(panics::answer_500))
        .layer(from_fn_with_state(app.clone(), limits::check_head))
        .layer(map_response_with_state(app.clone(), close_while_draining))
        .layer(from_fn_with_state(app.clone(), access::record))
        .with_state(app);
    // Routing looks at the path first, so the path is tidied around it.
    Router::new().fallback_service(routes).layer(map_request(path::tidy))
}

/// Makes kept-alive connections end with the answer, so that callers go to another replica.
async fn close_while_draining(State(app): State<Arc<App>>, mut response: Response) -> Response {
    if app.phase() == Phase::Draining {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests;
