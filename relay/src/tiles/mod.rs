//! Tiles for the platform's dashboard: what this replica knows of a key's own quota and of what was looked up with it,
//! without asking OTX; their words say that it is one replica's. The forms are those that Cisco's own relays use; the platform's schema of them is not public. Pure.

pub mod journal;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use self::journal::{Counts, Seen};
use crate::ctim::Span;
use crate::observable::ObservableType;
use crate::otx::Health;
use crate::otx::time::Moment;

/// Rows of a table or a chart.
const ROWS: usize = 10;
/// Seconds that the platform may show the same data.
const FRESH: u32 = 300;

/// A tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tile {
    /// Calls to OTX with the key.
    Quota,
    /// What was looked up.
    Lookups,
    /// Pulses that this led to.
    Pulses,
    /// Malware that those name.
    Malware,
}

/// A span of time that a tile can be asked for, up to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// The platform's word.
    pub word: &'static str,
    seconds: u32,
}

const LAST_HOUR: Period = Period { word: "last_hour", seconds: 3_600 };
const LAST_DAY: Period = Period { word: "last_24_hours", seconds: 86_400 };
const LAST_WEEK: Period = Period { word: "last_7_days", seconds: 7 * 86_400 };

/// What a tile is, as `/tiles` and `/tiles/tile` tell it.
#[derive(Clone, Debug, Serialize)]
pub struct Card {
    default_period: &'static str,
    description: &'static str,
    id: &'static str,
    periods: Vec<&'static str>,
    short_description: &'static str,
    tags: [&'static str; 1],
    title: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
}

impl Tile {
    /// Every tile.
    pub const ALL: [Self; 4] = [Self::Quota, Self::Lookups, Self::Pulses, Self::Malware];

    /// The tile of that id.
    #[must_use]
    pub fn find(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tile| tile.id() == id)
    }

    /// Its id.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Quota => "otx-quota",
            Self::Lookups => "otx-lookups",
            Self::Pulses => "otx-recent-pulses",
            Self::Malware => "otx-top-malware",
        }
    }

    /// The spans it can be asked for, the usual one first.
    #[must_use]
    pub const fn periods(self) -> &'static [Period] {
        match self {
            Self::Quota => &[LAST_HOUR],
            Self::Lookups | Self::Pulses | Self::Malware => &[LAST_DAY, LAST_HOUR, LAST_WEEK],
        }
    }

    /// What it is.
    #[must_use]
    pub fn describe(self) -> Card {
        let (kind, title, short_description, description) = match self {
            Self::Quota => (
                "metric_group",
                "OTX quota (this replica)",
                "Calls to AlienVault OTX in the hour under way",
                "How many calls to AlienVault OTX with your key the replica that answers has made in the hour under way, and how many it has left. Each replica counts for itself.",
            ),
            Self::Lookups => (
                "vertical_bar_chart",
                "Look-ups in OTX (this replica)",
                "Observables looked up, by type and result",
                "Observables that were looked up in AlienVault OTX with your key by the replica that answers, by type and by whether a pulse holds them. Each replica counts for itself.",
            ),
            Self::Pulses => (
                "markdown",
                "Recent OTX pulses (this replica)",
                "Pulses that look-ups led to",
                "The pulses of AlienVault OTX that look-ups with your key by the replica that answers led to, the latest first. Each replica counts for itself.",
            ),
            Self::Malware => (
                "horizontal_bar_chart",
                "Top malware (this replica)",
                "Malware in the pulses that look-ups led to",
                "The malware families that the pulses name which look-ups with your key by the replica that answers led to, by the number of such pulses. Each replica counts for itself.",
            ),
        };
        Card {
            default_period: self.periods().first().map_or("last_hour", |period| period.word),
            description,
            id: self.id(),
            periods: self.periods().iter().map(|period| period.word).collect(),
            short_description,
            tags: ["AlienVault OTX"],
            title,
            kind,
        }
    }
}

impl Period {
    /// Its first moment.
    #[must_use]
    pub fn begins(self, now: Moment) -> Moment {
        Moment::from_seconds(now.seconds().saturating_sub(self.seconds))
    }
}

/// What a tile shows.
#[derive(Clone, Debug, Serialize)]
pub struct TileData {
    cache_scope: &'static str,
    data: Data,
    #[serde(skip_serializing_if = "Option::is_none")]
    hide_legend: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keys: Vec<Key>,
    observed_time: Span,
    period: &'static str,
    tile_id: &'static str,
    valid_time: Span,
}

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Data {
    Metrics(Vec<Metric>),
    Bars(Vec<Bar>),
    Lines(Vec<String>),
}

#[derive(Clone, Debug, Serialize)]
struct Metric {
    icon: &'static str,
    label: &'static str,
    value: u32,
    value_unit: &'static str,
}

#[derive(Clone, Debug, Serialize)]
struct Key {
    key: &'static str,
    label: &'static str,
}

#[derive(Clone, Debug, Serialize)]
struct Bar {
    key: String,
    label: String,
    value: u32,
    values: Vec<Part>,
}

#[derive(Clone, Debug, Serialize)]
struct Part {
    key: &'static str,
    value: u32,
}

/// The frame of all data of a tile.
fn framed(tile: Tile, period: Period, now: Moment, data: Data, keys: Vec<Key>) -> TileData {
    let span = |start: Moment, end: Moment| Span { start_time: start.to_rfc3339(), end_time: Some(end.to_rfc3339()) };
    let is_chart = !keys.is_empty();
    TileData {
        // It is of one key; who else in the organisation has that key the platform does not know.
        cache_scope: "none",
        data,
        hide_legend: is_chart.then_some(keys.len() < 2),
        key_type: is_chart.then_some("string"),
        keys,
        observed_time: span(period.begins(now), now),
        period: period.word,
        tile_id: tile.id(),
        valid_time: span(now, Moment::from_seconds(now.seconds().saturating_add(FRESH))),
    }
}

