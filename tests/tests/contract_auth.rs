//! Who may ask: every token and header against `/health` and `/observe/observables`, with OTX asked only when it is right.
//!
//! The observables are known to OTX, so that a token that slips through shows as an answer.
#![expect(clippy::expect_used, reason = "a failed step is a failed test")]

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tests::fake_otx::{FakeOtx, KEY};
use tests::issuer::{AUDIENCE, Issuer, claims, forge, unsigned};
use tests::jwks_server::{Document, JwksServer};
use tests::refusals::{AUDIENCE_TEXT, HOST, KID, NO_HOST, OTX_SIDE, PAYLOAD, SIGNATURE, STRUCTURE, WRONG_TYPE};
use tests::relay::{Builder, JWKS_HOST, TestRelay, payload};
use tests::reply::{RelayAnswer, docs, errors};
use tests::schema;
use tests::tls::{Authority, Certificate};
use tests::trial::{run, slug, trial};

fn main() -> ExitCode {
    let mut trials = Vec::new();
    trials.extend(headers());
    trials.extend(structures());
    trials.extend(algorithms());
    trials.extend(key_names());
    trials.extend(claims_that_matter());
    trials.extend(otx_keys());
    trials.extend(limits());
    trials.extend(jwks_hosts());
    trials.extend(jwks_answers());
    trials.extend(shared_secrets());
    run(trials)
}

const ENDPOINTS: [(&str, &str); 2] = [("health", "/health"), ("observe", "/observe/observables")];

/// Asks one of the endpoints with these headers.
async fn ask(relay: &TestRelay, path: &str, headers: &[(&str, &str)]) -> RelayAnswer {
    relay.send("POST", path, headers, payload(&[("domain", "evil.example")])).await
}

