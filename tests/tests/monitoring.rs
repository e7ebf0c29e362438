//! What `monitoring/` says of metrics is true: alerts fire when they should and name a page, dashboards keep their rules,
//! and every query of both finds series in a real Prometheus that scrapes a relay and an operator at work.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use http::Uri;
use kube::CustomResourceExt;
use serde_json::{Value, json};
use tests::chart::folder;
use tests::chart::helm::{Helm, objects};
use tests::eventually::Eventually;
use tests::fake_otx::{FakeOtx, Fault, KEY, Route, Rule};
use tests::issuer::{Issuer, claims};
use tests::jwks_server::{Document, JwksServer};
use tests::prometheus::{Prometheus, documented, exposed};
use tests::relay::{Builder, TestRelay, payload};
use tests::tls::{Authority, Certificate};
use tests::wire::{Reply, Server};
use threatrelay_operator::api::ThreatRelay;
use threatrelay_operator::metrics::{Metrics, Outcome};
use tower::{Layer, ServiceExt, service_fn};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(Path::new(ROOT).join(folder)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap()
}

/// All rules of all alert files.
fn alerts() -> Vec<Value> {
    files("monitoring/alerts").iter().flat_map(|file| alerts_of(file)).collect()
}

/// The rules of a file.
fn alerts_of(file: &Path) -> Vec<Value> {
    let document: Value = serde_saphyr::from_str(&read(file)).unwrap();
    let groups = document["groups"].as_array().unwrap().iter();
    groups.flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

fn dashboards() -> Vec<Value> {
    files("monitoring/dashboards").iter().map(|file| serde_json::from_str(&read(file)).unwrap()).collect()
}

/// The panels of a dashboard that show something.
fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    dashboard["panels"].as_array().into_iter().flatten().filter(|panel| panel["type"] != "row")
}

fn promtool(arguments: &[&str], folder: &str) {
    let checked = Command::new("promtool").args(arguments).args(files(folder)).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stdout) + String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");
}

#[test]
fn alerts_are_valid_and_fire_in_their_scenarios_only() {
    promtool(&["check", "rules"], "monitoring/alerts");
    promtool(&["test", "rules"], "monitoring/tests");
}

#[test]
fn every_alert_has_a_scenario_a_severity_and_a_page() {
    let scenarios: String = files("monitoring/tests").iter().map(|file| read(file)).collect();
    let index = read(&Path::new(ROOT).join("docs/runbooks/README.md"));
    let mut pages = BTreeSet::from(["README.md".to_owned()]);
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        assert!(scenarios.contains(&format!("alertname=\"{name}\"")), "no scenario in which {name} fires");
        let severity = alert["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: {severity}");
        let annotations = &alert["annotations"];
        assert!(annotations["summary"].is_string() && annotations["description"].is_string(), "{name}");
        let url = annotations["runbook_url"].as_str().unwrap();
        let (before, page) = url.rsplit_once('/').unwrap();
        assert!(before.ends_with("/docs/runbooks"), "{url}");
        let text = read(&Path::new(ROOT).join("docs/runbooks").join(page));
        assert!(text.lines().next().unwrap().contains(name), "{page} does not begin with {name}");
        assert!(index.contains(name) && index.contains(page), "{name} is not in docs/runbooks/README.md");
        pages.insert(page.to_owned());
    }
    let found: BTreeSet<_> =
        files("docs/runbooks").iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(found, pages, "left: pages, right: those that an alert leads to");
}

/// The rules and the dashboards that a chart installs.
fn carried(chart: &str, values: &str) -> (Vec<Value>, Vec<Value>) {
    let rendered = Helm::named("helm3").unwrap().template(&folder(chart), "otx", values).unwrap();
    let (mut rules, mut shown) = (Vec::new(), Vec::new());
    for object in objects(&rendered).unwrap() {
        if object["kind"] == "PrometheusRule" {
            let groups = object["spec"]["groups"].as_array().unwrap().iter();
            rules.extend(groups.flat_map(|group| group["rules"].as_array().unwrap().clone()));
        }
        if object["metadata"]["labels"]["grafana_dashboard"] == "1" {
            let data = object["data"].as_object().unwrap().values();
            shown.extend(data.map(|text| serde_json::from_str::<Value>(text.as_str().unwrap()).unwrap()));
        }
    }
    (rules, shown)
}

