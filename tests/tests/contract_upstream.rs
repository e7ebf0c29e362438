//! What the relay says when OTX, or the way to it, fails: by status, by body, by connection, for one observable among
//! others and for one pulse among others. "Could not ask" must never look like "nothing known".
#![expect(clippy::expect_used, reason = "a failed step is a failed test")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use serde_json::{Value, json};
use tests::fake_otx::{At, FakeOtx, Fault, How, Route, Rule, SECOND_KEY};
use tests::relay::{Builder, TestRelay};
use tests::reply::{docs, errors, pulses};
use tests::schema;
use tests::tls::{Authority, Certificate};
use tests::trial::{run, slug, trial};
use tests::world::{dataset, domain, ipv4, pulse};
use threatrelay::demo::upstream::Dataset;

fn main() -> ExitCode {
    let mut trials = Vec::new();
    trials.extend(statuses());
    trials.extend(bodies());
    trials.extend(connections());
    trials.extend(certificates());
    trials.extend(listings());
    trials.extend(partial_data());
    trials.extend(throttling());
    run(trials)
}

const WHEN: &str = "2026-01-01T08:00:00";
const OTX_SIDE: &str = "Authorization failed: Authorization failed on AlienVault OTX side";

/// Three domains in one pulse each, and `evil.example` in three: `p1`, `p2`, `p3`.
fn known() -> Dataset {
    let evil = || domain("evil.example", WHEN);
    dataset(vec![
        pulse("p1", vec![evil(), domain("first.example", WHEN)]),
        pulse("p2", vec![evil(), domain("second.example", WHEN)]),
        pulse("p3", vec![evil(), domain("third.example", WHEN), ipv4("203.0.113.7", WHEN)]),
    ])
}

async fn world() -> (FakeOtx, TestRelay) {
    let fake = FakeOtx::with(known()).await.expect("a fake OTX");
    let relay = impatient(&fake).start().await;
    (fake, relay)
}

/// A relay that waits for nobody long.
fn impatient(fake: &FakeOtx) -> Builder {
    Builder::new(&fake.url())
        .set("THREATRELAY_OTX_CALL_TIMEOUT", "1s")
        .set("THREATRELAY_OTX_DEADLINE", "3s")
        .set("THREATRELAY_OTX_CONNECT_TIMEOUT", "500ms")
}

/// The one entry of an answer without data: code, severity, and a message that begins so and names the observable.
fn is_one_entry_about(body: &Value, subject: &str, code: &str, severity: &str, begins: &str) {
    let entries = errors(body);
    assert_eq!(entries.len(), 1, "{body}");
    let (said_code, said_severity, message) = &entries[0];
    assert_eq!((said_code.as_str(), said_severity.as_str()), (code, severity), "{body}");
    assert!(message.starts_with(begins), "{message:?} does not begin with {begins:?}");
    let rest = &message[begins.len()..];
    let end = rest.find(" (").map(|at| &rest[at..]).unwrap_or_default();
    let trace = end.strip_prefix(&format!(" ({subject}; trace ")).and_then(|end| end.strip_suffix(')'));
    let is_trace = trace.is_some_and(|trace| trace.len() == 32 && trace.bytes().all(|b| b.is_ascii_hexdigit()));
    assert!(is_trace, "{message:?} does not end with ({subject}; trace ...)");
}

/// Phrases as Python's `http.HTTPStatus` has them, which the original's texts were made of.
const OOPS: [(u16, &str); 30] = [
    (201, "Created"),
    (202, "Accepted"),
    (203, "Non-Authoritative Information"),
    (204, "No Content"),
    (206, "Partial Content"),
    (300, "Multiple Choices"),
    (301, "Moved Permanently"),
    (302, "Found"),
    (303, "See Other"),
    (304, "Not Modified"),
    (307, "Temporary Redirect"),
    (308, "Permanent Redirect"),
    (402, "Payment Required"),
    (405, "Method Not Allowed"),
    (406, "Not Acceptable"),
    (408, "Request Timeout"),
    (409, "Conflict"),
    (410, "Gone"),
    (413, "Request Entity Too Large"),
    (418, "I'm a Teapot"),
    (422, "Unprocessable Entity"),
    (451, "Unavailable For Legal Reasons"),
    (500, "Internal Server Error"),
    (501, "Not Implemented"),
    (502, "Bad Gateway"),
    (503, "Service Unavailable"),
    (504, "Gateway Timeout"),
    (511, "Network Authentication Required"),
    (520, "Unknown"),
    (599, "Unknown"),
];

