//! What the engine asks OTX, call by call: every thing once, nothing that cannot matter, all at once where it can be.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tests::engine::{
    Answer, EVIL, Settings, calls, content, domain, evil_among, fake, observable, otx_key, private, pulse, row,
};
use tests::fake_otx::scale::Scale;
use tests::fake_otx::{FakeOtx, Fault, KEY, Route, Rule, SECOND_KEY};
use threatrelay::demo::upstream::{Content, Dataset, HashGroup, IndicatorType, Row};
use threatrelay::observable::{Observable, ObservableType};
use threatrelay::otx::{Failure, Notice};

const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";
const SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn targets(fake: &FakeOtx) -> Vec<String> {
    fake.calls().into_iter().map(|call| call.target).collect()
}

fn notices(answer: &Answer) -> Vec<&Notice> {
    answer.lookups.iter().flat_map(|lookup| &lookup.outcome.as_ref().unwrap().notices).collect()
}

#[tokio::test]
async fn fifty_observables_in_the_same_ten_pulses_are_sixty_calls_and_then_none() {
    let scale = Scale { pulses: 10, rows: 100, observables: 50, depth: 20 };
    let fake = FakeOtx::with(scale.dataset()).await.unwrap();
    let engine = Settings::asking(&fake).start();
    let observables: Vec<Observable> = (0..50).map(|index| domain(&Scale::observable(index))).collect();
    let answer = engine.lookup(&observables).await.unwrap();
    assert_eq!((answer.hits().len(), answer.entries().len(), fake.total()), (500, 0, 60));
    let again = engine.lookup(&observables).await.unwrap();
    assert_eq!((again.hits(), fake.total()), (answer.hits(), 60));
}

#[tokio::test]
async fn spellings_of_one_value_are_one_call() {
    let fake = fake(vec![pulse(0, evil_among(2))]).await;
    let engine = Settings::asking(&fake).set("cache.enabled", false).start();
    let observables = [domain(EVIL), domain("EVIL.example"), domain("evil.example.")];
    let answer = engine.lookup(&observables).await.unwrap();
    assert_eq!((answer.hits().len(), calls(&fake)), (3, (1, 1, 0)));
}

#[tokio::test]
async fn a_pulse_in_which_the_indicator_is_inactive_is_not_asked() {
    let mut rows = evil_among(3);
    rows[0].is_active = false;
    rows.push(row(IndicatorType::Domain, "other.example"));
    let fake = fake(vec![pulse(0, rows)]).await;
    let answer = Settings::asking(&fake).start().lookup(&[domain(EVIL)]).await.unwrap();
    assert_eq!((answer.hits().len(), answer.entries().len(), calls(&fake)), (0, 0, (1, 0, 0)));
}

#[tokio::test]
async fn a_hash_that_is_inactive_in_a_pulse_may_stand_there_under_another_hash() {
    let group = HashGroup {
        md5: MD5.to_owned(),
        sha1: "da39a3ee5e6b4b0d3255bfef95601890afd80709".to_owned(),
        sha256: SHA256.to_owned(),
        base: IndicatorType::Md5,
    };
    let stronger = Row { is_active: false, ..row(IndicatorType::Sha256, SHA256) };
    let pulses = vec![
        pulse(0, vec![stronger.clone(), row(IndicatorType::Md5, MD5)]),
        pulse(1, vec![stronger, row(IndicatorType::Md5, "0cc175b9c0f1b6a831c399e269772661")]),
    ];
    let content = Content { files: vec![group], ..content(pulses) };
    let fake = FakeOtx::with(Dataset::new(content)).await.unwrap();
    let answer = Settings::asking(&fake).start().lookup(&[observable(ObservableType::Md5, MD5)]).await.unwrap();
    assert_eq!(answer.pulses_of(MD5), [Scale::pulse_id(0)]);
    assert_eq!(calls(&fake), (1, 2, 0));
}

#[tokio::test]
async fn a_pulse_without_rows_of_the_indicators_type_is_not_asked() {
    let mut rows = evil_among(3);
    rows[0].is_active = false;
    let fake = fake(vec![pulse(0, rows)]).await;
    fake.add(Rule::on(Route::General, Fault::in_pulses(|pulse| pulse["related_indicator_is_active"] = 1.into())));
    let answer = Settings::asking(&fake).start().lookup(&[domain(EVIL)]).await.unwrap();
    assert_eq!((answer.hits().len(), calls(&fake)), (0, (1, 0, 0)));
}

