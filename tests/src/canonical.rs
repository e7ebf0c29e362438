//! Whether a body is written as the original relay wrote JSON: keys sorted at every level, no blanks, ASCII alone, a line
//! feed at the end.
//!
//! The check writes the parsed body again by its own rules and compares bytes, so that it also finds a key that stands
//! twice or an escape in another spelling.

use std::fmt::Write;

use serde_json::Value;

/// Checks `body` and gives it parsed.
///
/// # Errors
/// A sentence that names the first byte that differs.
pub fn canonical_json(body: &[u8]) -> Result<Value, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| format!("not JSON: {error}"))?;
    let mut expected = String::new();
    write_value(&value, &mut expected);
    expected.push('\n');
    if expected.as_bytes() == body {
        return Ok(value);
    }
    let place = expected.bytes().zip(body).take_while(|(expected, byte)| expected == *byte).count();
    let from = place.saturating_sub(20);
    let around = |bytes: &[u8]| {
        String::from_utf8_lossy(&bytes[from.min(bytes.len())..(place + 20).min(bytes.len())]).into_owned()
    };
    Err(format!(
        "byte {place} is not as in canonical JSON: expected {:?}, got {:?}",
        around(expected.as_bytes()),
        around(body)
    ))
}

/// Writes as Python's `json.dumps(sort_keys=True, separators=(",", ":"))`.
fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort();
            out.push('{');
            for (index, key) in keys.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_text(key, out);
                out.push(':');
                write_value(&fields[key], out);
            }
            out.push('}');
        }
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing to a string cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_originals_form_is_canonical() {
        for body in
            ["{}\n", "[]\n", "{\"a\":[1,2.5,null,true],\"b\":{\"c\":\"\\u00e9\\ud83d\\ude00\\u007f\\u0000\\n/\"}}\n"]
        {
            assert!(canonical_json(body.as_bytes()).is_ok(), "{body}");
        }
    }

    #[test]
    fn every_deviation_is_found() {
        for (what, body) in [
            ("unsorted keys", "{\"b\":1,\"a\":2}\n"),
            ("unsorted keys below", "[{\"b\":1,\"a\":2}]\n"),
            ("a blank", "{\"a\": 1}\n"),
            ("no line feed", "{}"),
            ("two line feeds", "{}\n\n"),
            ("not ASCII", "\"é\"\n"),
            ("an upper-case escape", "\"\\u00E9\"\n"),
            ("an escaped slash", "\"\\/\"\n"),
            ("an escape for a plain letter", "\"\\u0061\"\n"),
            ("DEL unescaped", "\"\u{7f}\"\n"),
            ("a key twice", "{\"a\":1,\"a\":1}\n"),
            ("no JSON", "nope\n"),
        ] {
            assert!(canonical_json(body.as_bytes()).is_err(), "{what}");
        }
    }
}