#[test]
fn the_chart_of_the_operator_carries_all_of_it() {
    let values = "metrics: {prometheusRule: {enabled: true, renderMode: alwaysRender}, dashboards: {enabled: true}}";
    assert_eq!(carried("threatrelay-operator", values), (alerts(), dashboards()));
}

#[test]
fn the_chart_of_the_relay_carries_what_is_about_relays_if_asked() {
    let values = "auth: {audiences: [https://otx.example]}\n";
    assert_eq!(carried("threatrelay", values), (Vec::new(), Vec::new()));
    let values = format!("{values}metrics: {{prometheusRule: {{enabled: true}}, dashboards: {{enabled: true}}}}");
    let dashboard = &dashboards()[1];
    assert_eq!(dashboard["uid"], "threatrelay-relay");
    let alerts = alerts_of(&Path::new(ROOT).join("monitoring/alerts/relay.yaml"));
    assert_eq!(carried("threatrelay", &values), (alerts, vec![dashboard.clone()]));
}

/// The words of a text between backticks that begin so.
fn quoted<'a>(text: &'a str, begin: &'a str) -> impl Iterator<Item = &'a str> {
    text.split('`').skip(1).step_by(2).filter(move |word| word.starts_with(begin))
}

#[test]
fn pages_name_fields_that_a_resource_has() {
    let definition = serde_json::to_value(ThreatRelay::crd()).unwrap();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut checked = 0;
    for file in files("docs/runbooks") {
        for field in quoted(&read(&file), "spec.") {
            let found = field.split('.').try_fold(schema, |at, name| at["properties"].get(name));
            assert!(found.is_some(), "{}: a ThreatRelay has no {field}", file.display());
            checked += 1;
        }
    }
    assert!(checked > 10, "{checked}");
}

#[test]
fn dashboards_keep_their_rules() {
    let mut uids = BTreeSet::new();
    for dashboard in dashboards() {
        let title = dashboard["title"].as_str().unwrap();
        assert!(uids.insert(dashboard["uid"].as_str().unwrap().to_owned()), "{title}: its uid is another's");
        assert_eq!(dashboard["editable"], false, "{title}");
        assert!(dashboard["links"][0]["url"].as_str().unwrap().contains("/docs/runbooks/"), "{title}");
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        let names: Vec<_> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["datasource", "job", "instance"], "{title}");
        assert!(variables[1..].iter().all(|variable| variable["refresh"] == 2), "{title}: refreshed with the time");
        let (mut ids, mut last) = (BTreeSet::new(), 0);
        for panel in panels(&dashboard) {
            let name = format!("{title}: {}", panel["title"]);
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}: its id is another's");
            assert!(panel["description"].as_str().is_some_and(|text| text.len() > 10), "{name}: no description");
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{name}: no unit");
            assert_eq!(panel["datasource"]["uid"], "$datasource", "{name}");
            let place = &panel["gridPos"];
            let number = |key: &str| place[key].as_u64().unwrap();
            assert!(number("x") + number("w") <= 24 && number("y") >= last, "{name}: {place}");
            last = number("y");
            for target in panel["targets"].as_array().unwrap() {
                let query = target["expr"].as_str().unwrap();
                assert!(!query.contains("irate("), "{name}: {query}");
                let counters = query.matches("_total{").count() + query.matches("_bucket{").count();
                assert!(query.matches("[$__rate_interval]").count() >= counters, "{name}: a counter without rate");
                for selector in selectors(query) {
                    let chosen = selector.contains("job=~\"$job\", instance=~\"$instance\"");
                    assert!(chosen, "{name}: {selector} is not limited to what is chosen");
                }
            }
        }
    }
}

/// The selectors of an expression: metric names with their braces, if any.
fn selectors(expression: &str) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (mut found, mut rest) = (Vec::new(), expression);
    while let Some(start) = rest.find(is_name) {
        let word = &rest[start..];
        let end = word.find(|c| !is_name(c)).unwrap_or(word.len());
        let (name, after) = word.split_at(end);
        rest = after;
        if let Some(braces) = after.strip_prefix('{') {
            // Values are quoted, and none has a brace.
            let close = braces.find('}').unwrap();
            found.push(format!("{name}{{{}}}", &braces[..close]));
            rest = &braces[close + 1..];
        } else if name == "up" || ["relay_", "threatrelay_", "leader_"].iter().any(|ours| name.starts_with(ours)) {
            found.push(name.to_owned());
        } else if let Some(quoted) = after.strip_prefix('"') {
            rest = &quoted[quoted.find('"').unwrap() + 1..];
        }
    }
    found
}

