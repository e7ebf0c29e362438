//! Many relays at once before one operator: all are reported ready in time and none waits much longer than the others, the
//! operator's memory and its requests have bounds, and then it is silent. `THREATRELAY_TEST_SCALE` says how many, 100
//! without it.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tests::cluster::Api;
use tests::faults::ground::Ground;
use tests::operator::{Operator, condition};

/// Names the variable that says how many relays.
const HOW_MANY: &str = "THREATRELAY_TEST_SCALE";
/// Relays in one namespace.
const IN_ONE: usize = 50;
/// The longest until all are ready.
const PATIENCE: Duration = Duration::from_mins(4);
/// The most memory.
const MEMORY: u64 = 128 << 20;
/// The most requests for one relay, from its creation until all is at rest.
const REQUESTS: f64 = 80.0;
/// The most requests a second at rest.
const RATE: f64 = 50.0;
/// At rest, so long nothing may be written.
const IDLE: Duration = Duration::from_secs(20);
/// So long nothing is written before that counts as rest.
const QUIET: Duration = Duration::from_secs(5);
/// What is soon enough, whatever the others took.
const SOON: i64 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn many_relays_at_once_become_ready_within_bounds_and_the_operator_falls_silent() {
    let many = std::env::var(HOW_MANY).map_or(100, |text| text.parse().unwrap());
    let ground = Ground::start().await;
    let operator = Operator::start(&ground.operator, &["--leader-election", "false"]).await;
    let metrics = format!("http://{}/metrics", operator.admin().await);

    let begun = Instant::now();
    create(&ground.api, many).await;
    println!("{many} relays created within {} s", begun.elapsed().as_secs());
    let mut peak_rate: f64 = 0.0;
    let mut before = (Instant::now(), sent(&metrics).await.0);
    let mut relays = Vec::new();
    while relays.iter().filter(|relay| is_ready(relay)).count() < many {
        let waiting = relays.iter().find(|relay| !is_ready(relay)).map(|relay: &Value| relay["status"].to_string());
        assert!(
            begun.elapsed() < PATIENCE,
            "not all are ready, for example: {waiting:?}\n{}",
            end_of(&operator.log())
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = (Instant::now(), sent(&metrics).await.0);
        peak_rate = peak_rate.max((now.1 - before.1) / (now.0 - before.0).as_secs_f64());
        before = now;
        let list = ground.api.get("/apis/threatrelay.dev/v1alpha1/threatrelays").await.unwrap();
        relays = list["items"].as_array().cloned().unwrap_or_default();
    }
    println!("all ready after {} s; {peak_rate:.0} requests a second at most", begun.elapsed().as_secs());
    let mut took: Vec<i64> = relays.iter().map(took).collect();
    took.sort_unstable();
    let (median, slowest) = (took[many / 2], took[many - 1]);
    println!("from creation to ready: median {median} s, slowest {slowest} s");
    assert!(slowest <= (median * 3).max(SOON), "one waits much longer than the others: {took:?}");

    let mut since = Instant::now();
    let mut last = sent(&metrics).await;
    while since.elapsed() < QUIET {
        assert!(begun.elapsed() < PATIENCE * 2, "writing does not end\n{}", end_of(&operator.log()));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = sent(&metrics).await;
        if now.1 > last.1 {
            since = Instant::now();
        }
        last = now;
    }
    let each = last.0 / f64::from(u32::try_from(many).unwrap());
    println!("{each:.0} requests for each relay, {:.0} of them writes", last.1 / last.0 * each);
    assert!(each <= REQUESTS, "{each} requests for each relay");
    tokio::time::sleep(IDLE).await;
    let now = sent(&metrics).await;
    let rate = (now.0 - last.0) / IDLE.as_secs_f64();
    println!("at rest {rate:.1} requests a second, {} writes in {} s", now.1 - last.1, IDLE.as_secs());
    assert!((now.1 - last.1).abs() < 0.5, "the operator writes at rest\n{}", end_of(&operator.log()));
    assert!(rate <= RATE, "{rate} requests a second at rest");

    let footprint = operator.footprint();
    let (resident, peak) = (footprint.resident() >> 20, footprint.peak() >> 20);
    println!("memory {resident} MiB, peak {peak} MiB");
    assert!(footprint.peak() > 0 && footprint.peak() <= MEMORY, "{peak} MiB");
}

/// All of them at once, as fast as the API server takes them.
async fn create(api: &Api, many: usize) {
    for at in 0..many.div_ceil(IN_ONE) {
        let made = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": format!("many-{at}")}});
        api.create("/api/v1/namespaces", &made).await.unwrap();
    }
    let creating = (0..many).map(async |at| {
        let relay = json!({
            "apiVersion": "threatrelay.dev/v1alpha1", "kind": "ThreatRelay", "metadata": {"name": format!("r{at}")},
            "spec": {"replicas": 1, "auth": {"audiences": ["https://relay.example"]}},
        });
        let path = format!("/apis/threatrelay.dev/v1alpha1/namespaces/many-{}/threatrelays", at / IN_ONE);
        api.create(&path, &relay).await.unwrap();
    });
    stream::iter(creating).buffer_unordered(32).collect::<Vec<_>>().await;
}

fn is_ready(relay: &Value) -> bool {
    condition(relay, "Ready") == "True/Reconciled"
}

/// Seconds from a relay's creation until it was reported ready.
fn took(relay: &Value) -> i64 {
    let conditions = relay["status"]["conditions"].as_array().unwrap();
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready").unwrap();
    let at = |time: &Value| time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    (at(&ready["lastTransitionTime"]) - at(&relay["metadata"]["creationTimestamp"])).as_secs()
}

/// Requests of the operator so far, and the writes among them.
async fn sent(metrics: &str) -> (f64, f64) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let text = client.get(metrics).send().await.unwrap().text().await.unwrap();
    let lines = text.lines().filter(|line| line.starts_with("rest_client_requests_total{"));
    lines.fold((0.0, 0.0), |(all, writes), line| {
        let count: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        let is_read = line.contains("method=\"GET\"");
        (all + count, writes + if is_read { 0.0 } else { count })
    })
}

fn end_of(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