fn statuses() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (status, phrase) in OOPS {
        trials.push(trial(format!("status_{status}_of_an_indicator_is_oops"), move || async move {
            let (fake, relay) = world().await;
            fake.add(Rule::on(Route::General, Fault::status(status)));
            let body = relay.observe(&[("domain", "first.example")]).await;
            let begins = format!("Something went wrong. Reason: {status} {phrase}.");
            is_one_entry_about(&body, "domain \"first.example\"", "oops", "fatal", &begins);
            assert_eq!(body.get("data"), None);
        }));
        trials.push(trial(format!("status_{status}_of_the_account_is_oops_of_health"), move || async move {
            let (fake, relay) = world().await;
            fake.add(Rule::on(Route::Me, Fault::status(status)));
            let text = format!("Something went wrong. Reason: {status} {phrase}.");
            relay.post("/health", "").await.refuses("oops", &text);
        }));
        trials.push(trial(
            format!("status_{status}_of_a_listing_is_an_error_beside_the_others"),
            move || async move {
                let (fake, relay) = world().await;
                for route in [Route::Listing, Route::Detail] {
                    fake.add(Rule::on(route, Fault::status(status)).containing("/pulses/p2"));
                }
                let body = relay.observe(&[("domain", "evil.example")]).await;
                assert_eq!(pulses(&body, "sightings"), ["p1", "p3"]);
                let (code, severity, message) = errors(&body).into_iter().next().expect("an entry");
                assert_eq!((code.as_str(), severity.as_str(), errors(&body).len()), ("oops", "error", 1), "{body}");
                let begins = format!("Something went wrong. Reason: {status} {phrase}.");
                assert!(message.starts_with(&begins), "{message}");
                assert!(message.contains("p2") && message.contains("domain \"evil.example\""), "{message}");
            },
        ));
    }
    for status in [400, 404] {
        trials.push(trial(format!("status_{status}_of_an_indicator_is_nothing_known"), move || async move {
            let (fake, relay) = world().await;
            fake.add(Rule::on(Route::General, Fault::json(status, &json!({"detail": "no"}))));
            let answer =
                relay.post("/observe/observables", tests::relay::payload(&[("domain", "evil.example")])).await;
            assert_eq!(answer.text(), "{\"data\":{}}\n");
        }));
        trials.push(trial(format!("status_{status}_of_the_account_is_no_health"), move || async move {
            let (fake, relay) = world().await;
            fake.add(Rule::on(Route::Me, Fault::json(status, &json!({"detail": "no"}))));
            let body = relay.health().await;
            assert_eq!((errors(&body)[0].0.as_str(), body.get("data")), ("oops", None), "{body}");
        }));
        trials.push(trial(
            format!("status_{status}_of_a_listing_is_an_error_beside_the_others"),
            move || async move {
                let (fake, relay) = world().await;
                for route in [Route::Listing, Route::Detail] {
                    fake.add(Rule::on(route, Fault::status(status)).containing("/pulses/p2"));
                }
                let body = relay.observe(&[("domain", "evil.example")]).await;
                assert_eq!(pulses(&body, "sightings"), ["p1", "p3"]);
                assert_eq!((errors(&body).len(), errors(&body)[0].1.as_str()), (1, "error"), "{body}");
            },
        ));
    }
    for status in [401, 403] {
        for (name, route) in [("an indicator", Route::General), ("a listing", Route::Listing)] {
            trials.push(trial(
                slug(&format!("status {status} of {name} is one entry for all")),
                move || async move {
                    let (fake, relay) = world().await;
                    fake.add(Rule::on(route, Fault::json(status, &json!({"detail": "Authentication required"}))));
                    let sent = [("domain", "evil.example"), ("domain", "second.example"), ("ip", "203.0.113.7")];
                    let answer = relay.post("/observe/observables", tests::relay::payload(&sent)).await;
                    answer.refuses("authorization error", OTX_SIDE);
                },
            ));
        }
        trials.push(trial(format!("status_{status}_of_the_account_is_an_authorization_error"), move || async move {
            let (fake, relay) = world().await;
            fake.add(Rule::on(Route::Me, Fault::status(status)));
            relay.post("/health", "").await.refuses("authorization error", OTX_SIDE);
            assert_eq!(fake.total(), 1, "a refused key is not tried again");
        }));
    }
    trials
}

