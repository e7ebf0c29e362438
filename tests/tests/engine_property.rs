//! Whatever OTX holds, however it cuts it into pages and whatever part of it fails: the engine's answer is what a slow
//! and obvious reading of the same content gives, minus exactly what could not be asked, each of it named once.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};
use serde_json::json;
use tests::engine::{Hit, OWNER, Settings, content, observable, pulse, row};
use tests::fake_otx::scale::Scale;
use tests::fake_otx::{FakeOtx, Fault, KEY, Route, Rule, SECOND_KEY};
use tests::oracle;
use threatrelay::demo::upstream::{Content, Dataset, HashGroup, IndicatorType, Pulse, Row};
use threatrelay::observable::{Observable, ObservableType};

const CASES: u32 = 400;

/// What a pulse can hold: the type, spellings that are one indicator to OTX, and where `/general` of it is asked.
struct Thing {
    kind: IndicatorType,
    spellings: &'static [&'static str],
    asked: ObservableType,
    asked_spellings: &'static [&'static str],
    path: &'static str,
}

const MD5: [&str; 2] = ["0cc175b9c0f1b6a831c399e269772661", "92eb5ffee6ae2fec3ad71c777531578f"];
const SHA1: [&str; 2] = ["86f7e437faa5a7fce15d1ddcb9eaeaea377667b8", "e9d71f5ee7c92d6dc9e92ffdad17b8bd49418f98"];
const SHA256: [&str; 2] = [
    "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
    "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d",
];

const fn thing(
    kind: IndicatorType,
    spellings: &'static [&'static str],
    asked: ObservableType,
    asked_spellings: &'static [&'static str],
    path: &'static str,
) -> Thing {
    Thing { kind, spellings, asked, asked_spellings, path }
}

static THINGS: &[Thing] = &[
    thing(IndicatorType::Ipv4, &["192.0.2.1"], ObservableType::Ip, &["192.0.2.1"], "/IPv4/192.0.2.1/"),
    thing(IndicatorType::Ipv4, &["203.0.113.9"], ObservableType::Ip, &["203.0.113.9"], "/IPv4/203.0.113.9/"),
    thing(
        IndicatorType::Ipv6,
        &["2001:db8:0:0:0:0:0:1", "2001:db8::1", "2001:0DB8::0001"],
        ObservableType::Ipv6,
        &["2001:db8::1", "2001:DB8:0::1"],
        "/IPv6/2001:db8::1/",
    ),
    thing(
        IndicatorType::Domain,
        &["evil.example", "EVIL.example", "Evil.Example"],
        ObservableType::Domain,
        &["evil.example", "EVIL.EXAMPLE", "evil.example."],
        "/domain/evil.example/",
    ),
    thing(
        IndicatorType::Hostname,
        &["www.evil.example", "WWW.evil.example"],
        ObservableType::Domain,
        &["www.evil.example", "Www.Evil.example."],
        "/hostname/www.evil.example/",
    ),
    thing(
        IndicatorType::Url,
        &["http://evil.example/A?b=c"],
        ObservableType::Url,
        &["http://evil.example/A?b=c", "HTTP://EVIL.example/A?b=c"],
        "/url/http:%2F%2Fevil.example%2FA%3Fb%3Dc/",
    ),
    thing(IndicatorType::Md5, &[MD5[0]], ObservableType::Md5, &[MD5[0]], MD5[0]),
    thing(IndicatorType::Sha1, &[SHA1[0]], ObservableType::Sha1, &[SHA1[0]], SHA1[0]),
    thing(IndicatorType::Sha256, &[SHA256[0]], ObservableType::Sha256, &[SHA256[0]], SHA256[0]),
    thing(
        IndicatorType::Sha256,
        &[SHA256[1]],
        ObservableType::Sha256,
        &["3E23E8160039594A33894F6564E1B1348BBD7A0088D42C4ACB73EEAED59C009D"],
        SHA256[1],
    ),
    thing(IndicatorType::Domain, &["quiet.example"], ObservableType::Domain, &["quiet.example"], "/quiet.example/"),
];

