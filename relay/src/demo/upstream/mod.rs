//! A small honest OTX: the routes, rules, shapes and quirks of the real API over a [`Dataset`].
//!
//! Requests pass the key rules, then one handler each, then get the headers every OTX answer has. It refuses what OTX
//! refuses and is never late, wrong or broken; tests that need that put it behind something that is.

mod answer;
mod dataset;
mod detail;
mod fixtures;
mod general;
mod indicator;
mod listing;
mod passive_dns;
mod pulse;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::header::{CACHE_CONTROL, HOST};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

pub(super) use self::answer::{dress, forbidden, json as json_body, no_such_path};
pub use self::dataset::{Account, Content, Dataset, FixtureError, HashGroup, Place, Remark, Validation};
pub use self::indicator::{Asked, IndicatorType, Refusal};
pub use self::listing::ListedRow;
pub(super) use self::listing::Paging;
pub use self::passive_dns::DnsRecord;
pub use self::pulse::{AttackId, Author, FalsePositive, Group, MalwareFamily, Pulse, Reception, Row};

use self::detail::{Detail, Found, Summary};
use self::general::General;
use self::passive_dns::PassiveDns;

/// The header that carries an OTX key.
pub const KEY_HEADER: &str = "x-otx-api-key";

/// Pulses in a page of a search nobody gave a `limit` for.
const SEARCH_LIMIT: usize = 10;

type Known = State<Arc<Dataset>>;

/// The upstream as a router; to be served on any address.
pub fn router(dataset: Arc<Dataset>) -> Router {
    Router::new()
        .route("/api/v1/user/me", get(me))
        .route("/api/v1/users/me", get(me))
        .route("/api/v1/indicators/{slug}/{value}/general", get(general))
        .route("/api/v1/indicators/{slug}/{value}/passive_dns", get(passive_dns))
        .route("/api/v1/indicators/{slug}/{value}", get(general))
        .route("/api/v1/pulses/{id}", get(pulse))
        .route("/api/v1/pulses/{id}/indicators", get(listing))
        .route("/api/v1/search/pulses", get(search))
        .fallback(no_such_path)
        .layer(from_fn_with_state(dataset.clone(), dressed))
        .with_state(dataset)
}

async fn dressed(State(dataset): Known, request: Request, next: Next) -> Response {
    let headers = request.headers().clone();
    let response = next.run(request).await;
    let username = viewer(&dataset, &headers).map(|account| account.username.as_str());
    dress(&headers, username, response).await
}

async fn me(State(dataset): Known, headers: HeaderMap) -> Response {
    let Some(account) = viewer(&dataset, &headers) else { return forbidden() };
    let own = |pulse: &&Pulse| pulse.author.username == account.username;
    let pulses: Vec<&Pulse> = dataset.content().pulses.iter().filter(own).collect();
    json_body(
        StatusCode::OK,
        &json!({
            "username": account.username,
            "user_id": account.user_id,
            "member_since": "412 days ago ",
            "avatar_url": "/assets/images/default-avatar.png",
            "award_count": 0,
            "follower_count": 0,
            "subscriber_count": 0,
            "pulse_count": pulses.len(),
            "indicator_count": pulses.iter().map(|pulse| pulse.indicators.len()).sum::<usize>(),
        }),
    )
}

async fn general(State(dataset): Known, Path((slug, value)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let viewer = viewer(&dataset, &headers);
    let answer = Asked::read(&slug, &value).and_then(|asked| {
        General::about(&asked, &dataset, viewer).map(|general| json_body(StatusCode::OK, &general))
    });
    ([(CACHE_CONTROL, "max-age=0")], answer).into_response()
}

async fn passive_dns(State(dataset): Known, Path((slug, value)): Path<(String, String)>) -> Response {
    let answer = Asked::read(&slug, &value)
        .and_then(|asked| PassiveDns::about(&asked, &dataset).map(|records| json_body(StatusCode::OK, &records)));
    answer.into_response()
}

/// The page about an indicator that OTX does not know.
pub(super) fn empty_general(asked: &Asked) -> Response {
    match General::about(asked, &Dataset::default(), None) {
        Ok(general) => json_body(StatusCode::OK, &general),
        Err(refusal) => refusal.into_response(),
    }
}

async fn pulse(State(dataset): Known, Path(id): Path<String>, headers: HeaderMap) -> Response {
    match dataset.pulse(&id, viewer(&dataset, &headers)) {
        Some(pulse) => json_body(StatusCode::OK, &Detail::from(pulse)),
        None => Refusal::unknown("pulse not found").into_response(),
    }
}

async fn listing(
    State(dataset): Known,
    Path(id): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let Some(account) = viewer(&dataset, &headers) else { return forbidden() };
    match dataset.pulse(&id, Some(account)) {
        Some(pulse) => json_body(StatusCode::OK, &listing::page(pulse, &paging(&uri, &headers, query))),
        None => Refusal::unknown("pulse not found").into_response(),
    }
}

async fn search(
    State(dataset): Known,
    Query(query): Query<Vec<(String, String)>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let Some(account) = viewer(&dataset, &headers) else { return forbidden() };
    let paging = paging(&uri, &headers, query);
    let mut found: Vec<Summary<'_>> =
        dataset.search(paging.words(), Some(account)).into_iter().map(Summary::from).collect();
    if paging.sort() == "-modified" {
        found.reverse();
    }
    json_body(StatusCode::OK, &Found::new(paging.cut(found, SEARCH_LIMIT)))
}

fn viewer<'a>(dataset: &'a Dataset, headers: &HeaderMap) -> Option<&'a Account> {
    headers.get(KEY_HEADER).and_then(|key| key.to_str().ok()).and_then(|key| dataset.account(key))
}

/// Which page of what `uri` asks for. `next` is a full URL, so the host (and a proxy's scheme) must be known.
pub(super) fn paging(uri: &Uri, headers: &HeaderMap, query: Vec<(String, String)>) -> Paging {
    let word = |name: &str, default: &'static str| {
        headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or(default).to_owned()
    };
    let (scheme, host) = (word("x-forwarded-proto", "http"), word(HOST.as_str(), "localhost"));
    Paging { url: format!("{scheme}://{host}{}", uri.path()), query }
}

#[cfg(test)]
mod tests;