#[test]
fn selectors_are_found() {
    let expression = "sum by (job) (rate(relay_x_total{a=\"b c\"}[5m])) / up > 0 and on (job) relay_build_info";
    assert_eq!(selectors(expression), ["relay_x_total{a=\"b c\"}", "up", "relay_build_info"]);
}

/// A relay that fetches its keys, to be asked with `token`.
struct Fetching {
    relay: TestRelay,
    token: String,
    _server: JwksServer,
}

/// Relays that between them have seen everything that is measured, and the folder of their keys.
struct World {
    fetching: Fetching,
    holding: TestRelay,
    keys: tempfile::TempDir,
}

impl World {
    async fn of(fake: &FakeOtx) -> Self {
        fake.add(Rule::on(Route::General, Fault::status(503)).containing("broken"));
        fake.add(Rule::on(Route::General, Fault::status(403)).containing("refused"));
        fake.add(Rule::on(Route::General, Fault::throttled(None)).containing("throttled"));
        let (authority, signer) = (Authority::new(), Issuer::generate("k1").unwrap());
        let server = JwksServer::start(&authority, Certificate::Good, Document::of(&[&signer])).await.unwrap();
        let relay = Builder::new(&fake.url())
            .fetching_keys(&server, &authority)
            .set("THREATRELAY_AUTH_JWKS_TTL", "1s")
            .set("THREATRELAY_TELEMETRY_OTLP_ENDPOINT", "http://127.0.0.1:9")
            .start()
            .await;
        let token = signer.token(&claims(KEY, &server.host())).unwrap();
        let keys = tempfile::tempdir().unwrap();
        std::fs::write(keys.path().join("default"), KEY).unwrap();
        let holding = Builder::new(&fake.url())
            .set("THREATRELAY_OTX_KEYS_DIR", &keys.path().display().to_string())
            .start()
            .await;
        Self { fetching: Fetching { relay, token, _server: server }, holding, keys }
    }

    /// One more of everything.
    async fn go_on(&self, round: usize) {
        let Fetching { relay, token, .. } = &self.fetching;
        for name in ["evil", "broken", "refused", "throttled"] {
            let url = format!("http://{name}.example/{round}");
            let asked = payload(&[("domain", "evil.example"), ("url", &url), ("ip", "10.0.0.1")]);
            relay.post_with("/observe/observables", token, asked.clone()).await;
            self.holding.post("/observe/observables", asked).await;
        }
        relay.post_with("/health", "no-token", "").await;
        std::fs::write(self.keys.path().join("default"), if round.is_multiple_of(2) { "" } else { KEY }).unwrap();
    }
}

/// What an operator with one resource counts, served for scrapes.
async fn operator(metrics: Metrics) -> Server {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    Server::start(loopback, None, move |_| {
        let (kind, text) = metrics.encode(false);
        ready(Reply::new(200, &[("content-type".to_owned(), kind.to_owned())], text.as_bytes()))
    })
    .await
    .unwrap()
}

async fn reconcile(metrics: &Metrics) {
    metrics.leads("threatrelay-operator", true);
    for outcome in [Outcome::RequeueAfter, Outcome::Error, Outcome::Terminal, Outcome::Timeout, Outcome::Panic] {
        metrics.reconciled(outcome, Duration::from_millis(20));
    }
    drop(metrics.working());
    drop(metrics.queue.begin("soc", "main"));
    let server = Uri::from_static("https://192.0.2.1:6443");
    let answer = service_fn(|_: http::Request<()>| ready(Ok::<_, Infallible>(http::Response::new(()))));
    metrics.requests.to(&server).layer(answer).oneshot(http::Request::new(())).await.unwrap();
    metrics.wrote("Deployment", "apply");
    metrics.managed("Deployment", 1);
    for condition in ["Ready", "CredentialsResolved", "UpstreamReachable"] {
        metrics.show_conditions("soc", "main", [(condition, "False")].into_iter());
    }
}

