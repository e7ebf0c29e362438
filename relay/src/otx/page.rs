//! Reading a page of rows as it arrives: an object with one long array in it (`results` of a listing, `indicators` of a
//! pulse). Rows leave as soon as they are complete, so a page is never held whole; what is not JSON, or ends early, is
//! an error.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::lenient::{Number, Object, Text};
use super::row::{self, Plain, Tail};

/// Longest single element or key that is buffered; a real row has about 335 bytes.
const LONGEST_ELEMENT: usize = 256 * 1024;

/// One row of a listing.
#[derive(Default, Deserialize)]
pub(super) struct WireRow<'a> {
    #[serde(default)]
    pub(super) id: Number,
    #[serde(default, borrow)]
    pub(super) indicator: Text<'a>,
    #[serde(default, borrow, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(default, borrow)]
    pub(super) created: Text<'a>,
    #[serde(default, borrow)]
    pub(super) expiration: Text<'a>,
}

/// What a page says beside its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PageHead {
    /// Rows of the whole listing.
    pub(super) count: Option<u64>,
    /// `next` names a further page.
    pub(super) has_next: bool,
    /// Elements of this page's array, also those that were no rows.
    pub(super) elements: usize,
}

/// The page is not an object of the expected form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Where in the page the reader stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before `{`.
    Start,
    /// Before a key or `}`.
    Key,
    /// Between `key:` and the value of a key that is of no use, or of use here.
    Value(Field),
    /// Inside the array.
    Rows,
    /// After the closing `}`.
    End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Rows,
    Count,
    Next,
    Other,
}

/// The reader; feed it chunks, then ask for the head.
pub(super) struct PageReader {
    array: &'static str,
    place: Place,
    buffer: Vec<u8>,
    head: PageHead,
    saw_array: bool,
    tail: Tail,
}

impl PageReader {
    /// A reader of pages whose rows stand in `array`.
    pub(super) fn new(array: &'static str) -> Self {
        Self {
            array,
            place: Place::Start,
            buffer: Vec::new(),
            head: PageHead::default(),
            saw_array: false,
            tail: Tail::default(),
        }
    }

    /// Takes the next bytes and hands out the rows they complete.
    pub(super) fn feed(&mut self, chunk: &[u8], on_row: &mut impl FnMut(&WireRow<'_>)) -> Result<(), Malformed> {
        self.buffer.extend_from_slice(chunk);
        // An element that is not complete yet is read again from its start. Only a closing brace can complete a row,
        // which keeps a slow drip of bytes from being read again and again.
        if self.place == Place::Rows && memchr::memchr2(b'}', b']', chunk).is_none() {
            return self.check_length();
        }
        let buffer = std::mem::take(&mut self.buffer);
        let mut position = 0;
        while let Some(used) = self.step(&buffer[position..], on_row)? {
            position += used;
        }
        self.buffer = buffer;
        self.buffer.drain(..position);
        self.check_length()
    }

    /// The head of a page that is complete.
    pub(super) fn finish(self) -> Result<PageHead, Malformed> {
        let complete = self.place == Place::End && self.saw_array && self.buffer.iter().all(u8::is_ascii_whitespace);
        if complete { Ok(self.head) } else { Err(Malformed) }
    }

    fn check_length(&self) -> Result<(), Malformed> {
        if self.buffer.len() > LONGEST_ELEMENT { Err(Malformed) } else { Ok(()) }
    }

    /// Reads one token's worth from `rest`; `None` when more bytes are needed (or nothing is left to read).
    fn step(&mut self, rest: &[u8], on_row: &mut impl FnMut(&WireRow<'_>)) -> Result<Option<usize>, Malformed> {
        let Some(blank) = rest.iter().position(|byte| !byte.is_ascii_whitespace()) else { return Ok(None) };
        let (first, rest) = (rest[blank], &rest[blank..]);
        let used = match (self.place, first) {
            (Place::Start, b'{') | (Place::Rows, b']') => {
                self.place = Place::Key;
                1
            }
            (Place::Key | Place::Rows, b',') => 1,
            (Place::Key, b'}') => {
                self.place = Place::End;
                1
            }
            (Place::Key, b'"') => {
                let Some((key, length)) = take::<Text<'_>>(rest)? else { return Ok(None) };
                let Some(colon) = rest[length..].iter().position(|byte| !byte.is_ascii_whitespace()) else {
                    return Ok(None);
                };
                if rest[length + colon] != b':' {
                    return Err(Malformed);
                }
                self.place = Place::Value(match key.0.as_deref() {
                    Some(key) if key == self.array => Field::Rows,
                    Some("count") => Field::Count,
                    Some("next") => Field::Next,
                    _ => Field::Other,
                });
                length + colon + 1
            }
            (Place::Value(Field::Rows), b'[') => {
                self.saw_array = true;
                self.place = Place::Rows;
                1
            }
            (Place::Value(field), _) => {
                let Some(length) = self.take_field(field, rest)? else { return Ok(None) };
                self.place = Place::Key;
                length
            }
            (Place::Rows, _) => {
                let Some((row, length)) = take_row(rest, &mut self.tail)? else { return Ok(None) };
                self.head.elements += 1;
                if let Some(row) = row {
                    on_row(&row);
                }
                length
            }
            _ => return Err(Malformed),
        };
        Ok(Some(blank + used))
    }

    fn take_field(&mut self, field: Field, rest: &[u8]) -> Result<Option<usize>, Malformed> {
        Ok(match field {
            Field::Count => take::<Number>(rest)?.map(|(count, length)| {
                self.head.count = count.0;
                length
            }),
            Field::Next => take::<Text<'_>>(rest)?.map(|(next, length)| {
                self.head.has_next = next.0.is_some_and(|next| !next.is_empty());
                length
            }),
            Field::Rows | Field::Other => take::<IgnoredAny>(rest)?.map(|(_, length)| length),
        })
    }
}