/// A pulse to be made.
#[derive(Clone, Debug)]
struct Sketch {
    private: Option<bool>,
    /// Index of the thing, of its spelling, whether it stands twice, and whether it expires.
    holds: Vec<(usize, usize, bool, bool)>,
    /// Things that are inactive in it, by index (a file with all its hashes).
    inactive: BTreeSet<usize>,
    filler: usize,
    fails: Option<usize>,
}

/// How OTX behaves.
#[derive(Clone, Debug)]
struct Manners {
    page_size: usize,
    clamp: Option<usize>,
    past_the_end_is_404: bool,
    without_ids: bool,
    /// What is done to the pulses of every `/general` answer.
    general: usize,
    whole_pulses_fail: bool,
    base: usize,
}

#[derive(Clone, Debug)]
struct Case {
    pulses: Vec<Sketch>,
    manners: Manners,
    /// Indexes of things and of their spellings.
    asked: Vec<(usize, usize)>,
    /// The things whose `/general` fails, and how.
    failing: BTreeSet<usize>,
    how: usize,
    second_reader: bool,
    proven: bool,
}

fn sketch() -> impl Strategy<Value = Sketch> {
    (
        prop_oneof![6 => Just(None), 1 => Just(Some(true)), 1 => Just(Some(false))],
        vec((0..THINGS.len() - 1, 0..3_usize, any::<bool>(), any::<bool>()), 0..8),
        proptest::collection::btree_set(0..THINGS.len(), 0..3),
        prop_oneof![0..12_usize, 12..60_usize],
        prop_oneof![4 => Just(None), 1 => (0..HOW.len()).prop_map(Some)],
    )
        .prop_map(|(private, holds, inactive, filler, fails)| Sketch { private, holds, inactive, filler, fails })
}

fn manners() -> impl Strategy<Value = Manners> {
    (
        3..40_usize,
        prop_oneof![Just(None), (3..12_usize).prop_map(Some)],
        0..5_u8,
        0..9_usize,
        any::<bool>(),
        0..3_usize,
    )
        .prop_map(|(page_size, clamp, listing, general, whole_pulses_fail, base)| Manners {
            page_size,
            clamp,
            past_the_end_is_404: listing == 1,
            without_ids: listing == 2,
            general,
            whole_pulses_fail,
            base,
        })
}

fn case() -> impl Strategy<Value = Case> {
    (
        vec(sketch(), 0..8),
        manners(),
        vec((0..THINGS.len(), 0..3_usize), 1..10),
        proptest::collection::btree_set(0..THINGS.len(), 0..3),
        0..HOW.len(),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(pulses, manners, asked, failing, how, second_reader, proven)| Case {
            pulses,
            manners,
            asked,
            failing,
            how,
            second_reader,
            proven,
        })
}

/// Failures that are told at once and leave OTX in good repute.
const HOW: [fn() -> Fault; 5] = [
    || Fault::status(418),
    || Fault::status(302),
    || Fault::body("<html></html>"),
    || Fault::body("{\"results\": [{\"id\": 1"),
    || Fault::status(206),
];

/// The group of hashes that a thing belongs to: 6, 7 and 8 are one file.
fn together(index: usize) -> usize {
    if (6..=8).contains(&index) { 6 } else { index }
}

