//! How the engine paces itself: budgets, queues, retries and pauses, and that one key's trouble is its own.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tests::engine::{
    EVIL, EngineUnderTest, Settings, domain, evil_among, fake, observable, otx_key, pulse, row, until,
};
use tests::fake_otx::{Fault, KEY, Route, Rule, SECOND_KEY};
use threatrelay::demo::upstream::IndicatorType;
use threatrelay::observable::{Observable, ObservableType};
use threatrelay::otx::Failure;
use tokio::task::JoinSet;

/// Addresses nobody knows: one call each.
fn unknown(count: usize) -> Vec<Observable> {
    (0..count).map(|index| observable(ObservableType::Ipv6, &format!("2001:db8::{index:x}"))).collect()
}

/// The codes of what a look-up could not ask.
async fn codes(engine: &EngineUnderTest, key: &str, asked: &[Observable]) -> Vec<&'static str> {
    let answer = engine.lookup_as(key, asked).await.unwrap();
    answer.entries().iter().map(|entry| entry.code).collect()
}

#[tokio::test]
async fn a_refused_key_ends_the_request_at_once() {
    let fake = fake((0..30).map(|index| pulse(index, evil_among(20))).collect()).await;
    fake.set_latency(Route::Detail, Duration::from_secs(8));
    let engine = Settings::asking(&fake).start();
    let begun = Instant::now();
    let refused = engine.lookup_as("a key that OTX does not know", &[domain(EVIL)]).await;
    assert_eq!(refused.unwrap_err(), Failure::KeyRefused);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!((fake.count(Route::General), fake.count(Route::Listing)), (1, 1));
}

#[tokio::test]
async fn the_refused_key_of_one_is_not_the_failure_of_another() {
    let fake = fake(vec![pulse(0, evil_among(2))]).await;
    fake.set_round_trip(Duration::from_millis(50));
    let engine = Settings::asking(&fake).set("cache.enabled", false).start();
    let asked = [domain(EVIL)];
    let keys = [KEY, "unknown", SECOND_KEY, "unknown too"];
    let outcomes = join_all(keys.iter().cycle().take(40).map(|key| engine.lookup_as(key, &asked))).await;
    for (index, outcome) in outcomes.into_iter().enumerate() {
        if index % 2 == 0 {
            assert_eq!(outcome.unwrap().hits().len(), 1);
        } else {
            assert_eq!(outcome.unwrap_err(), Failure::KeyRefused);
        }
    }
}

#[tokio::test]
async fn a_throttled_key_rests_and_others_go_on() {
    for (retry_after, seconds) in [
        (Some("1000000000"), 30),
        (Some("Fri, 21 Oct 2089 07:28:00 GMT"), 30),
        (Some("20"), 20),
        (Some("soon"), 10),
        (None, 10),
        (Some("0"), 0),
        (Some("Wed, 21 Oct 2015 07:28:00 GMT"), 0),
    ] {
        let fake = fake(vec![pulse(0, evil_among(2))]).await;
        fake.add(Rule::on(Route::General, Fault::throttled(retry_after)).times(1));
        let engine = Settings::asking(&fake).set("cache.enabled", false).start();
        assert_eq!(codes(&engine, KEY, &unknown(1)).await, ["too many requests"]);
        fake.forget_calls();
        let after = engine.lookup(&[domain(EVIL)]).await.unwrap();
        if seconds == 0 {
            assert_eq!((after.hits().len(), after.entries().len()), (1, 0), "{retry_after:?}");
        } else {
            let Err(Failure::Throttled { wait: Some(wait) }) = &after.lookups[0].outcome else {
                unreachable!("{retry_after:?}: {after:?}")
            };
            let seconds = Duration::from_secs(seconds);
            assert!(*wait <= seconds && *wait > seconds / 2, "{retry_after:?}: {wait:?}");
            assert_eq!(fake.total(), 0, "{retry_after:?}");
            assert_eq!(engine.engine.health(&otx_key(KEY)).await.unwrap_err().label(), "rate_limited");
        }
        let others = engine.lookup_as(SECOND_KEY, &[domain(EVIL)]).await.unwrap();
        assert_eq!((others.hits().len(), others.entries().len()), (1, 0), "{retry_after:?}");
    }
}