/// Reads one element of the array; the row is absent when the element has no row's form.
fn take_row<'a>(rest: &'a [u8], tail: &mut Tail) -> Result<Option<(Option<WireRow<'a>>, usize)>, Malformed> {
    if rest.starts_with(b"{") {
        match row::read(rest, tail) {
            Plain::Row(row, length) => return Ok(Some((Some(row), length))),
            Plain::Incomplete => return Ok(None),
            Plain::Other => {}
        }
    }
    match take::<Object<WireRow<'_>>>(rest) {
        Ok(element) => Ok(element.map(|(row, length)| (row.0, length))),
        // JSON, but of a form that no row has (a key twice, a number beyond all bounds): only that row is lost.
        Err(Malformed) => Ok(take::<IgnoredAny>(rest)?.map(|(_, length)| (None, length))),
    }
}

/// Reads one JSON value from the start of `bytes`; `None` when it is not complete yet.
fn take<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<Option<(T, usize)>, Malformed> {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<T>();
    match values.next() {
        Some(Ok(value)) => {
            let length = values.byte_offset();
            // A number or word at the very end may go on in the next chunk.
            let self_delimiting = matches!(bytes[length - 1], b'}' | b']' | b'"');
            Ok((self_delimiting || length < bytes.len()).then_some((value, length)))
        }
        Some(Err(error)) if error.is_eof() => Ok(None),
        Some(Err(_)) => Err(Malformed),
        None => Ok(None),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::*;

    fn read(array: &'static str, body: &[u8], chunk: usize) -> Result<(Vec<String>, PageHead), Malformed> {
        let mut reader = PageReader::new(array);
        let mut rows = Vec::new();
        for chunk in body.chunks(chunk) {
            reader.feed(chunk, &mut |row| rows.push(row.indicator.0.as_deref().unwrap_or("-").to_owned()))?;
        }
        reader.finish().map(|head| (rows, head))
    }

    #[test]
    fn rows_are_the_same_however_the_bytes_are_cut() {
        let body = br#" {"results": [{"id": 1, "indicator": "a\"}{]\u00e9", "x": [{"y": "]"}]}, null, 7,
            {"indicator": 12}, {"id": "3"}] , "count": 30, "previous": null, "next": "http://otx.example/?page=2"} "#;
        for chunk in 1..body.len() {
            let (rows, head) = read("results", body, chunk).unwrap();
            assert_eq!(rows, ["a\"}{]é", "12", "-"], "chunks of {chunk}");
            assert_eq!(head, PageHead { count: Some(30), has_next: true, elements: 5 }, "chunks of {chunk}");
        }
    }

    #[test]
    fn the_array_may_stand_anywhere_in_the_object() {
        let body =
            br#"{"count": 1, "next": null, "name": "]}", "indicators": [{"indicator": "b"}], "z": {"results": []}}"#;
        let (rows, head) = read("indicators", body, 7).unwrap();
        assert_eq!((rows.as_slice(), head.has_next), (&["b".to_owned()][..], false));
    }

    #[test]
    fn a_row_that_cannot_be_read_spoils_only_itself() {
        let body = br#"{"results": [{"indicator": "a"}, {"indicator": "\ud83d"}, {"id": 1e999}, {"id": 1, "id": "2"},
            {"indicator": "b"}]}"#;
        for chunk in 1..body.len() {
            let (rows, head) = read("results", body, chunk).unwrap();
            assert_eq!((rows.join(" ").as_str(), head.elements), ("a b", 5), "chunks of {chunk}");
        }
    }

    #[test]
    fn what_is_not_a_complete_page_is_an_error() {
        for body in [
            "",
            "null",
            "[]",
            "{}",
            "{\"results\": null}",
            "{\"results\": [",
            "{\"results\": [{\"id\": 1}",
            "<html>",
            "{\"results\": [{]}",
            "{\"results\": []",
            "{\"results\": []} x",
            "{\"results\" []}",
        ] {
            assert_eq!(read("results", body.as_bytes(), 3).err(), Some(Malformed), "{body}");
        }
    }

    #[test]
    fn an_element_without_end_is_refused_before_it_is_held() {
        let mut body = br#"{"results": [{"indicator": ""#.to_vec();
        body.resize(LONGEST_ELEMENT * 2, b'a');
        let mut reader = PageReader::new("results");
        let refused = body.chunks(4096).position(|chunk| reader.feed(chunk, &mut |_| ()).is_err()).unwrap();
        assert!(refused * 4096 <= LONGEST_ELEMENT + 4096, "held {refused} chunks");
    }
}
