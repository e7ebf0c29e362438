//! Amounts of processor time and memory: the API server writes `1000m` as `1`, so they are compared as numbers. Text that
//! is no amount stays text.

use std::borrow::Cow;

use serde_json::Value;

/// An amount in thousandths, or the value itself where it is none.
pub(super) fn canonical(value: &Value) -> Cow<'_, Value> {
    thousandths(value).map_or(Cow::Borrowed(value), |number| Cow::Owned(number.to_string().into()))
}

fn thousandths(value: &Value) -> Option<i128> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let scale: i128 = match suffix {
        "m" => 1,
        "" => 1000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "T" => 1_000_000_000_000_000,
        "Ki" => 1000 << 10,
        "Mi" => 1000 << 20,
        "Gi" => 1000 << 30,
        "Ti" => 1000 << 40,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = u32::try_from(fraction.len()).ok().filter(|digits| *digits <= 9)?;
    let all: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scaled = all.checked_mul(scale)?;
    let divisor = 10_i128.pow(digits);
    (scaled % divisor == 0).then_some(scaled / divisor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_equal_in_every_spelling() {
        for (one, other) in [
            ("1", "1000m"),
            ("0.5", "500m"),
            ("1Gi", "1024Mi"),
            ("1.5Gi", "1536Mi"),
            ("2k", "2000"),
            ("2Ki", "2048"),
            ("1Ti", "1024Gi"),
            ("2M", "2000k"),
            ("2G", "2000M"),
            ("2T", "2000G"),
        ] {
            assert_eq!(thousandths(&one.into()), thousandths(&other.into()), "{one} {other}");
            assert!(thousandths(&one.into()).is_some(), "{one}");
        }
        for (one, other) in [("1", "1m"), ("1M", "1Mi"), ("1Gi", "1G")] {
            assert_ne!(thousandths(&one.into()), thousandths(&other.into()), "{one} {other}");
        }
        assert_eq!(thousandths(&"soon".into()), None);
    }
}
