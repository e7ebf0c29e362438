//! What an attacker can try with a token: 104 classes of attack against `/health` and `/observe/observables`, over HTTP,
//! on a stage where every name of the world leads to the attacker. Classes have the numbers that `docs/reliability.md`
//! counts by. 67 and 76 take published vectors and are in `trust_wycheproof`.
#![expect(clippy::expect_used, reason = "a failed step is a failed test")]

mod algorithms;
mod claims;
mod documents;
mod flips;
mod header;
mod hosts;
mod keys;
mod rates;
mod stage;

use std::collections::BTreeSet;
use std::process::ExitCode;

use libtest_mimic::Trial;
use stage::{Class, Stage};
use tests::trial::{run, slug, trial};

/// Classes of which each has a test of its own below, rather than a line in a table.
const APART: [&[u16]; 3] = [documents::NUMBERS, rates::NUMBERS, &[67, 76]];

fn main() -> ExitCode {
    let mut trials: Vec<Trial> = classes()
        .into_iter()
        .map(|class| {
            trial(slug(&format!("class {:03} {}", class.number, class.name)), move || async move {
                let stage = Stage::set().await;
                Box::pin(class.hold(&stage)).await;
            })
        })
        .collect();
    trials.extend(hosts::private_addresses());
    trials.extend(documents::trials());
    trials.extend(rates::trials());
    trials.push(trial("the_table_has_104_classes_and_6000_tokens", whole));
    run(trials)
}

fn classes() -> Vec<Class> {
    let mut classes = header::classes();
    classes.extend(algorithms::classes());
    classes.extend(keys::classes());
    classes.extend(hosts::classes());
    classes.extend(claims::classes());
    classes.extend(flips::classes());
    classes
}

async fn whole() {
    let stage = Stage::set().await;
    let tables = classes();
    let tokens: usize = tables.iter().map(|class| (class.attempts)(&stage).len()).sum();
    let numbers: BTreeSet<u16> =
        tables.iter().map(|class| class.number).chain(APART.concat()).chain([hosts::PRIVATE]).collect();
    assert_eq!(numbers, (1..=104).collect::<BTreeSet<u16>>());
    println!("{tokens} tokens in {} classes of the table", tables.len());
    // The two endpoints, and class 102 with as many kids as there are.
    assert!(2 * (tokens + rates::KIDS) >= 6_000, "{tokens}");
}
