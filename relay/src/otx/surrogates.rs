//! Community text may hold half a surrogate pair (`"\ud83d"`), which Python writes and JSON parsers of Unicode text
//! refuse. One such word must not hide a whole answer.

/// The body with every lone surrogate escape made U+FFFD; `None` when it has none.
pub(super) fn mend(body: &[u8]) -> Option<Vec<u8>> {
    let mut mended: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', body.get(at..)?) {
        at += found;
        let (first, second) = (unit(body, at), unit(body, at + 6));
        match (first, second) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => at += 12,
            (Some(0xd800..=0xdfff), _) => {
                let mended = mended.get_or_insert_with(|| body.to_vec());
                if let Some(digits) = mended.get_mut(at + 2..at + 6) {
                    digits.copy_from_slice(b"fffd");
                }
                at += 6;
            }
            // Any other escape; `\\` must not leave its second half to be read as the start of one.
            _ => at += 2,
        }
    }
    mended
}

/// The UTF-16 unit that the escape at `at`, `\u` and four hex digits, stands for.
fn unit(body: &[u8], at: usize) -> Option<u16> {
    let digits = body.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::mend;

    #[test]
    fn only_lone_surrogates_are_replaced() {
        for (body, mended) in [
            (r#""\ud83d\ude00""#, None),
            (r#""plain \n \u00e9 \\ud83d""#, None),
            (r#""\ud83d""#, Some(r#""\ufffd""#)),
            (r#""\ude00\ud83d\ude00\ud83d x""#, Some(r#""\ufffd\ud83d\ude00\ufffd x""#)),
            (r#""\ud83d\ud83d\ude00""#, Some(r#""\ufffd\ud83d\ude00""#)),
            (r#""\\\ud83d""#, Some(r#""\\\ufffd""#)),
            (r#""\ud8"#, None),
            ("\"\\", None),
        ] {
            let expected = mended.map(|text| text.as_bytes().to_vec());
            assert_eq!(mend(body.as_bytes()), expected, "{body}");
        }
    }
}
