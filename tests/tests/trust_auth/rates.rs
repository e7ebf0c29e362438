//! Classes 102 to 104: many tokens, and keys that change.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use libtest_mimic::Trial;
use serde_json::json;
use tests::eventually::Eventually;
use tests::issuer::{Issuer, unsigned};
use tests::jwks_server::Document;
use tests::refusals::{KID, SIGNATURE};
use tests::trial::trial;

use crate::stage::{Outcome, Stage, bearer, changed, header};

pub const NUMBERS: &[u16] = &[102, 103, 104];
/// Tokens of class 102, on each endpoint.
pub const KIDS: usize = 5_000;
/// Good tokens of class 104.
const GOOD_ONES: usize = 500;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("class_102_ten_thousand_kids_cause_one_fetch", random_kids),
        trial("class_103_a_new_key_is_accepted_after_one_fetch", new_key),
        trial("class_103_a_withdrawn_key_is_refused_within_the_time_to_live", withdrawn_key),
        trial("class_104_bad_tokens_do_not_hinder_good_ones", flood),
    ]
}

async fn random_kids() {
    let stage = Stage::set().await;
    stage.accepts(&stage.good()).await;
    stage.fake.forget_calls();
    let claims = changed(&json!({})).to_string();
    let each = (0..KIDS).flat_map(|index| crate::stage::PATHS.map(|path| (index, path)));
    let ask = async |(index, path): (usize, &str)| {
        let kid = json!({"kid": format!("kid-{index}-{path}")});
        let token = format!("{}.AA", unsigned(&header(&kid).to_string(), &claims));
        let answer = stage.ask(path, &bearer(&token)).await;
        Outcome::Refused(KID).is(answer.status, &answer.text());
    };
    futures_util::stream::iter(each.map(ask)).buffer_unordered(8).collect::<()>().await;
    // The first, and one for all the kids that are unknown, within the cool-down of a minute.
    assert!(stage.trusted.fetches().len() <= 2, "{} fetches", stage.trusted.fetches().len());
    assert_eq!(stage.fake.total(), 0);
    stage.is_unmoved().await;
}

async fn new_key() {
    let stage = Stage::set().await;
    stage.accepts(&stage.good()).await;
    let next = Issuer::generate("next-key").expect("a key");
    stage.trusted.set(Document::of(&[&stage.signer, &next]));
    stage.accepts(&next.token(&changed(&json!({}))).expect("a token")).await;
    assert_eq!(stage.trusted.fetches().len(), 2);
}

async fn withdrawn_key() {
    let stage = Stage::with(|builder| builder.set("THREATRELAY_AUTH_JWKS_TTL", "500ms")).await;
    stage.accepts(&stage.good()).await;
    stage.trusted.set(Document::of(&[&stage.attacker]));
    let token = stage.good();
    let refused = Eventually::new("the withdrawn key is refused").ok(async || {
        let text = stage.ask("/health", &bearer(&token)).await.text();
        if text.contains(SIGNATURE) { Ok(()) } else { Err(text) }
    });
    refused.await.expect("a refusal within the deadline");
}

/// A little of what `class 104` is at full size: bad tokens as fast as they go, as long as good ones are beside them.
async fn flood() {
    let stage = Stage::set().await;
    stage.accepts(&stage.good()).await;
    let bad = stage.attacker.token(&changed(&json!({}))).expect("a token");
    let good = stage.good();
    let at_work = AtomicBool::new(true);
    let attack = async || {
        let mut tries = 0_usize;
        while at_work.load(Ordering::Relaxed) {
            let answer = stage.ask("/health", &bearer(&bad)).await;
            Outcome::Refused(SIGNATURE).is(answer.status, &answer.text());
            tries += 1;
        }
        tries
    };
    let work = async {
        let (begun, mut slowest) = (Instant::now(), Duration::ZERO);
        for _ in 0..GOOD_ONES {
            let begun = Instant::now();
            let answer = stage.ask("/health", &bearer(&good)).await;
            Outcome::Accepted.is(answer.status, &answer.text());
            slowest = slowest.max(begun.elapsed());
        }
        at_work.store(false, Ordering::Relaxed);
        (begun.elapsed(), slowest)
    };
    let attackers = futures_util::future::join_all((0..8).map(|_| attack()));
    let (tries, (lasted, slowest)) = futures_util::future::join(attackers, work).await;
    let tries: usize = tries.into_iter().sum();
    println!("{tries} bad tokens and {GOOD_ONES} good ones in {lasted:?}, the slowest good one after {slowest:?}");
    assert!(tries > GOOD_ONES && slowest < Duration::from_secs(5), "{tries} {slowest:?}");
    stage.was_lured_nowhere();
}
