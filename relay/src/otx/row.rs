//! One row of a listing, read in place: a pulse has up to hundreds of thousands of them, and of their twelve values five
//! matter. This reads the plain form that OTX writes, an object without escapes in what matters, and leaves every other
//! form to the general parser.

use std::borrow::Cow;
use std::ops::Range;

use super::lenient::{Number, Text};
use super::page::WireRow;

/// What stands at the start of some bytes.
pub(super) enum Plain<'a> {
    /// A row in the plain form, and its length.
    Row(WireRow<'a>, usize),
    /// The beginning of one.
    Incomplete,
    /// Something that the general parser must judge.
    Other,
}

/// Why reading stopped before the end of the object.
enum Stop {
    Incomplete,
    Other,
}

type Read<T> = Result<T, Stop>;

/// What stood behind `created` in the row before. Most rows of a page end in the same bytes (no title, no description, no
/// expiration, the same slug), so most ends are compared instead of read.
#[derive(Default)]
pub(super) struct Tail {
    /// Up to and with the closing brace; empty when there is none to compare with.
    bytes: Vec<u8>,
    /// Where in it the text of `expiration` stands, if it is a text.
    expiration: Option<Range<usize>>,
}

/// Longer ends are hardly ever repeated.
const LONGEST_TAIL: usize = 1024;

/// Reads the row at the start of `bytes`, which begin with `{`.
pub(super) fn read<'a>(bytes: &'a [u8], tail: &mut Tail) -> Plain<'a> {
    let mut cursor = Cursor { bytes, at: 1 };
    match cursor.row(tail) {
        Ok(row) => Plain::Row(row, cursor.at),
        Err(Stop::Incomplete) => Plain::Incomplete,
        Err(Stop::Other) => Plain::Other,
    }
}

