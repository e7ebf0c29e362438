//! One row of a listing, read in place: a pulse has up to hundreds of thousands of them, and of their twelve values five
//! matter. This reads the plain form that OTX writes, an object without escapes in what matters, and leaves every other
//! form to the general parser.

use std::borrow::Cow;

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

/// Reads the row at the start of `bytes`, which begin with `{`.
pub(super) fn read(bytes: &[u8]) -> Plain<'_> {
    let mut cursor = Cursor { bytes, at: 1 };
    match cursor.row() {
        Ok(row) => Plain::Row(row, cursor.at),
        Err(Stop::Incomplete) => Plain::Incomplete,
        Err(Stop::Other) => Plain::Other,
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn row(&mut self) -> Read<WireRow<'a>> {
        let mut row = WireRow::default();
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
                (b"indicator", b'"') => row.indicator = self.text()?,
                (b"type", b'"') => row.kind = self.text()?,
                (b"created", b'"') => row.created = self.text()?,
                (b"expiration", b'"') => row.expiration = self.text()?,
                (b"id", b'0'..=b'9') => row.id = self.number()?,
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
                    return Ok(row);
                }
                _ => return Err(Stop::Other),
            }
        }
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
        let Plain::Row(row, length) = read(REAL.as_bytes()) else { unreachable!("not plain") };
        assert_eq!(&REAL[length..], ", {");
        assert_eq!((row.id.0, row.indicator.0.as_deref()), (Some(361_850), Some("webserver.evil.example")));
        assert_eq!(Row::of(&row), general(REAL));
        for text in [
            r#"{"id":7,"indicator":"b","expiration":"2026-01-01T00:00:00","type":"IPv4","created":null}"#,
            r#"{"indicator":"b","id":0}"#,
            "{}",
        ] {
            let Plain::Row(row, length) = read(text.as_bytes()) else { unreachable!("not plain: {text}") };
            assert_eq!((Row::of(&row), length), (general(text), text.len()), "{text}");
        }
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
        let Plain::Row(_, length) = read(REAL.as_bytes()) else { unreachable!("not plain") };
        for end in 1..length {
            assert!(matches!(read(&REAL.as_bytes()[..end]), Plain::Incomplete), "{}", &REAL[..end]);
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
            assert!(matches!(read(text.as_bytes()), Plain::Other), "{text}");
        }
        let invalid = [b"{\"indicator\":\"".as_slice(), &[0xff], b"\"}"].concat();
        assert!(matches!(read(&invalid), Plain::Other));
    }
}