#[tokio::test]
async fn a_throttled_key_rests_as_long_as_otx_says() {
    let fake = fake(vec![pulse(0, evil_among(2))]).await;
    fake.add(Rule::on(Route::General, Fault::throttled(Some("1"))).times(1));
    let engine = Settings::asking(&fake).start();
    codes(&engine, KEY, &unknown(1)).await;
    let begun = Instant::now();
    while !codes(&engine, KEY, &[domain(EVIL)]).await.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(5), "it rests for ever");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(begun.elapsed() > Duration::from_millis(900), "it rested for {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_spent_budget_is_waited_for_within_the_deadline() {
    let fake = fake(Vec::new()).await;
    // A burst of 720 calls, then 0.8 a second.
    let engine = Settings::asking(&fake).set("otx.hourlyBudget", 3600).set("otx.deadline", "15s").start();
    assert!(codes(&engine, KEY, &unknown(720)).await.is_empty());
    assert!(engine.engine.health(&otx_key(KEY)).await.unwrap().used >= 710);
    let one = [observable(ObservableType::Ip, "192.0.2.77")];
    let answer = engine.lookup(&one).await.unwrap();
    assert!(answer.entries().is_empty(), "{:?}", answer.entries());
    let few: Vec<Observable> =
        (0..5).map(|index| observable(ObservableType::Ip, &format!("192.0.2.{index}"))).collect();
    let answer = engine.lookup(&few).await.unwrap();
    assert!(answer.entries().is_empty() && answer.took > Duration::from_secs(1), "{answer:?}");
}