/// Two tests, one an endpoint: what `headers` makes of a relay's signer is refused for `reason`, and OTX is not asked.
fn refused(
    name: &str,
    reason: &'static str,
    headers: impl Fn(&Issuer) -> Vec<(&'static str, String)> + Clone + Send + 'static,
) -> Vec<Trial> {
    let case = |(endpoint, path): (&str, &'static str)| {
        let headers = headers.clone();
        trial(slug(&format!("{name} is refused by {endpoint}")), move || async move {
            let fake = FakeOtx::start().await.expect("a fake OTX");
            let relay = TestRelay::before(&fake).await;
            let headers = headers(relay.issuer());
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let text = format!("Authorization failed: {reason}");
            ask(&relay, path, &headers).await.refuses("authorization error", &text);
            assert_eq!(fake.total(), 0, "OTX was asked");
        })
    };
    ENDPOINTS.into_iter().map(case).collect()
}

/// The same for one `Authorization` header.
fn refused_token(
    name: &str,
    reason: &'static str,
    token: impl Fn(&Issuer) -> String + Clone + Send + 'static,
) -> Vec<Trial> {
    refused(name, reason, move |issuer| vec![("authorization", format!("Bearer {}", token(issuer)))])
}

/// A relay's answers to a token that is right.
fn accepted(
    name: &str,
    headers: impl Fn(&TestRelay) -> Vec<(&'static str, String)> + Clone + Send + 'static,
) -> Trial {
    trial(slug(&format!("{name} is accepted")), move || async move {
        let fake = FakeOtx::start().await.expect("a fake OTX");
        let relay = TestRelay::before(&fake).await;
        let headers = headers(&relay);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let body = ask(&relay, "/observe/observables", &headers).await.checked(schema::Answer::Observe);
        assert_eq!((errors(&body), docs(&body, "sightings").len()), (Vec::new(), 3), "{body}");
        let body = ask(&relay, "/health", &headers).await.checked(schema::Answer::Health);
        assert_eq!((&body["data"]["status"], errors(&body)), (&json!("ok"), Vec::new()), "{body}");
    })
}

fn good(issuer: &Issuer) -> String {
    issuer.token(&claims(KEY, JWKS_HOST)).expect("a token")
}

/// A good token but for one claim; `None` leaves it out.
fn with_claim(issuer: &Issuer, name: &str, value: Option<Value>) -> String {
    let mut claims = claims(KEY, JWKS_HOST);
    match value {
        Some(value) => claims[name] = value,
        None => {
            claims.as_object_mut().map(|claims| claims.remove(name));
        }
    }
    issuer.token(&claims).expect("a token")
}

/// A good token but for its header.
fn with_header(issuer: &Issuer, header: &str) -> String {
    forge(header, &claims(KEY, JWKS_HOST).to_string(), Algorithm::RS256, issuer.signing_key())
}

fn headers() -> Vec<Trial> {
    let mut trials = refused("no header", "Authorization header is missing", |_| vec![]);
    for (name, value) in [
        ("an empty header", ""),
        ("Basic", "Basic dXNlcjpwYXNz"),
        ("Bearer alone", "Bearer"),
        ("a token alone", "a.b.c"),
        ("three words", "Bearer a.b.c d"),
        ("Bearer with a comma", "Bearer, a.b.c"),
        ("another scheme", "JWT a.b.c"),
    ] {
        trials.extend(refused(name, WRONG_TYPE, move |_| vec![("authorization", value.to_owned())]));
    }
    trials.extend(refused("a good token behind another scheme", WRONG_TYPE, |issuer| {
        vec![("authorization", format!("Token {}", good(issuer)))]
    }));
    trials.extend(refused("a good token in two headers", WRONG_TYPE, |issuer| {
        vec![("authorization", format!("Bearer {}", good(issuer))); 2]
    }));
    for (name, scheme) in [("as usual", "Bearer"), ("small", "bearer"), ("large", "BEARER"), ("mixed", "bEaReR")] {
        trials.push(accepted(&format!("the scheme {name}"), move |relay| {
            vec![("authorization", format!("{scheme} {}", relay.token()))]
        }));
    }
    trials.push(accepted("more than one blank after the scheme", |relay| {
        vec![("authorization", format!("Bearer   {}", relay.token()))]
    }));
    trials
}

fn structures() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, token) in [
        ("a word as token", "garbage"),
        ("one dot", "a.b"),
        ("three dots", "a.b.c.d"),
        ("dots alone", ".."),
        ("parts that are no base64", "!!.!!.!!"),
        ("a null byte of a token", "AA.AA.AA"),
    ] {
        trials.extend(refused_token(name, STRUCTURE, move |_| token.to_owned()));
    }
    trials.extend(refused_token("a token with a fourth part", STRUCTURE, |issuer| format!("{}.x", good(issuer))));
    trials.extend(refused_token("a padded token", STRUCTURE, |issuer| format!("{}=", good(issuer))));
    trials.extend(refused_token("a JSON serialisation", STRUCTURE, |issuer| {
        let token = good(issuer);
        let parts: Vec<&str> = token.split('.').collect();
        json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]}).to_string()
    }));
    trials.extend(refused_token("a payload that is a list", STRUCTURE, |issuer| {
        forge(r#"{"alg":"RS256","kid":"test-key"}"#, "[]", Algorithm::RS256, issuer.signing_key())
    }));
    trials.extend(refused_token("a payload that is no JSON", STRUCTURE, |issuer| {
        forge(r#"{"alg":"RS256","kid":"test-key"}"#, "nope", Algorithm::RS256, issuer.signing_key())
    }));
    for size in [64 << 10, 1 << 20] {
        trials.push(trial(format!("a_token_of_{size}_bytes_is_431_or_cut_off"), move || async move {
            let fake = FakeOtx::start().await.expect("a fake OTX");
            let relay = TestRelay::before(&fake).await;
            let request = format!(
                "POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nAuthorization: Bearer {}\r\n\r\n",
                "a".repeat(size)
            );
            let answer = relay.raw(request.as_bytes()).await;
            // The relay may end the connection before the whole request has arrived.
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
            assert_eq!(relay.send("POST", "/version", &[], "").await.status, 200);
            assert_eq!(fake.total(), 0);
        }));
    }
    for (name, header) in [
        ("crit", r#"{"alg":"RS256","kid":"test-key","crit":["exp"]}"#),
        ("b64 false", r#"{"alg":"RS256","kid":"test-key","b64":false}"#),
        ("zip", r#"{"alg":"RS256","kid":"test-key","zip":"DEF"}"#),
        ("enc", r#"{"alg":"RS256","kid":"test-key","enc":"A128GCM"}"#),
    ] {
        let name = format!("a header with {name}");
        trials.extend(refused_token(&name, STRUCTURE, move |issuer| with_header(issuer, header)));
    }
    trials
}

type Secret = fn(&Issuer) -> Vec<u8>;

fn algorithms() -> Vec<Trial> {
    let mut trials = Vec::new();
    for name in ["none", "None", "NONE", "nOnE"] {
        let header = format!(r#"{{"alg":"{name}","kid":"test-key"}}"#);
        let case = format!("alg {name} of {} capitals", name.bytes().filter(u8::is_ascii_uppercase).count());
        let unsigned_header = header.clone();
        trials.extend(refused_token(&format!("{case} without signature"), SIGNATURE, move |_| {
            format!("{}.", unsigned(&unsigned_header, &claims(KEY, JWKS_HOST).to_string()))
        }));
        trials.extend(refused_token(&format!("{case} with signature"), SIGNATURE, move |issuer| {
            with_header(issuer, &header)
        }));
    }
    for (name, algorithm) in [
        ("RS384", Algorithm::RS384),
        ("RS512", Algorithm::RS512),
        ("PS256", Algorithm::PS256),
        ("PS512", Algorithm::PS512),
    ] {
        trials.extend(refused_token(&format!("a genuine {name}"), SIGNATURE, move |issuer| {
            let header = format!(r#"{{"alg":"{name}","kid":"test-key"}}"#);
            forge(&header, &claims(KEY, JWKS_HOST).to_string(), algorithm, issuer.signing_key())
        }));
    }
    trials.extend(refused_token("PS256 that says RS256", SIGNATURE, |issuer| {
        let header = r#"{"alg":"RS256","kid":"test-key"}"#;
        forge(header, &claims(KEY, JWKS_HOST).to_string(), Algorithm::PS256, issuer.signing_key())
    }));
    let secrets: [(&str, Secret); 5] = [
        ("nothing", |_| Vec::new()),
        ("the word secret", |_| b"secret".to_vec()),
        ("the modulus in base64", |issuer| modulus(issuer).into_bytes()),
        ("the modulus", |issuer| URL_SAFE_NO_PAD.decode(modulus(issuer)).unwrap_or_default()),
        ("the JWK", |issuer| serde_json::to_vec(issuer.jwk()).unwrap_or_default()),
    ];
    for (name, secret) in secrets {
        trials.extend(refused_token(&format!("HS256 with {name} as secret"), SIGNATURE, move |issuer| {
            let key = EncodingKey::from_secret(&secret(issuer));
            let header = r#"{"alg":"HS256","kid":"test-key"}"#;
            forge(header, &claims(KEY, JWKS_HOST).to_string(), Algorithm::HS256, &key)
        }));
    }
    trials.extend(refused_token("another issuer's signature under the right kid", SIGNATURE, |_| {
        good(&Issuer::generate("test-key").expect("a key"))
    }));
    trials.extend(refused_token("the signature of another token", SIGNATURE, |issuer| {
        let (token, other) = (good(issuer), with_claim(issuer, "x", Some(json!(1))));
        format!("{}.{}", &token[..token.rfind('.').unwrap_or(0)], other.rsplit('.').next().unwrap_or_default())
    }));
    trials.extend(refused_token("an empty signature", SIGNATURE, |issuer| {
        let token = good(issuer);
        token[..=token.rfind('.').unwrap_or(0)].to_owned()
    }));
    trials.extend(refused_token("a signature that is no base64", SIGNATURE, |issuer| {
        let token = good(issuer);
        format!("{}!!", &token[..=token.rfind('.').unwrap_or(0)])
    }));
    trials.extend(refused_token("a changed payload", SIGNATURE, |issuer| {
        let token = good(issuer);
        let parts: Vec<&str> = token.split('.').collect();
        let payload = URL_SAFE_NO_PAD.encode(claims("another key", JWKS_HOST).to_string());
        format!("{}.{payload}.{}", parts[0], parts[2])
    }));
    for (name, extra) in [
        ("jku", json!({"jku": "https://attacker.example/jwks"})),
        ("x5u", json!({"x5u": "https://attacker.example/x5u"})),
        ("x5c", json!({"x5c": ["MIIB"]})),
    ] {
        trials.extend(refused_token(&format!("an attacker's {name}"), SIGNATURE, move |_| {
            let attacker = Issuer::generate("test-key").expect("a key");
            let mut header = json!({"alg": "RS256", "kid": "test-key"});
            for (key, value) in extra.as_object().into_iter().flatten() {
                header[key] = value.clone();
            }
            with_header(&attacker, &header.to_string())
        }));
    }
    trials.extend(refused_token("an attacker's jwk", SIGNATURE, |_| {
        let attacker = Issuer::generate("test-key").expect("a key");
        let header = json!({"alg": "RS256", "kid": "test-key", "jwk": attacker.jwk()});
        with_header(&attacker, &header.to_string())
    }));
    trials
}

fn modulus(issuer: &Issuer) -> String {
    let jwk = serde_json::to_value(issuer.jwk()).unwrap_or_default();
    jwk["n"].as_str().unwrap_or_default().to_owned()
}

fn key_names() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, kid) in [
        ("no kid", None),
        ("an empty kid", Some(json!(""))),
        ("a null kid", Some(Value::Null)),
        ("a number as kid", Some(json!(5))),
        ("an unknown kid", Some(json!("other"))),
        ("a kid in other case", Some(json!("TEST-KEY"))),
        ("a kid that climbs", Some(json!("../../test-key"))),
        ("a kid with a pipe", Some(json!("test-key|sleep 10"))),
        ("a kid with quotes", Some(json!("' OR 1=1 --"))),
        ("a kid with a null byte", Some(json!("test-key\u{0}"))),
        ("a kid of 10 KiB", Some(json!("k".repeat(10 << 10)))),
    ] {
        trials.extend(refused_token(name, KID, move |issuer| {
            let mut header = json!({"alg": "RS256"});
            if let Some(kid) = &kid {
                header["kid"] = kid.clone();
            }
            with_header(issuer, &header.to_string())
        }));
    }
    trials
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn claims_that_matter() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, audience) in [
        ("no audience", None),
        ("a null audience", Some(Value::Null)),
        ("an empty audience", Some(json!(""))),
        ("an empty list of audiences", Some(json!([]))),
        ("a number as audience", Some(json!(123))),
        ("true as audience", Some(json!(true))),
        ("an object as audience", Some(json!({}))),
        ("a list of numbers as audience", Some(json!([1]))),
        ("a list with our audience and a number", Some(json!([AUDIENCE, 1]))),
        ("another audience", Some(json!("https://other.example"))),
        ("a longer audience", Some(json!("https://relay.example.net"))),
        ("a shorter audience", Some(json!("https://relay.exampl"))),
        ("an audience with a slash", Some(json!("https://relay.example/"))),
        ("an audience in other case", Some(json!("https://RELAY.example"))),
        ("an audience of another scheme", Some(json!("http://relay.example"))),
        ("other audiences", Some(json!(["https://a.example", "https://b.example"]))),
    ] {
        trials.extend(refused_token(name, AUDIENCE_TEXT, move |issuer| with_claim(issuer, "aud", audience.clone())));
    }
    for header in ["host", "x-forwarded-host", "x-forwarded-proto"] {
        trials.extend(refused(&format!("another audience with a fitting {header}"), AUDIENCE_TEXT, move |issuer| {
            let token = with_claim(issuer, "aud", Some(json!("https://other.example")));
            let value = if header == "x-forwarded-proto" { "https" } else { "other.example" };
            vec![("authorization", format!("Bearer {token}")), (header, value.to_owned())]
        }));
    }
    trials.push(accepted("our audience among others", |relay| {
        let token = relay.token_with(&json!({"aud": ["https://other.example", AUDIENCE]}));
        vec![("authorization", format!("Bearer {token}"))]
    }));
    trials.push(accepted("our audience with another host", |relay| {
        vec![("authorization", format!("Bearer {}", relay.token())), ("host", "other.example".to_owned())]
    }));
    for (name, claim, value, reason) in [
        ("a token that expired", "exp", json!(now() - 3600), "Token has expired"),
        ("a negative exp", "exp", json!(-1), "Token has expired"),
        ("an exp that is text", "exp", json!("soon"), STRUCTURE),
        ("an nbf in the future", "nbf", json!(now() + 3600), "Token is not yet valid"),
        ("an nbf that is text", "nbf", json!("now"), STRUCTURE),
        ("an iat in the future", "iat", json!(now() + 3600), "Token is not yet valid"),
    ] {
        trials.extend(refused_token(name, reason, move |issuer| with_claim(issuer, claim, Some(value.clone()))));
    }
    for (name, changes) in [
        ("a token without exp", json!({})),
        ("an exp to come", json!({"exp": now() + 3600})),
        ("an exp just past", json!({"exp": now() - 5})),
        ("an nbf just ahead", json!({"nbf": now() + 5})),
        ("claims nobody reads", json!({"iss": "x", "sub": 5, "jti": [], "module": {"a": 1}})),
    ] {
        trials.push(accepted(name, move |relay| {
            vec![("authorization", format!("Bearer {}", relay.token_with(&changes)))]
        }));
    }
    trials.extend(refused_token("an expired token signed with a wrong key", SIGNATURE, |_| {
        let attacker = Issuer::generate("test-key").expect("a key");
        with_claim(&attacker, "exp", Some(json!(now() - 3600)))
    }));
    trials.push(trial("exp_can_be_required", || async {
        let fake = FakeOtx::start().await.expect("a fake OTX");
        let relay = Builder::new(&fake.url()).set("THREATRELAY_AUTH_REQUIRE_EXP", "true").start().await;
        relay
            .post("/health", "")
            .await
            .refuses("authorization error", "Authorization failed: Token has no exp claim");
        let token = relay.token_with(&json!({"exp": now() + 3600}));
        let body = relay.post_with("/health", &token, "").await.checked(schema::Answer::Health);
        assert_eq!(body["data"]["status"], "ok");
    }));
    trials
}

fn otx_keys() -> Vec<Trial> {
    let mut trials = Vec::new();
    trials.extend(refused_token("a token without key", PAYLOAD, |issuer| with_claim(issuer, "key", None)));
    for (name, key) in [
        ("a key with a leading blank", json!(" K")),
        ("a Cyrillic key", json!("\u{43a}\u{43b}\u{44e}\u{447}")),
        ("a key with a euro sign", json!("K\u{20ac}")),
        ("a number as key", json!(5)),
        ("true as key", json!(true)),
        ("a list as key", json!(["K"])),
        ("a key with CRLF", json!("K\r\nX-Injected: 1")),
        ("a key with a line feed", json!("K\n")),
        ("a key with a null byte", json!("K\u{0}")),
    ] {
        trials.extend(refused_token(name, OTX_SIDE, move |issuer| with_claim(issuer, "key", Some(key.clone()))));
    }
    for (endpoint, path) in ENDPOINTS {
        trials.push(trial(format!("a_null_key_is_refused_without_reason_by_{endpoint}"), move || async move {
            let fake = FakeOtx::start().await.expect("a fake OTX");
            let relay = TestRelay::before(&fake).await;
            let token = relay.token_with(&json!({"key": null}));
            let answer = ask(&relay, path, &[("authorization", &format!("Bearer {token}"))]).await;
            answer.refuses("authorization error", "Authorization failed.");
            assert_eq!(fake.total(), 0);
        }));
    }
    for (name, key) in
        [("an empty key", ""), ("a trailing blank", "K "), ("an inner blank", "a b"), ("Latin-1", "\u{e9}")]
    {
        trials.push(trial(slug(&format!("key {name} is sent and refused by OTX itself")), move || async move {
            let fake = FakeOtx::start().await.expect("a fake OTX");
            let relay = TestRelay::before(&fake).await;
            let token = relay.token_with(&json!({"key": key}));
            let answer = relay.post_with("/health", &token, "").await;
            answer.refuses("authorization error", &format!("Authorization failed: {OTX_SIDE}"));
            assert_eq!(fake.total(), 1, "OTX decides about such a key");
        }));
    }
    for (name, path) in [("health", "/health"), ("observe", "/observe/observables")] {
        trials.push(trial(format!("a_key_otx_does_not_know_is_one_entry_of_{name}"), move || async move {
            let fake = FakeOtx::start().await.expect("a fake OTX");
            let relay = TestRelay::before(&fake).await;
            let token = relay.token_with(&json!({"key": "nobody's"}));
            let sent = payload(&[("domain", "evil.example"), ("ip", "203.0.113.7")]);
            let answer = relay.post_with(path, &token, sent).await;
            answer.refuses("authorization error", &format!("Authorization failed: {OTX_SIDE}"));
        }));
    }
    trials
}

/// The claim `CTR_ENTITIES_LIMIT`, as JSON text, and the number of sightings it gives.
fn limits() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, claim, expected) in [
        ("absent", None, 100),
        ("0", Some("0"), 100),
        ("minus 1", Some("-1"), 100),
        ("abc", Some("\"abc\""), 100),
        ("text 1 point 5", Some("\"1.5\""), 100),
        ("1", Some("1"), 1),
        ("text 2", Some("\"2\""), 2),
        ("text 2 in blanks", Some("\" 2 \""), 2),
        ("1 point 9", Some("1.9"), 1),
        ("true", Some("true"), 1),
        ("false", Some("false"), 100),
        ("an Arabic 3", Some("\"\u{663}\""), 3),
        ("101", Some("101"), 101),
        ("5000", Some("5000"), 120),
        ("2 to the 63", Some("9223372036854775808"), 120),
        ("null", Some("null"), 100),
        ("a list", Some("[]"), 100),
        ("an object", Some("{}"), 100),
        ("Infinity", Some("Infinity"), 100),
        ("NaN", Some("NaN"), 100),
    ] {
        trials.push(trial(slug(&format!("limit {name} gives {expected}")), move || async move {
            let fake = many_pulses(120).await;
            let relay = TestRelay::before(&fake).await;
            let mut payload_text = claims(KEY, JWKS_HOST).to_string();
            if let Some(claim) = claim {
                payload_text.truncate(payload_text.len() - 1);
                payload_text = format!("{payload_text},\"CTR_ENTITIES_LIMIT\":{claim}}}");
            }
            let header = r#"{"alg":"RS256","kid":"test-key"}"#;
            let token = forge(header, &payload_text, Algorithm::RS256, relay.issuer().signing_key());
            let answer =
                relay.post_with("/observe/observables", &token, payload(&[("domain", "evil.example")])).await;
            let body = answer.checked(schema::Answer::Observe);
            for kind in ["sightings", "indicators", "relationships"] {
                assert_eq!(docs(&body, kind).len(), expected, "{kind}: {:?}", errors(&body));
            }
        }));
    }
    trials.push(trial("limit_5000_is_capped_at_1000", || async {
        let fake = many_pulses(1003).await;
        let relay = TestRelay::before(&fake).await;
        let limit = json!({"CTR_ENTITIES_LIMIT": 5000});
        let body = relay.observe_with(&limit, &[("domain", "evil.example")]).await;
        assert_eq!(docs(&body, "sightings").len(), 1000, "{:?}", errors(&body));
    }));
    trials
}

/// An OTX that, unlike the real one, names more than 50 pulses.
async fn many_pulses(count: usize) -> FakeOtx {
    use tests::fake_otx::{Fault, Route, Rule};
    use tests::world::{dataset, domain, pulse};
    let id = |index: usize| format!("p{index:04}");
    let times = |index: usize| format!("2026-01-01T{:02}:{:02}:00", index / 60, index % 60);
    let pulses = (0..count).map(|index| pulse(&id(index), vec![domain("evil.example", &times(index))])).collect();
    let fake = FakeOtx::with(dataset(pulses)).await.expect("a fake OTX");
    let all = move |body: &mut Value| {
        let Some(pulse) = body["pulse_info"]["pulses"].get(0).cloned() else { return };
        let pulses = (0..count).map(|index| {
            let mut pulse = pulse.clone();
            pulse["id"] = id(index).into();
            pulse
        });
        body["pulse_info"]["pulses"] = pulses.collect();
        body["pulse_info"]["count"] = count.into();
    };
    fake.add(Rule::on(Route::General, Fault::rewrite(all)));
    fake
}

/// A relay that fetches keys from `server`, which alone is allowed.
fn fetching(fake: &FakeOtx, server: &JwksServer, authority: &Authority) -> Builder {
    Builder::new(&fake.url()).fetching_keys(server, authority)
}

/// A fetching relay, the host it fetches from, and a signer that this host knows.
struct Fetching {
    _fake: FakeOtx,
    server: JwksServer,
    relay: TestRelay,
    signer: Issuer,
}

impl Fetching {
    async fn start(certificate: Certificate) -> Self {
        Self::with(certificate, |builder| builder).await
    }

    async fn with(certificate: Certificate, change: impl FnOnce(Builder) -> Builder) -> Self {
        let fake = FakeOtx::start().await.expect("a fake OTX");
        let authority = Authority::new();
        let signer = Issuer::generate("k1").expect("a key");
        let server = JwksServer::start(&authority, certificate, Document::of(&[&signer])).await.expect("a JWKS host");
        let relay = change(fetching(&fake, &server, &authority)).start().await;
        Self { _fake: fake, server, relay, signer }
    }

    fn token(&self) -> String {
        self.signer.token(&claims(KEY, &self.server.host())).expect("a token")
    }

    async fn ask(&self, token: &str) -> RelayAnswer {
        self.relay.post_with("/health", token, "").await
    }

    async fn is_refused(&self, token: &str, reason: &str) {
        self.ask(token).await.refuses("authorization error", &format!("Authorization failed: {reason}"));
    }

    async fn is_accepted(&self, token: &str) {
        let body = self.ask(token).await.checked(schema::Answer::Health);
        assert_eq!(body["data"]["status"], "ok", "{body}");
    }
}

/// Hosts a token must not make the relay ask. `{port}` is where a server listens that would know the key.
fn jwks_hosts() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, host) in [
        ("another domain", "attacker.example"),
        ("a suffix", "localhost.attacker.example"),
        ("a prefix", "attackerlocalhost:{port}"),
        ("a user", "attacker@localhost:{port}"),
        ("a user and password", "localhost:{port}@attacker.example"),
        ("no port", "localhost"),
        ("another port", "localhost:1"),
        ("a path", "localhost:{port}/x"),
        ("a path and query", "localhost:{port}/x/?"),
        ("a fragment", "localhost:{port}#"),
        ("a backslash", "localhost:{port}\\"),
        ("the address", "127.0.0.1:{port}"),
        ("metadata", "169.254.169.254"),
        ("the IPv6 address", "[::1]:{port}"),
        ("a hex address", "0x7f000001:{port}"),
        ("a decimal address", "2130706433:{port}"),
        ("the cluster", "kubernetes.default.svc"),
        ("a trailing dot", "localhost.:{port}"),
        ("upper case", "LOCALHOST:{port}"),
        ("a lookalike", "l\u{43e}calhost:{port}"),
        ("CRLF", "localhost:{port}\r\nX: 1"),
        ("a blank", "localhost:{port} "),
        ("nothing", ""),
        ("300 letters", "{long}"),
    ] {
        trials.push(trial(slug(&format!("jwks host with {name} is not asked")), move || async move {
            let fetching = Fetching::start(Certificate::Good).await;
            let (_, port) =
                fetching.server.host().split_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap_or_default();
            let host = host.replace("{port}", &port).replace("{long}", &"a".repeat(300));
            let token = fetching.signer.token(&claims(KEY, &host)).expect("a token");
            fetching.is_refused(&token, HOST).await;
            assert_eq!(fetching.server.connections(), 0);
        }));
    }
    for (name, host, reason) in [
        ("missing", None, NO_HOST),
        ("a number", Some(json!(5)), HOST),
        ("a list", Some(json!(["localhost"])), HOST),
        ("an object", Some(json!({"a": 1})), HOST),
    ] {
        trials.push(trial(slug(&format!("jwks host that is {name} is refused")), move || async move {
            let fetching = Fetching::start(Certificate::Good).await;
            let token = with_claim(&fetching.signer, "jwks_host", host);
            fetching.is_refused(&token, reason).await;
            assert_eq!(fetching.server.connections(), 0);
        }));
    }
    trials.push(trial("an_allowed_host_on_a_private_address_is_not_asked_unless_allowed", || async {
        let fetching =
            Fetching::with(Certificate::Good, |builder| builder.set("THREATRELAY_AUTH_ALLOW_PRIVATE_JWKS", "false"))
                .await;
        fetching.is_refused(&fetching.token(), HOST).await;
        assert_eq!(fetching.server.connections(), 0);
    }));
    trials
}