/// The data of [`Tile::Quota`].
#[must_use]
pub fn quota(health: &Health, period: Period, now: Moment) -> TileData {
    let metric = |label, value| Metric { icon: "warning", label, value, value_unit: "integer" };
    let left = health.hourly_budget.saturating_sub(health.used);
    let metrics = vec![
        metric("Calls this hour", health.used),
        metric("Calls left this hour", left),
        metric("Calls an hour", health.hourly_budget),
    ];
    framed(Tile::Quota, period, now, Data::Metrics(metrics), Vec::new())
}

/// The data of [`Tile::Lookups`].
#[must_use]
pub fn lookups(counts: [Counts; ObservableType::ALL.len()], period: Period, now: Moment) -> TileData {
    let bar = |(kind, counts): (ObservableType, Counts)| {
        let Counts { known, unknown, failed } = counts;
        let value = known.saturating_add(unknown).saturating_add(failed);
        let part = |key, value| Part { key, value };
        (value > 0).then(|| Bar {
            key: kind.as_str().to_owned(),
            label: kind.as_str().to_owned(),
            value,
            values: vec![part("known", known), part("unknown", unknown), part("failed", failed)],
        })
    };
    let bars = ObservableType::ALL.into_iter().zip(counts).filter_map(bar).collect();
    let keys = vec![
        Key { key: "known", label: "In a pulse" },
        Key { key: "unknown", label: "In no pulse" },
        Key { key: "failed", label: "Not answered" },
    ];
    framed(Tile::Lookups, period, now, Data::Bars(bars), keys)
}

/// The data of [`Tile::Pulses`]; links lead to the site `web` (without a slash at its end).
#[must_use]
pub fn pulses(seen: &[Seen], web: &str, period: Period, now: Moment) -> TileData {
    let row = |Seen { at, id, name, author, .. }: &Seen| {
        let name = if name.is_empty() { id } else { name };
        let id = utf8_percent_encode(id, NON_ALPHANUMERIC);
        format!("| {} | {} | [{}]({web}/pulse/{id}) |", at.to_rfc3339(), plain(author), plain(name))
    };
    let mut lines = Vec::new();
    if seen.is_empty() {
        lines.push("No look-up led to a pulse.".to_owned());
    } else {
        lines.extend(["| Looked up | Author | Pulse |".to_owned(), "| --- | --- | --- |".to_owned()]);
        lines.extend(seen.iter().take(ROWS).map(row));
    }
    framed(Tile::Pulses, period, now, Data::Lines(lines), Vec::new())
}

/// The data of [`Tile::Malware`].
#[must_use]
pub fn malware(seen: &[Seen], period: Period, now: Moment) -> TileData {
    let mut families: Vec<(&str, u32)> = Vec::new();
    for name in seen.iter().flat_map(|seen| &seen.malware) {
        match families.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, count)) => *count += 1,
            None => families.push((name, 1)),
        }
    }
    families.sort_by(|(one, ones), (other, others)| others.cmp(ones).then_with(|| one.cmp(other)));
    let bar = |(name, value): (&str, u32)| Bar {
        key: name.to_owned(),
        label: name.to_owned(),
        value,
        values: vec![Part { key: "pulses", value }],
    };
    let bars = families.into_iter().take(ROWS).map(bar).collect();
    framed(Tile::Malware, period, now, Data::Bars(bars), vec![Key { key: "pulses", label: "Pulses" }])
}

/// A text that Markdown takes for nothing else.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if "\\`*_[]()<>|~#!&".contains(character) {
            plain.push('\\');
        }
        plain.push(if character.is_control() { ' ' } else { character });
    }
    plain
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::*;

    fn seen(id: &str, name: &str, malware: &[&str]) -> Seen {
        let malware = malware.iter().map(|name| (*name).to_owned()).collect();
        Seen {
            at: Moment::from_seconds(1_700_000_000),
            id: id.into(),
            name: name.into(),
            author: "rose".into(),
            malware,
        }
    }

    #[test]
    fn what_authors_write_is_text_in_the_table() {
        let now = Moment::from_seconds(1_700_003_600);
        let tile = pulses(&[seen("a/b", "x | [y](javascript:z) <b>", &[])], "https://otx.example", LAST_DAY, now);
        assert_eq!(
            serde_json::to_value(&tile).unwrap()["data"][2],
            "| 2023-11-14T22:13:20Z | rose | [x \\| \\[y\\]\\(javascript:z\\) \\<b\\>](https://otx.example/pulse/a%2Fb) |"
        );
    }

    #[test]
    fn malware_is_counted_by_pulse_whatever_its_case_the_most_named_first() {
        let seen = [seen("1", "", &["Slate", "Zed"]), seen("2", "", &["SLATE"]), seen("3", "", &["Alpha"])];
        let tile = malware(&seen, LAST_DAY, Moment::from_seconds(1_700_003_600));
        let value = serde_json::to_value(&tile).unwrap();
        let bars: Vec<_> =
            value["data"].as_array().unwrap().iter().map(|bar| (&bar["label"], &bar["value"])).collect();
        assert_eq!(bars, [(&"Slate".into(), &2.into()), (&"Alpha".into(), &1.into()), (&"Zed".into(), &1.into())]);
    }

    #[test]
    fn every_tile_is_found_by_its_id_and_has_its_usual_period() {
        for tile in Tile::ALL {
            assert_eq!(Tile::find(tile.id()), Some(tile));
            assert_eq!(tile.describe().default_period, tile.periods()[0].word);
        }
        assert_eq!(Tile::find("OTX-QUOTA"), None);
    }
}