/// A body with status 200 that is no answer about an indicator.
fn bodies() -> Vec<Trial> {
    let deep = format!("{{\"pulse_info\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let mut trials = Vec::new();
    for (name, body) in [
        ("html", "<html><body>busy</body></html>".to_owned()),
        ("nothing", String::new()),
        ("a list", "[]".to_owned()),
        ("a number", "5".to_owned()),
        ("a string", "\"x\"".to_owned()),
        ("an empty object", "{}".to_owned()),
        ("half a document", "{\"pulse_info\": {\"pulses\": [".to_owned()),
        ("two documents", "{} {}".to_owned()),
        ("deep nesting", deep),
        ("no pulse info", "{\"base_indicator\": {}}".to_owned()),
    ] {
        trials.push(trial(slug(&format!("body {name} is oops")), move || async move {
            let (fake, relay) = world().await;
            fake.add(Rule::on(Route::General, Fault::body(body)));
            let body = relay.observe(&[("domain", "first.example")]).await;
            let begins = "Something went wrong. Reason: AlienVault OTX answered with something that is not the expected \
                          JSON.";
            is_one_entry_about(&body, "domain \"first.example\"", "oops", "fatal", begins);
        }));
    }
    trials.push(trial("body_null_is_nothing_known", || async {
        let (fake, relay) = world().await;
        fake.add(Rule::on(Route::General, Fault::body("null")));
        assert_eq!(relay.observe(&[("domain", "first.example")]).await, json!({"data": {}}));
    }));
    for (name, body) in [
        ("html", "<html></html>"),
        ("nothing", ""),
        ("null", "null"),
        ("a list", "[]"),
        ("half a document", "{\"username\": "),
    ] {
        trials.push(trial(slug(&format!("body {name} of the account is no health")), move || async move {
            let (fake, relay) = world().await;
            fake.add(Rule::on(Route::Me, Fault::body(body)));
            let body = relay.health().await;
            assert_eq!((errors(&body)[0].0.as_str(), body.get("data")), ("oops", None), "{body}");
        }));
    }
    // Bodies that are odd and still answers; what can be read of them counts, nothing breaks.
    for (name, change) in odd_answers() {
        trials.push(trial(slug(&format!("body with {name} is read as far as it goes")), move || async move {
            let (fake, relay) = world().await;
            fake.add(Rule::on(Route::General, Fault::rewrite(change)));
            let body = relay.observe(&[("domain", "evil.example")]).await;
            assert!(body.get("data").is_some() || !errors(&body).is_empty(), "{body}");
        }));
    }
    for (name, change) in odd_rows() {
        trials.push(trial(slug(&format!("rows with {name} are read as far as they go")), move || async move {
            let (fake, relay) = world().await;
            fake.add(Rule::on(Route::Listing, Fault::in_rows(change)));
            fake.add(Rule::on(Route::Detail, Fault::in_rows(change)));
            let body = relay.observe(&[("domain", "evil.example")]).await;
            assert!(body.get("data").is_some() || !errors(&body).is_empty(), "{body}");
        }));
    }
    trials
}

type Change = fn(&mut Value);

fn odd_answers() -> Vec<(&'static str, Change)> {
    fn pulses(body: &mut Value, change: Change) {
        body["pulse_info"]["pulses"].as_array_mut().into_iter().flatten().for_each(change);
    }
    vec![
        ("pulses that are null", |body| body["pulse_info"]["pulses"] = Value::Null),
        ("pulses that are an object", |body| body["pulse_info"]["pulses"] = json!({"a": 1})),
        ("pulses of every kind", |body| body["pulse_info"]["pulses"] = json!([null, 1, "x", [], {}])),
        ("a base that is null", |body| body["base_indicator"] = Value::Null),
        ("a base that is empty", |body| body["base_indicator"] = json!({})),
        ("a base that is a list", |body| body["base_indicator"] = json!([1])),
        ("a base of no known type", |body| body["base_indicator"]["type"] = json!("Mutex")),
        ("a base id that is text", |body| body["base_indicator"]["id"] = json!("12")),
        ("a count that is text", |body| body["pulse_info"]["count"] = json!("many")),
        ("a negative number of indicators", |body| pulses(body, |pulse| pulse["indicator_count"] = json!(-1))),
        ("a huge number of indicators", |body| pulses(body, |pulse| pulse["indicator_count"] = json!(1e300))),
        ("ids that are numbers", |body| pulses(body, |pulse| pulse["id"] = json!(5))),
        ("ids that are null", |body| pulses(body, |pulse| pulse["id"] = Value::Null)),
        ("ids that are empty", |body| pulses(body, |pulse| pulse["id"] = json!(""))),
        ("authors that are texts", |body| pulses(body, |pulse| pulse["author"] = json!("rose"))),
        ("counts that are a list", |body| pulses(body, |pulse| pulse["indicator_type_counts"] = json!([]))),
        ("tags of every kind", |body| pulses(body, |pulse| pulse["tags"] = json!([null, 1, {}, "a", []]))),
        ("creations that are nonsense", |body| pulses(body, |pulse| pulse["created"] = json!("yesterday"))),
        ("creations before 1970", |body| pulses(body, |pulse| pulse["created"] = json!("0001-01-01T00:00:00"))),
        ("null bytes everywhere", |body| {
            pulses(body, |pulse| {
                for key in ["name", "description", "TLP", "adversary", "created"] {
                    pulse[key] = json!("a\u{0}b\u{0}");
                }
            });
        }),
        ("pulses that stand twice", |body| {
            let Some(pulses) = body["pulse_info"]["pulses"].as_array_mut() else { return };
            let again = pulses.clone();
            pulses.extend(again);
        }),
        ("ten thousand odd pulses", |body| {
            body["pulse_info"]["pulses"] = (0..10_000).map(|_| json!({"tags": null})).collect();
        }),
    ]
}

fn odd_rows() -> Vec<(&'static str, Change)> {
    vec![
        ("nothing in them", |row| *row = json!({})),
        ("null instead of them", |row| *row = Value::Null),
        ("numbers instead of them", |row| *row = json!(5)),
        ("lists instead of them", |row| *row = json!([[]])),
        ("null in every field", |row| {
            row.as_object_mut().into_iter().flatten().for_each(|(_, value)| *value = Value::Null);
        }),
        ("objects in every field", |row| {
            row.as_object_mut().into_iter().flatten().for_each(|(_, value)| *value = json!({"a": []}));
        }),
        ("a creation before 1970", |row| row["created"] = json!("0001-01-01T00:00:00")),
        ("a creation after 2525", |row| row["created"] = json!("9999-12-31T23:59:59")),
        ("an expiration after 2525", |row| row["expiration"] = json!("9999-12-31T23:59:59")),
        ("a leap second", |row| row["created"] = json!("2016-12-31T23:59:60")),
        ("a thirteenth month", |row| row["created"] = json!("2026-13-01T00:00:00")),
        ("a huge id", |row| row["id"] = json!(1e300)),
        ("null bytes", |row| row["indicator"] = json!("evil\u{0}.example")),
    ]
}

fn connections() -> Vec<Trial> {
    let mut trials = Vec::new();
    let faults = [
        ("reset before the answer", Fault::Break(At::Start, How::Reset)),
        ("reset in the headers", Fault::Break(At::Headers, How::Reset)),
        ("reset in the body", Fault::Break(At::Body, How::Reset)),
        ("closed before the answer", Fault::Break(At::Start, How::Close)),
        ("closed in the headers", Fault::Break(At::Headers, How::Close)),
        ("closed in the body", Fault::Break(At::Body, How::Close)),
        ("silent before the answer", Fault::Break(At::Start, How::Stall)),
        ("silent in the headers", Fault::Break(At::Headers, How::Stall)),
        ("silent in the body", Fault::Break(At::Body, How::Stall)),
        ("dripping", Fault::Drip(1, Duration::from_millis(300))),
        ("longer than it says", Fault::ContentLength(-40)),
        ("shorter than it says", Fault::ContentLength(40)),
        ("half a gzip", Fault::TruncatedGzip),
        ("a gzip of a GiB", Fault::GzipBomb(1024)),
        ("no HTTP", Fault::Raw("SSH-2.0-OpenSSH_9.6\r\n".into())),
        ("a bad chunk", Fault::Raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n".into())),
        ("two lengths", Fault::Raw("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 4\r\n\r\n{}{}".into())),
        ("endless headers", Fault::Raw(format!("HTTP/1.1 200 OK\r\n{}", "x: y\r\n".repeat(20_000)).into())),
        ("for ever continuing", Fault::Raw("HTTP/1.1 100 Continue\r\n\r\n".repeat(1000).into())),
    ];
    for (name, fault) in faults {
        for route in [Route::General, Route::Listing, Route::Me] {
            let fault = fault.clone();
            let name = slug(&format!("an answer that is {name} on {route:?} is told in time"));
            trials.push(trial(name, move || async move {
                let (fake, relay) = world().await;
                fake.add(Rule::on(route, fault.clone()));
                if route == Route::Listing {
                    fake.add(Rule::on(Route::Detail, fault));
                }
                let begun = Instant::now();
                let body = match route {
                    Route::Me => relay.health().await,
                    _ => relay.observe(&[("domain", "first.example")]).await,
                };
                assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
                let (code, severity, _) = errors(&body).into_iter().next().expect("an entry");
                let expected = if route == Route::Listing { "error" } else { "fatal" };
                assert_eq!((code.as_str(), severity.as_str()), ("oops", expected), "{body}");
                assert_eq!(body.get("data"), None, "{body}");
            }));
        }
    }
    trials.push(trial("a_fault_that_passes_is_not_told", || async {
        let (fake, relay) = world().await;
        fake.add(Rule::on(Route::General, Fault::status(503)).times(1));
        fake.add(Rule::on(Route::Listing, Fault::Break(At::Start, How::Reset)).times(1));
        let body = relay.observe(&[("domain", "first.example")]).await;
        assert_eq!((pulses(&body, "sightings"), errors(&body)), (vec!["p1"], Vec::new()));
    }));
    trials.push(trial("nobody_listening_is_told", || async {
        let address = {
            let fake = FakeOtx::start().await.expect("a fake OTX");
            fake.url()
        };
        let relay = Builder::new(&address).set("THREATRELAY_OTX_DEADLINE", "3s").start().await;
        let body = relay.observe(&[("domain", "first.example")]).await;
        let begins = "Something went wrong. Reason: no connection to AlienVault OTX could be made.";
        is_one_entry_about(&body, "domain \"first.example\"", "oops", "fatal", begins);
    }));
    for (status, location) in [
        (301, "http://{evil}/api/v1/indicators/domain/first.example/general"),
        (302, "http://{evil}/"),
        (307, "//{evil}/"),
        (308, "http://{evil}/x?y"),
    ] {
        trials.push(trial(format!("a_redirect_{status}_is_not_followed_and_the_key_stays"), move || async move {
            let (fake, relay) = world().await;
            let evil = FakeOtx::with(known()).await.expect("another host");
            let location = location.replace("{evil}", &evil.address().to_string());
            fake.add(Rule::always(Fault::redirect(status, &location)));
            let body = relay.observe(&[("domain", "first.example")]).await;
            assert_eq!(errors(&body)[0].0, "oops", "{body}");
            assert_eq!(errors(&relay.health().await)[0].0, "oops");
            assert_eq!(evil.connections(), 0);
        }));
    }
    trials
}

fn certificates() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (certificate, text) in [
        (Certificate::Expired, "Certificate has expired."),
        // OpenSSL has words of its own for a certificate that signed itself; to rustls its issuer is merely unknown.
        (Certificate::SelfSigned, "Unable to get local issuer certificate."),
        (Certificate::WrongName, "Hostname mismatch, certificate is not valid for"),
    ] {
        trials.push(trial(
            slug(&format!("certificate {certificate:?} is told and the key stays")),
            move || async move {
                let authority = Authority::new();
                let address = ([127, 0, 0, 1], 0).into();
                let fake = FakeOtx::serve(known(), address, Some(authority.server(certificate)));
                let fake = fake.await.expect("a fake OTX");
                let relay =
                    Builder::new(&fake.url()).set_file("THREATRELAY_EXTRA_CA_FILE", authority.pem()).start().await;
                let code = "ssl certificate verification failed";
                let body = relay.observe(&[("domain", "first.example")]).await;
                let begins = format!("Unable to verify SSL certificate: {text}");
                is_one_entry_about(&body, "domain \"first.example\"", code, "fatal", &begins);
                let body = relay.health().await;
                assert_eq!(errors(&body)[0].0, code, "{body}");
                assert_eq!((fake.total(), fake.connections() > 0), (0, true));
            },
        ));
    }
    trials.push(trial("certificate_of_the_extra_authority_is_trusted", || async {
        let authority = Authority::new();
        let address = ([127, 0, 0, 1], 0).into();
        let fake = FakeOtx::serve(known(), address, Some(authority.server(Certificate::Good)));
        let fake = fake.await.expect("a fake OTX");
        let relay = Builder::new(&fake.url()).set_file("THREATRELAY_EXTRA_CA_FILE", authority.pem()).start().await;
        let body = relay.observe(&[("domain", "first.example")]).await;
        assert_eq!((pulses(&body, "sightings"), errors(&body)), (vec!["p1"], Vec::new()));
    }));
    trials
}

/// A pulse of 36 rows, the wanted one last.
fn paged() -> Dataset {
    let mut rows: Vec<_> = (0..35).map(|index| domain(&format!("filler-{index}.example"), WHEN)).collect();
    rows.push(domain("evil.example", "2025-12-01T00:00:00"));
    dataset(vec![pulse("p1", rows)])
}

/// A relay that reads ten rows a page.
fn small_pages(fake: &FakeOtx) -> Builder {
    impatient(fake).set("THREATRELAY_OTX_PAGE_SIZE", "10")
}

fn listings() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, fault, calls) in [
        ("honest", Fault::Honest, 4),
        ("clamped below what was asked", Fault::ClampLimit(6), 6),
        ("without a count", Fault::without("count"), 4),
        ("without a next", Fault::without("next"), 4),
        ("past the end 404", Fault::past_the_end_is_404(), 4),
        (
            "with a next to another host",
            Fault::rewrite(|body| {
                if body["next"].is_string() {
                    body["next"] = json!("http://192.0.2.1/evil");
                }
            }),
            4,
        ),
    ] {
        trials.push(trial(slug(&format!("pages that are {name} are all read")), move || async move {
            let fake = FakeOtx::with(paged()).await.expect("a fake OTX");
            fake.add(Rule::on(Route::Listing, fault));
            let relay = small_pages(&fake).start().await;
            let body = relay.observe(&[("domain", "evil.example")]).await;
            assert_eq!((pulses(&body, "sightings"), errors(&body)), (vec!["p1"], Vec::new()), "{body}");
            assert!(fake.count(Route::Listing) >= calls, "{} calls", fake.count(Route::Listing));
        }));
    }
    trials.push(trial("pages_that_never_end_are_given_up", || async {
        let fake = FakeOtx::with(paged()).await.expect("a fake OTX");
        fake.add(Rule::on(Route::Listing, Fault::Change(std::sync::Arc::new(|request, answer| {
            let page = request.target.rsplit('=').next().unwrap_or_default().to_owned();
            answer.set_json(&json!({
                "results": [{"id": 1, "indicator": format!("endless-{page}.example"), "type": "domain", "created": WHEN}],
                "count": 1_000_000, "previous": null, "next": "http://localhost/next",
            }));
        }))));
        let relay = small_pages(&fake).start().await;
        let begun = Instant::now();
        let body = relay.observe(&[("domain", "evil.example")]).await;
        assert_eq!((errors(&body).len(), errors(&body)[0].1.as_str()), (1, "error"), "{body}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }));
    trials.push(trial("a_server_that_ignores_the_page_is_given_up_or_read_once", || async {
        let fake = FakeOtx::with(paged()).await.expect("a fake OTX");
        fake.add(Rule::on(Route::Listing, Fault::endless_next()));
        let relay = impatient(&fake).start().await;
        let body = relay.observe(&[("domain", "evil.example")]).await;
        assert!(!docs(&body, "sightings").is_empty() || !errors(&body).is_empty(), "{body}");
        assert!(fake.count(Route::Listing) < 1000, "{} calls", fake.count(Route::Listing));
    }));
    trials.push(trial("a_row_that_moves_between_pages_is_found", || async {
        let fake = FakeOtx::with(paged()).await.expect("a fake OTX");
        fake.add(Rule::on(Route::Listing, Fault::then_insert_row("p1")).times(3));
        let relay = small_pages(&fake).start().await;
        let body = relay.observe(&[("domain", "evil.example")]).await;
        assert_eq!((pulses(&body, "sightings"), errors(&body)), (vec!["p1"], Vec::new()), "{body}");
    }));
    trials.push(trial("a_pulse_deleted_after_the_indicator_was_asked_is_an_error", || async {
        let (fake, relay) = world().await;
        fake.add(Rule::on(Route::General, Fault::then_delete("p2")).times(1));
        let body = relay.observe(&[("domain", "evil.example")]).await;
        assert_eq!(pulses(&body, "sightings"), ["p1", "p3"]);
        assert_eq!((errors(&body).len(), errors(&body)[0].1.as_str()), (1, "error"), "{body}");
    }));
    trials
}

fn fails(which: &str) -> Rule {
    Rule::on(Route::General, Fault::status(500)).containing(which)
}

fn partial_data() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, failing, found) in [
        ("the_middle_one", vec!["second"], vec!["p1", "p3"]),
        ("the_first", vec!["first"], vec!["p2", "p3"]),
        ("the_last", vec!["third"], vec!["p1", "p2"]),
        ("two", vec!["first", "third"], vec!["p2"]),
        ("all", vec!["first", "second", "third"], vec![]),
    ] {
        trials.push(trial(format!("of_three_observables_{name}_failing_keeps_the_others"), move || async move {
            let (fake, relay) = world().await;
            for which in &failing {
                fake.add(fails(which));
            }
            let sent = [("domain", "first.example"), ("domain", "second.example"), ("domain", "third.example")];
            let body = relay.observe(&sent).await;
            assert_eq!(pulses(&body, "sightings"), found);
            let entries = errors(&body);
            assert_eq!(entries.len(), failing.len(), "{body}");
            for ((code, severity, message), which) in entries.iter().zip(&failing) {
                assert_eq!((code.as_str(), severity.as_str()), ("oops", "fatal"));
                assert!(message.contains(&format!("(domain \"{which}.example\"; trace ")), "{message}");
            }
            assert_eq!(body.get("data").is_none(), found.is_empty(), "{body}");
        }));
    }
    trials.push(trial("an_observable_nobody_knows_beside_one_that_fails_is_no_data", || async {
        let (fake, relay) = world().await;
        fake.add(fails("first"));
        let body = relay.observe(&[("domain", "first.example"), ("domain", "unknown.example")]).await;
        assert_eq!((body.get("data"), errors(&body).len()), (None, 1), "{body}");
    }));
    trials.push(trial("the_trace_in_an_entry_is_the_one_of_the_answer", || async {
        let (fake, relay) = world().await;
        fake.add(fails("first"));
        let sent = tests::relay::payload(&[("domain", "first.example")]);
        let answer = relay.post("/observe/observables", sent).await;
        let trace = answer.headers["x-trace-id"].to_str().unwrap_or_default().to_owned();
        let body = answer.checked(schema::Answer::Observe);
        assert!(errors(&body)[0].2.ends_with(&format!("; trace {trace})")), "{body}");
    }));
    trials.push(trial("an_earlier_answer_serves_with_a_warning_when_otx_fails", || async {
        let fake = FakeOtx::with(known()).await.expect("a fake OTX");
        let relay = impatient(&fake).set("THREATRELAY_CACHE_GENERAL_TTL", "1ms").start().await;
        let first = relay.observe(&[("domain", "first.example")]).await;
        fake.add(Rule::on(Route::General, Fault::status(503)));
        // The first answer is fresh for a millisecond.
        let begun = Instant::now();
        let body = loop {
            let body = relay.observe(&[("domain", "first.example")]).await;
            if !errors(&body).is_empty() {
                break body;
            }
            assert!(begun.elapsed() < Duration::from_secs(5), "no failure shows");
        };
        assert_eq!(body["data"], first["data"]);
        let (code, severity, message) = errors(&body).into_iter().next().expect("a warning");
        assert_eq!((code.as_str(), severity.as_str()), ("stale answer", "warning"), "{message}");
        assert!(message.contains("domain \"first.example\""), "{message}");
    }));
    trials.push(trial("a_failure_is_not_remembered", || async {
        let (fake, relay) = world().await;
        fake.add(Rule::on(Route::General, Fault::status(500)).times(1));
        let body = relay.observe(&[("domain", "first.example")]).await;
        assert_eq!(errors(&body).len(), 1);
        let body = relay.observe(&[("domain", "first.example")]).await;
        assert_eq!((pulses(&body, "sightings"), errors(&body)), (vec!["p1"], Vec::new()));
    }));
    trials
}

const THROTTLED: &str = "too many requests";
const THROTTLED_TEXT: &str = "Too many requests have been made to AlienVault OTX. Please, try again later.";

fn throttling() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, fault) in [
        ("for a key", Fault::throttled(None)),
        ("without a key", Fault::anonymous_throttled()),
        ("with seconds to wait", Fault::throttled(Some("2"))),
        ("with a date to wait for", Fault::throttled(Some("Wed, 25 Nov 2026 00:00:00 GMT"))),
        ("with nonsense to wait for", Fault::throttled(Some("later"))),
        ("with ages to wait", Fault::throttled(Some("1000000000"))),
        ("with a negative wait", Fault::throttled(Some("-1"))),
    ] {
        let fault_of_health = fault.clone();
        trials.push(trial(slug(&format!("429 {name} is told at once")), move || async move {
            let (fake, relay) = world().await;
            fake.add(Rule::on(Route::General, fault));
            let begun = Instant::now();
            let body = relay.observe(&[("domain", "first.example")]).await;
            is_one_entry_about(&body, "domain \"first.example\"", THROTTLED, "fatal", THROTTLED_TEXT);
            assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
            assert_eq!(fake.count(Route::General), 1, "a throttled call is not tried again");
        }));
        trials.push(trial(slug(&format!("429 {name} is told by health")), move || async move {
            let (fake, relay) = world().await;
            fake.add(Rule::on(Route::Me, fault_of_health));
            relay.post("/health", "").await.refuses(THROTTLED, THROTTLED_TEXT);
        }));
    }
    trials.push(trial("429_of_a_listing_is_an_error_beside_what_was_found", || async {
        let (fake, relay) = world().await;
        for route in [Route::Listing, Route::Detail] {
            fake.add(Rule::on(route, Fault::throttled(None)).containing("/pulses/p2"));
        }
        let body = relay.observe(&[("domain", "evil.example")]).await;
        assert!(errors(&body).iter().all(|(said, severity, _)| said == THROTTLED && severity == "error"), "{body}");
        assert!(!errors(&body).is_empty(), "{body}");
    }));
    trials.push(trial("429_of_one_key_does_not_stop_another", || async {
        let (fake, relay) = world().await;
        fake.add(Rule::on(Route::General, Fault::throttled(None)).times(1));
        let body = relay.observe(&[("domain", "first.example")]).await;
        assert_eq!(errors(&body)[0].0, THROTTLED);
        let body = relay.observe_with(&json!({"key": SECOND_KEY}), &[("domain", "first.example")]).await;
        assert_eq!((pulses(&body, "sightings"), errors(&body)), (vec!["p1"], Vec::new()));
    }));
    trials.push(trial("a_spent_budget_is_told_without_a_call", || async {
        let fake = FakeOtx::with(known()).await.expect("a fake OTX");
        let relay = impatient(&fake).set("THREATRELAY_OTX_HOURLY_BUDGET", "1").start().await;
        let values: Vec<String> = (0..40).map(|index| format!("name-{index}.example")).collect();
        let sent: Vec<(&str, &str)> = values.iter().map(|value| ("domain", value.as_str())).collect();
        let body = relay.observe(&sent).await;
        assert!(!errors(&body).is_empty(), "{body}");
        assert!(errors(&body).iter().all(|(said, severity, _)| said == THROTTLED && severity == "fatal"), "{body}");
        assert!(fake.total() < 40, "{} calls", fake.total());
    }));
    trials
}
