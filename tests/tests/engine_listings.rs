//! How the engine reads the listing of a pulse: whole where that is fewer bytes, else all pages at once, to its real end.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use tests::engine::{
    EVIL, EngineUnderTest, Settings, calls, domain, evil_among, fake, filler, otx_key, private, pulse, row, until,
};
use tests::fake_otx::scale::Scale;
use tests::fake_otx::{FakeOtx, Fault, KEY, Route, Rule};
use threatrelay::demo::upstream::{Content, IndicatorType, Row};
use threatrelay::otx::Failure;

/// Makes the engine know that OTX accepts the key.
async fn prove_key(engine: &EngineUnderTest) {
    engine.engine.health(&otx_key(KEY)).await.unwrap();
}

#[tokio::test]
async fn all_pages_of_a_large_pulse_are_asked_at_once() {
    let fake = FakeOtx::with(Scale { depth: 29_000, ..Scale::new(1, 30_000) }.dataset()).await.unwrap();
    fake.set_latency(Route::Listing, Duration::from_secs(4));
    let engine = Settings::asking(&fake).set("otx.callTimeout", "30s").set("otx.deadline", "30s").start();
    let lookup = tokio::spawn(async move { engine.lookup(&[domain(&Scale::observable(0))]).await.unwrap() });
    until("one page asked", || fake.count(Route::Listing) >= 1).await;
    let begun = Instant::now();
    until("three pages asked", || fake.count(Route::Listing) == 3).await;
    assert!(begun.elapsed() < Duration::from_secs(3), "page 3 was asked when page 1 was answered");
    assert_eq!((lookup.await.unwrap().hits().len(), calls(&fake)), (1, (1, 3, 0)));
}

#[tokio::test]
async fn a_small_public_pulse_is_asked_whole() {
    let fake = fake(vec![pulse(0, evil_among(20)), pulse(1, evil_among(4_999)), pulse(2, evil_among(5))]).await;
    let engine = Settings::asking(&fake).start();
    prove_key(&engine).await;
    let answer = engine.lookup(&[domain(EVIL)]).await.unwrap();
    assert_eq!((answer.hits().len(), calls(&fake)), (3, (1, 1, 2)));
}

#[tokio::test]
async fn large_and_private_pulses_are_asked_in_pages() {
    let fake = fake(vec![pulse(0, evil_among(5_000)), private(1, evil_among(20))]).await;
    let engine = Settings::asking(&fake).start();
    prove_key(&engine).await;
    let answer = engine.lookup(&[domain(EVIL)]).await.unwrap();
    assert_eq!((answer.hits().len(), calls(&fake)), (2, (1, 2, 0)));
}

#[tokio::test]
async fn the_first_listing_for_a_key_is_asked_where_otx_looks_at_the_key() {
    let fake = fake((0..4).map(|index| pulse(index, evil_among(20))).collect()).await;
    let engine = Settings::asking(&fake).set("cache.enabled", false).start();
    engine.lookup(&[domain(EVIL)]).await.unwrap();
    assert_eq!(calls(&fake), (1, 1, 3), "one of them proves the key");
    engine.lookup(&[domain(EVIL)]).await.unwrap();
    assert_eq!(calls(&fake), (2, 1, 7), "a proven key stays proven");
    let refused = engine.lookup_as("a key that OTX does not know", &[domain(EVIL)]).await;
    assert_eq!(refused.unwrap_err(), Failure::KeyRefused);
}

#[tokio::test]
async fn pages_serve_where_the_whole_pulse_fails() {
    for fault in [Fault::status(404), Fault::status(500), Fault::body("<html>"), Fault::without("indicators")] {
        let words = format!("{fault:?}");
        let fake = fake(vec![pulse(0, evil_among(20))]).await;
        let engine = Settings::asking(&fake).start();
        prove_key(&engine).await;
        fake.add(Rule::on(Route::Detail, fault));
        let answer = engine.lookup(&[domain(EVIL)]).await.unwrap();
        assert_eq!((answer.hits().len(), answer.entries().len(), calls(&fake)), (1, 0, (1, 1, 1)), "{words}");
    }
}