#[tokio::test]
async fn requests_under_way_share_the_listing_of_a_pulse() {
    let scale = Scale { pulses: 1, rows: 40, observables: 20, depth: 0 };
    let fake = FakeOtx::with(scale.dataset()).await.unwrap();
    fake.set_latency(Route::Listing, Duration::from_millis(500));
    // Without a cache only those under way at the same time can share.
    let engine = Settings::asking(&fake).set("cache.enabled", false).start();
    let asked: Vec<[Observable; 1]> = (0..20).map(|index| [domain(&Scale::observable(index))]).collect();
    let answers = join_all(asked.iter().map(|asked| engine.lookup(asked))).await;
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().hits().len() == 1));
    assert_eq!(calls(&fake), (20, 1, 0));
}

#[tokio::test]
async fn a_thousand_identical_requests_at_once_are_one() {
    let fake = fake((0..3).map(|index| pulse(index, evil_among(2))).collect()).await;
    fake.set_round_trip(Duration::from_millis(100));
    let engine = Settings::asking(&fake).start();
    let asked = [domain(EVIL)];
    let answers = join_all((0..1000).map(|_| engine.lookup(&asked))).await;
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().hits().len() == 3));
    assert_eq!(calls(&fake), (1, 3, 0));
}

#[tokio::test]
async fn a_failure_is_told_to_all_who_waited_and_remembered_for_none_to_come() {
    let fake = fake(vec![pulse(0, evil_among(2))]).await;
    fake.add(Rule::on(Route::General, Fault::status(500)).times(1).delay(Duration::from_millis(100)));
    let engine = Settings::asking(&fake).start();
    let asked = [domain(EVIL)];
    let answers = join_all((0..50).map(|_| engine.lookup(&asked))).await;
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().entries().len() == 1));
    assert_eq!(fake.total(), 1);
    assert_eq!(engine.lookup(&asked).await.unwrap().hits().len(), 1);
}

#[tokio::test]
async fn a_request_outlives_the_flight_of_an_impatient_one_that_it_joined() {
    let fake = fake(vec![pulse(0, evil_among(2)), pulse(1, vec![row(IndicatorType::Ipv4, "192.0.2.1")])]).await;
    for (route, asked) in
        [(Route::Listing, domain(EVIL)), (Route::General, observable(ObservableType::Ip, "192.0.2.1"))]
    {
        fake.add(Rule::on(route, Fault::Honest).times(1).delay(Duration::from_secs(30)));
        let engine = Arc::new(Settings::asking(&fake).set("otx.deadline", "1500ms").start());
        let ask = {
            let asked = [asked.clone()];
            let engine = Arc::clone(&engine);
            move || async move { engine.lookup(&asked).await.unwrap() }
        };
        let first = tokio::spawn(ask.clone()());
        tokio::time::sleep(Duration::from_millis(750)).await;
        let second = tokio::spawn(ask());
        assert_eq!(first.await.unwrap().entries().len(), 1, "{route:?}: the first ran out of time");
        let second = second.await.unwrap();
        assert_eq!((second.hits().len(), second.entries().len()), (1, 0), "{route:?}: {:?}", second.entries());
        fake.recover();
    }
}

#[tokio::test]
async fn a_name_is_asked_in_the_section_it_should_be_in_and_then_in_the_other() {
    let fake = fake(vec![pulse(0, evil_among(2))]).await;
    let engine = Settings::asking(&fake).start();
    let general = |section: &str, name: &str| format!("/api/v1/indicators/{section}/{name}/general");
    for (name, sections) in [
        ("unknown.example", &["domain", "hostname"][..]),
        ("www.unknown.example", &["hostname", "domain"]),
        (EVIL, &["domain"]),
    ] {
        fake.forget_calls();
        engine.lookup(&[domain(name)]).await.unwrap();
        let expected: Vec<String> = sections.iter().map(|section| general(section, name)).collect();
        assert_eq!(targets(&fake)[..expected.len()], expected, "{name}");
        assert_eq!(fake.count(Route::General), expected.len(), "{name}");
    }
}

#[tokio::test]
async fn a_host_name_is_found_among_host_names() {
    let fake = fake(vec![pulse(0, vec![row(IndicatorType::Hostname, "www.evil.example")])]).await;
    let answer = Settings::asking(&fake).start().lookup(&[domain("www.evil.example")]).await.unwrap();
    assert_eq!((answer.hits().len(), calls(&fake)), (1, (1, 1, 0)));
}

