//! What can go wrong with the answer about an indicator (`/general`).

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tests::fake_otx::{At, Fault, How};

use super::case::Expect::{self, Failed, Honest, KeyRefused, KeyRests, Unknown, Warned};
use super::case::FaultCase;

const OOPS: &str = "oops";
const LONG: Duration = Duration::from_mins(1);
const CUT: Expect = Failed(OOPS, "closed the connection before its answer was complete");
const NOT_JSON: Expect = Failed(OOPS, "answered with something that is not the expected JSON");
const LATE: Expect = Failed(OOPS, "did not answer within 1.5 s");
const LARGE: Expect = Failed(OOPS, "answered with more than 8388608 bytes");
const THROTTLED: Expect =
    KeyRests("too many requests", "Too many requests have been made to AlienVault OTX. Please, try again later.");

/// Calls for what a second try may mend, and for what it may not.
const TRIES: usize = 3;
const ONCE: usize = 1;

fn raw(text: &str) -> Fault {
    Fault::Raw(Bytes::copy_from_slice(text.as_bytes()))
}

fn in_pulse(key: &'static str, value: Value) -> Fault {
    Fault::in_pulses(move |pulse| pulse[key] = value.clone())
}

fn without_in_pulse(key: &'static str) -> Fault {
    Fault::in_pulses(move |pulse| {
        pulse.as_object_mut().map(|pulse| pulse.remove(key));
    })
}

fn in_body(key: &'static str, value: Value) -> Fault {
    Fault::rewrite(move |body| body[key] = value.clone())
}

/// An answer compressed twice, of which the header tells once.
fn gzipped_twice() -> Fault {
    Fault::Change(Arc::new(|_, answer| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let once = encoder.write_all(&answer.body).and_then(|()| encoder.finish());
        answer.body = once.unwrap_or_default().into();
    }))
}

fn encoded(encoding: &str) -> Fault {
    let headers = [("content-type", "application/json"), ("content-encoding", encoding)];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Fault::Status { status: 200, headers, body: "{\"not\": \"compressed\"}".into() }
}

pub fn table() -> Vec<FaultCase> {
    let mut table = connections();
    table.extend(statuses());
    table.extend(bodies());
    table.extend(fields());
    table
}

fn connections() -> Vec<FaultCase> {
    let case = FaultCase::new;
    let garbage = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnot a length\r\n{}\r\n";
    let two_lengths = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 5\r\n\r\n{}";
    vec![
        case("reset before the answer", Fault::Break(At::Start, How::Reset), CUT, TRIES),
        case("reset in the headers", Fault::Break(At::Headers, How::Reset), CUT, TRIES),
        case("reset in the body", Fault::Break(At::Body, How::Reset), CUT, TRIES),
        case("closed before the answer", Fault::Break(At::Start, How::Close), CUT, TRIES),
        case("closed in the headers", Fault::Break(At::Headers, How::Close), CUT, TRIES),
        case("closed in the body", Fault::Break(At::Body, How::Close), CUT, TRIES),
        case("silence before the answer", Fault::Break(At::Start, How::Stall), LATE, ONCE),
        case("silence in the headers", Fault::Break(At::Headers, How::Stall), LATE, ONCE),
        case("silence in the body", Fault::Break(At::Body, How::Stall), LATE, ONCE),
        case("first byte after a minute", Fault::Honest, LATE, ONCE).after(LONG),
        case("a byte now and then", Fault::Drip(1, Duration::from_millis(20)), LATE, ONCE),
        case("late but in time", Fault::Honest, Honest, ONCE).after(Duration::from_millis(200)),
        case("length too long", Fault::ContentLength(50), CUT, TRIES),
        case("length too short", Fault::ContentLength(-50), NOT_JSON, ONCE),
        case("bad chunk", raw(garbage), CUT, TRIES),
        case(
            "chunks without end",
            raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n"),
            CUT,
            TRIES,
        ),
        case("two lengths", raw(two_lengths), CUT, TRIES),
        case("truncated gzip", Fault::TruncatedGzip, CUT, TRIES),
        case("gzip that is none", encoded("gzip"), CUT, TRIES),
        case("deflate unasked", encoded("deflate"), NOT_JSON, ONCE),
        case("brotli unasked", encoded("br"), NOT_JSON, ONCE),
        case("gzip in gzip", gzipped_twice(), NOT_JSON, ONCE),
        case("not HTTP", raw("SSH-2.0-OpenSSH_9.2\r\n"), CUT, TRIES),
        case(
            "a megabyte of headers",
            raw(&format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(1 << 20))),
            CUT,
            TRIES,
        ),
        case("three hundred headers", raw(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(300))), CUT, TRIES),
        case("100 and no more", raw("HTTP/1.1 100 Continue\r\n\r\n"), CUT, TRIES),
        case("a bomb of ten gigabytes", Fault::GzipBomb(10_240), LARGE, ONCE),
        case("nine megabytes", Fault::body(vec![b' '; 9 << 20]), LARGE, ONCE),
    ]
}