#[tokio::test]
async fn pages_that_are_smaller_than_asked_for_are_all_read() {
    for beyond in [Fault::Honest, Fault::past_the_end_is_404()] {
        let mut rows = filler(95);
        rows.push(Row { created: "2026-01-01T00:00:00".to_owned(), ..row(IndicatorType::Domain, EVIL) });
        let fake = fake(vec![private(0, rows)]).await;
        // Twenty pages announced by what was asked for, but thirty rows a page.
        fake.add(Rule::on(Route::General, Fault::in_pulses(|pulse| pulse["indicator_count"] = 2000.into())));
        fake.add(Rule::on(Route::Listing, beyond).containing("page=5"));
        fake.add(Rule::on(Route::Listing, Fault::ClampLimit(30)));
        let engine = Settings::asking(&fake).set("otx.pageSize", 400).start();
        let answer = engine.lookup(&[domain(EVIL)]).await.unwrap();
        assert_eq!((answer.hits().len(), answer.entries().len()), (1, 0), "{:?}", answer.entries());
    }
}

#[tokio::test]
async fn a_listing_longer_than_announced_is_read_to_its_end() {
    for announced in [serde_json::json!(null), serde_json::json!(1), serde_json::json!(39)] {
        let mut rows = filler(99);
        rows.push(Row { created: "2026-01-01T00:00:00".to_owned(), ..row(IndicatorType::Domain, EVIL) });
        let fake = fake(vec![private(0, rows)]).await;
        let count = announced.clone();
        fake.add(Rule::on(Route::General, Fault::in_pulses(move |pulse| pulse["indicator_count"] = count.clone())));
        let engine = Settings::asking(&fake).set("otx.pageSize", 10).start();
        let answer = engine.lookup(&[domain(EVIL)]).await.unwrap();
        assert_eq!((answer.hits().len(), fake.count(Route::Listing)), (1, 10), "announced: {announced}");
    }
}

#[tokio::test]
async fn a_row_that_moves_to_a_page_already_read_is_not_lost() {
    // It stands first on page 2; when page 1 has been answered, a newer row goes away and it moves up to page 1.
    let wanted = Row { created: "2026-01-10T00:00:19".to_owned(), ..row(IndicatorType::Domain, EVIL) };
    let mut rows = vec![wanted];
    rows.extend(filler(30));
    let fake = fake(vec![private(0, rows)]).await;
    let newest_goes = |content: &mut Content| {
        content.pulses[0].indicators.retain(|row| row.indicator != "host-29.filler.example");
    };
    fake.add(Rule::on(Route::General, Fault::in_pulses(|pulse| pulse["indicator_count"] = 1.into())));
    fake.add(Rule::on(Route::Listing, Fault::Then(Arc::new(newest_goes))).times(1));
    let engine = Settings::asking(&fake).set("otx.pageSize", 10).start();
    let answer = engine.lookup(&[domain(EVIL)]).await.unwrap();
    assert_eq!((answer.hits().len(), answer.entries().len()), (1, 0));
    assert!(fake.count(Route::Listing) > 4, "read once more");
}

#[tokio::test]
async fn a_changed_pulse_is_read_again() {
    let fake = fake(vec![pulse(0, evil_among(2))]).await;
    let engine = Settings::asking(&fake).set("cache.generalTtl", "1ms").start();
    assert_eq!(engine.lookup(&[domain(EVIL)]).await.unwrap().hits().len(), 1);
    fake.edit(|content| {
        content.pulses[0].modified = "2026-11-20T00:00:00".to_owned();
        content.pulses[0].indicators[0].created = "2026-03-03T03:03:03".to_owned();
    });
    // The first answer is kept for a millisecond.
    let begun = Instant::now();
    while engine.lookup(&[domain(EVIL)]).await.unwrap().hits()[0].since != "2026-03-03T03:03:03Z" {
        assert!(begun.elapsed() < Duration::from_secs(5), "the old listing is kept");
    }
    assert_eq!(fake.count(Route::Listing), 2);
}
