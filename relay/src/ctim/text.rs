//! Texts of bounded length. CTIM counts UTF-16 units; what is longer is cut, and characters that JSON allows but text
//! does not (NUL) are dropped. Nothing fails.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

/// Bytes that a cut may give up to end at a word.
const LONGEST_WORD: usize = 80;

/// A text of at most `MAX` UTF-16 units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<'a, const MAX: usize>(Cow<'a, str>);

/// `title`, tags, `producer`, `reason`.
pub type Title<'a> = Text<'a, 1024>;
/// `short_description`, `source_name`.
pub type ShortDescription<'a> = Text<'a, 2048>;
/// `description`.
pub type Description<'a> = Text<'a, 5000>;

impl<'a, const MAX: usize> Text<'a, MAX> {
    /// The text, cut to its length between two characters.
    #[must_use]
    pub fn new(text: impl Into<Cow<'a, str>>) -> Self {
        let text = without_nul(text.into());
        Self(match (end_of(&text, MAX, MAX), text) {
            (None, text) => text,
            (Some(end), Cow::Borrowed(text)) => Cow::Borrowed(&text[..end]),
            (Some(end), Cow::Owned(mut text)) => {
                text.truncate(end);
                Cow::Owned(text)
            }
        })
    }

    /// The text without blanks around it, cut to its length after a word, with an ellipsis for what is missing.
    #[must_use]
    pub fn of_words(text: impl Into<Cow<'a, str>>) -> Self {
        let text = match without_nul(text.into()) {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
            Cow::Owned(text) if text.trim().len() == text.len() => Cow::Owned(text),
            Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
        };
        let Some(end) = end_of(&text, MAX, MAX.saturating_sub(1)) else { return Self(text) };
        let (head, rest) = text.split_at(end);
        let is_in_word = !rest.starts_with(char::is_whitespace);
        let word = head.rfind(char::is_whitespace).filter(|word| is_in_word && head.len() - word <= LONGEST_WORD);
        let head = word.map_or(head, |word| &head[..word]).trim_end();
        Self(Cow::Owned(format!("{head}\u{2026}")))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn without_nul(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "")) } else { text }
}

/// Where a text of more than `most` units ends if only `kept` of them are kept; `None` when it is short enough.
fn end_of(text: &str, most: usize, kept: usize) -> Option<usize> {
    // A character is never longer in UTF-16 units than in bytes.
    if text.len() <= most {
        return None;
    }
    let (mut units, mut end) = (0, None);
    for (index, character) in text.char_indices() {
        units += character.len_utf16();
        if units > kept && end.is_none() {
            end = Some(index);
        }
        if units > most {
            return end;
        }
    }
    None
}

impl<const MAX: usize> Serialize for Text<'_, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units<const MAX: usize>(text: &Text<'_, MAX>) -> usize {
        text.as_str().encode_utf16().count()
    }

    #[test]
    fn texts_are_cut_between_characters_at_their_length_in_utf16() {
        let emoji = "\u{1f600}".repeat(600);
        let cut = Title::new(&emoji);
        assert_eq!((cut.as_str().chars().count(), units(&cut)), (512, 1024));
        let odd = format!("a{emoji}");
        assert_eq!(units(&Title::new(&odd)), 1023);
        assert_eq!(Title::new("short").as_str(), "short");
    }

    #[test]
    fn nul_is_dropped() {
        assert_eq!(Description::new("a\0b\tc").as_str(), "ab\tc");
        assert_eq!(Description::of_words(" a\0b ").as_str(), "ab");
    }

    #[test]
    fn a_text_of_words_ends_after_a_word_and_says_that_it_was_cut() {
        assert_eq!(Text::<16>::of_words("one two three four").as_str(), "one two three\u{2026}");
        assert_eq!(Text::<14>::of_words("one two three four").as_str(), "one two three\u{2026}");
        assert_eq!(Text::<13>::of_words("one two three four").as_str(), "one two\u{2026}");
        assert_eq!(Text::<18>::of_words("  one two three four\n").as_str(), "one two three four");
    }

    #[test]
    fn a_text_without_words_is_cut_between_characters() {
        let cut = Title::of_words("\u{1f600}".repeat(600));
        assert_eq!(units(&cut), 1023);
        assert!(cut.as_str().ends_with("\u{1f600}\u{2026}"));
        assert_eq!(units(&Title::of_words(format!("{} b", "a".repeat(2000)))), 1024);
    }

    #[test]
    fn a_text_of_exactly_its_length_is_whole() {
        let whole = "e\u{301}".repeat(512);
        assert_eq!(Title::of_words(&whole).as_str(), whole);
    }
}
