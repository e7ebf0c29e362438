//! The request body of the endpoints that take observables: bytes in, [`RawObservable`]s out. Anything else is
//! answered with the original's `invalid payload received`, whose text lists what is wrong with each element in the
//! words of marshmallow.

mod encoding;
pub mod fields;
mod scan;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::{Serialize, Serializer};

use self::scan::{Element, Field};
use crate::error::{ErrorEntry, code};
use crate::json::python_dumps;
use crate::observable::RawObservable;

const INVALID_INPUT_TYPE: &str = "Invalid input type.";

/// Reads at most `most` observables from a body; the content type plays no part.
///
/// # Errors
/// `invalid payload received`, with the reasons as a JSON object in the text.
pub fn read(body: &[u8], most: usize) -> Result<Vec<RawObservable>, ErrorEntry> {
    let elements = encoding::decode(body)
        .and_then(|text| scan::elements(&text, most))
        .ok_or_else(|| invalid(&of_the_whole(INVALID_INPUT_TYPE)))?;
    if elements.count > most {
        let sent = elements.count;
        let problem = format!("{sent} observables were sent, at most {most} are taken in one request.");
        return Err(invalid(&of_the_whole(problem)));
    }

    let mut observables = Vec::with_capacity(elements.count);
    let mut problems = InOrder(Vec::new());
    for (index, element) in elements.kept.into_iter().enumerate() {
        match observable(element) {
            Ok(observable) => observables.push(observable),
            Err(found) => problems.0.push((index, found)),
        }
    }
    if problems.0.is_empty() { Ok(observables) } else { Err(invalid(&problems)) }
}

/// A JSON object whose entries stand in the order in which they were found.
struct InOrder<K, V>(Vec<(K, V)>);

impl<K: Serialize, V: Serialize> Serialize for InOrder<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// What is wrong with an element: by key, one sentence each.
type ByKey<T = &'static str> = InOrder<Cow<'static, str>, [T; 1]>;

fn of_the_whole<T>(problem: T) -> ByKey<T> {
    InOrder(vec![("_schema".into(), [problem])])
}

fn invalid(problems: &impl Serialize) -> ErrorEntry {
    let problems = python_dumps(problems);
    ErrorEntry::fatal(code::INVALID_PAYLOAD, format!("Invalid JSON payload received. {problems}."))
}

fn observable(element: Element) -> Result<RawObservable, ByKey> {
    let Element::Object { kind, value, unknown } = element else {
        return Err(of_the_whole(INVALID_INPUT_TYPE));
    };
    match (text(kind), text(value)) {
        (Ok(kind), Ok(value)) if unknown.is_empty() => Ok(RawObservable { kind, value }),
        (kind, value) => {
            let declared = [("type", kind.err()), ("value", value.err())];
            let declared = declared.into_iter().filter_map(|(key, problem)| Some((key.into(), [problem?])));
            let unknown = unknown.into_iter().map(|key| (key.into(), ["Unknown field."]));
            Err(InOrder(declared.chain(unknown).collect()))
        }
    }
}

fn text(field: Field) -> Result<String, &'static str> {
    match field {
        Field::Text(text) if text.is_empty() => Err("Field may not be blank."),
        Field::Text(text) => Ok(text),
        Field::Missing => Err("Missing data for required field."),
        Field::Null => Err("Field may not be null."),
        Field::NotAString => Err("Not a valid string."),
    }
}