impl Tail {
    /// Remembers an end that begins at `start` of the row.
    fn keep(&mut self, bytes: &[u8], start: usize, expiration: Option<Range<usize>>) {
        self.bytes.clear();
        // An expiration that stands before `created` is no part of the end.
        self.expiration =
            expiration.filter(|place| place.start >= start).map(|place| place.start - start..place.end - start);
        if bytes.len() <= LONGEST_TAIL {
            self.bytes.extend_from_slice(bytes);
        }
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn row(&mut self, tail: &mut Tail) -> Read<WireRow<'a>> {
        let mut row = WireRow::default();
        let mut after_created = None;
        let mut expiration = None;
        if self.token()? == b'}' {
            self.at += 1;
            return Ok(row);
        }
        loop {
            if self.token()? != b'"' {
                return Err(Stop::Other);
            }
            let key = self.plain_string()?;
            if self.token()? != b':' {
                return Err(Stop::Other);
            }
            self.at += 1;
            let first = self.token()?;
            match (key, first) {
                (b"indicator", b'"') => {
                    row.indicator = self.text()?;
                    after_created = None;
                }
                (b"type", b'"') => {
                    row.kind = self.text()?;
                    after_created = None;
                }
                (b"id", b'0'..=b'9') => {
                    row.id = self.number()?;
                    after_created = None;
                }
                (b"created", b'"') => {
                    row.created = self.text()?;
                    if self.ends_like(tail, &mut row)? {
                        return Ok(row);
                    }
                    after_created = Some(self.at);
                }
                (b"expiration", b'"') => {
                    let start = self.at + 1;
                    row.expiration = self.text()?;
                    expiration = Some(start..self.at - 1);
                }
                // Of another type than OTX gives them.
                (b"indicator" | b"type" | b"created" | b"expiration" | b"id", b'n') => self.word()?,
                (b"indicator" | b"type" | b"created" | b"expiration" | b"id", _) => return Err(Stop::Other),
                (_, b'"') => self.skip_string()?,
                (_, b'{' | b'[') => self.skip_nested()?,
                _ => self.word()?,
            }
            match self.token()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    if let Some(start) = after_created {
                        tail.keep(&self.bytes[start..self.at], start, expiration);
                    }
                    return Ok(row);
                }
                _ => return Err(Stop::Other),
            }
        }
    }

    /// Whether the rest of the row is the end of the row before; then it is read.
    fn ends_like(&mut self, tail: &Tail, row: &mut WireRow<'a>) -> Read<bool> {
        let rest = self.bytes.get(self.at..).ok_or(Stop::Incomplete)?;
        if tail.bytes.is_empty() || !rest.starts_with(&tail.bytes) {
            return Ok(false);
        }
        if let Some(expiration) = tail.expiration.clone().and_then(|place| rest.get(place)) {
            row.expiration = Text(Some(Cow::Borrowed(std::str::from_utf8(expiration).map_err(|_| Stop::Other)?)));
        }
        self.at += tail.bytes.len();
        Ok(true)
    }

    /// The next byte that is not blank; the cursor stays before it.
    fn token(&mut self) -> Read<u8> {
        while let Some(byte) = self.bytes.get(self.at) {
            if *byte > b' ' {
                return Ok(*byte);
            }
            if !byte.is_ascii_whitespace() {
                return Err(Stop::Other);
            }
            self.at += 1;
        }
        Err(Stop::Incomplete)
    }

    /// The bytes of a string without escapes.
    fn plain_string(&mut self) -> Read<&'a [u8]> {
        let start = self.at + 1;
        let rest = self.bytes.get(start..).ok_or(Stop::Incomplete)?;
        let length = quote_or_backslash(rest).ok_or(Stop::Incomplete)?;
        if rest[length] == b'\\' {
            return Err(Stop::Other);
        }
        self.at = start + length + 1;
        Ok(&rest[..length])
    }

    fn text(&mut self) -> Read<Text<'a>> {
        let string = self.plain_string()?;
        // Control characters are no JSON. Without an early end this becomes vector instructions.
        if string.iter().fold(0, |found, byte| found | u8::from(*byte < b' ')) != 0 {
            return Err(Stop::Other);
        }
        let string = std::str::from_utf8(string).map_err(|_| Stop::Other)?;
        Ok(Text(Some(Cow::Borrowed(string))))
    }

    fn number(&mut self) -> Read<Number> {
        let digits = self.scalar()?;
        let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(Stop::Other)?;
        // JSON knows no leading zeros.
        if digits.len() > 1 && digits.starts_with(b"0") { Err(Stop::Other) } else { Ok(Number(Some(number))) }
    }

    /// Skips `null`, `true`, `false` or a whole number.
    fn word(&mut self) -> Read<()> {
        match self.scalar()? {
            b"null" | b"true" | b"false" | b"0" => Ok(()),
            [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit) => Ok(()),
            _ => Err(Stop::Other),
        }
    }

    /// The bytes up to the end of a number or word.
    fn scalar(&mut self) -> Read<&'a [u8]> {
        let rest = self.bytes.get(self.at..).ok_or(Stop::Incomplete)?;
        let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
        let length = rest.iter().position(ends).ok_or(Stop::Incomplete)?;
        self.at += length;
        Ok(&rest[..length])
    }

    fn skip_string(&mut self) -> Read<()> {
        self.at += 1;
        loop {
            let rest = self.bytes.get(self.at..).ok_or(Stop::Incomplete)?;
            let next = quote_or_backslash(rest).ok_or(Stop::Incomplete)?;
            if rest[next] == b'"' {
                self.at += next + 1;
                return Ok(());
            }
            self.at += next + 2;
        }
    }

    /// Skips an object or array of at most a few levels.
    fn skip_nested(&mut self) -> Read<()> {
        let mut open = [0_u8; 8];
        let mut depth = 0;
        loop {
            match self.token()? {
                b'"' => {
                    self.skip_string()?;
                    continue;
                }
                byte @ (b'{' | b'[') => {
                    *open.get_mut(depth).ok_or(Stop::Other)? = byte;
                    depth += 1;
                }
                byte @ (b'}' | b']') => {
                    depth -= 1;
                    // ASCII: the closing bracket is two after the opening one.
                    if open[depth] + 2 != byte {
                        return Err(Stop::Other);
                    }
                    if depth == 0 {
                        self.at += 1;
                        return Ok(());
                    }
                }
                _ => {}
            }
            self.at += 1;
        }
    }
}

