//! JSON as the original relay wrote it: ASCII only, `\u` escapes in lower case, compact with a final newline for
//! answers, with blanks after `,` and `:` inside error texts. Keys keep the order of the serialised type, so types
//! that stand in answers declare their fields alphabetically. Only a `Serialize` that itself fails can fail here.

use std::io;

use bytes::Bytes;
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// What is sent instead of a document whose `Serialize` failed, which no type of this crate does.
const UNWRITABLE: &[u8] =
    b"{\"errors\":[{\"code\":\"oops\",\"message\":\"Something went wrong.\",\"type\":\"fatal\"}]}\n";

/// The bytes of an answer: compact, ASCII, ended by a newline.
#[must_use]
pub fn to_canonical<T: Serialize + ?Sized>(value: &T) -> Bytes {
    match write(value, Ascii { after_item: b",", after_key: b":" }) {
        Ok(mut text) => {
            text.push(b'\n');
            text.into()
        }
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            Bytes::from_static(UNWRITABLE)
        }
    }
}

/// The text of Python's `json.dumps(value)`, as it stands inside the original's error messages.
#[must_use]
pub fn python_dumps<T: Serialize + ?Sized>(value: &T) -> String {
    write(value, Ascii { after_item: b", ", after_key: b": " })
        .ok()
        .and_then(|text| String::from_utf8(text).ok())
        .unwrap_or_default()
}

fn write<T: Serialize + ?Sized>(value: &T, form: Ascii) -> serde_json::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(2048);
    value.serialize(&mut Serializer::with_formatter(&mut text, form))?;
    Ok(text)
}

/// Escapes everything but printable ASCII and separates as told.
struct Ascii {
    after_item: &'static [u8],
    after_key: &'static [u8],
}

impl Formatter for Ascii {
    fn begin_array_value<W: io::Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(self.after_item) }
    }

    fn begin_object_key<W: io::Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(self.after_item) }
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(self.after_key)
    }

    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        if is_printable(fragment) {
            return out.write_all(fragment.as_bytes());
        }
        for character in fragment.chars() {
            if character < '\u{7f}' {
                out.write_all(character.encode_utf8(&mut [0; 4]).as_bytes())?;
            } else {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

/// Whether all of a fragment, which holds no control characters, is below U+007F. Has no early end, so that it is
/// compiled to vector instructions: most of an answer goes through here.
fn is_printable(fragment: &str) -> bool {
    fragment.bytes().fold(0, |bits, byte| bits | byte.wrapping_add(1)) < 0x80
}

/// Whether these bytes are an answer in the form of [`to_canonical`] with sorted keys at every level.
#[cfg(test)]
pub(crate) fn is_canonical(answer: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(answer).is_ok_and(|mut value| {
        value.sort_all_objects();
        to_canonical(&value) == answer
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_are_compact_and_end_with_a_newline() {
        assert_eq!(to_canonical(&json!({"a": [1, 2, {"b": null}]})), "{\"a\":[1,2,{\"b\":null}]}\n");
    }

    #[test]
    fn everything_but_printable_ascii_is_escaped_in_lower_case() {
        let text = "~ \u{7f} é \u{d7ff} \u{e000} \u{1f600} \u{1}\u{1f}\u{8}\u{c}\n\r\t\"\\/ end";
        let expected = concat!(
            "\"~ \\u007f \\u00e9 \\ud7ff \\ue000 \\ud83d\\ude00 ",
            "\\u0001\\u001f\\b\\f\\n\\r\\t\\\"\\\\/ end\"\n"
        );
        assert_eq!(to_canonical(text), expected);
    }

    #[test]
    fn keys_are_escaped_like_values() {
        assert_eq!(to_canonical(&json!({"é": "é"})), "{\"\\u00e9\":\"\\u00e9\"}\n");
    }

    #[test]
    fn the_dumps_form_has_blanks_and_no_newline() {
        assert_eq!(python_dumps(&json!({"0": ["a", "é"], "1": {}})), r#"{"0": ["a", "\u00e9"], "1": {}}"#);
    }

    #[test]
    fn a_failing_serialize_still_gives_an_answer() {
        let keyed_by_a_list = std::collections::BTreeMap::from([(vec![1], 1)]);
        assert_eq!(to_canonical(&keyed_by_a_list), UNWRITABLE);
        assert!(is_canonical(UNWRITABLE));
    }

    #[test]
    fn the_checker_refuses_blanks_raw_characters_unsorted_keys_and_a_missing_newline() {
        assert!(is_canonical(b"{\"a\":{\"b\":1,\"c\":2},\"d\":[]}\n"));
        for wrong in ["{\"a\": 1}\n", "\"é\"\n", "{\"b\":1,\"a\":2}\n", "[{\"b\":1,\"a\":2}]\n", "{}", "{}\n\n", ""]
        {
            assert!(!is_canonical(wrong.as_bytes()), "{wrong:?} passed");
        }
    }
}
