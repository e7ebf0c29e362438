//! What can go wrong with the listing of a pulse. The listings here have two rows and are one page.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};
use tests::fake_otx::{At, Fault, How};

use super::case::Expect::{self, Failed, Honest, KeyRefused, KeyRests, Unknown};
use super::case::FaultCase;

const OOPS: &str = "oops";
const CUT: Expect = Failed(OOPS, "closed the connection before its answer was complete");
const NOT_JSON: Expect = Failed(OOPS, "answered with something that is not the expected JSON");
const LATE: Expect = Failed(OOPS, "did not answer within 1.5 s");
const LARGE: Expect = Failed(OOPS, "answered with more than 1048576 bytes");
const ENDLESS: Expect = Failed(OOPS, "list of the pulse's indicators does not end");
const TRIES: usize = 3;
const ONCE: usize = 1;

fn in_row(key: &'static str, value: Value) -> Fault {
    Fault::in_rows(move |row| row[key] = value.clone())
}

fn in_body(key: &'static str, value: Value) -> Fault {
    Fault::rewrite(move |body| body[key] = value.clone())
}

/// One more element, as the text of it, before the rows.
fn with_element(element: &'static str) -> Fault {
    Fault::Change(Arc::new(move |_, answer| {
        let body = String::from_utf8_lossy(&answer.body).replacen("[{", &format!("[{element},{{"), 1);
        answer.body = body.into();
    }))
}

fn two_megabytes() -> Fault {
    in_body("results", json!(vec![json!({"id": 1, "indicator": "x".repeat(900)}); 2_200]))
}

/// A server that does not look at `page` and says that there is more.
fn the_same_page() -> Fault {
    let page = OnceLock::new();
    Fault::Change(Arc::new(move |_, answer| {
        let mut body = page.get_or_init(|| answer.json()).clone();
        body["next"] = "http://localhost/?page=2".into();
        answer.set_json(&body);
    }))
}

pub fn table() -> Vec<FaultCase> {
    let case = FaultCase::new;
    let status = |name, status, words, calls| case(name, Fault::status(status), Failed(OOPS, words), calls);
    let same = |name, fault| case(name, fault, Honest, ONCE);
    let throttled = KeyRests("too many requests", "Too many requests have been made to AlienVault OTX.");
    let mut table = vec![
        case("reset", Fault::Break(At::Start, How::Reset), CUT, TRIES),
        case("reset in the body", Fault::Break(At::Body, How::Reset), CUT, TRIES),
        case("closed in the body", Fault::Break(At::Body, How::Close), CUT, TRIES),
        case("silence in the body", Fault::Break(At::Body, How::Stall), LATE, ONCE),
        case("a byte now and then", Fault::Drip(1, Duration::from_millis(30)), LATE, ONCE),
        case("a bomb of ten gigabytes", Fault::GzipBomb(10_240), NOT_JSON, ONCE),
        case("two megabytes of rows", two_megabytes(), LARGE, ONCE),
        status("404", 404, "Reason: 404 Not Found.", ONCE),
        status("500", 500, "Reason: 500 Internal Server Error.", ONCE),
        status("502", 502, "Reason: 502 Bad Gateway.", TRIES),
        status("503", 503, "Reason: 503 Service Unavailable.", TRIES),
        status("504", 504, "Reason: 504 Gateway Timeout.", TRIES),
        status("204", 204, "Reason: 204 No Content.", ONCE),
        status("302", 302, "Reason: 302 Found.", ONCE),
        case("401", Fault::status(401), KeyRefused, ONCE),
        case("403", Fault::status(403), KeyRefused, ONCE),
        case("429", Fault::throttled(Some("1000000000")), throttled, ONCE),
        case("HTML", Fault::body("<html></html>"), NOT_JSON, ONCE),
        case("no body", Fault::body(""), NOT_JSON, ONCE),
        case("null", Fault::body("null"), NOT_JSON, ONCE),
        case("an array", Fault::body("[]"), NOT_JSON, ONCE),
        case("no results", Fault::without("results"), NOT_JSON, ONCE),
        case("results are null", in_body("results", Value::Null), NOT_JSON, ONCE),
        case("half a page", Fault::body(r#"{"results": [{"id": 1, "indicator": "x"},"#), NOT_JSON, ONCE),
        case("deep nesting", Fault::body(vec![b'['; 1_000_000]), NOT_JSON, ONCE),
        case(
            "a row without end",
            Fault::body(format!("{{\"results\": [\"{}", "x".repeat(300 << 10))),
            NOT_JSON,
            ONCE,
        ),
        case("no rows", in_body("results", json!([])), Unknown, ONCE),
        case("rows are nulls", in_body("results", json!([null, 1, "x", [], {}])), Unknown, ONCE),
        // The first page, and the second, which is the same.
        case("the same page for ever", the_same_page(), ENDLESS, 2),
        case("next never ends", Fault::endless_next(), Honest, 2),
        same("no count", Fault::without("count")),
        same("the count is text", in_body("count", json!("many"))),
        same("no next", Fault::without("next")),
        same("next is a number of pages", in_body("next", json!(""))),
        same("a row with a key twice", with_element(r#"{"id": 1, "id": 2, "indicator": "x"}"#)),
        same("a row with a number beyond all bounds", with_element(r#"{"id": 1e999, "indicator": "x"}"#)),
        same("a row with half a surrogate pair", with_element(r#"{"id": 5, "indicator": "\ud83d"}"#)),
        same(
            "no ids",
            Fault::in_rows(|row| {
                row.as_object_mut().map(|row| row.remove("id"));
            }),
        ),
        same("ids are texts", in_row("id", json!("a number"))),
        same("types are null", Fault::in_rows(|row| row["type"] = Value::Null)),
        same("expiration is a number", in_row("expiration", json!(5))),
        same("expired before it was made", in_row("expiration", json!("1999-01-01T00:00:00"))),
        same(
            "created is missing",
            Fault::in_rows(|row| {
                row.as_object_mut().map(|row| row.remove("created"));
            }),
        ),
        case(
            "values are null",
            Fault::in_rows(|row| {
                row["indicator"] = Value::Null;
            }),
            Unknown,
            ONCE,
        ),
    ];
    for date in [
        "2016-04-27T05:31:07.423000",
        "2016-04-27T05:31:07Z",
        "2016-04-27T05:31:07+02:00",
        "2016-04-27 05:31:07",
        "2016-04-27",
        "0000-00-00T00:00:00",
        "1969-12-31T23:59:59",
        "9999-12-31T23:59:59",
        "27.04.2016",
        "",
    ] {
        let name: &'static str = Box::leak(format!("created and expiration are {date:?}").into_boxed_str());
        table.push(same(
            name,
            Fault::in_rows(move |row| {
                row["created"] = date.into();
                row["expiration"] = date.into();
            }),
        ));
    }
    table
}