fn statuses() -> Vec<FaultCase> {
    let status = |name, status, words, calls| FaultCase::new(name, Fault::status(status), Failed(OOPS, words), calls);
    let redirect =
        |name, status, to, words| FaultCase::new(name, Fault::redirect(status, to), Failed(OOPS, words), ONCE);
    let throttled = |name, retry| FaultCase::new(name, Fault::throttled(retry), THROTTLED, ONCE);
    vec![
        FaultCase::new("400", Fault::status(400), Unknown, ONCE),
        FaultCase::new("404", Fault::json(404, &json!({"detail": "indicator not found"})), Unknown, ONCE),
        FaultCase::new("401", Fault::status(401), KeyRefused, ONCE),
        FaultCase::new("403", Fault::json(403, &json!({"detail": "Authentication required"})), KeyRefused, ONCE),
        throttled("429", None),
        throttled("429 for a second", Some("1")),
        throttled("429 until a date", Some("Fri, 21 Oct 2089 07:28:00 GMT")),
        throttled("429 for 10^9 seconds", Some("1000000000")),
        throttled("429 for more than can be counted", Some("99999999999999999999999")),
        throttled("429 for words", Some("a while")),
        FaultCase::new("429 for want of a key", Fault::anonymous_throttled(), THROTTLED, ONCE),
        status("500", 500, "Reason: 500 Internal Server Error.", ONCE),
        status("501", 501, "Reason: 501 Not Implemented.", ONCE),
        status("502", 502, "Reason: 502 Bad Gateway.", TRIES),
        status("503", 503, "Reason: 503 Service Unavailable.", TRIES),
        status("504", 504, "Reason: 504 Gateway Timeout.", TRIES),
        status("505", 505, "Reason: 505 HTTP Version Not Supported.", ONCE),
        status("520", 520, "Reason: 520 Unknown.", ONCE),
        status("599", 599, "Reason: 599 Unknown.", ONCE),
        status("201", 201, "Reason: 201 Created.", ONCE),
        status("204", 204, "Reason: 204 No Content.", ONCE),
        status("206", 206, "Reason: 206 Partial Content.", ONCE),
        status("304", 304, "Reason: 304 Not Modified.", ONCE),
        status("405", 405, "Reason: 405 Method Not Allowed.", ONCE),
        status("408", 408, "Reason: 408 Request Timeout.", ONCE),
        status("410", 410, "Reason: 410 Gone.", ONCE),
        status("413", 413, "Reason: 413 Request Entity Too Large.", ONCE),
        status("418", 418, "Reason: 418 I'm a Teapot.", ONCE),
        status("451", 451, "Reason: 451 Unavailable For Legal Reasons.", ONCE),
        redirect("301 to elsewhere", 301, "https://elsewhere.example/", "Reason: 301 Moved Permanently."),
        redirect("302 to this machine", 302, "http://127.0.0.1:9/", "Reason: 302 Found."),
        redirect("303 to a file", 303, "file:///etc/passwd", "Reason: 303 See Other."),
        redirect("307 to plain http", 307, "http://elsewhere.example/", "Reason: 307 Temporary Redirect."),
        redirect("308 to nowhere", 308, "", "Reason: 308 Permanent Redirect."),
    ]
}

