//! The encoding of a request body: UTF-8, UTF-16 or UTF-32, with or without a byte order mark, told apart as Python
//! does (`json.detect_encoding`). Bytes go in and text without the mark comes out; a body that is not whole text in
//! its encoding (lone surrogates included) gives nothing.

use std::borrow::Cow;

/// The text of a body, borrowed when it is UTF-8 already.
pub(super) fn decode(body: &[u8]) -> Option<Cow<'_, str>> {
    match body {
        [0, 0, 0xfe, 0xff, rest @ ..] => utf32(rest, u32::from_be_bytes),
        [0xff, 0xfe, 0, 0, rest @ ..] => utf32(rest, u32::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => std::str::from_utf8(rest).ok().map(Cow::Borrowed),
        // Without a mark the zero bytes around the first two characters, which JSON makes ASCII, tell.
        [0, 0, _, _, ..] => utf32(body, u32::from_be_bytes),
        [0, _, _, _, ..] | [0, _] => utf16(body, u16::from_be_bytes),
        [_, 0, 0, 0, ..] => utf32(body, u32::from_le_bytes),
        [_, 0, _, _, ..] | [_, 0] => utf16(body, u16::from_le_bytes),
        _ => std::str::from_utf8(body).ok().map(Cow::Borrowed),
    }
}

fn utf16(body: &[u8], unit: fn([u8; 2]) -> u16) -> Option<Cow<'static, str>> {
    let (units, rest) = body.as_chunks();
    if !rest.is_empty() {
        return None;
    }
    char::decode_utf16(units.iter().map(|bytes| unit(*bytes))).collect::<Result<_, _>>().ok().map(Cow::Owned)
}

fn utf32(body: &[u8], unit: fn([u8; 4]) -> u32) -> Option<Cow<'static, str>> {
    let (units, rest) = body.as_chunks();
    if !rest.is_empty() {
        return None;
    }
    units.iter().map(|bytes| char::from_u32(unit(*bytes))).collect::<Option<_>>().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_of_one_text_is_read_with_and_without_a_mark() {
        let text = "[\"é\u{1f600}\"]";
        let utf16 = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        let utf32 = |bytes: fn(u32) -> [u8; 4]| text.chars().flat_map(|c| bytes(u32::from(c))).collect::<Vec<u8>>();
        let forms: [(&[u8], Vec<u8>); 5] = [
            (&[0xef, 0xbb, 0xbf], text.into()),
            (&[0xfe, 0xff], utf16(u16::to_be_bytes)),
            (&[0xff, 0xfe], utf16(u16::to_le_bytes)),
            (&[0, 0, 0xfe, 0xff], utf32(u32::to_be_bytes)),
            (&[0xff, 0xfe, 0, 0], utf32(u32::to_le_bytes)),
        ];
        for (mark, body) in forms {
            assert_eq!(decode(&body).as_deref(), Some(text), "{mark:?} without its mark");
            assert_eq!(decode(&[mark, &body].concat()).as_deref(), Some(text), "{mark:?}");
        }
    }

    #[test]
    fn two_byte_bodies_are_told_apart() {
        assert_eq!(decode(&[0, b'1']).as_deref(), Some("1"));
        assert_eq!(decode(&[b'1', 0]).as_deref(), Some("1"));
        assert_eq!(decode(b"[]").as_deref(), Some("[]"));
        assert_eq!(decode(b"").as_deref(), Some(""));
    }

    #[test]
    fn broken_text_gives_nothing() {
        for body in [&b"\"\xe9\""[..], b"\"\xed\xa0\x80\"", b"[\0]\0\xd8", b"[\0\x00\xd8]\0", b"[\0\0\0\x00\xd8\0\0"]
        {
            assert_eq!(decode(body), None, "{body:?}");
        }
    }
}
