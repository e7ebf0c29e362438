//! Broken and hostile HTTP, byte by byte: the status of each, at most one answer where a request is broken, and a next
//! request on a new connection that is served.

use std::fmt::Write;

use libtest_mimic::Trial;
use tests::fake_otx::FakeOtx;
use tests::relay::TestRelay;
use tests::trial::trial;

/// What comes back.
enum Expect {
    /// This status, once.
    Status(u16),
    /// One of these, once; 0 is a connection that ends without an answer.
    OneOf(&'static [u16]),
    /// As many answers as there are requests, with these statuses.
    Answers(&'static [u16]),
}
use Expect::{Answers, OneOf, Status};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("sixty_broken_requests_are_refused_and_harm_nobody", broken),
        trial("a_refused_request_smuggles_no_second_one", smuggled),
    ]
}

fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nHost: relay.example\r\nConnection: close\r\n{headers}\r\n{body}").into_bytes()
}

fn chunked(body: &str) -> Vec<u8> {
    post("/refer/observables", "Transfer-Encoding: chunked\r\n", body)
}

fn headed(headers: &str) -> Vec<u8> {
    post("/version", &format!("Content-Length: 0\r\n{headers}"), "")
}

fn cases() -> Vec<(String, Vec<u8>, Expect)> {
    let large = "a".repeat(40_000);
    let mut cases: Vec<(&str, Vec<u8>, Expect)> = vec![
        // Limits.
        ("a declared body over the limit", post("/refer/observables", "Content-Length: 1048577\r\n", ""), Status(413)),
        ("a declared body of exabytes", post("/refer/observables", "Content-Length: 9223372036854775807\r\n", ""), Status(413)),
        ("a chunked body over the limit", chunked(&format!("{:x}\r\n{}\r\n0\r\n\r\n", 1_100_000, " ".repeat(1_100_000))), OneOf(&[413, 0])),
        ("a target over the limit", format!("POST /{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "a".repeat(8200)).into_bytes(), Status(414)),
        ("a target of 100 KiB", format!("POST /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(100_000)).into_bytes(), OneOf(&[414, 431, 0])),
        ("a header over the limit", headed(&format!("x: {large}\r\n")), OneOf(&[431, 0])),
        ("a header name of 40 KB", headed(&format!("{large}: x\r\n")), OneOf(&[431, 400, 0])),
        ("101 headers", headed(&(0..101).fold(String::new(), |text, index| text + &format!("x{index}: y\r\n"))), Status(431)),
        ("5000 headers", headed(&(0..5000).fold(String::new(), |text, index| text + &format!("x{index}: y\r\n"))), OneOf(&[431, 0])),
        // Framing.
        ("a length beside chunks", post("/refer/observables", "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), OneOf(&[400, 200])),
        ("two lengths", post("/refer/observables", "Content-Length: 2\r\nContent-Length: 3\r\n", "[]"), Status(400)),
        ("a list of lengths", post("/refer/observables", "Content-Length: 2, 3\r\n", "[]"), Status(400)),
        ("a negative length", post("/refer/observables", "Content-Length: -2\r\n", "[]"), Status(400)),
        ("a length with a sign", post("/refer/observables", "Content-Length: +2\r\n", "[]"), Status(400)),
        ("a hex length", post("/refer/observables", "Content-Length: 0x2\r\n", "[]"), Status(400)),
        ("a length beyond numbers", post("/refer/observables", "Content-Length: 99999999999999999999\r\n", ""), OneOf(&[400, 413])),
        ("a length of words", post("/refer/observables", "Content-Length: two\r\n", "[]"), Status(400)),
        ("an empty length", post("/refer/observables", "Content-Length: \r\n", "[]"), Status(400)),
        ("a blank before the colon", post("/refer/observables", "Content-Length : 2\r\n", "[]"), Status(400)),
        ("an unknown transfer coding", post("/refer/observables", "Transfer-Encoding: gzip\r\n", ""), Status(400)),
        ("chunked that is not last", post("/refer/observables", "Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"), Status(400)),
        ("chunked misspelled", post("/refer/observables", "Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), Status(400)),
        ("chunked twice", post("/refer/observables", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"), Status(400)),
        ("chunked in HTTP 1.0", b"POST /refer/observables HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(), OneOf(&[400, 200])),
        ("a chunk size that is no number", chunked("zz\r\n[]\r\n0\r\n\r\n"), OneOf(&[400, 0])),
        ("a negative chunk size", chunked("-1\r\n[]\r\n0\r\n\r\n"), OneOf(&[400, 0])),
        ("a chunk size beyond numbers", chunked("fffffffffffffffff\r\n[]"), OneOf(&[400, 413, 0])),
        ("a chunk without its line end", chunked("2\r\n[]0\r\n\r\n"), OneOf(&[400, 0])),
        ("a chunk size without its line end", chunked("2[]\r\n0\r\n\r\n"), OneOf(&[400, 0])),
        ("a chunk extension of 64 KiB", chunked(&format!("2;{}\r\n[]\r\n0\r\n\r\n", "e".repeat(65_536))), OneOf(&[400, 0])),
        ("trailers that go on", chunked(&format!("2\r\n[]\r\n0\r\n{}\r\n", "x: y\r\n".repeat(20_000))), OneOf(&[400, 200, 431, 0])),
        // Bodies.
        ("a gzip body", post("/refer/observables", "Content-Encoding: gzip\r\nContent-Length: 2\r\n", "[]"), Status(415)),
        ("a body in many codings", post("/refer/observables", "Content-Encoding: gzip, gzip, br\r\nContent-Length: 2\r\n", "[]"), Status(415)),
        ("a deflate body", post("/observe/observables", "Content-Encoding: deflate\r\nContent-Length: 2\r\n", "[]"), Status(415)),
        ("Expect: 100-continue over the limit", post("/refer/observables", "Expect: 100-continue\r\nContent-Length: 1048577\r\n", ""), Status(413)),
        ("Expect: 100-continue", post("/refer/observables", "Expect: 100-continue\r\nContent-Length: 2\r\n", "[]"), Answers(&[100, 200])),
        ("another Expect", post("/refer/observables", "Expect: the-impossible\r\nContent-Length: 2\r\n", "[]"), OneOf(&[417, 200])),
        // Heads.
        ("two hosts", headed("Host: other.example\r\n"), Status(400)),
        ("a null byte in the target", b"POST /ver\0sion HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), Status(400)),
        ("a null byte in a header", headed("x: a\0b\r\n"), Status(400)),
        ("a null byte in a header name", headed("x\0y: a\r\n"), Status(400)),
        ("a lone carriage return in a header", headed("x: a\rb: c\r\n"), Status(400)),
        ("a folded header", headed("x: a\r\n b\r\n"), Status(400)),
        ("a header without a name", headed(": a\r\n"), Status(400)),
        ("a header without a colon", headed("nonsense\r\n"), Status(400)),
        ("control characters in a header", headed("x: \u{1}\u{2}\r\n"), Status(400)),
        ("an unknown version", b"POST /version HTTP/3.0\r\nHost: a\r\n\r\n".to_vec(), Status(400)),
        ("no version", b"POST /version\r\nHost: a\r\n\r\n".to_vec(), Status(400)),
        ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(), OneOf(&[400, 505, 0])),
        ("a TLS greeting", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".repeat(20), Status(400)),
        ("noise", (0..=255).collect::<Vec<u8>>().repeat(8), Status(400)),
        ("a blank in the target", b"POST /a b HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), Status(400)),
        ("an absolute target of another host", b"POST http://other.example/version HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_vec(), OneOf(&[200, 404])),
        ("a target with dots", b"POST /refer/../version HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_vec(), Status(404)),
        ("an encoded target", b"POST /%76ersion HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_vec(), Status(404)),
    ];
    let methods = ["GET", "PUT", "DELETE", "PATCH", "TRACE", "post", "X"];
    let plain = |method: &str| {
        format!("{method} /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    };
    cases.extend(methods.map(|method| ("a wrong method", plain(method).into_bytes(), Status(405))));
    cases.push((
        "CONNECT",
        b"CONNECT attacker.example:443 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_vec(),
        OneOf(&[404, 405]),
    ));
    cases
        .into_iter()
        .enumerate()
        .map(|(index, (name, bytes, expect))| (format!("{index} {name}"), bytes, expect))
        .collect()
}

/// The statuses of the answers in what came back.
fn statuses(text: &str) -> Vec<u16> {
    text.split("HTTP/1.").skip(1).filter_map(|answer| answer.get(2..5)?.parse().ok()).collect()
}

async fn broken() {
    let fake = FakeOtx::start().await.expect("a fake OTX");
    let relay = TestRelay::before(&fake).await;
    let cases = cases();
    assert!(cases.len() >= 60, "{}", cases.len());
    let mut wrong = String::new();
    for (name, bytes, expect) in &cases {
        let text = relay.raw(bytes).await;
        let got = statuses(&text);
        let fits = match expect {
            Status(status) => got == [*status],
            OneOf(statuses) => got.len() <= 1 && statuses.contains(&got.first().copied().unwrap_or(0)),
            Answers(statuses) => got == *statuses,
        };
        if !fits {
            let start: String = text.chars().take(200).collect();
            writeln!(wrong, "{name}: {got:?} {start}").expect("memory");
        }
        assert_eq!(relay.send("POST", "/version", &[], "").await.status, 200, "after {name}");
    }
    println!("{} broken requests", cases.len());
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(fake.connections(), 0);
}

/// A second request hides where the end of the first is in dispute: it is never answered as one of its own.
async fn smuggled() {
    let fake = FakeOtx::start().await.expect("a fake OTX");
    let relay = TestRelay::before(&fake).await;
    let hidden = "POST /version HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    let open = |headers: &str, body: &str| {
        format!("POST /refer/observables HTTP/1.1\r\nHost: a\r\n{headers}\r\n{body}{hidden}").into_bytes()
    };
    for (headers, body) in [
        ("Content-Length: 2\r\nContent-Length: 3\r\n", "[]"),
        ("Content-Length: 2\r\nTransfer-Encoding: xchunked\r\n", "[]"),
        ("Content-Length: 2\r\nTransfer-Encoding: chunked, identity\r\n", "[]"),
        ("Transfer-Encoding: chunked\r\n", "2\r\n[]X\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "0x0\r\n\r\n"),
        ("Content-Length: 1048577\r\n", ""),
        ("Content-Encoding: gzip\r\nContent-Length: 70\r\n", "[]"),
        ("Content-Length: +2\r\n", "[]"),
    ] {
        let text = relay.raw(&open(headers, body)).await;
        assert!(statuses(&text).len() <= 1 && !text.contains("\"version\""), "{headers}: {text}");
        assert_eq!(relay.send("POST", "/version", &[], "").await.status, 200);
    }
}
