//! A pulse's listing in compact form: which indicator is in it since when and until when. 24 bytes a row, found by
//! OTX's global id or by value; built row by row as pages arrive.

use std::borrow::Cow;
use std::hash::Hasher;
use std::net::Ipv6Addr;

use siphasher::sip::SipHasher13;

use super::page::WireRow;
use super::time::Moment;
use super::types::BaseIndicator;
use crate::observable::{Question, canonical_url};

/// Since when and until when a pulse holds an indicator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dates {
    /// When it was added; absent when OTX's text was no time.
    pub created: Option<Moment>,
    /// When it ceases to hold; absent when it does not.
    pub expiration: Option<Moment>,
}

impl Dates {
    /// It is held, nobody says since when.
    pub(super) const UNKNOWN: Self = Self { created: None, expiration: None };
}

/// The rows of one pulse.
#[derive(Debug, PartialEq, Eq)]
pub struct Listing {
    /// Sorted by id; rows without one (id 0) come first.
    rows: Box<[Row]>,
}

/// One row: 24 bytes. A time of 0 is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    id: u64,
    value: u64,
    created: u32,
    expiration: u32,
}

impl Row {
    pub(super) fn of(row: &WireRow<'_>) -> Option<Self> {
        let seconds = |text: Option<&str>| text.and_then(Moment::parse).map_or(0, Moment::seconds);
        Some(Self {
            id: row.id.0.unwrap_or(0),
            value: value_hash(&canonical_value(row.kind.0.as_deref(), row.indicator.0.as_deref()?)),
            created: seconds(row.created.0.as_deref()),
            expiration: seconds(row.expiration.0.as_deref()),
        })
    }

    /// A number that is hardly ever the same for different rows.
    pub(super) fn fingerprint(self) -> u64 {
        self.value ^ self.id.rotate_left(32) ^ u64::from(self.created)
    }

    fn from_bytes(bytes: &[u8; size_of::<Self>()]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk()?;
        let (value, rest) = rest.split_first_chunk()?;
        let (created, rest) = rest.split_first_chunk()?;
        Some(Self {
            id: u64::from_le_bytes(*id),
            value: u64::from_le_bytes(*value),
            created: u32::from_le_bytes(*created),
            expiration: u32::from_le_bytes(rest.try_into().ok()?),
        })
    }

    fn dates(self) -> Dates {
        let moment = |seconds: u32| (seconds != 0).then(|| Moment::from_seconds(seconds));
        Dates { created: moment(self.created), expiration: moment(self.expiration) }
    }
}

impl Listing {
    /// The listing of those rows, in any order. Of several rows of one indicator the newest counts, as it comes first
    /// in OTX's own order.
    pub(super) fn new(mut rows: Vec<Row>) -> Self {
        rows.sort_unstable_by(|one, other| {
            (one.id, other.created, one.value).cmp(&(other.id, one.created, other.value))
        });
        rows.dedup_by(|later, kept| kept.id != 0 && later.id == kept.id);
        Self { rows: rows.into_boxed_slice() }
    }

    /// The row of the asked indicator: by its global id, else by the value of OTX's own record (for a file maybe
    /// another hash of it), else by the asked value.
    #[must_use]
    pub fn find(&self, question: &Question, indicator: Option<&BaseIndicator>) -> Option<Dates> {
        let by_id = indicator.and_then(|indicator| indicator.id).filter(|id| *id != 0).and_then(|id| {
            self.rows.binary_search_by_key(&id, |row| row.id).ok().and_then(|index| self.rows.get(index))
        });
        let by_value = |value: &str| {
            let hash = value_hash(value);
            self.rows.iter().filter(|row| row.value == hash).max_by_key(|row| row.created)
        };
        by_id
            .or_else(|| {
                let record = indicator?;
                by_value(&canonical_value(record.kind.as_deref(), record.value.as_deref()?))
            })
            .or_else(|| by_value(&question_value(question)))
            .map(|row| row.dates())
    }