fn made(case: &Case) -> Content {
    let mut second = 0_u32;
    let mut time = move || {
        second += 1;
        format!("2026-05-{:02}T{:02}:{:02}:{:02}", 1 + second % 28, second / 3600 % 24, second / 60 % 60, second % 60)
    };
    let pulses = case.pulses.iter().enumerate().map(|(index, sketch)| {
        let mut rows: Vec<Row> = Vec::new();
        for &(thing, spelling, twice, expires) in &sketch.holds {
            let Thing { kind, spellings, .. } = &THINGS[thing];
            let created = time();
            let row = Row {
                expiration: expires.then(|| created.replace("2026", "2027")),
                created,
                is_active: !sketch.inactive.iter().any(|inactive| together(*inactive) == together(thing)),
                ..row(*kind, spellings[spelling % spellings.len()])
            };
            if twice {
                rows.push(row.clone());
            }
            rows.push(row);
        }
        rows.extend((0..sketch.filler).map(|host| Row {
            created: time(),
            ..row(IndicatorType::Hostname, &format!("host-{host}.of-{index}.example"))
        }));
        let visible_to = sketch.private.map(|own| if own { OWNER } else { "second-owner" }.to_owned());
        Pulse { visible_to, ..pulse(index, rows) }
    });
    let base = [IndicatorType::Md5, IndicatorType::Sha1, IndicatorType::Sha256][case.manners.base];
    let file = |of: usize| HashGroup { md5: MD5[of].into(), sha1: SHA1[of].into(), sha256: SHA256[of].into(), base };
    let pulses = pulses.collect();
    Content { files: vec![file(0), file(1)], ..content(pulses) }
}

/// Makes the fake behave.
fn instruct(fake: &FakeOtx, case: &Case) {
    for thing in &case.failing {
        fake.add(Rule::on(Route::General, HOW[case.how]()).containing(THINGS[*thing].path));
    }
    for (index, sketch) in case.pulses.iter().enumerate() {
        if let Some(how) = sketch.fails {
            let path = format!("/pulses/{}", Scale::pulse_id(index));
            fake.add(Rule::always(HOW[how]()).containing(&path));
        }
    }
    let Manners { clamp, past_the_end_is_404, without_ids, general, whole_pulses_fail, .. } = case.manners;
    if whole_pulses_fail {
        fake.add(Rule::on(Route::Detail, Fault::status(404)));
    }
    if without_ids {
        fake.add(Rule::on(Route::Listing, no_ids()));
        fake.add(Rule::on(Route::Detail, no_ids()));
    } else if past_the_end_is_404 {
        fake.add(Rule::on(Route::Listing, ends_in_404()));
    } else if let Some(most) = clamp {
        fake.add(Rule::on(Route::Listing, Fault::ClampLimit(most)));
    }
    let change = match general {
        0 => Fault::in_pulses(|pulse| pulse["indicator_count"] = json!(null)),
        1 => Fault::in_pulses(|pulse| pulse["indicator_count"] = json!(1)),
        2 => Fault::in_pulses(|pulse| {
            pulse["indicator_count"] = (pulse["indicator_count"].as_u64().unwrap_or(0) * 3).into();
        }),
        3 => without(&["indicator_type_counts", "public"]),
        4 => Fault::in_pulses(|pulse| pulse["public"] = json!(true)),
        5 => without(&["name", "description", "tags", "author", "TLP", "related_indicator_type"]),
        _ => Fault::Honest,
    };
    fake.add(Rule::on(Route::General, change));
}

/// As [`Fault::past_the_end_is_404`], but the first page of an empty listing is a page.
fn ends_in_404() -> Fault {
    Fault::Change(Arc::new(|request, answer| {
        if !request.target.ends_with("&page=1") && answer.json()["results"] == json!([]) {
            answer.status = 404;
            answer.set_json(&json!({"detail": "Invalid page."}));
        }
    }))
}

fn no_ids() -> Fault {
    without_in_rows("id")
}

fn without_in_rows(key: &'static str) -> Fault {
    Fault::in_rows(move |row| {
        row.as_object_mut().map(|row| row.remove(key));
    })
}

fn without(keys: &'static [&'static str]) -> Fault {
    Fault::in_pulses(move |pulse| {
        for key in keys {
            pulse.as_object_mut().map(|pulse| pulse.remove(*key));
        }
    })
}

/// What must come out.
struct Expected {
    hits: Vec<Hit>,
    /// Observables of which nothing could be asked.
    unasked: BTreeSet<String>,
    /// Pulses that hold an observable, but whose rows could not be asked.
    lacking: BTreeSet<String>,
    /// Pulses that may be named, whether or not they hold one.
    failing: BTreeSet<String>,
}

