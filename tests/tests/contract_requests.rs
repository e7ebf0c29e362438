//! The relay's door: routes, methods, envelopes, the request body, `/refer`, `/version`, `/watchdog`. Every case is a test
//! of its own; texts are compared to the letter.
#![expect(clippy::expect_used, reason = "a failed step is a failed test")]

use std::process::ExitCode;

use libtest_mimic::Trial;
use serde_json::{Value, json};
use tests::fake_otx::FakeOtx;
use tests::relay::{Builder, TestRelay, WEB, payload};
use tests::schema;
use tests::trial::{run, slug, trial};

fn main() -> ExitCode {
    let mut trials = Vec::new();
    trials.extend(routes());
    trials.extend(watchdog());
    trials.extend(bodies());
    trials.extend(encodings());
    trials.extend(order_of_checks());
    trials.extend(refer());
    trials.extend(limits());
    run(trials)
}

/// A relay whose OTX must not be asked.
async fn relay() -> (FakeOtx, TestRelay) {
    let fake = FakeOtx::start().await.expect("a fake OTX");
    let relay = TestRelay::before(&fake).await;
    (fake, relay)
}

const NOT_FOUND: &str = "{\"code\":404,\"message\":\"The requested URL was not found on the server. If you entered the \
                         URL manually please check your spelling and try again.\",\"reason\":\
                         \"werkzeug.exceptions.NotFound\"}\n";
const NOT_ALLOWED: &str = "{\"code\":405,\"message\":\"The method is not allowed for the requested URL.\",\"reason\":\
                           \"werkzeug.exceptions.MethodNotAllowed\"}\n";

fn routes() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (method, path) in [
        ("GET", "/"),
        ("POST", "/"),
        ("GET", "/nope"),
        ("POST", "/observe"),
        ("POST", "/refer"),
        ("POST", "/observe/observables/more"),
        ("POST", "/Version"),
        ("POST", "/health.json"),
        ("DELETE", "/nope"),
    ] {
        trials.push(trial(slug(&format!("route {method} {} is 404", path.replace('/', " "))), move || async move {
            let (_fake, relay) = relay().await;
            let answer = relay.send(method, path, &[], "").await;
            assert_eq!((answer.status, answer.text().as_str()), (404, NOT_FOUND));
            let _ = answer.checked(schema::Answer::HttpError);
        }));
    }
    let posted = ["/health", "/observe/observables", "/refer/observables", "/version"];
    let mut wrong: Vec<(&str, &str)> = vec![("POST", "/watchdog"), ("PUT", "/watchdog"), ("DELETE", "/watchdog")];
    for path in posted {
        wrong.extend([("GET", path), ("PUT", path), ("DELETE", path), ("PATCH", path)]);
    }
    for (method, path) in wrong {
        trials.push(trial(slug(&format!("route {method} {path} is 405 without Allow")), move || async move {
            let (_fake, relay) = relay().await;
            let answer = relay.send(method, path, &[], "").await;
            assert_eq!((answer.status, answer.text().as_str()), (405, NOT_ALLOWED));
            assert_eq!(answer.headers.get("allow"), None);
        }));
    }
    for path in posted.into_iter().chain(["/watchdog"]) {
        trials.push(trial(slug(&format!("route OPTIONS {path} is 200 and empty")), move || async move {
            let (_fake, relay) = relay().await;
            let answer = relay.send("OPTIONS", path, &[], "").await;
            assert_eq!((answer.status, answer.text().as_str()), (200, ""));
            assert!(answer.headers["content-type"].to_str().is_ok_and(|value| value.starts_with("text/html")));
        }));
    }
    for path in posted {
        trials.push(trial(slug(&format!("route HEAD {path} is 405")), move || async move {
            let (_fake, relay) = relay().await;
            let answer = relay.send("HEAD", path, &[], "").await;
            assert_eq!((answer.status, answer.text().as_str()), (405, ""));
        }));
    }
    for path in ["/version", "/version/", "//version", "//version//"] {
        let words = path.replace('/', "slash ");
        trials.push(trial(slug(&format!("version at {words} needs no token")), move || async move {
            let (fake, relay) = relay().await;
            let body = relay.send("POST", path, &[], "").await.checked(schema::Answer::Version);
            assert_eq!(body["version"], threatrelay::api::version::VERSION);
            assert_eq!(fake.total(), 0);
        }));
    }
    trials.push(trial("paths_with_slashes_reach_endpoints_with_bodies", || async {
        let (_fake, relay) = relay().await;
        let answer = relay.send("POST", "//refer//observables/", &[], "[]").await;
        assert_eq!(answer.text(), "{\"data\":[]}\n");
    }));
    for (name, body) in
        [("nothing", ""), ("half a document", "{"), ("null", "null"), ("a list", "[1]"), ("no text", "\u{0}\u{ff}")]
    {
        trials.push(trial(slug(&format!("health ignores the body {name}")), move || async move {
            let (_fake, relay) = relay().await;
            let body = relay.post("/health", body).await.checked(schema::Answer::Health);
            assert_eq!((&body["data"]["status"], body.get("errors")), (&json!("ok"), None));
        }));
    }
    trials
}

