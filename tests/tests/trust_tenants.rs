//! Many tenants at one relay, each with an OTX key, a limit and private pulses of its own: nothing of one is ever seen by
//! or charged to another.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use tests::engine::{EVIL, evil_among, pulse};
use tests::fake_otx::scale::Scale;
use tests::fake_otx::{FakeOtx, Fault, Key, Route, Rule};
use tests::relay::{Builder, TestRelay};
use tests::reply::{errors, pulses};
use threatrelay::demo::upstream::{Account, Content, Dataset, Pulse};

const TENANTS: usize = 12;
/// Pulses that everybody sees; those of the tenants come after them, two each.
const PUBLIC: usize = 3;
/// Limits that requests carry, `CTR_ENTITIES_LIMIT`; the last is more than there is.
const LIMITS: [usize; 4] = [1, 2, 4, 1000];
const REQUESTS: usize = 10_000;
const AT_ONCE: usize = 32;

fn owner(tenant: usize) -> String {
    format!("owner-{tenant:02}")
}

fn key(tenant: usize) -> String {
    format!("key-of-owner-{tenant:02}-and-nobody-else")
}

/// The private pulses of a tenant.
fn own(tenant: usize) -> [usize; 2] {
    [PUBLIC + 2 * tenant, PUBLIC + 2 * tenant + 1]
}

/// An OTX in which every pulse holds [`EVIL`].
fn dataset() -> Dataset {
    let public = (0..PUBLIC).map(|index| pulse(index, evil_among(3)));
    let private = (0..TENANTS).flat_map(|tenant| {
        own(tenant).map(|index| Pulse { visible_to: Some(owner(tenant)), ..pulse(index, evil_among(3)) })
    });
    let account = |tenant: usize| Account { key: key(tenant), username: owner(tenant), user_id: 100 + tenant as u64 };
    Dataset::new(Content {
        accounts: (0..TENANTS).map(account).collect(),
        pulses: public.chain(private).collect(),
        ..Content::default()
    })
}

/// The pulses that a tenant's request is answered with: the newest, up to its limit.
fn expected(tenant: usize, limit: usize) -> BTreeSet<String> {
    let mut seen: Vec<usize> = (0..PUBLIC).chain(own(tenant)).collect();
    seen.reverse();
    seen.into_iter().take(limit).map(Scale::pulse_id).collect()
}

/// Every tenant's token with each limit.
fn tokens(relay: &TestRelay) -> Arc<Vec<(usize, usize, String)>> {
    let token =
        |tenant: usize, limit: usize| relay.token_with(&json!({"key": key(tenant), "CTR_ENTITIES_LIMIT": limit}));
    let all = (0..TENANTS).flat_map(|tenant| LIMITS.map(|limit| (tenant, limit, token(tenant, limit))));
    Arc::new(all.collect())
}

/// Sends that many requests of all tenants in turn and returns what was mixed up.
async fn mix_ups(relay: &TestRelay, requests: usize) -> Vec<String> {
    let tokens = tokens(relay);
    let body = tests::relay::payload(&[("domain", EVIL)]);
    let asked = stream::iter(0..requests).map(|number| {
        // A step without a common factor with the number of tokens, so that neighbours differ in tenant and limit.
        let (tenant, limit, token) = &tokens[number * 7 % tokens.len()];
        let body = body.clone();
        async move {
            let answer = relay.post_with("/observe/observables", token, body).await;
            let answer: Value = serde_json::from_slice(&answer.body).unwrap();
            let seen: BTreeSet<String> = pulses(&answer, "sightings").into_iter().map(str::to_owned).collect();
            let right = seen == expected(*tenant, *limit) && errors(&answer).is_empty();
            (!right).then(|| format!("tenant {tenant}, limit {limit}: {seen:?}, {:?}", errors(&answer)))
        }
    });
    asked.buffer_unordered(AT_ONCE).filter_map(async |mixed| mixed).collect().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_interleaved_requests_are_answered_each_by_its_own_key_and_limit() {
    let fake = FakeOtx::with(dataset()).await.unwrap();
    let relay = TestRelay::before(&fake).await;
    let mixed = mix_ups(&relay, REQUESTS).await;
    assert!(mixed.is_empty(), "{} of {REQUESTS}: {:?}", mixed.len(), &mixed[..mixed.len().min(5)]);
    // Private listings were asked for by their owner alone, and by nobody twice.
    let mut asked = BTreeSet::new();
    for call in fake.calls().into_iter().filter(|call| call.route != Route::General) {
        for tenant in 0..TENANTS {
            if own(tenant).iter().any(|index| call.target.contains(&Scale::pulse_id(*index))) {
                assert_eq!(call.key, Key::Of(owner(tenant)), "{}", call.target);
                assert!(asked.insert(call.target.clone()), "twice: {}", call.target);
            }
        }
    }
    assert_eq!(asked.len(), 2 * TENANTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_cache_they_are_too() {
    let fake = FakeOtx::with(dataset()).await.unwrap();
    let relay = Builder::new(&fake.url()).set("THREATRELAY_CACHE_ENABLED", "false").start().await;
    let mixed = mix_ups(&relay, 500).await;
    assert!(mixed.is_empty(), "{} of 500: {:?}", mixed.len(), &mixed[..mixed.len().min(5)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_whose_budget_is_spent_costs_the_others_nothing() {
    let fake = FakeOtx::with(dataset()).await.unwrap();
    let relay = Builder::new(&fake.url())
        .set("THREATRELAY_CACHE_ENABLED", "false")
        .set("THREATRELAY_OTX_HOURLY_BUDGET", "60")
        .start()
        .await;
    let unknown: Vec<String> = (0..80).map(|index| format!("unknown-{index}.example")).collect();
    let unknown: Vec<(&str, &str)> = unknown.iter().map(|name| ("domain", name.as_str())).collect();
    let noisy = relay.observe_with(&json!({"key": key(0)}), &unknown).await;
    let refused = errors(&noisy).iter().filter(|(code, ..)| code == "too many requests").count();
    assert!(refused > 0, "{:?}", errors(&noisy));
    for tenant in 1..TENANTS {
        let body = relay.observe_with(&json!({"key": key(tenant)}), &[("domain", EVIL)]).await;
        assert_eq!((pulses(&body, "sightings").len(), errors(&body)), (PUBLIC + 2, vec![]), "tenant {tenant}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_whom_otx_throttles_or_refuses_costs_the_others_nothing() {
    let fake = FakeOtx::with(dataset()).await.unwrap();
    let relay = Builder::new(&fake.url()).set("THREATRELAY_CACHE_ENABLED", "false").start().await;
    let private = Scale::pulse_id(own(0)[0]);
    fake.add(Rule::on(Route::Listing, Fault::throttled(Some("30"))).containing(&private));
    fake.add(Rule::on(Route::Detail, Fault::throttled(Some("30"))).containing(&private));
    let refused = relay.observe_with(&json!({"key": key(0)}), &[("domain", EVIL)]).await;
    assert!(errors(&refused).iter().any(|(code, ..)| code == "too many requests"), "{:?}", errors(&refused));
    let unknown = relay.observe_with(&json!({"key": "a key that OTX does not know"}), &[("domain", EVIL)]).await;
    assert_eq!(errors(&unknown)[0].0, "authorization error");
    for tenant in 1..TENANTS {
        let body = relay.observe_with(&json!({"key": key(tenant)}), &[("domain", EVIL)]).await;
        assert_eq!((pulses(&body, "sightings").len(), errors(&body)), (PUBLIC + 2, vec![]), "tenant {tenant}");
    }
}