#[tokio::test]
async fn values_that_otx_cannot_know_cost_no_call() {
    use ObservableType::{Domain, Email, Ip, Ipv6, Md5, Url};
    let fake = fake(vec![pulse(0, evil_among(2))]).await;
    let values = [
        (Ip, "10.0.0.1"),
        (Ip, "127.0.0.1"),
        (Ip, "300.1.1.1"),
        (Ipv6, "::1"),
        (Ipv6, "fe80::1"),
        (Domain, "localhost"),
        (Domain, "co.uk"),
        (Domain, "printer.local"),
        (Domain, "a b.example"),
        (Url, "http://192.168.0.1/x"),
        (Url, "evil.example/x"),
        (Md5, "not a hash"),
        (Email, "someone@evil.example"),
    ];
    let observables: Vec<Observable> = values.iter().map(|(kind, value)| observable(*kind, value)).collect();
    let answer = Settings::asking(&fake).start().lookup(&observables).await.unwrap();
    assert_eq!((answer.lookups.len(), answer.hits().len(), answer.entries().len()), (values.len(), 0, 0));
    assert_eq!((fake.total(), fake.connections()), (0, 0));
}

#[tokio::test]
async fn without_a_cache_each_request_asks_each_thing_once() {
    let scale = Scale { pulses: 3, rows: 5, observables: 4, depth: 0 };
    let fake = FakeOtx::with(scale.dataset()).await.unwrap();
    let engine = Settings::asking(&fake).set("cache.enabled", false).start();
    let observables: Vec<Observable> = (0..4).map(|index| domain(&Scale::observable(index))).collect();
    for round in 1..=2 {
        let answer = engine.lookup(&observables).await.unwrap();
        assert_eq!((answer.hits().len(), calls(&fake)), (12, (4 * round, 3 * round, 0)));
    }
}

#[tokio::test]
async fn keys_share_public_listings_and_nothing_else() {
    let fake = fake(vec![pulse(0, evil_among(2)), private(1, evil_among(2))]).await;
    let engine = Settings::asking(&fake).start();
    let asked = [domain(EVIL)];
    let own = engine.lookup_as(KEY, &asked).await.unwrap();
    assert_eq!((own.pulses_of(EVIL).len(), calls(&fake)), (2, (1, 2, 0)));
    fake.forget_calls();
    let others = engine.lookup_as(SECOND_KEY, &asked).await.unwrap();
    assert_eq!((others.pulses_of(EVIL), calls(&fake)), (vec![Scale::pulse_id(0).as_str()], (1, 0, 0)));
    fake.forget_calls();
    let (own, others) = tokio::join!(engine.lookup_as(KEY, &asked), engine.lookup_as(SECOND_KEY, &asked));
    assert_eq!((own.unwrap().hits().len(), others.unwrap().hits().len(), fake.total()), (2, 1, 0));
}

#[tokio::test]
async fn a_private_listing_is_asked_anew_for_every_key() {
    // OTX may show a shared private pulse to several keys, and different rows of it to each.
    let fake = fake(vec![pulse(0, evil_among(2))]).await;
    fake.add(Rule::on(Route::General, Fault::in_pulses(|pulse| pulse["public"] = 0.into())));
    let engine = Settings::asking(&fake).start();
    for listings in 1..=2 {
        let key = [KEY, SECOND_KEY][listings - 1];
        assert_eq!(engine.lookup_as(key, &[domain(EVIL)]).await.unwrap().hits().len(), 1);
        assert_eq!(fake.count(Route::Listing), listings);
    }
}

