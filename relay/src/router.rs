//! The relay listener's way from a request to its answer: trace id and record, limits on the head, the endpoint, with
//! panics caught. Wrong paths and methods are answered as the original did; every request gets an answer.

mod access;
mod limits;
mod panics;
mod route;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, StatusCode, header, request};
use hyper::body::Body;

use self::access::Record;
pub use self::route::Route;
use crate::api::deliberate::deliberate;
use crate::api::envelope::{Answer, Outcome, OutcomeKind, Response};
use crate::api::health::health;
use crate::api::http_error::{HttpError, Refusal};
use crate::api::observables::{self, Observables};
use crate::api::observe::observe;
use crate::api::page;
use crate::api::refer::refer;
use crate::api::tiles::{tile, tile_data, tiles};
use crate::api::version::version;
use crate::api::watchdog::watchdog;
use crate::app::{App, Phase};

const X_TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");

/// Answers a request to the relay listener.
pub async fn answer(app: &App, request: Request<impl Body<Data = Bytes>>) -> Response {
    let (head, body) = request.into_parts();
    let mut record = Record::start(app, &head, Route::of(head.uri.path(), app.config.answers));
    let trace_id = record.trace_id;
    let endpoint = endpoint(app, &head, body, &mut record);
    let Answer { mut response, outcome } = panics::answer_500(endpoint, trace_id).await;
    if let Ok(trace_id) = HeaderValue::from_str(trace_id.as_str()) {
        response.headers_mut().insert(X_TRACE_ID, trace_id);
    }
    if app.phase() == Phase::Draining {
        // Kept-alive connections end with the answer, so that callers go to another replica.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    record.end(response.status(), outcome);
    response
}

/// Has the endpoint answer. Endpoints that ask others log about it inside the request's span; the rest never log.
async fn endpoint(
    app: &App,
    head: &request::Parts,
    body: impl Body<Data = Bytes>,
    record: &mut Record<'_>,
) -> Answer {
    if let Some(refusal) = limits::refusal(head, &app.config.limits) {
        return refusal.into();
    }
    let Some(route) = record.route else {
        return if page::is_asked_for(head) { page::page(app) } else { HttpError::not_found().into() };
    };
    match (route, head.method.as_str()) {
        (_, "OPTIONS") => options(route),
        (Route::Health, "POST") => Box::pin(record.around(health(app, &head.headers))).await.into(),
        (Route::Observe | Route::Deliberate, "POST") => {
            Box::pin(about_observables(app, head, body, record, route)).await.into()
        }
        (Route::Tiles, "POST") => Box::pin(record.around(tiles(app, &head.headers))).await.into(),
        (Route::Tile | Route::TileData, "POST") => Box::pin(about_tile(app, head, body, record, route)).await.into(),
        (Route::Refer, "POST") => Observables::receive(app, &head.headers, body)
            .await
            .map(|observables| {
                record.observables = observables.list.len();
                refer(app, observables.list)
            })
            .into(),
        (Route::Version, "POST") => version(),
        // hyper sends the head alone.
        (Route::Watchdog, "GET" | "HEAD") => watchdog(&head.headers).into(),
        _ => HttpError::method_not_allowed().into(),
    }
}

async fn about_observables(
    app: &App,
    head: &request::Parts,
    body: impl Body<Data = Bytes>,
    record: &mut Record<'_>,
    route: Route,
) -> Result<Answer, Refusal> {
    let Observables { list, room } = Observables::receive(app, &head.headers, body).await?;
    record.observables = list.len();
    let (trace, headers) = (record.trace_id, &head.headers);
    let answer = if route == Route::Deliberate {
        record.around(deliberate(app, trace, headers, list)).await
    } else {
        record.around(observe(app, trace, headers, list)).await
    };
    drop(room);
    answer
}

async fn about_tile(
    app: &App,
    head: &request::Parts,
    body: impl Body<Data = Bytes>,
    record: &Record<'_>,
    route: Route,
) -> Result<Answer, Refusal> {
    let headers = &head.headers;
    let (body, _room) = observables::whole(app, headers, body).await?;
    if route == Route::Tile {
        record.around(tile(app, headers, &body)).await.map(Into::into)
    } else {
        record.around(tile_data(app, headers, &body)).await.map(Into::into)
    }
}

/// What a route takes, on an empty page.
fn options(route: Route) -> Answer {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static(route.methods()));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    Answer { response, outcome: Outcome::of(OutcomeKind::Ok) }
}
