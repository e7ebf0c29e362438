//! `threatrelay openapi`: the relay's endpoints as an `OpenAPI` 3.1 document. Paths and methods come from the routes that
//! are served, so an endpoint that is missing here does not compile; the forms of requests and answers stand in
//! `schemas.json`.

use serde_json::{Map, Value, json};

use super::outcome::{FAILURE, Outcome};
use crate::api::version::VERSION;
use crate::router::Route;

/// Gives the document.
pub(super) fn run() -> Outcome {
    match document().map(|document| serde_json::to_string_pretty(&document)) {
        Ok(Ok(text)) => Outcome::done(text + "\n"),
        Ok(Err(error)) | Err(error) => Outcome::failed(error, FAILURE),
    }
}

fn document() -> serde_json::Result<Value> {
    let schemas: Value = serde_json::from_str(include_str!("schemas.json"))?;
    let paths: Map<String, Value> =
        Route::ALL.into_iter().map(|route| (route.path().to_owned(), path(route))).collect();
    Ok(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Threat Relay",
            "version": VERSION,
            "summary": env!("CARGO_PKG_DESCRIPTION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }))
}

/// What is particular to an endpoint.
struct Endpoint {
    id: &'static str,
    summary: &'static str,
    answer: &'static str,
    /// The form of its body, where it takes one.
    body: Option<&'static str>,
    needs_token: bool,
}

const fn endpoint(route: Route) -> Endpoint {
    match route {
        Route::Deliberate => Endpoint {
            id: "deliberate",
            summary: "What is to be thought of some observables, as verdicts; rich answers only",
            answer: "ObserveAnswer",
            body: Some("Observables"),
            needs_token: true,
        },
        Route::Tiles => Endpoint {
            id: "tiles",
            summary: "The tiles there are for a dashboard; rich answers only",
            answer: "TilesAnswer",
            body: None,
            needs_token: true,
        },
        Route::Tile => Endpoint {
            id: "tile",
            summary: "One tile; rich answers only",
            answer: "TileAnswer",
            body: Some("TileName"),
            needs_token: true,
        },
        Route::TileData => Endpoint {
            id: "tile-data",
            summary: "What a tile shows to the key that asks; rich answers only",
            answer: "TileDataAnswer",
            body: Some("TilePeriod"),
            needs_token: true,
        },
        Route::Health => Endpoint {
            id: "health",
            summary: "Whether the token and its OTX key work",
            answer: "HealthAnswer",
            body: None,
            needs_token: true,
        },
        Route::Observe => Endpoint {
            id: "observe",
            summary: "What OTX knows of some observables, as CTIM documents",
            answer: "ObserveAnswer",
            body: Some("Observables"),
            needs_token: true,
        },
        Route::Refer => Endpoint {
            id: "refer",
            summary: "Links to OTX's pages about some observables",
            answer: "ReferAnswer",
            body: Some("Observables"),
            needs_token: false,
        },
        Route::Version => Endpoint {
            id: "version",
            summary: "The version of the relay",
            answer: "Version",
            body: None,
            needs_token: false,
        },
        Route::Watchdog => Endpoint {
            id: "watchdog",
            summary: "Gives the header Health-Check back",
            answer: "WatchdogAnswer",
            body: None,
            needs_token: false,
        },
    }
}

fn path(route: Route) -> Value {
    let operations = route.methods().split(", ").filter(|method| matches!(*method, "GET" | "POST"));
    let operation = |method: &str| (method.to_lowercase(), operation(&endpoint(route), route));
    Value::Object(operations.map(operation).collect())
}

fn operation(endpoint: &Endpoint, route: Route) -> Value {
    let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let content = |name: &str| json!({"application/json": {"schema": reference(name)}});
    let trace =
        json!({"x-trace-id": {"description": "Names the request in the relay's log", "schema": {"type": "string"}}});
    let answer = |what: &str, name: &str| json!({"description": what, "headers": trace, "content": content(name)});
    let mut responses = Map::new();
    responses.insert("200".to_owned(), answer("An answer, or why there is none, in `errors`", endpoint.answer));
    responses.insert("default".to_owned(), answer("The request itself cannot be taken", "HttpError"));
    let mut operation = json!({"operationId": endpoint.id, "summary": endpoint.summary, "responses": responses});
    if endpoint.needs_token {
        operation["security"] = json!([{"token": []}]);
    }
    if let Some(body) = endpoint.body {
        operation["requestBody"] = json!({"required": true, "content": content(body)});
    }
    if route == Route::Watchdog {
        let header = json!({"name": "Health-Check", "in": "header", "required": true, "schema": {"type": "string"}});
        operation["parameters"] = json!([header]);
    }
    operation
}