    /// Appends the rows, 24 bytes each.
    pub(super) fn write_bytes(&self, bytes: &mut Vec<u8>) {
        bytes.reserve(size_of_val(&*self.rows));
        for row in &self.rows {
            bytes.extend_from_slice(&row.id.to_le_bytes());
            bytes.extend_from_slice(&row.value.to_le_bytes());
            bytes.extend_from_slice(&row.created.to_le_bytes());
            bytes.extend_from_slice(&row.expiration.to_le_bytes());
        }
    }

    /// Reads what [`Self::write_bytes`] wrote; `None` for anything else.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (rows, rest) = bytes.as_chunks::<{ size_of::<Row>() }>();
        let rows: Option<Box<[Row]>> = rows.iter().map(Row::from_bytes).collect();
        rows.filter(|rows| rest.is_empty() && rows.is_sorted_by_key(|row| row.id)).map(|rows| Self { rows })
    }

    /// Bytes held, for the cache's bound.
    pub(super) fn weight(&self) -> usize {
        self.rows.len() * size_of::<Row>() + 128
    }
}

fn question_value(question: &Question) -> Cow<'_, str> {
    use crate::observable::Class;
    match question.class {
        Class::Url => root_path(&question.value),
        _ => Cow::Borrowed(&question.value),
    }
}

/// The one spelling of a row's value that a [`Question`] on it has too.
fn canonical_value<'a>(kind: Option<&str>, value: &'a str) -> Cow<'a, str> {
    let lower = |value: &'a str| {
        if value.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(value.to_ascii_lowercase())
        } else {
            Cow::Borrowed(value)
        }
    };
    match kind.unwrap_or_default() {
        "domain" | "hostname" if !value.is_ascii() => {
            idna::domain_to_ascii(value).map_or(Cow::Borrowed(value), Cow::Owned)
        }
        "domain" | "hostname" => lower(value.strip_suffix('.').unwrap_or(value)),
        "IPv6" => value.parse::<Ipv6Addr>().map_or(Cow::Borrowed(value), |address| Cow::Owned(address.to_string())),
        "URL" => match canonical_url(value) {
            Some(canonical) if canonical != value => Cow::Owned(root_path(&canonical).into_owned()),
            _ => root_path(value),
        },
        "FileHash-MD5" | "FileHash-SHA1" | "FileHash-SHA256" | "MD5" | "SHA1" | "SHA256" => lower(value),
        _ => Cow::Borrowed(value),
    }
}

/// `http://a.example` and `http://a.example/` are one URL (RFC 9110, 4.2.3).
fn root_path(url: &str) -> Cow<'_, str> {
    match url.split_once("://") {
        Some((_, rest)) if !rest.contains(['/', '?', '#']) => Cow::Owned(format!("{url}/")),
        _ => Cow::Borrowed(url),
    }
}

