//! The body of an endpoint that takes an object of texts: bytes in, the texts of the declared fields out. Anything else is
//! `invalid payload received`, in the words of marshmallow.

use serde_json::{Map, Value};

use super::{INVALID_INPUT_TYPE, InOrder, encoding, invalid, of_the_whole};
use crate::error::ErrorEntry;

/// Reads an object with these fields and no others.
///
/// # Errors
/// `invalid payload received`, with the reasons as a JSON object in the text.
pub fn read<const N: usize>(body: &[u8], names: [&'static str; N]) -> Result<[String; N], ErrorEntry> {
    let object = encoding::decode(body).and_then(|text| serde_json::from_str::<Map<String, Value>>(&text).ok());
    let mut object = object.ok_or_else(|| invalid(&of_the_whole(INVALID_INPUT_TYPE)))?;
    let mut problems: Vec<(String, [&str; 1])> = Vec::new();
    let texts = names.map(|name| {
        let problem = match object.remove(name) {
            Some(Value::String(text)) if !text.trim().is_empty() => return text,
            Some(Value::String(_)) => "Field may not be blank.",
            Some(Value::Null) => "Field may not be null.",
            Some(_) => "Not a valid string.",
            None => "Missing data for required field.",
        };
        problems.push((name.to_owned(), [problem]));
        String::new()
    });
    problems.extend(object.into_iter().map(|(name, _)| (name, ["Unknown field."])));
    if problems.is_empty() { Ok(texts) } else { Err(invalid(&InOrder(problems))) }
}

/// What is wrong with the value of a field.
#[must_use]
pub fn wrong(name: &str, problem: &str) -> ErrorEntry {
    invalid(&InOrder(vec![(name, [problem])]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_and_all_that_is_wrong_is_said() {
        assert_eq!(read(br#"{"b": "2", "a": "1"}"#, ["a", "b"]), Ok(["1".to_owned(), "2".to_owned()]));
        for (body, problems) in [
            ("", r#"{"_schema": ["Invalid input type."]}"#),
            ("[]", r#"{"_schema": ["Invalid input type."]}"#),
            ("{}", r#"{"a": ["Missing data for required field."], "b": ["Missing data for required field."]}"#),
            (r#"{"a": null, "b": 3}"#, r#"{"a": ["Field may not be null."], "b": ["Not a valid string."]}"#),
            (r#"{"a": " ", "b": "2", "c": 1}"#, r#"{"a": ["Field may not be blank."], "c": ["Unknown field."]}"#),
        ] {
            let message = read(body.as_bytes(), ["a", "b"]).map_err(|entry| entry.message);
            assert_eq!(message, Err(format!("Invalid JSON payload received. {problems}.")), "{body}");
        }
    }
}