fn expected(case: &Case, content: &Content, asked: &[Observable]) -> Expected {
    let reader = if case.second_reader { "second-owner" } else { OWNER };
    let failing: BTreeSet<String> = case
        .pulses
        .iter()
        .enumerate()
        .filter(|(_, sketch)| sketch.fails.is_some())
        .map(|(index, _)| Scale::pulse_id(index))
        .collect();
    let (mut hits, mut unasked, mut lacking) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for (observable, (thing, _)) in asked.iter().zip(&case.asked) {
        if case.failing.contains(thing) {
            unasked.insert(format!("({} {:?}; trace ", observable.kind, observable.value));
            continue;
        }
        for hit in oracle::hits(content, reader, observable) {
            if failing.contains(&hit.pulse) {
                lacking.insert(hit.pulse);
            } else {
                hits.push(hit);
            }
        }
    }
    hits.sort();
    Expected { hits, unasked, lacking, failing }
}

async fn run(fake: &FakeOtx, case: &Case) -> Result<(), TestCaseError> {
    let content = made(case);
    fake.recover();
    fake.edit(|now| *now = content.clone());
    instruct(fake, case);
    let engine = Settings::asking(fake).set("otx.pageSize", case.manners.page_size).start();
    let key = if case.second_reader { SECOND_KEY } else { KEY };
    if case.proven {
        engine.engine.health(&tests::engine::otx_key(key)).await.unwrap();
    }
    let asked: Vec<Observable> = case
        .asked
        .iter()
        .map(|&(thing, spelling)| {
            let Thing { asked, asked_spellings, .. } = &THINGS[thing];
            observable(*asked, asked_spellings[spelling % asked_spellings.len()])
        })
        .collect();
    let answer = engine.lookup_as(key, &asked).await.unwrap();
    let expected = expected(case, &content, &asked);
    prop_assert_eq!(answer.hits(), expected.hits);
    let entries = answer.entries();
    let named = |what: &str| entries.iter().filter(|entry| entry.message.contains(what)).count();
    let asked_times = |subject: &str| {
        asked.iter().filter(|asked| format!("({} {:?}; trace ", asked.kind, asked.value) == subject).count()
    };
    for observable in &expected.unasked {
        prop_assert_eq!(named(observable), asked_times(observable), "entries of {}: {:?}", observable, &entries);
    }
    for pulse in &expected.failing {
        let times = named(&format!("(pulse {pulse:?} of "));
        let least = usize::from(expected.lacking.contains(pulse));
        prop_assert!((least..=1).contains(&times), "entries of pulse {}: {:?}", pulse, &entries);
    }
    let of_pulses = entries.iter().filter(|entry| entry.message.contains("(pulse \"")).count();
    let named_pulses = expected.failing.iter().map(|pulse| named(&format!("(pulse {pulse:?} of "))).sum::<usize>();
    prop_assert_eq!(of_pulses, named_pulses, "a pulse that did not fail is named: {:?}", &entries);
    let of_observables: usize = expected.unasked.iter().map(|observable| named(observable)).sum();
    prop_assert_eq!(entries.len(), of_pulses + of_observables, "an entry too many: {:?}", &entries);
    // Asked again, what was learnt is the same, and what failed is told again.
    let again = engine.lookup_as(key, &asked).await.unwrap();
    prop_assert_eq!(again.hits(), answer.hits());
    prop_assert_eq!(again.entries().len(), entries.len());
    Ok(())
}

#[test]
fn an_answer_is_the_content_minus_what_is_named() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let _inside = runtime.enter();
    let fake = runtime.block_on(FakeOtx::with(Dataset::default())).unwrap();
    let persistence =
        FileFailurePersistence::Direct(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engine_property.seeds"));
    let config = Config { cases: CASES, failure_persistence: Some(Box::new(persistence)), ..Config::default() };
    TestRunner::new(config).run(&case(), |case| runtime.block_on(run(&fake, &case))).unwrap();
}
