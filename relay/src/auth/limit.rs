//! The claim `CTR_ENTITIES_LIMIT`: how many entities of one kind an observable may get. It is read as Python's `int()`
//! reads it, because instance settings that worked with the original must keep working; what `int()` refuses is the
//! default.

use serde_json::Value;

/// The limit when the claim gives none.
pub const DEFAULT: usize = 100;
/// The highest limit a claim can ask for.
pub const MAX: usize = 1000;

/// The limit a claim asks for.
#[must_use]
pub fn entities_limit(claim: Option<&Value>) -> usize {
    let asked = match claim {
        Some(Value::Bool(flag)) => Some(u64::from(*flag)),
        Some(Value::Number(number)) => number.as_u64().or_else(|| number.as_f64().map(whole_part)),
        Some(Value::String(text)) => python_int(text),
        _ => None,
    };
    match asked.and_then(|asked| usize::try_from(asked).ok()) {
        None | Some(0) => DEFAULT,
        Some(asked) => asked.min(MAX),
    }
}

/// `int(float)` for floats that are not negative.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast cuts the fraction off, and what is out of range becomes 0 or the largest number"
)]
fn whole_part(float: f64) -> u64 {
    float as u64
}

/// `int(text)` for texts that are not negative; what is too large for 64 bits is their largest number.
fn python_int(text: &str) -> Option<u64> {
    let text = text.trim_matches(is_python_space);
    let text = text.strip_prefix('+').unwrap_or(text);
    text.split('_').try_fold(0_u64, |number, digits| {
        if digits.is_empty() {
            return None;
        }
        digits.chars().try_fold(number, |number, c| {
            Some(number.saturating_mul(10).saturating_add(u64::from(decimal_digit(c)?)))
        })
    })
}

/// `str.isspace()`; Rust does not count the separators U+001C to U+001F.
fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// The value of a decimal digit of any script.
fn decimal_digit(c: char) -> Option<u32> {
    let code = u32::from(c);
    let block = ZEROS.partition_point(|zero| *zero <= code);
    let digit = code - ZEROS.get(block.checked_sub(1)?)?;
    (digit < 10).then_some(digit)
}

/// The zeros of all decimal digits (category Nd, Unicode 14), each followed by its nine others.
const ZEROS: &[u32] = &[
    0x30, 0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xDE6, 0xE50, 0xED0,
    0xF20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620,
    0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10, 0x104A0, 0x10D30, 0x11066, 0x110F0, 0x11136, 0x111D0,
    0x112F0, 0x11450, 0x114D0, 0x11650, 0x116C0, 0x11730, 0x118E0, 0x11950, 0x11C50, 0x11D50, 0x11DA0, 0x16A60,
    0x16AC0, 0x16B50, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E950, 0x1FBF0,
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_claim_is_the_default() {
        assert_eq!(entities_limit(None), 100);
    }

    #[test]
    fn a_claim_gives_what_python_makes_of_it() {
        let cases = [
            (json!(1), 1),
            (json!(1000), 1000),
            (json!(1001), 1000),
            (json!(5000), 1000),
            (json!(1_000_000_000), 1000),
            (json!(9_223_372_036_854_775_808_u64), 1000),
            (json!(0), 100),
            (json!(-1), 100),
            (json!(i64::MIN), 100),
            (json!(1.9), 1),
            (json!(0.9), 100),
            (json!(-1.9), 100),
            (json!(999.999), 999),
            (json!(1e300), 1000),
            (json!(-0.0), 100),
            (json!(true), 1),
            (json!(false), 100),
            (json!("2"), 2),
            (json!(" 2 "), 2),
            (json!("\u{1f}2\u{3000}"), 2),
            (json!("+2"), 2),
            (json!("007"), 7),
            (json!("1_0"), 10),
            (json!("٣"), 3),
            (json!("१२"), 12),
            (json!("𝟙𝟘"), 10),
            (json!("99999999999999999999999"), 1000),
            (json!("0"), 100),
            (json!("-1"), 100),
            (json!("- 1"), 100),
            (json!("++1"), 100),
            (json!("1__0"), 100),
            (json!("_1"), 100),
            (json!("1_"), 100),
            (json!("1 0"), 100),
            (json!("1.5"), 100),
            (json!("1e2"), 100),
            (json!("0x10"), 100),
            (json!("abc"), 100),
            (json!("½"), 100),
            (json!("²"), 100),
            (json!(""), 100),
            (json!(" "), 100),
            (json!(null), 100),
            (json!([]), 100),
            (json!([5]), 100),
            (json!({}), 100),
        ];
        for (claim, limit) in cases {
            assert_eq!(entities_limit(Some(&claim)), limit, "{claim}");
        }
    }
}
