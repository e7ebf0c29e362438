//! What there is to ask a demo: one request for every endpoint and every sort of observable, as `curl` lines that work
//! when pasted alone, and asked through real HTTP.

use std::io::{self, Write};

use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::stage::Stage;

/// The requests of a demo.
pub(super) struct Tour<'a> {
    stage: &'a Stage,
    requests: Vec<Request>,
}

/// One request to try.
struct Request {
    title: String,
    method: Method,
    url: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Value>,
}

impl<'a> Tour<'a> {
    /// All requests that can be tried on `stage`.
    pub(super) fn of(stage: &'a Stage) -> Self {
        let at = |path: &str| format!("{}{path}", stage.relay);
        let token = || vec![("Authorization", format!("Bearer {}", stage.token))];
        let observable = |kind: &str, value: &str| json!([{"type": kind, "value": value}]);
        let request = |title: &str, method: Method, url: String, headers, body| Request {
            title: title.to_owned(),
            method,
            url,
            headers,
            body,
        };
        let mut requests = Vec::new();
        for (kind, value) in &stage.examples {
            let title = format!("what is known of {} {value}", with_article(kind));
            requests.push(request(
                &title,
                Method::POST,
                at("/observe/observables"),
                token(),
                Some(observable(kind, value)),
            ));
        }
        let all: Vec<Value> =
            stage.examples.iter().map(|(kind, value)| json!({"type": kind, "value": value})).collect();
        let admin = |path: &str| format!("{}{path}", stage.admin);
        let health_check = vec![("Health-Check", "hello".to_owned())];
        requests.extend([
            request(
                "what to think of them, in short",
                Method::POST,
                at("/deliberate/observables"),
                token(),
                Some(all.clone().into()),
            ),
            request("where to read more", Method::POST, at("/refer/observables"), vec![], Some(all.into())),
            request("which tiles there are for a dashboard", Method::POST, at("/tiles"), token(), None),
            request(
                "what one of them shows",
                Method::POST,
                at("/tiles/tile-data"),
                token(),
                Some(json!({"tile_id": "otx-top-malware", "period": "last_24_hours"})),
            ),
            request("whether the token and its key work", Method::POST, at("/health"), token(), None),
            request("which version this is", Method::POST, at("/version"), vec![], None),
            request("whether requests arrive", Method::GET, at("/watchdog"), health_check, None),
            request("whether the process lives", Method::GET, admin("/livez"), vec![], None),
            request("whether it takes requests", Method::GET, admin("/readyz"), vec![], None),
            request("what it has counted", Method::GET, admin("/metrics"), vec![], None),
        ]);
        Self { stage, requests }
    }

    /// Prints what runs where and every request.
    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let Stage { relay, admin, upstream, .. } = self.stage;
        writeln!(out, "The relay answers on {relay}, its probes and metrics on {admin}.")?;
        writeln!(out, "It asks the fixture upstream on {upstream}. A browser is shown a page on {relay}/.")?;
        writeln!(out, "Each line below works by itself; Ctrl-C ends.\n")?;
        for request in &self.requests {
            writeln!(out, "# {}\n{}\n", request.title, request.curl())?;
        }
        out.flush()
    }

    /// Asks for a URL, if there is one, and prints the answer.
    pub(super) async fn show_one(&self, out: &mut impl Write) -> io::Result<()> {
        let is_url = |request: &&Request| request.body.as_ref().is_some_and(|body| body[0]["type"] == "url");
        let Some(request) = self.requests.iter().find(is_url).or(self.requests.first()) else { return Ok(()) };
        writeln!(out, "The answer to \"{}\":", request.title)?;
        let (text, _) = request.ask(&Client::new()).await;
        writeln!(out, "{text}")?;
        out.flush()
    }

    /// Asks every request, prints it with its answer, and gives the number of those that failed.
    pub(super) async fn walk(&self, out: &mut impl Write) -> io::Result<usize> {
        let client = Client::new();
        let mut failed = 0;
        for request in &self.requests {
            writeln!(out, "# {}\n{}", request.title, request.curl())?;
            let (text, fine) = request.ask(&client).await;
            writeln!(out, "{text}\n")?;
            failed += usize::from(!fine);
        }
        out.flush()?;
        Ok(failed)
    }
}

impl Request {
    /// The request as a line for a shell.
    fn curl(&self) -> String {
        let mut line = "curl -s".to_owned();
        if self.method != Method::GET {
            line.push_str(" -X ");
            line.push_str(self.method.as_str());
        }
        for (name, value) in &self.headers {
            line.push_str(" -H ");
            line.push_str(&quoted(&format!("{name}: {value}")));
        }
        if let Some(body) = &self.body {
            line.push_str(" -d ");
            line.push_str(&quoted(&body.to_string()));
        }
        format!("{line} {}", self.url)
    }

    /// Asks it; gives the answer for people, and whether it is complete.
    async fn ask(&self, client: &Client) -> (String, bool) {
        let mut request = client.request(self.method.clone(), &self.url);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some(body) = &self.body {
            request = request.body(body.to_string());
        }
        let answer = async {
            let response = request.send().await?;
            Ok::<_, reqwest::Error>((response.status(), response.text().await?))
        };
        match answer.await {
            Ok((status, text)) => {
                let document = serde_json::from_str::<Value>(&text).ok();
                let entries = document.as_ref().and_then(|document| document["errors"].as_array());
                let fine = entries.into_iter().flatten().all(|entry| entry["type"] == "warning");
                let readable = document.and_then(|document| serde_json::to_string_pretty(&document).ok());
                (readable.unwrap_or(text), status.is_success() && fine)
            }
            Err(error) => (format!("no answer: {error}"), false),
        }
    }
}

fn with_article(kind: &str) -> &str {
    match kind {
        "ip" => "the IP address",
        "ipv6" => "the IPv6 address",
        "domain" => "the domain",
        "url" => "the URL",
        _ => "the file with the hash",
    }
}

/// `text` as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
