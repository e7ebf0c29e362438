//! The routes of the captured upstream: the same as the bundled one's, answered with what was captured.
//!
//! What was not captured is answered as OTX answers for things it does not know.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use serde_json::{Value, json};

use super::Samples;
use crate::demo::upstream::{Asked, KEY_HEADER, dress, empty_general, forbidden, json_body, no_such_path, paging};

const DEFAULT_LIMIT: usize = 100;

/// The captured upstream as a router. Any key is accepted where one is needed.
pub fn router(samples: Arc<Samples>) -> Router {
    Router::new()
        .route("/api/v1/user/me", get(me))
        .route("/api/v1/users/me", get(me))
        .route("/api/v1/indicators/{slug}/{value}/general", get(general))
        .route("/api/v1/pulses/{id}", get(pulse))
        .route("/api/v1/pulses/{id}/indicators", get(listing))
        .route("/api/v1/search/pulses", get(search))
        .fallback(no_such_path)
        .layer(from_fn(dressed))
        .with_state(samples)
}

async fn dressed(request: Request, next: Next) -> Response {
    let headers = request.headers().clone();
    dress(&headers, None, next.run(request).await).await
}

async fn me(State(samples): State<Arc<Samples>>, headers: HeaderMap) -> Response {
    if !has_key(&headers) {
        return forbidden();
    }
    match &samples.account {
        Some(body) => captured(body),
        None => json_body(StatusCode::OK, &json!({"username": "samples", "user_id": 1})),
    }
}

async fn general(State(samples): State<Arc<Samples>>, Path((slug, value)): Path<(String, String)>) -> Response {
    let asked = match Asked::read(&slug, &value) {
        Ok(asked) => asked,
        Err(refusal) => return refusal.into_response(),
    };
    match samples.general(asked.kind, &asked.value) {
        Some(general) => captured(&general.body),
        None => empty_general(&asked),
    }
}

async fn pulse(State(samples): State<Arc<Samples>>, Path(id): Path<String>) -> Response {
    match samples.pulses.get(&id) {
        Some(body) => captured(body),
        None => json_body(StatusCode::NOT_FOUND, &samples.refusal(404)),
    }
}

async fn listing(
    State(samples): State<Arc<Samples>>,
    Path(id): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if !has_key(&headers) {
        return json_body(StatusCode::FORBIDDEN, &samples.refusal(403));
    }
    let Some(rows) = samples.rows.get(&id) else {
        return json_body(StatusCode::NOT_FOUND, &samples.refusal(404));
    };
    let paging = paging(&uri, &headers, query);
    let mut rows: Vec<&Value> = rows.iter().filter(|row| row["is_active"] != 0).collect();
    if paging.sort() == "-created" {
        rows.sort_by(|a, b| b["created"].as_str().cmp(&a["created"].as_str()));
    }
    json_body(StatusCode::OK, &paging.cut(rows, DEFAULT_LIMIT))
}

async fn search(State(samples): State<Arc<Samples>>, headers: HeaderMap) -> Response {
    if !has_key(&headers) {
        return json_body(StatusCode::FORBIDDEN, &samples.refusal(403));
    }
    match &samples.search {
        Some(body) => captured(body),
        None => json_body(
            StatusCode::OK,
            &json!({"results": [], "count": 0, "exact_match": "", "previous": null, "next": null}),
        ),
    }
}

fn has_key(headers: &HeaderMap) -> bool {
    headers.get(KEY_HEADER).is_some_and(|key| !key.is_empty())
}

fn captured(body: &Bytes) -> Response {
    ([(CONTENT_TYPE, "application/json")], body.clone()).into_response()
}
