//! Classes 77 to 99: what a token says that the trusted signer did sign.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tests::issuer::AUDIENCE;
use tests::refusals::{AUDIENCE_TEXT, EXPIRED, NOT_YET, OTX_SIDE, PAYLOAD, STRUCTURE};

use crate::stage::{Attempt, Class, Outcome, bearer, changed};

pub fn classes() -> Vec<Class> {
    let mut classes = times();
    classes.extend(audiences());
    classes.extend(otx_keys());
    classes
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The good claims and one more, which need not be JSON.
fn with(name: &str, value: &str) -> String {
    let claims = changed(&json!({})).to_string();
    format!("{},\"{name}\":{value}}}", claims.trim_end_matches('}'))
}

/// JSON texts of a claim.
type Texts = Box<dyn Fn() -> Vec<String> + Send + Sync>;
/// Values of a claim.
type Values = fn() -> Vec<Value>;

fn times() -> Vec<Class> {
    let past = || vec![(now() - 61).to_string(), (now() - 3600).to_string(), "0".to_owned(), "1".to_owned()];
    let texts = |texts: &'static [&'static str]| move || texts.iter().map(|&text| text.to_owned()).collect();
    let ahead = || vec![(now() + 120).to_string(), (now() + 86_400).to_string(), u64::MAX.to_string()];
    let table: [(u16, &str, &str, &str, Texts); 10] = [
        (77, "exp past", "exp", EXPIRED, Box::new(past)),
        (78, "exp a text", "exp", STRUCTURE, Box::new(texts(&["\"9999999999\"", "\"never\"", "\"\"", "[]", "{}"]))),
        (79, "exp a float", "exp", STRUCTURE, Box::new(texts(&["9999999999.5", "1e10", "9999999999.0", "0.5"]))),
        (80, "exp negative", "exp", EXPIRED, Box::new(texts(&["-1", "-9999999999", "-9223372036854775808"]))),
        (
            81,
            "exp beyond numbers",
            "exp",
            STRUCTURE,
            Box::new(texts(&["1e400", "-1e400", "99999999999999999999999", "NaN", "Infinity"])),
        ),
        (82, "exp null", "exp", STRUCTURE, Box::new(texts(&["null"]))),
        (83, "exp a bool", "exp", STRUCTURE, Box::new(texts(&["true", "false"]))),
        (84, "nbf ahead", "nbf", NOT_YET, Box::new(ahead)),
        (85, "nbf a text", "nbf", STRUCTURE, Box::new(texts(&["\"0\"", "null", "true", "0.5", "[0]"]))),
        (86, "iat ahead", "iat", NOT_YET, Box::new(ahead)),
    ];
    let class = |(number, name, claim, reason, values): (_, _, &'static str, _, Texts)| {
        Class::tokens(number, name, reason, move |stage| {
            values().iter().map(|value| stage.saying(&with(claim, value))).collect()
        })
    };
    table.into_iter().map(class).collect()
}

fn audiences() -> Vec<Class> {
    let table: [(u16, &str, Values); 6] = [
        (88, "aud of a wrong type", || {
            vec![
                json!(123),
                json!({}),
                json!(true),
                json!(null),
                json!([1]),
                json!([AUDIENCE, 1]),
                json!([[AUDIENCE]]),
                json!({(AUDIENCE): 1}),
            ]
        }),
        (89, "aud of another relay", || vec![json!("https://other.example"), json!(""), json!("*"), json!("null")]),
        (90, "aud a prefix", || vec![json!("https://relay.exampl"), json!("https://relay"), json!("https://")]),
        (91, "aud a suffix", || {
            vec![
                json!("https://relay.example/"),
                json!("https://relay.example.net"),
                json!("https://relay.example:443"),
                json!(format!("{AUDIENCE} ")),
                json!("relay.example"),
            ]
        }),
        (92, "aud in another case", || {
            vec![json!("https://RELAY.example"), json!("HTTPS://relay.example"), json!("http://relay.example")]
        }),
        (93, "aud a list without ours", || {
            vec![json!([]), json!(["https://other.example"]), json!(["https://relay.exampl", "e"])]
        }),
    ];
    let mut classes = vec![Class::tokens(87, "no aud", AUDIENCE_TEXT, |stage| vec![stage.without("aud")])];
    for (number, name, values) in table {
        classes.push(Class::tokens(number, name, AUDIENCE_TEXT, move |stage| {
            values().iter().map(|aud| stage.claiming(&json!({ "aud": aud }))).collect()
        }));
    }
    classes.push(Class::new(94, "another aud with a Host that fits it", |stage| {
        let token = stage.claiming(&json!({"aud": "https://other.example"}));
        let spoofs: [&[(&'static str, &str)]; 6] = [
            &[("host", "other.example")],
            &[("x-forwarded-host", "other.example")],
            &[("x-forwarded-host", "other.example"), ("x-forwarded-proto", "https")],
            &[("forwarded", "host=other.example;proto=https")],
            &[("host", "other.example"), ("x-forwarded-proto", "https")],
            &[("x-original-url", "https://other.example/health"), ("origin", "https://other.example")],
        ];
        let attempt = |spoof: &[(&'static str, &str)]| {
            let mut headers = bearer(&token);
            headers.extend(spoof.iter().map(|(name, value)| (*name, (*value).to_owned())));
            Attempt::new(headers, AUDIENCE_TEXT)
        };
        spoofs.map(attempt).into()
    }));
    classes
}

fn otx_keys() -> Vec<Class> {
    vec![
        Class::tokens(95, "no OTX key", PAYLOAD, |stage| vec![stage.without("key")]),
        Class::tokens(96, "an OTX key that is no text", OTX_SIDE, |stage| {
            [json!(5), json!(true), json!([]), json!(["K"]), json!({"k": 1}), json!(1.5)]
                .map(|key| stage.claiming(&json!({ "key": key })))
                .into()
        }),
        Class::tokens(97, "an OTX key that would inject a header", OTX_SIDE, |stage| {
            ["K\r\nX-Injected: 1", "K\nX: 1", "K\r", "\r\n\r\nGET / HTTP/1.1", "K\u{0}", " K", "K\u{20ac}", "K\u{7f}"]
                .map(|key| stage.claiming(&json!({ "key": key })))
                .into()
        }),
        Class::new(98, "a huge OTX key", |stage| {
            let long = |length: usize| stage.claiming(&json!({"key": "K".repeat(length)}));
            let mut attempts: Vec<Attempt> =
                [4097, 16 << 10].iter().map(|length| Attempt::token(&long(*length), OTX_SIDE)).collect();
            attempts.push(Attempt { headers: bearer(&long(1 << 20)), outcome: Outcome::Http(431) });
            attempts
        }),
        Class::new(99, "any limit is accepted and harmless", |stage| {
            let limits = [
                "-1",
                "0",
                "\"abc\"",
                "null",
                "1000000000",
                "9223372036854775808",
                "1e400",
                "NaN",
                "[]",
                "{}",
                "\"1\"",
                "true",
            ];
            limits
                .map(|limit| {
                    let token = stage.saying(&with("CTR_ENTITIES_LIMIT", limit));
                    Attempt { headers: bearer(&token), outcome: Outcome::Accepted }
                })
                .into()
        }),
    ]
}