fn watchdog() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, sent, expected) in [
        ("a_word", "test", r#"{"data":"test"}"#),
        ("quotes", r#"say "x" \"#, r#"{"data":"say \"x\" \\"}"#),
        ("latin_1", "caf\u{e9}", r#"{"data":"caf\u00e9"}"#),
        ("inner_blanks", "a  b", r#"{"data":"a  b"}"#),
        ("markup", "<b>&amp;/</b>", r#"{"data":"<b>&amp;/</b>"}"#),
        ("nothing", "", r#"{"data":""}"#),
    ] {
        trials.push(trial(format!("watchdog_gives_back_{name}"), move || async move {
            let (_fake, relay) = relay().await;
            let answer = relay.send("GET", "/watchdog", &[("Health-Check", sent)], "").await;
            assert_eq!((answer.status, answer.text()), (200, format!("{expected}\n")));
            let _ = answer.checked(schema::Answer::Watchdog);
        }));
    }
    trials.push(trial("watchdog_without_the_header_is_an_error_entry", || async {
        let (_fake, relay) = relay().await;
        relay.send("GET", "/watchdog", &[], "").await.refuses("health check failed", "Invalid Health Check");
    }));
    trials.push(trial("watchdog_trims_blanks_around_the_header", || async {
        let (_fake, relay) = relay().await;
        let request = b"GET /watchdog HTTP/1.1\r\nHost: a\r\nHealth-Check: \t x y  \r\nConnection: close\r\n\r\n";
        let answer = relay.raw(request).await;
        assert!(answer.ends_with("\r\n\r\n{\"data\":\"x y\"}\n"), "{answer}");
    }));
    trials.push(trial("watchdog_HEAD_is_200_and_empty", || async {
        let (_fake, relay) = relay().await;
        let answer = relay.send("HEAD", "/watchdog", &[("Health-Check", "x")], "").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, ""));
    }));
    trials
}

/// The two endpoints that take observables.
const TAKING: [&str; 2] = ["/observe/observables", "/refer/observables"];

const NOT_A_LIST: &str = r#"{"_schema": ["Invalid input type."]}"#;
const MISSING: &str = "Missing data for required field.";
const BLANK: &str = "Field may not be blank.";
const NULL: &str = "Field may not be null.";
const NOT_TEXT: &str = "Not a valid string.";

/// What is wrong with the first item's fields, as the message spells it.
fn first(problems: &[(&str, &str)]) -> String {
    let fields: Vec<String> = problems.iter().map(|(key, text)| format!("\"{key}\": [\"{text}\"]")).collect();
    format!("{{\"0\": {{{}}}}}", fields.join(", "))
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn bodies() -> Vec<Trial> {
    let whole = |body: &str| (body.to_owned(), NOT_A_LIST.to_owned());
    let cases: Vec<(&str, (String, String))> = vec![
        ("empty", whole("")),
        ("blanks", whole(" \n\t")),
        ("words", whole("nonsense")),
        ("null", whole("null")),
        ("true", whole("true")),
        ("a number", whole("1")),
        ("a string", whole("\"ip\"")),
        ("an object", whole(r#"{"type":"ip","value":"192.0.2.1"}"#)),
        ("an empty object", whole("{}")),
        ("an unended list", whole("[")),
        ("a trailing comma", whole("[1,]")),
        ("two documents", whole("[] []")),
        ("single quotes", whole("[{'type':'ip'}]")),
        ("a comment", whole("[] // x")),
        ("an unended string", whole(r#"[{"type":"ip"#)),
        ("a raw line feed in a string", whole("[{\"type\":\"i\np\",\"value\":\"x\"}]")),
        ("a lone surrogate", whole(r#"[{"type":"ip","value":"\ud800"}]"#)),
        ("a hundred thousand brackets", whole(&"[".repeat(100_000))),
        (
            "items of every wrong kind",
            (
                r#"[1,"a",null,[]]"#.to_owned(),
                (0..4).fold(String::from("{"), |text, index| {
                    let comma = if index > 0 { ", " } else { "" };
                    format!("{text}{comma}\"{index}\": {NOT_A_LIST}")
                }) + "}",
            ),
        ),
        ("an empty item", ("[{}]".to_owned(), first(&[("type", MISSING), ("value", MISSING)]))),
        ("no type", (r#"[{"value":"x"}]"#.to_owned(), first(&[("type", MISSING)]))),
        ("no value", (r#"[{"type":"ip"}]"#.to_owned(), first(&[("value", MISSING)]))),
        ("a blank type", (r#"[{"type":"","value":"x"}]"#.to_owned(), first(&[("type", BLANK)]))),
        ("a blank value", (r#"[{"type":"ip","value":""}]"#.to_owned(), first(&[("value", BLANK)]))),
        ("both blank", (r#"[{"type":"","value":""}]"#.to_owned(), first(&[("type", BLANK), ("value", BLANK)]))),
        ("a null type", (r#"[{"type":null,"value":"x"}]"#.to_owned(), first(&[("type", NULL)]))),
        ("a null value", (r#"[{"type":"ip","value":null}]"#.to_owned(), first(&[("value", NULL)]))),
        ("a number as type", (r#"[{"type":5,"value":"x"}]"#.to_owned(), first(&[("type", NOT_TEXT)]))),
        ("a number as value", (r#"[{"type":"ip","value":5}]"#.to_owned(), first(&[("value", NOT_TEXT)]))),
        ("true as value", (r#"[{"type":"ip","value":true}]"#.to_owned(), first(&[("value", NOT_TEXT)]))),
        ("a list as value", (r#"[{"type":"ip","value":[]}]"#.to_owned(), first(&[("value", NOT_TEXT)]))),
        ("an object as value", (r#"[{"type":"ip","value":{}}]"#.to_owned(), first(&[("value", NOT_TEXT)]))),
        ("NaN as value", (r#"[{"type":"ip","value":NaN}]"#.to_owned(), first(&[("value", NOT_TEXT)]))),
        (
            "an unknown field",
            (r#"[{"type":"ip","value":"192.0.2.1","x":1}]"#.to_owned(), first(&[("x", "Unknown field.")])),
        ),
        (
            "an unknown field before declared ones",
            (
                r#"[{"x":1,"value":null,"type":""}]"#.to_owned(),
                first(&[("type", BLANK), ("value", NULL), ("x", "Unknown field.")]),
            ),
        ),
        (
            "an unknown field that is not ASCII",
            (r#"[{"type":"ip","value":"x","é":1}]"#.to_owned(), first(&[("\\u00e9", "Unknown field.")])),
        ),
        (
            "two unknown fields",
            (
                r#"[{"type":"ip","value":"x","b":1,"a":1}]"#.to_owned(),
                first(&[("b", "Unknown field."), ("a", "Unknown field.")]),
            ),
        ),
        (
            "a repeated key of which the last is null",
            (r#"[{"type":"ip","value":"x","value":null}]"#.to_owned(), first(&[("value", NULL)])),
        ),
        (
            "a bad item after good ones",
            (
                r#"[{"type":"ip","value":"x"},{"type":"ip","value":"x"},{}]"#.to_owned(),
                first(&[("type", MISSING), ("value", MISSING)]).replacen('0', "2", 1),
            ),
        ),
    ];
    let mut trials = Vec::new();
    for (name, (body, problems)) in cases {
        for path in TAKING {
            let (body, problems) = (body.clone(), problems.clone());
            let endpoint = path.split('/').nth(1).unwrap_or_default();
            trials.push(trial(slug(&format!("payload {name} is refused by {endpoint}")), move || async move {
                let (fake, relay) = relay().await;
                let answer = relay.post(path, body).await;
                answer.refuses("invalid payload received", &format!("Invalid JSON payload received. {problems}."));
                assert_eq!(fake.total(), 0);
            }));
        }
    }
    for (name, body) in [
        ("an empty list", "[]"),
        ("types nobody serves", r#"[{"type":"hostname","value":"a.example"},{"type":"IP","value":"192.0.2.1"}]"#),
        ("blanks as type and value", r#"[{"type":" ","value":" "}]"#),
        ("a repeated key of which the last is good", r#"[{"type":null,"type":"x","value":"x"}]"#),
    ] {
        trials.push(trial(slug(&format!("payload {name} is taken and answered empty")), move || async move {
            let (fake, relay) = relay().await;
            assert_eq!(relay.post(TAKING[0], body).await.text(), "{\"data\":{}}\n");
            assert_eq!(relay.post(TAKING[1], body).await.text(), "{\"data\":[]}\n");
            assert_eq!(fake.total(), 0);
        }));
    }
    trials
}

fn encodings() -> Vec<Trial> {
    let text = "[{\"type\":\"domain\",\"value\":\"b\u{fc}cher.example\"}]";
    let utf16 = |unit: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
    let utf32 = |unit: fn(u32) -> [u8; 4]| text.chars().map(u32::from).flat_map(unit).collect::<Vec<u8>>();
    let with = |mark: &[u8], body: Vec<u8>| [mark, &body].concat();
    let mut trials = Vec::new();
    for (name, body) in [
        ("utf_8", text.as_bytes().to_vec()),
        ("utf_8_with_mark", with(b"\xef\xbb\xbf", text.as_bytes().to_vec())),
        ("utf_16_le", utf16(u16::to_le_bytes)),
        ("utf_16_be", utf16(u16::to_be_bytes)),
        ("utf_16_le_with_mark", with(b"\xff\xfe", utf16(u16::to_le_bytes))),
        ("utf_16_be_with_mark", with(b"\xfe\xff", utf16(u16::to_be_bytes))),
        ("utf_32_le", utf32(u32::to_le_bytes)),
        ("utf_32_be", utf32(u32::to_be_bytes)),
        ("utf_32_le_with_mark", with(b"\xff\xfe\0\0", utf32(u32::to_le_bytes))),
        ("utf_32_be_with_mark", with(b"\0\0\xfe\xff", utf32(u32::to_be_bytes))),
    ] {
        trials.push(trial(format!("encoding_{name}_is_read"), move || async move {
            let (_fake, relay) = relay().await;
            let body = relay.post("/refer/observables", body).await.checked(schema::Answer::Refer);
            assert_eq!(body["data"][0]["id"], "ref-avotx-search-domain-b%C3%BCcher.example");
        }));
    }
    for (name, body) in [
        ("latin_1", b"[{\"type\":\"domain\",\"value\":\"b\xfccher.example\"}]".to_vec()),
        ("broken_utf_8", b"[{\"type\":\"domain\",\"value\":\"\xc3\"}]".to_vec()),
        ("surrogates_in_utf_8", b"[{\"type\":\"domain\",\"value\":\"\xed\xa0\x80\"}]".to_vec()),
    ] {
        trials.push(trial(format!("encoding_{name}_is_refused"), move || async move {
            let (_fake, relay) = relay().await;
            let message = format!("Invalid JSON payload received. {NOT_A_LIST}.");
            relay.post("/refer/observables", body).await.refuses("invalid payload received", &message);
        }));
    }
    for content_type in ["text/plain", "application/xml", "application/json; charset=latin-1", ""] {
        trials.push(trial(slug(&format!("content type {content_type} is ignored")), move || async move {
            let (_fake, relay) = relay().await;
            let headers = [("content-type", content_type)];
            let answer = relay.send("POST", "/refer/observables", &headers, payload(&[("ip", "192.0.2.1")])).await;
            assert_eq!(answer.checked(schema::Answer::Refer)["data"].as_array().map(Vec::len), Some(1));
        }));
    }
    trials
}

fn order_of_checks() -> Vec<Trial> {
    let missing = "Authorization failed: Authorization header is missing";
    vec![
        trial("observe_judges_the_payload_before_the_token", || async {
            let (_fake, relay) = relay().await;
            let message = format!("Invalid JSON payload received. {NOT_A_LIST}.");
            let answer = relay.send("POST", "/observe/observables", &[], "nope").await;
            answer.refuses("invalid payload received", &message);
        }),
        trial("observe_needs_a_token_for_an_empty_list", move || async move {
            let (_fake, relay) = relay().await;
            relay.send("POST", "/observe/observables", &[], "[]").await.refuses("authorization error", missing);
        }),
        trial("observe_needs_a_token_for_types_nobody_serves", move || async move {
            let (_fake, relay) = relay().await;
            let body = payload(&[("hostname", "a.example")]);
            relay.send("POST", "/observe/observables", &[], body).await.refuses("authorization error", missing);
        }),
        trial("health_needs_a_token_whatever_the_body", move || async move {
            let (_fake, relay) = relay().await;
            relay.send("POST", "/health", &[], "nope").await.refuses("authorization error", missing);
        }),
        trial("refer_needs_no_token", || async {
            let (_fake, relay) = relay().await;
            let answer = relay.send("POST", "/refer/observables", &[], payload(&[("ip", "192.0.2.1")])).await;
            assert_eq!(answer.checked(schema::Answer::Refer)["data"].as_array().map(Vec::len), Some(1));
        }),
        trial("refer_ignores_a_bad_token", || async {
            let (_fake, relay) = relay().await;
            let answer = relay.post_with("/refer/observables", "nonsense", payload(&[("ip", "192.0.2.1")])).await;
            assert_eq!(answer.checked(schema::Answer::Refer)["data"].as_array().map(Vec::len), Some(1));
        }),
    ]
}

fn refer() -> Vec<Trial> {
    let md5 = "d41d8cd98f00b204e9800998ecf8427e";
    let sha1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
    let sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let mut trials = Vec::new();
    for (kind, name, category, value, in_id, in_url) in [
        ("domain", "domain", "domain", "evil.example", "evil.example", "evil.example"),
        ("domain", "domain", "domain", "B\u{fc}cher.example", "B%C3%BCcher.example", "B%C3%BCcher.example"),
        ("email", "email", "email", "a+b@evil.example", "a%2Bb%40evil.example", "a%2Bb@evil.example"),
        ("md5", "MD5", "file", md5, md5, md5),
        ("sha1", "SHA1", "file", sha1, sha1, sha1),
        ("sha256", "SHA256", "file", sha256, sha256, sha256),
        ("ip", "IP", "ip", "192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("ipv6", "IPv6", "ip", "2001:db8::1", "2001%3Adb8%3A%3A1", "2001:db8::1"),
        (
            "url",
            "URL",
            "url",
            "http://a.b/c d?e=f&g=%20#h",
            "http%3A%2F%2Fa.b%2Fc%20d%3Fe%3Df%26g%3D%2520%23h",
            "http:%2F%2Fa.b%2Fc%20d%3Fe%3Df%26g%3D%2520%23h",
        ),
        ("url", "URL", "url", "~-._@:", "~-._%40%3A", "~-._@:"),
        ("ip", "IP", "ip", "..", "..", ".."),
        ("ip", "IP", "ip", "no address\u{1f600}", "no%20address%F0%9F%98%80", "no%20address%F0%9F%98%80"),
        ("md5", "MD5", "file", "\u{0}\n\"'", "%00%0A%22%27", "%00%0A%22%27"),
        ("domain", "domain", "domain", " padded ", "%20padded%20", "%20padded%20"),
    ] {
        let title = slug(&format!("refer {kind} {in_id}"));
        trials.push(trial(title.chars().take(60).collect::<String>(), move || async move {
            let (fake, relay) = relay().await;
            let body = relay.post("/refer/observables", payload(&[(kind, value)])).await;
            assert_eq!(
                body.checked(schema::Answer::Refer),
                json!({"data": [{
                    "categories": ["Search", "AlienVault OTX"],
                    "description": format!("Lookup this {name} on AlienVault OTX"),
                    "id": format!("ref-avotx-search-{kind}-{in_id}"),
                    "title": format!("Search for this {name}"),
                    "url": format!("{WEB}/indicator/{category}/{in_url}"),
                }]})
            );
            assert_eq!(fake.total(), 0);
        }));
    }
    trials.push(trial("refer_keeps_the_order_and_leaves_out_what_nobody_serves", || async {
        let (_fake, relay) = relay().await;
        let sent = [("url", "http://b.example/"), ("mutex", "x"), ("ip", "192.0.2.1"), ("Domain", "a.example")];
        let body = relay.post("/refer/observables", payload(&sent)).await.checked(schema::Answer::Refer);
        let ids: Vec<&Value> = body["data"].as_array().into_iter().flatten().map(|item| &item["id"]).collect();
        assert_eq!(ids, ["ref-avotx-search-url-http%3A%2F%2Fb.example%2F", "ref-avotx-search-ip-192.0.2.1"]);
    }));
    trials.push(trial("refer_answers_a_repeated_observable_once", || async {
        let (_fake, relay) = relay().await;
        let body = relay.post("/refer/observables", payload(&[("ip", "192.0.2.1"); 3])).await;
        assert_eq!(body.checked(schema::Answer::Refer)["data"].as_array().map(Vec::len), Some(1));
    }));
    trials.push(trial("refer_links_to_the_configured_site", || async {
        let fake = FakeOtx::start().await.expect("a fake OTX");
        let builder = Builder::new(&fake.url()).set("THREATRELAY_OTX_WEB_URL", "https://intel.example/otx/");
        let relay = builder.start().await;
        let body = relay.post("/refer/observables", payload(&[("ip", "192.0.2.1")])).await;
        let url = &body.checked(schema::Answer::Refer)["data"][0]["url"];
        assert_eq!(url, "https://intel.example/otx/indicator/ip/192.0.2.1");
    }));
    trials
}

fn limits() -> Vec<Trial> {
    vec![
        trial("a_body_over_the_limit_is_413", || async {
            let (_fake, relay) = relay().await;
            let answer = relay.post("/refer/observables", vec![b' '; (1 << 20) + 1]).await;
            assert_eq!(answer.status, 413);
            let _ = answer.checked(schema::Answer::HttpError);
        }),
        trial("a_compressed_body_is_415", || async {
            let (_fake, relay) = relay().await;
            let answer = relay.send("POST", "/refer/observables", &[("content-encoding", "gzip")], "x").await;
            assert_eq!(answer.status, 415);
            let _ = answer.checked(schema::Answer::HttpError);
        }),
        trial("a_target_over_the_limit_is_414", || async {
            let (_fake, relay) = relay().await;
            let answer = relay.send("POST", &format!("/version?{}", "q".repeat(9000)), &[], "").await;
            assert_eq!(answer.status, 414);
        }),
        trial("too_many_headers_are_431", || async {
            let (_fake, relay) = relay().await;
            let headers: Vec<String> = (0..110).map(|index| format!("x-{index}")).collect();
            let headers: Vec<(&str, &str)> = headers.iter().map(|name| (name.as_str(), "v")).collect();
            assert_eq!(relay.send("POST", "/version", &headers, "").await.status, 431);
        }),
        trial("too_large_headers_are_431", || async {
            let (_fake, relay) = relay().await;
            let headers = [("x-large", "v".repeat(40_000))];
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(relay.send("POST", "/version", &headers, "").await.status, 431);
        }),
        trial("two_hosts_are_400", || async {
            let (_fake, relay) = relay().await;
            let request =
                b"POST /version HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\nContent-Length: 0\r\n\r\n";
            let answer = relay.raw(request).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        }),
        trial("a_length_beside_chunks_is_no_way_to_smuggle_a_request", || async {
            let (_fake, relay) = relay().await;
            let request =
                b"POST /version HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
                            0\r\n\r\nPOST /version HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
            let answer = relay.raw(request).await;
            assert!(answer.matches("HTTP/1.1 ").count() <= 2, "{answer}");
            assert!(!answer.contains("HTTP/1.1 5"), "{answer}");
        }),
        trial("more_observables_than_the_limit_are_refused_before_any_work", || async {
            let fake = FakeOtx::start().await.expect("a fake OTX");
            let relay = Builder::new(&fake.url()).set("THREATRELAY_LIMITS_OBSERVABLES", "2").start().await;
            let sent = [("ip", "203.0.113.7"), ("ip", "203.0.113.23"), ("ip", "203.0.113.31")];
            let answer = relay.post("/observe/observables", payload(&sent)).await;
            let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            assert_eq!(body["errors"][0]["code"], "invalid payload received", "{body}");
            assert_eq!(fake.total(), 0);
        }),
        trial("a_trace_id_comes_with_every_answer", || async {
            let (_fake, relay) = relay().await;
            for (method, path) in [("POST", "/version"), ("GET", "/nope"), ("GET", "/version")] {
                let answer = relay.send(method, path, &[], "").await;
                let trace =
                    answer.headers.get("x-trace-id").and_then(|value| value.to_str().ok()).unwrap_or_default();
                assert!(trace.len() == 32 && trace.bytes().all(|b| b.is_ascii_hexdigit()), "{path}: {trace:?}");
            }
        }),
    ]
}
