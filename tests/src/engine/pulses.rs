//! What the engine's suites ask about: `evil.example` among rows of other host names, in pulses by number.
#![expect(clippy::expect_used, reason = "a test whose fake does not start ends there")]

use threatrelay::demo::upstream::{Account, Author, Content, Dataset, IndicatorType, Pulse, Row};

use crate::fake_otx::scale::Scale;
use crate::fake_otx::{FakeOtx, KEY, Route, SECOND_KEY};
use crate::world;

/// The account of the first key.
pub const OWNER: &str = "relay-demo";
/// The domain that is asked about.
pub const EVIL: &str = "evil.example";

/// A fake OTX that knows these pulses.
///
/// # Panics
/// When it does not start.
pub async fn fake(pulses: Vec<Pulse>) -> FakeOtx {
    FakeOtx::with(Dataset::new(content(pulses))).await.expect("a fake OTX")
}

/// Calls by route: general, listing page, whole pulse.
#[must_use]
pub fn calls(fake: &FakeOtx) -> (usize, usize, usize) {
    (fake.count(Route::General), fake.count(Route::Listing), fake.count(Route::Detail))
}

/// One domain row beside `others` rows of host names.
#[must_use]
pub fn evil_among(others: usize) -> Vec<Row> {
    let mut rows = vec![row(IndicatorType::Domain, EVIL)];
    rows.extend(filler(others));
    rows
}

/// A pulse that only the first account sees.
#[must_use]
pub fn private(index: usize, rows: Vec<Row>) -> Pulse {
    Pulse { visible_to: Some(OWNER.to_owned()), ..pulse(index, rows) }
}

/// Content with the two accounts of the bundled data set and these pulses.
#[must_use]
pub fn content(pulses: Vec<Pulse>) -> Content {
    let account =
        |key: &str, username: &str, user_id| Account { key: key.into(), username: username.into(), user_id };
    let accounts = vec![account(KEY, OWNER, 1), account(SECOND_KEY, "second-owner", 2)];
    Content { accounts, pulses, ..Content::default() }
}

/// A public pulse; a higher index was modified later.
#[must_use]
pub fn pulse(index: usize, indicators: Vec<Row>) -> Pulse {
    Pulse {
        id: Scale::pulse_id(index),
        name: format!("Pulse {index}"),
        description: "Written for a test.".to_owned(),
        created: "2026-01-01T00:00:00".to_owned(),
        modified: format!("2026-11-01T{:02}:{:02}:00", index / 60 % 24, index % 60),
        author: Author { username: OWNER.to_owned(), id: "1".to_owned(), avatar_url: String::new() },
        tlp: "green".to_owned(),
        indicators,
        ..Pulse::default()
    }
}

/// An active row without end, added on 2 February 2026.
#[must_use]
pub fn row(kind: IndicatorType, indicator: &str) -> Row {
    world::row(kind, indicator, "2026-02-02T02:02:02")
}

/// `count` rows of other host names, older than those of [`row`].
#[must_use]
pub fn filler(count: usize) -> Vec<Row> {
    let created =
        |index: usize| format!("2026-01-10T{:02}:{:02}:{:02}", index / 3600 % 24, index / 60 % 60, index % 60);
    let host = |index: usize| Row {
        created: created(index),
        ..row(IndicatorType::Hostname, &format!("host-{index}.filler.example"))
    };
    (0..count).map(host).collect()
}
