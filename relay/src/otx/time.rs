//! OTX's times: zone-less UTC in several shapes, kept as whole seconds since 1970.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};

/// Whole seconds since 1970-01-01T00:00:00Z, up to the year 2106; later moments are held as the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Moment(u32);

/// Seconds of a day.
const DAY: u32 = 86_400;

impl Moment {
    /// Reads a time as OTX writes it: `2025-07-07T01:21:00`, with a fraction of any length, with `Z` or an offset, or
    /// a date alone. `None` for anything else and for times before 1970.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let seconds = whole_seconds(text.as_bytes()).or_else(|| any_shape(text.trim()))?;
        u64::try_from(seconds).ok().map(|seconds| Self(u32::try_from(seconds).unwrap_or(u32::MAX)))
    }

    /// What the system's clock says.
    #[must_use]
    pub fn now() -> Self {
        Self(u32::try_from(Timestamp::now().as_second()).unwrap_or_default())
    }

    /// The same time so many days later, or the last moment that can be held.
    #[must_use]
    pub const fn plus_days(self, days: u32) -> Self {
        Self(self.0.saturating_add(days.saturating_mul(DAY)))
    }

    /// The midnight before it.
    #[must_use]
    pub const fn midnight(self) -> Self {
        Self(self.0 - self.0 % DAY)
    }

    /// From seconds since 1970.
    #[must_use]
    pub const fn from_seconds(seconds: u32) -> Self {
        Self(seconds)
    }

    /// Seconds since 1970.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.0
    }

    /// `2025-07-07T01:21:00Z`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        Timestamp::from_second(i64::from(self.0)).map_or_else(|_| String::new(), |moment| moment.to_string())
    }
}

fn any_shape(text: &str) -> Option<i64> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment.as_second());
    }
    let civil = text.parse::<DateTime>().ok().or_else(|| text.parse::<Date>().ok().map(DateTime::from))?;
    Some(Offset::UTC.to_timestamp(civil).ok()?.as_second())
}

/// The shape of every row of a listing, `YYYY-MM-DDThh:mm:ss`, read without a general parser: a pulse has up to
/// hundreds of thousands of them.
fn whole_seconds(text: &[u8]) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', mo1, mo2, b'-', d1, d2, b'T', h1, h2, b':', mi1, mi2, b':', s1, s2] = *text else {
        return None;
    };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_i64, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
    };
    let (year, month, day) = (number(&[y1, y2, y3, y4])?, number(&[mo1, mo2])?, number(&[d1, d2])?);
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[mi1, mi2])?, number(&[s1, s2])?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => return None,
    };
    if !(1..=longest).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Days from the civil date, counting years from March (H. Hinnant's days_from_civil).
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::*;

    fn normal(text: &str) -> Option<String> {
        Moment::parse(text).map(Moment::to_rfc3339)
    }

    #[test]
    fn every_shape_that_otx_uses_is_the_same_moment() {
        for text in [
            "2016-04-27T05:31:07",
            "2016-04-27T05:31:07.423000",
            "2016-04-27T05:31:07.888",
            "2016-04-27T05:31:07Z",
            "2016-04-27T07:31:07+02:00",
            "2016-04-27 05:31:07",
        ] {
            assert_eq!(normal(text).as_deref(), Some("2016-04-27T05:31:07Z"), "{text}");
        }
        assert_eq!(normal("2030-01-01").as_deref(), Some("2030-01-01T00:00:00Z"));
    }

    #[test]
    fn the_fast_reader_agrees_with_the_general_one() {
        for days in 0..49_000_i64 {
            let seconds = days * 86_400 + (days * 7919) % 86_400;
            let text = Timestamp::from_second(seconds).unwrap().to_string();
            let text = text.trim_end_matches('Z');
            assert_eq!(whole_seconds(text.as_bytes()), any_shape(text), "{text}");
        }
    }

    #[test]
    fn days_are_counted_and_begin_at_midnight() {
        let moment = Moment::parse("2024-02-28T13:14:15").unwrap();
        assert_eq!(moment.midnight().to_rfc3339(), "2024-02-28T00:00:00Z");
        assert_eq!(moment.plus_days(2).to_rfc3339(), "2024-03-01T13:14:15Z");
        assert_eq!(Moment::from_seconds(u32::MAX).plus_days(1), Moment::from_seconds(u32::MAX));
    }

    #[test]
    fn what_is_no_time_is_absent() {
        for text in ["", "null", "yesterday", "2016-13-01T00:00:00", "2015-02-29T00:00:00", "1969-12-31T23:59:59"] {
            assert_eq!(normal(text), None, "{text}");
        }
    }

    #[test]
    fn times_past_2106_are_held_as_the_last_moment() {
        assert_eq!(Moment::parse("2525-01-01T00:00:00"), Some(Moment::from_seconds(u32::MAX)));
    }
}