/// The place of the first `"` or `\\`, eight bytes at a time: the strings of a row are too short for a call to a vector
/// search to pay.
fn quote_or_backslash(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);
    // Marks, in its high bit, each byte that is zero; the lowest mark is always right.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let place = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    Some(words.len() * 8 + place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otx::listing::Row;

    const REAL: &str = r#"{
   "pulse_key": "57204e9b3c4c3e015d93cb12", "id": 361850, "indicator": "webserver.evil.example", "type": "hostname",
   "created": "2016-04-27T05:31:07", "content": "a\"}{\\", "title": "\u00e9é", "description": "", "expiration": null,
   "is_active": 1, "false_positive": {"assessment": null, "x": ["}", {"y": []}]}, "slug":"hostname" }, {"#;

    fn general(bytes: &str) -> Option<Row> {
        let mut values = serde_json::Deserializer::from_str(bytes).into_iter::<WireRow<'_>>();
        Row::of(&values.next()?.ok()?)
    }

    #[test]
    fn a_row_reads_as_the_general_parser_reads_it() {
        let Plain::Row(row, length) = read(REAL.as_bytes(), &mut Tail::default()) else { unreachable!("not plain") };
        assert_eq!(&REAL[length..], ", {");
        assert_eq!((row.id.0, row.indicator.0.as_deref()), (Some(361_850), Some("webserver.evil.example")));
        assert_eq!(Row::of(&row), general(REAL));
        for text in [
            r#"{"id":7,"indicator":"b","expiration":"2026-01-01T00:00:00","type":"IPv4","created":null}"#,
            r#"{"indicator":"b","id":0}"#,
            "{}",
        ] {
            let Plain::Row(row, length) = read(text.as_bytes(), &mut Tail::default()) else {
                unreachable!("not plain: {text}")
            };
            assert_eq!((Row::of(&row), length), (general(text), text.len()), "{text}");
        }
    }

    #[test]
    fn rows_that_follow_one_another_read_as_the_general_parser_reads_them() {
        let starts = [
            r#"{"id": 1, "indicator": "a.example", "type": "domain", "created": "2024-01-01T00:00:00""#,
            r#"{"id": 2, "indicator": "192.0.2.1", "type": "IPv4", "created": "2024-02-02T00:00:00""#,
            r#"{"x": "2029-01-01T00:00:00", "id": 3, "indicator": "x", "created": "2024-03-03T00:00:00""#,
            r#"{"created": "2024-04-04T00:00:00""#,
            r#"{"created": "2024-05-05T00:00:00", "id": 5, "indicator": "b.example", "type": "domain""#,
        ];
        let ends = [
            r#", "expiration": null, "is_active": 1}"#,
            r#", "expiration": "2026-01-01T00:00:00", "slug": "ip"}"#,
            r#", "expiration": "2027-01-01T00:00:00", "slug": "ip"}"#,
            r#", "false_positive": {"id": 9, "expiration": "2028-01-01T00:00:00"}}"#,
            "}",
        ];
        let mut tail = Tail::default();
        let mut compared = 0;
        // Every pair of rows, one after the other.
        for before in 0..starts.len() * ends.len() {
            for row in 0..starts.len() * ends.len() {
                for row in [before, row, row] {
                    let text = format!("{}{}", starts[row / ends.len()], ends[row % ends.len()]);
                    let likely = text.ends_with(std::str::from_utf8(&tail.bytes).unwrap_or("-"));
                    compared += usize::from(likely && !tail.bytes.is_empty());
                    let Plain::Row(read, length) = read(text.as_bytes(), &mut tail) else { unreachable!("{text}") };
                    assert_eq!((Row::of(&read), length), (general(&text), text.len()), "{text}");
                }
            }
        }
        assert!(compared > 300, "only {compared} ends were compared");
    }

    #[test]
    fn the_first_quote_or_backslash_is_found_wherever_it_stands() {
        for length in 0..40 {
            for place in 0..=length {
                for mark in [b'"', b'\\'] {
                    let mut bytes = vec![b'#'; length];
                    bytes.extend([b'"'; 3]);
                    bytes[place] = mark;
                    assert_eq!(quote_or_backslash(&bytes), Some(place), "{length} {place}");
                }
            }
            assert_eq!(quote_or_backslash(&vec![0xa2; length]), None);
        }
    }

    #[test]
    fn every_beginning_of_a_row_is_incomplete() {
        let Plain::Row(_, length) = read(REAL.as_bytes(), &mut Tail::default()) else { unreachable!("not plain") };
        for end in 1..length {
            assert!(
                matches!(read(&REAL.as_bytes()[..end], &mut Tail::default()), Plain::Incomplete),
                "{}",
                &REAL[..end]
            );
        }
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_general_parser() {
        for text in [
            r#"{"indicator":"a\u0041"}"#,
            r#"{"indic\u0061tor":"a"}"#,
            r#"{"id":"7"}"#,
            r#"{"id":007}"#,
            r#"{"id":-7}"#,
            r#"{"id":7.5}"#,
            r#"{"id":99999999999999999999}"#,
            r#"{"created":12}"#,
            r#"{"x":nul}"#,
            r#"{"x":1e5}"#,
            r#"{"x":[}]}"#,
            r#"{"x":[[[[[[[[[[]]]]]]]]]]}"#,
            r#"{"x" 1}"#,
            r#"{"x":1 "y":2}"#,
            "{x:1}",
            "{,}",
            "{\"indicator\":\"a\nb\"}",
        ] {
            assert!(matches!(read(text.as_bytes(), &mut Tail::default()), Plain::Other), "{text}");
        }
        let invalid = [b"{\"indicator\":\"".as_slice(), &[0xff], b"\"}"].concat();
        assert!(matches!(read(&invalid, &mut Tail::default()), Plain::Other));
    }
}
