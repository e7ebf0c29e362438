//! Reads the JSON of a request body into what the payload rules ask of it: an array, and of each element whether it
//! is an object, its `type` and `value`, and the names of its other keys. The grammar is that of Python's `json`:
//! `NaN`, `Infinity` and `-Infinity` are numbers, of a repeated key the last value holds. Anything else gives
//! nothing, and so does half a surrogate pair, which Python keeps and cannot send on.

use std::borrow::Cow;
use std::collections::HashSet;

/// Deepest nesting of arrays and objects that is read.
const MAX_DEPTH: usize = 128;

/// The elements of the array that a body holds.
#[derive(Debug, PartialEq)]
pub(super) struct Elements {
    /// The first elements, as many as were to be kept.
    pub kept: Vec<Element>,
    /// How many the body holds.
    pub count: usize,
}

/// One element of the array.
#[derive(Debug, PartialEq)]
pub(super) enum Element {
    /// An object.
    Object {
        /// Its `type`.
        kind: Field,
        /// Its `value`.
        value: Field,
        /// Its other keys, each once, in order of appearance.
        unknown: Vec<String>,
    },
    /// Any other JSON value.
    Other,
}

/// What stands under a key that the payload rules name.
#[derive(Debug, PartialEq)]
pub(super) enum Field {
    /// The key does not appear.
    Missing,
    /// `null`.
    Null,
    /// A number, a boolean, an array or an object.
    NotAString,
    /// Text.
    Text(String),
}

/// Reads a body's text; nothing when it is no JSON array. Elements beyond `keep` are checked and counted.
pub(super) fn elements(text: &str, keep: usize) -> Option<Elements> {
    let mut scanner = Scanner { text, at: 0, depth: 0 };
    let mut elements = Elements { kept: Vec::new(), count: 0 };
    scanner.skip_blanks();
    scanner.array(|scanner| {
        if elements.count < keep {
            elements.kept.push(scanner.element()?);
        } else {
            scanner.skip_value()?;
        }
        elements.count += 1;
        Some(())
    })?;
    scanner.skip_blanks();
    (scanner.at == text.len()).then_some(elements)
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.text.get(self.at..)?.starts_with(word).then(|| self.at += word.len())
    }

    fn element(&mut self) -> Option<Element> {
        if self.peek()? != b'{' {
            self.skip_value()?;
            return Some(Element::Other);
        }
        let (mut kind, mut value, mut unknown) = (Field::Missing, Field::Missing, Vec::new());
        let mut seen = HashSet::new();
        self.object(|scanner, key| {
            match &*key {
                "type" => kind = scanner.field()?,
                "value" => value = scanner.field()?,
                _ => {
                    scanner.skip_value()?;
                    if seen.insert(key.clone()) {
                        unknown.push(key.into_owned());
                    }
                }
            }
            Some(())
        })?;
        Some(Element::Object { kind, value, unknown })
    }

    fn field(&mut self) -> Option<Field> {
        match self.peek()? {
            b'"' => Some(Field::Text(self.string()?.into_owned())),
            b'n' => self.word("null").map(|()| Field::Null),
            _ => self.skip_value().map(|()| Field::NotAString),
        }
    }

    fn skip_value(&mut self) -> Option<()> {
        match self.peek()? {
            b'{' => self.object(|scanner, _| scanner.skip_value()),
            b'[' => self.array(Self::skip_value),
            b'"' => self.string().map(|_| ()),
            b'n' => self.word("null"),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'N' => self.word("NaN"),
            b'I' => self.word("Infinity"),
            _ => self.number(),
        }
    }

    fn array(&mut self, mut element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.expect(b'[')?;
        self.list(b']', |scanner| element(scanner))
    }

    fn object(&mut self, mut member: impl FnMut(&mut Self, Cow<'a, str>) -> Option<()>) -> Option<()> {
        self.expect(b'{')?;
        self.list(b'}', |scanner| {
            let key = scanner.string()?;
            scanner.skip_blanks();
            scanner.expect(b':')?;
            scanner.skip_blanks();
            member(scanner, key)
        })
    }

    /// What stands between a bracket that was read and `end`: items with commas between them.
    fn list(&mut self, end: u8, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        self.skip_blanks();
        if !self.take(end) {
            loop {
                item(self)?;
                self.skip_blanks();
                if self.take(end) {
                    break;
                }
                self.expect(b',')?;
                self.skip_blanks();
            }
        }
        self.depth -= 1;
        Some(())
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        self.expect(b'"')?;
        let mut start = self.at;
        let mut unescaped: Option<String> = None;
        loop {
            let ahead = self.text.as_bytes().get(self.at..)?;
            self.at += ahead.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))?;
            match self.next()? {
                b'"' => break,
                b'\\' => {
                    let text = unescaped.get_or_insert_default();
                    text.push_str(self.text.get(start..self.at - 1)?);
                    text.push(self.escape()?);
                    start = self.at;
                }
                _ => return None,
            }
        }
        let rest = self.text.get(start..self.at - 1)?;
        Some(match unescaped {
            None => Cow::Borrowed(rest),
            Some(text) => Cow::Owned(text + rest),
        })
    }

    /// What stands after a backslash. Half a surrogate pair is not text.
    fn escape(&mut self) -> Option<char> {
        Some(match self.next()? {
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hex4()?;
                if !(0xd800..0xdc00).contains(&first) {
                    return char::from_u32(first.into());
                }
                self.word("\\u")?;
                return char::decode_utf16([first, self.hex4()?]).next()?.ok();
            }
            _ => return None,
        })
    }

    fn hex4(&mut self) -> Option<u16> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = char::from(self.next()?).to_digit(16)?;
            unit = unit << 4 | u16::try_from(digit).ok()?;
        }
        Some(unit)
    }

    fn number(&mut self) -> Option<()> {
        if self.take(b'-') && self.peek() == Some(b'I') {
            return self.word("Infinity");
        }
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _sign = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}
