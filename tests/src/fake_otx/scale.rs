//! Data sets of any size: pulses with thousands of rows and observables that all of them hold.
//!
//! The same [`Scale`] always makes the same data set. Where the observables stand in a listing is chosen, because that
//! is what a client that reads listings pays for.

use threatrelay::demo::upstream::{Account, Author, Content, Dataset, IndicatorType, Pulse, Row};

use super::KEY;

/// How much there is.
#[derive(Clone, Debug)]
pub struct Scale {
    /// Pulses, all public, all holding every observable.
    pub pulses: usize,
    /// Rows of each pulse.
    pub rows: usize,
    /// Domains that every pulse holds.
    pub observables: usize,
    /// How many other rows stand before the observables when the newest comes first.
    pub depth: usize,
}

impl Scale {
    /// `pulses` of `rows` rows, with one observable in the middle of each.
    #[must_use]
    pub fn new(pulses: usize, rows: usize) -> Self {
        Self { pulses, rows, observables: 1, depth: rows / 2 }
    }

    /// The `index`th observable, a domain.
    #[must_use]
    pub fn observable(index: usize) -> String {
        format!("wanted-{index}.example")
    }

    /// The id of the `index`th pulse.
    #[must_use]
    pub fn pulse_id(index: usize) -> String {
        format!("{:024x}", 0x6000_0000_u64 + u64::try_from(index).unwrap_or_default())
    }

    /// Makes the data set.
    #[must_use]
    pub fn dataset(&self) -> Dataset {
        Dataset::new(Content {
            accounts: vec![Account { key: KEY.to_owned(), username: "scale".to_owned(), user_id: 1 }],
            pulses: (0..self.pulses).map(|index| self.pulse(index)).collect(),
            ..Content::default()
        })
    }

    fn pulse(&self, index: usize) -> Pulse {
        let wanted = self.depth..self.depth + self.observables;
        let rows = (0..self.rows.max(wanted.end)).map(|position| {
            let indicator = if wanted.contains(&position) {
                Self::observable(position - wanted.start)
            } else {
                format!("{:016x}.pulse-{index}.example", scatter(position as u64))
            };
            let kind = if wanted.contains(&position) { IndicatorType::Domain } else { IndicatorType::Hostname };
            row(kind, indicator, position)
        });
        Pulse {
            id: Self::pulse_id(index),
            name: format!("Generated pulse {index}"),
            description: "Made to measure.".to_owned(),
            created: "2026-01-01T00:00:00.000001".to_owned(),
            modified: format!("2026-11-01T{:02}:{:02}:00.000001", index / 60 % 24, index % 60),
            modified_text: "23 days ago ".to_owned(),
            author: Author { username: "scale".to_owned(), id: "1".to_owned(), avatar_url: "/a.png".to_owned() },
            tags: vec!["generated".to_owned(), "scale".to_owned()],
            tlp: "green".to_owned(),
            pulse_source: "api".to_owned(),
            revision: 1,
            indicators: rows.collect(),
            ..Pulse::default()
        }
    }
}

/// A number without pattern for each position (the finaliser of splitmix64): rows of real pulses compress to a tenth,
/// not to nothing.
fn scatter(position: u64) -> u64 {
    let mixed = position.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb)
}

/// The row at `position` counted from the newest.
fn row(kind: IndicatorType, indicator: String, position: usize) -> Row {
    let seconds = position % 60;
    let (minutes, hours, days) = (position / 60 % 60, position / 3600 % 24, position / 86_400);
    Row {
        id: 0,
        indicator,
        kind,
        created: format!(
            "2026-{:02}-{:02}T{:02}:{:02}:{:02}",
            10 - days / 28,
            28 - days % 28,
            23 - hours,
            59 - minutes,
            59 - seconds
        ),
        expiration: None,
        is_active: true,
        title: String::new(),
        description: String::new(),
        false_positive: threatrelay::demo::upstream::FalsePositive::default(),
    }
}