fn bodies() -> Vec<FaultCase> {
    let body = |name, body: &'static str| FaultCase::new(name, Fault::body(body), NOT_JSON, ONCE);
    let bytes = |name, body: Vec<u8>| FaultCase::new(name, Fault::body(body), NOT_JSON, ONCE);
    let unknown = |name, fault| FaultCase::new(name, fault, Unknown, ONCE);
    let million = format!(r#"{{"pulse_info": {{"count": 1000000, "pulses": [{}{{}}]}}}}"#, "{},".repeat(999_999));
    vec![
        body("HTML", "<html><head><title>504 Gateway Time-out</title></head></html>"),
        body("no body", ""),
        body("an array", "[]"),
        body("a number", "7"),
        body("text", "\"words\""),
        body("an object without anything", "{}"),
        body("half an object", r#"{"pulse_info": {"count": 1, "pulses": ["#),
        body("two objects", r#"{"pulse_info": {}} {"pulse_info": {}}"#),
        body("a byte order mark", "\u{feff}{\"pulse_info\": {}}"),
        bytes("not UTF-8", b"{\"pulse_info\": {\"pulses\": [{\"id\": \"\xff\xfe\"}]}}".to_vec()),
        bytes("UTF-16", "{\"pulse_info\": {}}".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        bytes("deep nesting", [vec![b'['; 1_000_000], vec![b']'; 1_000_000]].concat()),
        bytes("zeros", vec![0; 10_000]),
        FaultCase::new("no pulse_info", Fault::without("pulse_info"), NOT_JSON, ONCE),
        FaultCase::new("pulse_info is text", in_body("pulse_info", json!("none")), NOT_JSON, ONCE),
        unknown("null", Fault::body("null")),
        unknown("no pulses", in_body("pulse_info", json!({"count": 0, "pulses": []}))),
        unknown("pulses are nulls", in_body("pulse_info", json!({"count": 0, "pulses": [null, null]}))),
        FaultCase::new("a million pulses", Fault::body(million), Warned("too-many-messages-warning"), ONCE),
    ]
}

/// Fields that are missing, null or of another type, and texts as people write them.
fn fields() -> Vec<FaultCase> {
    let same = |name, fault| FaultCase::new(name, fault, Honest, ONCE);
    let dates = [
        "2016-04-27T05:31:07",
        "2016-04-27T05:31:07.423000",
        "2016-04-27T05:31:07.4",
        "2016-04-27T05:31:07Z",
        "2016-04-27T05:31:07+02:00",
        "2016-04-27 05:31:07",
        "2016-04-27",
        "0000-00-00T00:00:00",
        "1969-12-31T23:59:59",
        "9999-12-31T23:59:59",
        "27.04.2016",
        "",
    ];
    let mut table = vec![
        same("no base_indicator", Fault::without("base_indicator")),
        same("base_indicator is an empty object", in_body("base_indicator", json!({}))),
        same("base_indicator is a list", in_body("base_indicator", json!([1]))),
        same("no public flag", without_in_pulse("public")),
        same("public is a boolean", in_pulse("public", json!(true))),
        same("no type counts", without_in_pulse("indicator_type_counts")),
        same("type counts are a list", in_pulse("indicator_type_counts", json!([]))),
        same("no indicator count", without_in_pulse("indicator_count")),
        same("the indicator count is text", in_pulse("indicator_count", json!("2"))),
        same("the indicator count is negative", in_pulse("indicator_count", json!(-5))),
        same("the indicator count is beyond belief", in_pulse("indicator_count", json!(1_000_000_000_000_u64))),
        same("no related flags", without_in_pulse("related_indicator_is_active")),
        same("no name", without_in_pulse("name")),
        same("the name is null", in_pulse("name", Value::Null)),
        same("the name is a number", in_pulse("name", json!(4711))),
        same("the name holds control characters", in_pulse("name", json!("a\u{0}b\tc\u{7f}\r\n\u{202e}d"))),
        same("the name is half a surrogate pair", surrogates()),
        same("the name is endless", in_pulse("name", json!("n".repeat(100_000)))),
        same("no description", without_in_pulse("description")),
        same("the description is an object", in_pulse("description", json!({"text": "x"}))),
        same("the description is endless", in_pulse("description", json!("\u{1f480} ".repeat(200_000)))),
        same("tags are null", in_pulse("tags", Value::Null)),
        same("tags are a word", in_pulse("tags", json!("c2"))),
        same("tags of all kinds", in_pulse("tags", json!(["", null, 1, {"a": 1}, ["x"], "y".repeat(5000)]))),
        same("ten thousand tags", in_pulse("tags", json!(vec!["tag"; 10_000]))),
        same("the TLP is unheard of", in_pulse("TLP", json!("ultraviolet"))),
        same("the TLP is a list", in_pulse("TLP", json!(["red"]))),
        same("no author", without_in_pulse("author")),
        same("the author is text", in_pulse("author", json!("nobody"))),
        same("the author is nameless", in_pulse("author", json!({"username": ""}))),
        same(
            "a pulse twice",
            Fault::rewrite(|body| {
                if let Some(pulses) = body["pulse_info"]["pulses"].as_array_mut() {
                    pulses.extend(pulses.clone());
                }
            }),
        ),
        same(
            "nulls and numbers among the pulses",
            Fault::rewrite(|body| {
                if let Some(pulses) = body["pulse_info"]["pulses"].as_array_mut() {
                    pulses.extend([json!(null), json!(5), json!([])]);
                }
            }),
        ),
    ];
    for date in dates {
        let name: &'static str = Box::leak(format!("created and modified are {date:?}").into_boxed_str());
        table.push(same(
            name,
            Fault::in_pulses(move |pulse| {
                pulse["created"] = date.into();
                pulse["modified"] = date.into();
            }),
        ));
    }
    table
}

/// `"\ud83d"`, which `serde_json` cannot write.
fn surrogates() -> Fault {
    Fault::Change(Arc::new(|_, answer| {
        let mut body = answer.json();
        for pulse in body["pulse_info"]["pulses"].as_array_mut().into_iter().flatten() {
            pulse["name"] = "HALF".into();
        }
        answer.body = body.to_string().replace("HALF", "\\ud83d").into();
    }))
}
