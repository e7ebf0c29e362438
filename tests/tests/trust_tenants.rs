//! Tenants of one relay: each with an OTX key, a limit and private pulses of its own. What one may see, how much of it,
//! and how often it may ask is never decided by what another does.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::eventually::Eventually;
use tests::fake_otx::scale::Scale;
use tests::fake_otx::{FakeOtx, Fault, Key, Route, Rule};
use tests::relay::{Builder, TestRelay, payload};
use tests::reply::{errors, pulses};
use tests::world::{domain, pulse};
use threatrelay::demo::upstream::{Account, Content, Dataset};

const TENANTS: usize = 8;
const REQUESTS: usize = 10_000;
const UNDER_WAY: usize = 24;
/// Domains that each tenant has two private pulses about, beside two public ones.
const DOMAINS: usize = 5;

/// One of the callers.
#[derive(Clone, Debug)]
struct Tenant(usize);

impl Tenant {
    fn key(&self) -> String {
        format!("key-of-tenant-{}", self.0)
    }

    fn account(&self) -> String {
        format!("tenant-{}", self.0)
    }

    /// `CTR_ENTITIES_LIMIT`; tenants next to each other differ most.
    fn limit(&self) -> usize {
        [1, 1000, 2, 3][self.0 % 4]
    }

    fn token(&self, relay: &TestRelay) -> String {
        relay.token_with(&json!({"key": self.key(), "CTR_ENTITIES_LIMIT": self.limit()}))
    }

    /// Ids of the pulses about a domain that this tenant may see, as many as its limit allows, newest first.
    fn sees(&self, about: usize) -> Vec<String> {
        let ids = (0..PER_DOMAIN).map(|nth| (about * PER_DOMAIN) + nth);
        let mine = ids.filter(|id| owner(*id).is_none_or(|owner| owner == self.0));
        mine.take(self.limit()).map(Scale::pulse_id).collect()
    }
}

/// Pulses about each domain: two private ones of each tenant, then two public ones.
const PER_DOMAIN: usize = 2 * TENANTS + 2;

/// Whose private pulse this is, if it is private.
fn owner(id: usize) -> Option<usize> {
    let nth = id % PER_DOMAIN;
    (nth < 2 * TENANTS).then_some(nth / 2)
}

fn name(about: usize) -> String {
    format!("asked-{about}.example")
}

fn dataset() -> Dataset {
    let account = |tenant: usize| Account {
        key: Tenant(tenant).key(),
        username: Tenant(tenant).account(),
        user_id: tenant as u64 + 1,
    };
    let pulses = (0..DOMAINS * PER_DOMAIN).map(|id| {
        let rows = vec![domain(&name(id / PER_DOMAIN), "2026-01-01T00:00:00")];
        let mut made = pulse(&Scale::pulse_id(id), rows);
        let minutes = 1439 - id;
        made.modified = format!("2026-01-02T{:02}:{:02}:00.500000", minutes / 60, minutes % 60);
        made.visible_to = owner(id).map(|owner| Tenant(owner).account());
        made
    });
    let content =
        Content { accounts: (0..TENANTS).map(account).collect(), pulses: pulses.collect(), ..Content::default() };
    Dataset::new(content)
}

fn relay(fake: &FakeOtx) -> Builder {
    fake.set_round_trip(Duration::ZERO);
    Builder::new(&fake.url()).set("THREATRELAY_OTX_HOURLY_BUDGET", "1000000")
}

