//! Small data sets, written down in a test: pulses by id, rows by value and time.

use threatrelay::demo::upstream::{Account, Author, Content, Dataset, FalsePositive, IndicatorType, Pulse, Row};

use crate::fake_otx::{KEY, SECOND_KEY};

/// A pulse with plain texts and these rows; `modified` a day after its creation.
#[must_use]
pub fn pulse(id: &str, rows: Vec<Row>) -> Pulse {
    Pulse {
        id: id.to_owned(),
        name: format!("Pulse {id}"),
        description: format!("What {id} says."),
        created: "2026-01-01T00:00:00.250000".to_owned(),
        modified: "2026-01-02T00:00:00.500000".to_owned(),
        modified_text: "300 days ago ".to_owned(),
        author: Author { username: "rose".to_owned(), id: "7".to_owned(), avatar_url: "/a.png".to_owned() },
        tags: vec!["c2".to_owned(), "Botnet".to_owned()],
        tlp: "green".to_owned(),
        pulse_source: "web".to_owned(),
        revision: 1,
        indicators: rows,
        ..Pulse::default()
    }
}

/// An active row without expiration.
#[must_use]
pub fn row(kind: IndicatorType, value: &str, created: &str) -> Row {
    Row {
        id: 0,
        indicator: value.to_owned(),
        kind,
        created: created.to_owned(),
        expiration: None,
        is_active: true,
        title: String::new(),
        description: String::new(),
        false_positive: FalsePositive::default(),
    }
}

/// The row of a domain.
#[must_use]
pub fn domain(value: &str, created: &str) -> Row {
    row(IndicatorType::Domain, value, created)
}

/// The row of an IPv4 address.
#[must_use]
pub fn ipv4(value: &str, created: &str) -> Row {
    row(IndicatorType::Ipv4, value, created)
}

/// These pulses and both accounts. The first pulse is listed first: each is modified a minute before the one before it.
#[must_use]
pub fn dataset(mut pulses: Vec<Pulse>) -> Dataset {
    for (index, pulse) in pulses.iter_mut().enumerate() {
        let minutes = 1439 - index.min(1439);
        pulse.modified = format!("2026-01-02T{:02}:{:02}:00.500000", minutes / 60, minutes % 60);
    }
    let account =
        |key: &str, username: &str, user_id| Account { key: key.to_owned(), username: username.to_owned(), user_id };
    Dataset::new(Content {
        accounts: vec![account(KEY, "first", 1), account(SECOND_KEY, "second", 2)],
        pulses,
        ..Content::default()
    })
}