#[tokio::test]
async fn what_the_budget_does_not_reach_is_told_at_once() {
    let fake = fake(Vec::new()).await;
    let engine = Settings::asking(&fake).set("otx.hourlyBudget", 50).set("otx.deadline", "5s").start();
    let begun = Instant::now();
    let told = codes(&engine, KEY, &unknown(30)).await;
    assert_eq!((told, fake.total()), (vec!["too many requests"; 20], 10));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let entries = engine.lookup(&unknown(30)[29..]).await.unwrap().entries();
    assert!(entries[0].message.contains("The budget of 50 calls an hour"), "{entries:?}");
    assert!(codes(&engine, SECOND_KEY, &unknown(10)).await.is_empty(), "another key has its own budget");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loud_key_does_not_slow_another() {
    let fake = fake(vec![pulse(0, evil_among(2))]).await;
    fake.set_round_trip(Duration::from_millis(150));
    let engine = Settings::asking(&fake)
        .set("cache.enabled", false)
        .set("otx.maxConcurrentCalls", 8)
        .set("otx.maxConcurrentCallsPerKey", 4)
        .set("otx.deadline", "20s");
    let engine = Arc::new(engine.start());
    let quiet = || async {
        let mut times = Vec::new();
        for _ in 0..5 {
            let answer = engine.lookup_as(SECOND_KEY, &[domain(EVIL)]).await.unwrap();
            assert_eq!((answer.hits().len(), answer.entries().len()), (1, 0));
            times.push(answer.took);
        }
        times.sort();
        times[2]
    };
    let alone = quiet().await;
    let loud = tokio::spawn({
        let engine = Arc::clone(&engine);
        async move { engine.lookup_as(KEY, &unknown(200)).await.unwrap().entries() }
    });
    until("the loud key queues", || fake.total() > 15).await;
    let beside = quiet().await;
    assert!(!loud.is_finished(), "the loud key was not loud enough");
    // In the queue of the loud one, four seconds' worth, it would wait for most of them.
    assert!(beside < alone * 2 + Duration::from_millis(500), "alone {alone:?}, beside the loud key {beside:?}");
    assert!(loud.await.unwrap().is_empty(), "the loud key is only slow");
}

#[tokio::test]
async fn no_more_calls_are_under_way_than_allowed() {
    let fake = fake(Vec::new()).await;
    fake.set_round_trip(Duration::from_secs(1));
    let engine = Settings::asking(&fake).set("otx.maxConcurrentCallsPerKey", 3).set("otx.deadline", "2s").start();
    let answer = engine.lookup(&unknown(30)).await.unwrap();
    assert!((3..=6).contains(&fake.total()), "{} calls in two seconds", fake.total());
    let entries = answer.entries();
    assert!((24..=27).contains(&entries.len()), "{entries:?}");
    assert!(entries.iter().all(|entry| entry.message.contains("within the 2 s that one request may take")));
}

#[tokio::test]
async fn retries_end_at_the_first_good_answer() {
    for fault in [Fault::status(502), Fault::status(503), Fault::status(504)] {
        let words = format!("{fault:?}");
        let fake = fake(vec![pulse(0, evil_among(2))]).await;
        fake.add(Rule::always(fault).times(2));
        let answer = Settings::asking(&fake).start().lookup(&[domain(EVIL)]).await.unwrap();
        assert_eq!((answer.hits().len(), answer.entries().len(), fake.total()), (1, 0, 4), "{words}");
    }
}

/// Asks about this many, about a hundred a second, whether or not there are answers.
async fn keep_asking(engine: &Arc<EngineUnderTest>, count: usize) {
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    let mut under_way = JoinSet::new();
    for index in 0..count {
        pace.tick().await;
        let value = format!("2001:db8:1::{index:x}");
        let engine = Arc::clone(engine);
        under_way.spawn(async move { engine.lookup(&[observable(ObservableType::Ipv6, &value)]).await.unwrap() });
    }
    under_way.join_all().await;
}

#[tokio::test]
async fn in_a_brown_out_otx_is_asked_less_not_more() {
    let fake = fake(vec![pulse(0, evil_among(2))]).await;
    fake.add(Rule::always(Fault::status(503)));
    let engine = Arc::new(Settings::asking(&fake).start());
    keep_asking(&engine, 400).await;
    // The circuit opens at the tenth failure or soon after; what was under way then may end.
    assert!((10..=45).contains(&fake.total()), "{} calls for 400 look-ups", fake.total());
    let answer = engine.lookup(&[domain(EVIL)]).await.unwrap();
    let entries = answer.entries();
    assert!(entries[0].message.contains("has failed repeatedly and is given a pause"), "{entries:?}");
    // The circuit lets one call through when its pause is over, and all of them once that went well.
    fake.recover();
    let begun = Instant::now();
    while !engine.lookup(&[domain(EVIL)]).await.unwrap().entries().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it does not recover");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(codes(&engine, KEY, &unknown(20)).await.is_empty());
    // Calls that were refused cost no budget.
    let spent = engine.engine.health(&otx_key(KEY)).await.unwrap().used;
    let made = u32::try_from(fake.total()).unwrap();
    assert!(spent <= made + 5, "{spent} counted for {made} calls");
}

#[tokio::test]
async fn when_calls_fail_here_and_there_retries_stay_a_fifth_of_the_calls() {
    let fake = fake(Vec::new()).await;
    // One in four fails, by the last digit of what is asked, and again when it is tried again.
    for digit in ["3", "7", "b", "f"] {
        fake.add(Rule::on(Route::General, Fault::status(503)).containing(&format!("{digit}/general")));
    }
    let engine = Arc::new(Settings::asking(&fake).start());
    let begun = Instant::now();
    keep_asking(&engine, 400).await;
    let (calls, seconds) = (fake.total(), begun.elapsed().as_secs_f64());
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let share = calls as f64 / (1.2 * 400.0 + 10.0 * (seconds + 1.0));
    assert!(share <= 1.0, "{calls} calls for 400 look-ups in {seconds:.1} s");
    assert!(engine.metric("relay_upstream_retries_total", "") > 5, "nothing was tried again");
}

#[tokio::test]
async fn a_second_try_beside_a_slow_call_is_made_when_configured() {
    let fake = fake(vec![pulse(0, evil_among(2))]).await;
    fake.add(Rule::on(Route::General, Fault::Honest).times(1).delay(Duration::from_secs(8)));
    let engine = Settings::asking(&fake).set("otx.hedgeAfter", "200ms").set("otx.callTimeout", "9s").start();
    let answer = engine.lookup(&[domain(EVIL)]).await.unwrap();
    assert!(answer.took < Duration::from_secs(4), "{:?}", answer.took);
    assert_eq!((answer.hits().len(), fake.count(Route::General)), (1, 2));
}

#[tokio::test]
async fn a_request_ends_at_its_deadline_with_what_it_has() {
    let other = pulse(1, vec![row(IndicatorType::Ipv4, "192.0.2.1")]);
    let fake = fake(vec![pulse(0, evil_among(2)), other]).await;
    fake.add(Rule::on(Route::General, Fault::Honest).containing(EVIL).delay(Duration::from_mins(1)));
    let engine = Settings::asking(&fake).set("otx.deadline", "1500ms").start();
    let answer = engine.lookup(&[domain(EVIL), observable(ObservableType::Ip, "192.0.2.1")]).await.unwrap();
    assert!(answer.took < Duration::from_millis(2500), "{:?}", answer.took);
    let entries = answer.entries();
    assert_eq!((answer.hits().len(), entries.len()), (1, 1));
    assert!(entries[0].message.contains("within the 1.5 s that one request may take"), "{entries:?}");
}

#[tokio::test]
async fn health_tells_a_bad_key_from_throttling_from_an_outage_from_slowness() {
    let late = Failure::Timeout(Duration::from_millis(500));
    for (fault, delay, expected, calls) in [
        (Fault::status(401), 0, Failure::KeyRefused, 1),
        (Fault::status(403), 0, Failure::KeyRefused, 1),
        (Fault::throttled(None), 0, Failure::Throttled { wait: None }, 1),
        (Fault::throttled(Some("7")), 0, Failure::Throttled { wait: Some(Duration::from_secs(7)) }, 1),
        (Fault::status(500), 0, Failure::Status(500), 1),
        (Fault::status(503), 0, Failure::Status(503), 3),
        (Fault::body("<html></html>"), 0, Failure::NotJson, 1),
        (Fault::body("null"), 0, Failure::NotJson, 1),
        (Fault::Honest, 60, late, 1),
    ] {
        let words = format!("{fault:?}");
        let fake = fake(Vec::new()).await;
        fake.add(Rule::on(Route::Me, fault).delay(Duration::from_secs(delay)));
        let engine = Settings::asking(&fake).set("otx.callTimeout", "500ms").start();
        assert_eq!((engine.engine.health(&otx_key(KEY)).await, fake.total()), (Err(expected), calls), "{words}");
    }
}