async fn asked(relay: &TestRelay, token: &str, about: usize) -> Value {
    let answer = relay.post_with("/observe/observables", token, payload(&[("domain", &name(about))])).await;
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

/// Sends all requests, tenants and domains in turn, and gives the answers that are not the tenant's own.
async fn mix_ups(relay: &TestRelay, requests: usize) -> Vec<String> {
    let tokens: Vec<String> = (0..TENANTS).map(|tenant| Tenant(tenant).token(relay)).collect();
    let ask = |index: usize| {
        let (tenant, about) = (Tenant(index % TENANTS), index / TENANTS % DOMAINS);
        let token = &tokens[tenant.0];
        async move {
            let body = asked(relay, token, about).await;
            let (found, own) = (pulses(&body, "indicators"), tenant.sees(about));
            (found != own).then(|| format!("{tenant:?} about {about}: {found:?} is not {own:?}: {}", body["errors"]))
        }
    };
    let answers = futures_util::stream::iter((0..requests).map(ask)).buffer_unordered(UNDER_WAY);
    answers.filter_map(std::future::ready).collect().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_interleaved_requests_are_each_answered_with_what_is_the_tenants_own() {
    let fake = FakeOtx::with(dataset()).await.unwrap();
    // Short-lived, so that answers are remembered, shared and asked anew all the time.
    let relay = relay(&fake).set("THREATRELAY_CACHE_GENERAL_TTL", "200ms").start().await;
    let wrong = mix_ups(&relay, REQUESTS).await;
    assert!(wrong.is_empty(), "{} of {REQUESTS}: {:#?}", wrong.len(), &wrong[..wrong.len().min(5)]);
    let calls = fake.calls();
    assert!(calls.len() > 2 * DOMAINS * TENANTS, "remembered throughout: {} calls", calls.len());
    for call in &calls {
        let id = call.target.split('/').nth(4).unwrap_or_default();
        let number = (0..DOMAINS * PER_DOMAIN).find(|number| Scale::pulse_id(*number) == id);
        if let Some(owner) = number.and_then(owner) {
            assert_eq!(call.key, Key::Of(Tenant(owner).account()), "{}", call.target);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_cache_requests_under_way_share_nothing_private() {
    let fake = FakeOtx::with(dataset()).await.unwrap();
    let relay = relay(&fake).set("THREATRELAY_CACHE_ENABLED", "false").start().await;
    fake.set_round_trip(Duration::from_millis(5));
    let wrong = mix_ups(&relay, 800).await;
    assert!(wrong.is_empty(), "{} of 800: {:#?}", wrong.len(), &wrong[..wrong.len().min(5)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answers_of_an_outage_are_those_of_the_tenant() {
    let fake = FakeOtx::with(dataset()).await.unwrap();
    let relay = relay(&fake).set("THREATRELAY_CACHE_GENERAL_TTL", "1ms").start().await;
    assert_eq!(mix_ups(&relay, TENANTS * DOMAINS).await, Vec::<String>::new());
    fake.add(Rule::always(Fault::status(503)));
    for tenant in (0..TENANTS).map(Tenant) {
        for about in 0..DOMAINS {
            let body = asked(&relay, &tenant.token(&relay), about).await;
            assert_eq!(pulses(&body, "indicators"), tenant.sees(about), "{tenant:?}: {}", body["errors"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spent_budget_and_a_throttled_key_are_the_tenants_own() {
    let fake = FakeOtx::with(dataset()).await.unwrap();
    let relay = relay(&fake).set("THREATRELAY_OTX_HOURLY_BUDGET", "1000");
    let relay = relay.set("THREATRELAY_OTX_DEADLINE", "2s").set("THREATRELAY_CACHE_ENABLED", "false").start().await;
    let loud = Tenant(1).token(&relay);
    let unknown: Vec<String> = (0..250).map(|index| format!("2001:db8::{index:x}")).collect();
    let unknown: Vec<(&str, &str)> = unknown.iter().map(|value| ("ipv6", value.as_str())).collect();
    let body = relay
        .post_with("/observe/observables", &loud, payload(&unknown))
        .await
        .checked(tests::schema::Answer::Observe);
    assert!(errors(&body).iter().any(|(code, ..)| code == "too many requests"), "{:?}", errors(&body).first());
    fake.add(Rule::on(Route::General, Fault::throttled(Some("30"))).containing("asked-4").times(1));
    asked(&relay, &Tenant(2).token(&relay), 4).await;
    let rests = asked(&relay, &Tenant(2).token(&relay), 0).await;
    assert_eq!(errors(&rests)[0].0, "too many requests");
    for tenant in [0, 3, 4, 5].map(Tenant) {
        let body = asked(&relay, &tenant.token(&relay), 0).await;
        assert_eq!(pulses(&body, "indicators"), tenant.sees(0), "{tenant:?}: {}", body["errors"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_takes_all_the_room_it_can_leaves_room_for_others() {
    let fake = FakeOtx::with(dataset()).await.unwrap();
    let relay = relay(&fake).set("THREATRELAY_LIMITS_CONCURRENT_REQUESTS", "64");
    let relay = Arc::new(relay.set("THREATRELAY_CACHE_ENABLED", "false").start().await);
    fake.add(Rule::on(Route::General, Fault::Honest).containing("asked-4").delay(Duration::from_secs(3)));
    let loud = Tenant(1).token(&relay);
    let flood: Vec<_> = (0..400)
        .map(|_| {
            let (relay, loud) = (Arc::clone(&relay), loud.clone());
            tokio::spawn(async move {
                relay.post_with("/observe/observables", &loud, payload(&[("domain", "asked-4.example")])).await.status
            })
        })
        .collect();
    let refused = async || {
        let text = relay.metrics().await;
        text.lines().any(|line| line.starts_with("relay_responses_total") && line.contains("refused"))
    };
    Eventually::new("the loud tenant is refused").matches(refused, |refused| *refused).await.unwrap();
    for tenant in [0, 2, 3].map(Tenant).iter().cycle().take(30) {
        let body = asked(&relay, &tenant.token(&relay), 0).await;
        assert_eq!(pulses(&body, "indicators"), tenant.sees(0), "{tenant:?}: {body}");
    }
    let outcomes: Vec<u16> = join_all(flood).await.into_iter().map(Result::unwrap).collect();
    let count = |status| outcomes.iter().filter(|outcome| **outcome == status).count();
    assert!(count(200) >= 32 && count(200) + count(503) == outcomes.len(), "{outcomes:?}");
}
