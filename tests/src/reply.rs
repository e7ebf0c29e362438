//! An answer of a relay, whole, with the questions tests ask of one.
#![expect(clippy::panic, reason = "an answer that is not as expected ends the test, with the whole answer")]

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::schema;

/// An answer.
#[derive(Clone, Debug)]
pub struct RelayAnswer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl RelayAnswer {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body, which must be right for this kind of answer.
    ///
    /// # Panics
    /// With every problem, if it is not.
    #[must_use]
    pub fn checked(&self, kind: schema::Answer) -> Value {
        let status = if kind == schema::Answer::HttpError { self.status } else { 200 };
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.headers["content-type"], "application/json", "{}", self.text());
        match schema::check(kind, &self.body) {
            Ok(value) => value,
            Err(problems) => panic!("{}\n{}", problems.join("\n"), self.text()),
        }
    }

    /// The body must be these `errors` and nothing else: code and message, all fatal.
    ///
    /// # Panics
    /// If it is not.
    pub fn refuses(&self, code: &str, message: &str) {
        let expected = serde_json::json!({"errors": [{"code": code, "message": message, "type": "fatal"}]});
        assert_eq!(self.status, 200, "{}", self.text());
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        assert_eq!(body, expected);
        assert!(self.body.ends_with(b"}\n"), "{}", self.text());
    }
}

/// `errors` of a body: code, severity and message of each.
#[must_use]
pub fn errors(body: &Value) -> Vec<(String, String, String)> {
    let word = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let entries = body["errors"].as_array().into_iter().flatten();
    entries.map(|entry| (word(entry, "code"), word(entry, "type"), word(entry, "message"))).collect()
}

/// The documents of a kind in a body, none if the kind is not there.
#[must_use]
pub fn docs<'a>(body: &'a Value, kind: &str) -> &'a [Value] {
    body["data"][kind]["docs"].as_array().map_or(&[], Vec::as_slice)
}

/// `external_ids[0]` of every document of a kind: the pulses they are of, in order.
#[must_use]
pub fn pulses<'a>(body: &'a Value, kind: &str) -> Vec<&'a str> {
    docs(body, kind).iter().filter_map(|document| document["external_ids"][0].as_str()).collect()
}