fn jwks_answers() -> Vec<Trial> {
    let mut trials = Vec::new();
    let json = |text: &str| Document::Keys(text.to_owned().into());
    let status = |status: u16| Document::Status(status, Vec::new(), "no".into());
    for (name, document, reason) in [
        ("a redirect", Document::redirect("https://attacker.example/.well-known/jwks"), HOST),
        ("404", status(404), HOST),
        ("500", status(500), HOST),
        ("HTML", json("<html></html>"), HOST),
        ("ten MiB", Document::Endless(10), HOST),
        ("silence", Document::Silence, HOST),
        ("an empty object", json("{}"), PAYLOAD),
        ("no keys in a list", json(r#"{"keys":[]}"#), KID),
        ("an empty list", json("[]"), KID),
        ("an EC key", json(r#"{"keys":[{"kty":"EC","kid":"k1","crv":"P-256","x":"AA","y":"AA"}]}"#), KID),
        ("a broken key", json(r#"{"keys":[{"kty":"RSA","kid":"k1","n":"!!","e":"AQAB"}]}"#), KID),
        ("a secret as key", json(r#"{"keys":[{"kty":"oct","kid":"k1","k":"AA"}]}"#), KID),
    ] {
        trials.push(trial(slug(&format!("jwks answer {name} refuses the token")), move || async move {
            let fetching =
                Fetching::with(Certificate::Good, |builder| builder.set("THREATRELAY_AUTH_JWKS_TIMEOUT", "1s")).await;
            fetching.server.set(document);
            let begun = std::time::Instant::now();
            fetching.is_refused(&fetching.token(), reason).await;
            assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        }));
    }
    for certificate in [Certificate::Expired, Certificate::WrongName, Certificate::SelfSigned] {
        let name = slug(&format!("jwks host with a certificate {certificate:?} is not trusted"));
        trials.push(trial(name, move || async move {
            let fetching = Fetching::start(certificate).await;
            fetching.is_refused(&fetching.token(), HOST).await;
            assert!(fetching.server.fetches().is_empty());
        }));
    }
    trials.push(trial("keys_are_fetched_once_for_many_requests_and_without_the_token", || async {
        let fetching = Fetching::start(Certificate::Good).await;
        for _ in 0..5 {
            fetching.is_accepted(&fetching.token()).await;
        }
        let fetches = fetching.server.fetches();
        assert_eq!(fetches.len(), 1);
        assert_eq!((fetches[0].target.as_str(), fetches[0].header("authorization")), ("/.well-known/jwks", None));
    }));
    trials.push(trial("a_broken_key_beside_a_good_one_does_no_harm", || async {
        let fetching = Fetching::start(Certificate::Good).await;
        let keys =
            json!({"keys": [{"kty": "EC"}, fetching.signer.jwk(), {"kty": "RSA", "kid": "k2", "n": "", "e": ""}]});
        fetching.server.set(Document::Keys(keys.to_string().into()));
        fetching.is_accepted(&fetching.token()).await;
    }));
    trials.push(trial("a_new_key_is_fetched_when_it_is_first_used", || async {
        let fetching =
            Fetching::with(Certificate::Good, |builder| builder.set("THREATRELAY_AUTH_JWKS_COOLDOWN", "1ms")).await;
        fetching.is_accepted(&fetching.token()).await;
        let next = Issuer::generate("k2").expect("a key");
        fetching.server.set(Document::of(&[&fetching.signer, &next]));
        let token = next.token(&claims(KEY, &fetching.server.host())).expect("a token");
        fetching.is_accepted(&token).await;
        assert_eq!(fetching.server.fetches().len(), 2);
    }));
    trials.push(trial("random_kids_cause_one_fetch", || async {
        let fetching = Fetching::start(Certificate::Good).await;
        fetching.is_accepted(&fetching.token()).await;
        for index in 0..20 {
            let header = format!(r#"{{"alg":"RS256","kid":"random-{index}"}}"#);
            let payload = claims(KEY, &fetching.server.host()).to_string();
            let token = forge(&header, &payload, Algorithm::RS256, fetching.signer.signing_key());
            fetching.is_refused(&token, KID).await;
        }
        assert!(fetching.server.fetches().len() <= 2, "{} fetches", fetching.server.fetches().len());
    }));
    trials.push(trial("known_keys_serve_while_the_host_fails", || async {
        let fetching =
            Fetching::with(Certificate::Good, |builder| builder.set("THREATRELAY_AUTH_JWKS_TTL", "1ms")).await;
        fetching.is_accepted(&fetching.token()).await;
        fetching.server.set(Document::Status(500, Vec::new(), "down".into()));
        fetching.is_accepted(&fetching.token()).await;
    }));
    trials
}

fn shared_secrets() -> Vec<Trial> {
    let secret = "a-shared-secret-of-the-older-kind";
    let builder = |fake: &FakeOtx| {
        Builder::new(&fake.url())
            .unset("THREATRELAY_AUTH_JWKS_FILE")
            .unset("THREATRELAY_AUTH_AUDIENCES")
            .set("THREATRELAY_AUTH_MODE", "hs256")
            .set_file("THREATRELAY_AUTH_HS256_SECRET_FILE", secret)
    };
    let header = r#"{"alg":"HS256","typ":"JWT"}"#;
    vec![
        trial("hs256_mode_takes_tokens_with_a_key_alone", move || async move {
            let fake = FakeOtx::start().await.expect("a fake OTX");
            let relay = builder(&fake).start().await;
            let key = EncodingKey::from_secret(secret.as_bytes());
            let token = forge(header, &json!({"key": KEY}).to_string(), Algorithm::HS256, &key);
            let body = relay.post_with("/health", &token, "").await.checked(schema::Answer::Health);
            assert_eq!(body["data"]["status"], "ok");
        }),
        trial("hs256_mode_refuses_another_secret", move || async move {
            let fake = FakeOtx::start().await.expect("a fake OTX");
            let relay = builder(&fake).start().await;
            let key = EncodingKey::from_secret(STANDARD.encode(secret).as_bytes());
            let token = forge(header, &json!({"key": KEY}).to_string(), Algorithm::HS256, &key);
            let text = "Authorization failed: Failed to decode JWT with provided key";
            relay.post_with("/health", &token, "").await.refuses("authorization error", text);
        }),
        trial("hs256_mode_refuses_rs256", move || async move {
            let fake = FakeOtx::start().await.expect("a fake OTX");
            let relay = builder(&fake).start().await;
            let text = "Authorization failed: Failed to decode JWT with provided key";
            relay.post("/health", "").await.refuses("authorization error", text);
        }),
    ]
}