/// Stable across processes and versions: listings are shared between replicas. A collision could only change the date
/// of a match, as OTX itself names the pulses that hold an indicator.
fn value_hash(value: &str) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0x7468_7265_6174, 0x7265_6c61_7900);
    hasher.write(value.as_bytes());
    hasher.finish()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::*;
    use crate::observable::{Observable, ObservableType};

    fn listing(rows: &str) -> Listing {
        let rows: Vec<WireRow<'_>> = serde_json::from_str(rows).unwrap();
        Listing::new(rows.iter().filter_map(Row::of).collect())
    }

    fn found(listing: &Listing, kind: ObservableType, value: &str, id: Option<u64>) -> Option<String> {
        let question = Observable { kind, value: value.into() }.question().unwrap();
        let indicator = id.map(|id| BaseIndicator { id: Some(id), kind: None, value: None });
        let dates = listing.find(&question, indicator.as_ref())?;
        Some(dates.created.map_or_else(|| "undated".to_owned(), Moment::to_rfc3339))
    }

    #[test]
    fn a_row_takes_24_bytes() {
        assert_eq!(size_of::<Row>(), 24);
    }

    #[test]
    fn a_listing_comes_back_from_its_bytes_as_it_was() {
        let listing = listing(
            r#"[{"id": 5, "indicator": "192.0.2.1", "type": "IPv4", "created": "2024-01-02T03:04:05"},
                {"id": 2, "indicator": "192.0.2.2", "type": "IPv4", "expiration": "2025-01-02T00:00:00"}]"#,
        );
        let mut bytes = Vec::new();
        listing.write_bytes(&mut bytes);
        assert_eq!(bytes.len(), 48);
        assert_eq!(Listing::from_bytes(&bytes), Some(listing));
        assert_eq!(Listing::from_bytes(&bytes[..47]), None);
        bytes.rotate_left(24);
        assert_eq!(Listing::from_bytes(&bytes), None, "rows out of order are not searched");
    }

    #[test]
    fn rows_are_found_by_id_whatever_their_spelling() {
        let listing = listing(r#"[{"id": 5, "indicator": "odd", "created": "2024-01-02T03:04:05"}]"#);
        let created = Some("2024-01-02T03:04:05Z".to_owned());
        assert_eq!(found(&listing, ObservableType::Ip, "192.0.2.1", Some(5)), created);
        assert_eq!(found(&listing, ObservableType::Ip, "192.0.2.1", Some(6)), None);
    }

    #[test]
    fn rows_are_found_by_value_in_every_spelling() {
        use ObservableType::{Domain, Ip, Ipv6, Sha1, Url};
        for (kind, otx, row, asked) in [
            (Ip, "IPv4", "192.0.2.1", "192.0.2.1"),
            (Ipv6, "IPv6", "2001:db8:0:0:0:0:0:1", "2001:DB8::1"),
            (Domain, "domain", "EVIL.example.", "evil.example"),
            (Domain, "hostname", "bücher.evil.example", "xn--bcher-kva.evil.example"),
            (
                Sha1,
                "FileHash-SHA1",
                "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709",
                "da39a3ee5e6b4b0d3255bfef95601890afd80709",
            ),
            (Url, "URL", "HTTP://Evil.example/A", "http://EVIL.example/A"),
            (Url, "URL", "http://evil.example", "http://evil.example/"),
        ] {
            let rows =
                serde_json::json!([{"id": 1, "indicator": row, "type": otx, "created": "2024-01-02T03:04:05"}]);
            let listing = listing(&rows.to_string());
            assert!(found(&listing, kind, asked, None).is_some(), "{row} {asked}");
        }
        let listing = listing(r#"[{"indicator": "http://evil.example/A", "type": "URL"}]"#);
        assert_eq!(found(&listing, Url, "http://evil.example/a", None), None, "paths keep their case");
        assert_eq!(found(&listing, Url, "http://evil.example/A", None).as_deref(), Some("undated"));
    }

    #[test]
    fn the_newest_of_repeated_rows_counts() {
        let listing = listing(
            r#"[{"id": 9, "indicator": "192.0.2.1", "type": "IPv4", "created": "2024-01-01T00:00:00"},
                {"id": 9, "indicator": "192.0.2.1", "type": "IPv4", "created": "2024-03-01T00:00:00"},
                {"id": 9, "indicator": "192.0.2.1", "type": "IPv4", "created": "2024-02-01T00:00:00"}]"#,
        );
        assert_eq!(listing.rows.len(), 1);
        assert_eq!(
            found(&listing, ObservableType::Ip, "192.0.2.1", Some(9)).as_deref(),
            Some("2024-03-01T00:00:00Z")
        );
    }

    #[test]
    fn a_hash_is_found_under_the_other_hash_that_otx_filed_it_by() {
        let listing = listing(
            r#"[{"id": 3, "indicator": "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709", "type": "FileHash-SHA1"}]"#,
        );
        let question = Observable { kind: ObservableType::Md5, value: "d41d8cd98f00b204e9800998ecf8427e".into() };
        let record = BaseIndicator {
            id: None,
            kind: Some("FileHash-SHA1".into()),
            value: Some("da39a3ee5e6b4b0d3255bfef95601890afd80709".into()),
        };
        assert!(listing.find(&question.question().unwrap(), Some(&record)).is_some());
    }
}
