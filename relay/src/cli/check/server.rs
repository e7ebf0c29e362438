//! `check --server`: a running relay, asked as the platform asks it. Without a token it is checked that it answers and
//! that it refuses callers without one.

use std::path::Path;

use http::Method;
use reqwest::{Certificate, Client, Response};
use serde_json::{Value, json};
use url::Url;

use super::probe::PATIENCE;
use super::report::Report;
use crate::api::version::VERSION;
use crate::auth::fetch::chain;
use crate::cli::outcome::{FAILURE, SETTINGS, UNAUTHORIZED, UNREACHABLE};
use crate::error::code;

/// What is looked up: a name that everybody may ask about.
const OBSERVABLE: (&str, &str) = ("domain", "example.com");

pub(super) async fn check(url: &Url, token_file: Option<&Path>, ca_file: Option<&Path>) -> Report {
    let mut report = Report::default();
    report.group("Relay");
    let token = match token_file.map(read_token).transpose() {
        Ok(token) => token,
        Err(why) => {
            report.fail(SETTINGS, why, "put the token, nothing else, into that file");
            return report;
        }
    };
    match client(ca_file) {
        Ok(client) => {
            let relay = Relay { client, origin: url.as_str().trim_end_matches('/').to_owned(), token };
            relay.check(&mut report).await;
        }
        Err(why) => report.fail(SETTINGS, why, "name a file with PEM certificates by --ca-file"),
    }
    report
}

fn read_token(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let token = text.trim();
    let token = token.strip_prefix("Bearer ").unwrap_or(token).trim();
    if token.is_empty() || token.contains(char::is_whitespace) {
        return Err(format!("{} holds no token", file.display()));
    }
    Ok(token.to_owned())
}

fn client(ca_file: Option<&Path>) -> Result<Client, String> {
    let mut extra = Vec::new();
    if let Some(file) = ca_file {
        let pem = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        extra = Certificate::from_pem_bundle(&pem).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    let builder = Client::builder().redirect(reqwest::redirect::Policy::none()).tls_certs_merge(extra);
    // The relay itself may take this long.
    builder.timeout(PATIENCE * 8).connect_timeout(PATIENCE).build().map_err(|error| chain(&error))
}

struct Relay {
    client: Client,
    origin: String,
    token: Option<String>,
}

impl Relay {
    async fn check(&self, report: &mut Report) {
        let version = match self.ask(Method::POST, "/version", None, "").await {
            Ok(answer) => answer,
            Err(why) => {
                return report.fail(
                    UNREACHABLE,
                    format!("{}: {why}", self.origin),
                    "see whether the relay runs (--probe ready) and whether the way to it is open",
                );
            }
        };
        match version["version"].as_str() {
            Some(VERSION) => report.pass(format!("{} answers, version {VERSION}", self.origin)),
            Some(other) => report.warn(
                format!("{} answers, version {other}; this command is {VERSION}", self.origin),
                "take the same version of both before you compare answers",
            ),
            None => {
                return report.fail(
                    FAILURE,
                    format!("{} is no relay: /version does not tell a version", self.origin),
                    "give the URL without a path, unless a proxy before the relay wants one",
                );
            }
        }
        let Some(token) = &self.token else { return self.refuses_strangers(report).await };
        self.asked_with(report, token, "/health", "", "the token and its OTX key are accepted").await;
        let body = json!([{"type": OBSERVABLE.0, "value": OBSERVABLE.1}]).to_string();
        let passed = format!("a look-up of {} {} is answered", OBSERVABLE.0, OBSERVABLE.1);
        self.asked_with(report, token, "/observe/observables", &body, &passed).await;
    }

    async fn refuses_strangers(&self, report: &mut Report) {
        match self.ask(Method::POST, "/health", None, "").await {
            Ok(answer) if answer["errors"][0]["code"] == code::AUTHORIZATION => {
                report.pass("callers without a token are refused");
                report.skip("no look-up: --token-file FILE makes one");
            }
            Ok(_) => report.fail(
                FAILURE,
                "callers without a token are not refused",
                "see whether something else answers there",
            ),
            Err(why) => report.fail(UNREACHABLE, format!("/health: {why}"), "see the relay's log"),
        }
    }

    async fn asked_with(&self, report: &mut Report, token: &str, path: &str, body: &str, passed: &str) {
        let answer = match self.ask(Method::POST, path, Some(token), body).await {
            Ok(answer) => answer,
            Err(why) => return report.fail(UNREACHABLE, format!("{path}: {why}"), "see the relay's log"),
        };
        let entries = answer["errors"].as_array().map_or(&[][..], Vec::as_slice);
        if entries.is_empty() && answer.get("data").is_some() {
            return report.pass(passed);
        }
        if entries.is_empty() {
            return report.fail(FAILURE, format!("{path} answered something else than a relay does"), "see its log");
        }
        for entry in entries {
            let word = |key: &str| entry[key].as_str().unwrap_or_default();
            let message = format!("{path}: {}: {}", word("code"), word("message"));
            if word("type") == "warning" {
                report.warn(message, "");
            } else if word("code") == code::AUTHORIZATION {
                let next = "`threatrelay token explain` with the relay's settings says which check fails";
                report.fail(UNAUTHORIZED, message, next);
            } else {
                report.fail(FAILURE, message, "see the relay's log for the trace id");
            }
        }
    }

    /// The JSON of an answer at HTTP 200, or why there is none.
    async fn ask(&self, method: Method, path: &str, token: Option<&str>, body: &str) -> Result<Value, String> {
        let said = |error: reqwest::Error| chain(&error.without_url());
        let mut request = self.client.request(method, format!("{}{path}", self.origin)).body(body.to_owned());
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer: Response = request.send().await.map_err(said)?;
        if answer.status() != 200 {
            return Err(format!("answers {}", answer.status()));
        }
        let bytes = answer.bytes().await.map_err(said)?;
        serde_json::from_slice(&bytes).map_err(|_| "answers something that is not JSON".to_owned())
    }
}