#[tokio::test]
async fn that_otx_knows_nothing_is_believed_for_a_shorter_time() {
    let fake = fake(vec![pulse(0, evil_among(2))]).await;
    let engine = Settings::asking(&fake).set("cache.negativeTtl", "200ms").start();
    let (known, unknown) = ([domain(EVIL)], [observable(ObservableType::Ip, "192.0.2.9")]);
    engine.lookup(&known).await.unwrap();
    let mut asked = Vec::new();
    let end = Instant::now() + Duration::from_secs(5);
    while fake.count(Route::General) < 3 {
        assert!(Instant::now() < end, "the unknown address is never asked again");
        asked.push(Instant::now());
        engine.lookup(&unknown).await.unwrap();
        engine.lookup(&known).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let believed = asked.last().unwrap().duration_since(asked[0]);
    assert!(believed >= Duration::from_millis(180), "asked again after {believed:?}");
    assert_eq!(targets(&fake).iter().filter(|target| target.contains(EVIL)).count(), 1);
}

#[tokio::test]
async fn health_is_probed_once_in_five_seconds() {
    let fake = fake(Vec::new()).await;
    fake.set_latency(Route::Me, Duration::from_millis(50));
    let engine = Settings::asking(&fake).start().engine;
    let key = otx_key(KEY);
    let together = join_all((0..50).map(|_| engine.health(&key))).await;
    assert!(together.iter().all(Result::is_ok));
    for _ in 0..50 {
        engine.health(&key).await.unwrap();
    }
    assert_eq!(fake.total(), 1);
    assert_eq!(engine.health(&otx_key("unknown to OTX")).await, Err(Failure::KeyRefused));
    assert_eq!(fake.total(), 2);
}

#[tokio::test]
async fn a_redirect_is_never_followed() {
    let elsewhere = FakeOtx::start().await.unwrap();
    for status in [301, 302, 303, 307, 308] {
        for route in [Route::General, Route::Listing, Route::Detail, Route::Me] {
            let fake = fake(vec![pulse(0, evil_among(20)), pulse(1, evil_among(20))]).await;
            let target = format!("{}/api/v1/user/me", elsewhere.url());
            fake.add(Rule::on(route, Fault::redirect(status, &target)));
            let engine = Settings::asking(&fake).start();
            if route == Route::Me {
                assert_eq!(engine.engine.health(&otx_key(KEY)).await, Err(Failure::Status(status)));
            } else {
                engine.lookup(&[domain(EVIL)]).await.unwrap();
            }
            assert!(fake.count(route) > 0, "{status} {route:?} was not played");
        }
    }
    assert_eq!((elsewhere.connections(), elsewhere.total()), (0, 0));
}

#[tokio::test]
async fn fifty_pulses_are_said_to_be_maybe_not_all() {
    for (pulses, told) in [(49, 0), (50, 1), (60, 1)] {
        let fake = fake((0..pulses).map(|index| pulse(index, evil_among(1))).collect()).await;
        let answer = Settings::asking(&fake).start().lookup(&[domain(EVIL)]).await.unwrap();
        assert_eq!(notices(&answer).len(), told, "{pulses} pulses");
        assert_eq!(answer.hits().len(), pulses.min(50));
        if let [entry] = answer.entries().as_slice() {
            assert_eq!(entry.code, "too-many-messages-warning");
            assert!(
                entry.message.contains("domain \"evil.example\"") && entry.message.contains(answer.trace.as_str())
            );
        }
    }
}

#[tokio::test]
async fn passive_dns_is_one_call_an_observable_beside_the_others_and_remembered_like_them() {
    let fake = FakeOtx::start().await.unwrap();
    let engine = Settings::asking(&fake).set("answers", "rich").set("otx.passiveDns", 10).start();
    let observables = [
        domain("evil.example"),
        domain("login.evil.example"),
        observable(ObservableType::Ip, "203.0.113.7"),
        observable(ObservableType::Url, "http://evil.example/login.php?id=1"),
        observable(ObservableType::Md5, "5162fd5d109bc811b90e8dfc2d59e6cc"),
    ];
    let first = engine.lookup(&observables).await.unwrap();
    let asked: Vec<_> = targets(&fake).into_iter().filter(|target| target.ends_with("/passive_dns")).collect();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked.contains(&"/api/v1/indicators/hostname/login.evil.example/passive_dns".to_owned()), "{asked:?}");
    let resolutions = |answer: &Answer| {
        let known = answer.lookups.iter().map(|lookup| lookup.outcome.as_ref().unwrap());
        known.map(|known| known.resolutions.len()).collect::<Vec<_>>()
    };
    assert_eq!(resolutions(&first), [4, 1, 2, 0, 0]);
    let calls = fake.total();
    assert_eq!(resolutions(&engine.lookup(&observables).await.unwrap()), [4, 1, 2, 0, 0]);
    assert_eq!(fake.total(), calls);
}

#[tokio::test]
async fn passive_dns_counts_against_the_budget_and_its_refusal_takes_nothing_from_the_rest() {
    let fake = fake(vec![pulse(0, evil_among(2))]).await;
    fake.add(Rule::on(Route::PassiveDns, Fault::status(404)));
    let engine = Settings::asking(&fake).set("answers", "rich").set("otx.passiveDns", 1).start();
    let answer = engine.lookup(&[domain(EVIL)]).await.unwrap();
    assert_eq!((answer.hits().len(), answer.entries().len(), fake.count(Route::PassiveDns)), (1, 0, 1));
    let budget = Settings::asking(&fake).set("answers", "rich").set("otx.passiveDns", 1).set("otx.hourlyBudget", 2);
    let answer = budget.set("cache.enabled", false).start().lookup(&[domain(EVIL)]).await.unwrap();
    assert!(!answer.entries().is_empty(), "two calls are enough for three");
}