#[tokio::test]
async fn the_document_names_what_the_operator_exposes_and_nothing_else() {
    let metrics = Metrics::new(8);
    reconcile(&metrics).await;
    let text = metrics.encode(false).1;
    let document = read(&Path::new(ROOT).join("docs/metrics.md"));
    let (_, operator) = document.split_once("## Operator").unwrap();
    assert_eq!(exposed(&text), documented(operator), "left: exposed, right: docs/metrics.md");
}

/// Every expression by where it stands. Of an alert, and of a mark on a dashboard, it is the selectors that must find
/// series: their comparisons are false in health.
fn expressions() -> BTreeMap<String, String> {
    let chosen = |text: &str| {
        let text = text.replace("$__rate_interval", "10s");
        text.replace("$job", ".+").replace("$instance", ".+")
    };
    let mut all = BTreeMap::new();
    for dashboard in dashboards() {
        for panel in panels(&dashboard) {
            for target in panel["targets"].as_array().unwrap() {
                let place = format!("{} / {} / {}", dashboard["title"], panel["title"], target["refId"]);
                all.insert(place, chosen(target["expr"].as_str().unwrap()));
            }
        }
        let mark = dashboard["annotations"]["list"][0]["expr"].as_str().unwrap();
        for selector in selectors(mark) {
            all.insert(format!("{} / marks / {selector}", dashboard["title"]), chosen(&selector));
        }
    }
    for alert in alerts() {
        for selector in selectors(alert["expr"].as_str().unwrap()) {
            all.insert(format!("{} / {selector}", alert["alert"]), selector);
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_query_finds_series() {
    let fake = FakeOtx::start().await.unwrap();
    let (world, metrics) = (World::of(&fake).await, Metrics::new(8));
    let operator = operator(metrics.clone()).await;
    let targets = [
        ("fetching", world.fetching.relay.admin()),
        ("holding", world.holding.admin()),
        ("operator", operator.address()),
    ];
    let prometheus = Prometheus::scraping(&targets, None);
    let expressions = expressions();
    assert!(expressions.len() > 60, "{}", expressions.len());
    let mut round = 0;
    let found =
        Eventually::new("every query finds series").within(Duration::from_mins(1)).every(Duration::from_secs(1));
    found
        .ok(async || {
            round += 1;
            world.go_on(round).await;
            reconcile(&metrics).await;
            let mut without = Vec::new();
            for (place, expression) in &expressions {
                match prometheus.query(expression).await {
                    Ok(series) if series.iter().any(|one| one["value"][1] != "NaN") => {}
                    Ok(series) => without.push(format!("{place}: {expression}: {}", json!(series))),
                    Err(error) => without.push(format!("{place}: {error}")),
                }
            }
            if without.is_empty() { Ok(()) } else { Err(without.join("\n")) }
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn a_revoked_key_fires_its_alert() {
    let fake = FakeOtx::start().await.unwrap();
    let relay = Builder::new(&fake.url()).start().await;
    // The same rules, without the patience.
    let rules = read(&Path::new(ROOT).join("monitoring/alerts/relay.yaml"));
    let rules: Vec<_> = rules.lines().filter(|line| !line.trim_start().starts_with("for:")).collect();
    let rules = rules.join("\n");
    let prometheus = Prometheus::scraping(&[("relay", relay.admin())], Some(&rules));
    fake.add(Rule::always(Fault::status(403)));
    let mut round = 0;
    let fires = Eventually::new("ThreatRelayOtxUnauthorized fires")
        .within(Duration::from_mins(1))
        .every(Duration::from_millis(500));
    fires
        .ok(async || {
            round += 1;
            relay.post("/observe/observables", payload(&[("domain", &format!("evil-{round}.example"))])).await;
            let alerts = prometheus.get("alerts", &[]).await?;
            let is_firing = alerts["alerts"].as_array().into_iter().flatten().any(|alert| {
                alert["labels"]["alertname"] == "ThreatRelayOtxUnauthorized" && alert["state"] == "firing"
            });
            if is_firing { Ok(()) } else { Err(alerts.to_string()) }
        })
        .await
        .unwrap();
}
