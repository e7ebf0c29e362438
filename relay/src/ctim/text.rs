//! Texts of bounded length. CTIM counts UTF-16 units; what is longer is cut between characters, and characters that
//! JSON allows but text does not (NUL) are dropped.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

/// A text of at most `MAX` UTF-16 units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<'a, const MAX: usize>(Cow<'a, str>);

/// `title`, tags, `producer`.
pub type Title<'a> = Text<'a, 1024>;
/// `short_description`.
pub type ShortDescription<'a> = Text<'a, 2048>;
/// `description`.
pub type Description<'a> = Text<'a, 5000>;

impl<'a, const MAX: usize> Text<'a, MAX> {
    /// The text, cut to its length.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        let text = if text.contains('\0') { Cow::Owned(text.replace('\0', "")) } else { Cow::Borrowed(text) };
        // A character is never longer in UTF-16 units than in bytes.
        if text.len() <= MAX {
            return Self(text);
        }
        let mut units = 0;
        let end = text.char_indices().find_map(|(index, character)| {
            units += character.len_utf16();
            (units > MAX).then_some(index)
        });
        Self(match (end, text) {
            (None, text) => text,
            (Some(end), Cow::Borrowed(text)) => Cow::Borrowed(&text[..end]),
            (Some(end), Cow::Owned(mut text)) => {
                text.truncate(end);
                Cow::Owned(text)
            }
        })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> Serialize for Text<'_, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters_at_their_length_in_utf16() {
        let emoji = "\u{1f600}".repeat(600);
        let cut = Title::new(&emoji);
        assert_eq!((cut.as_str().chars().count(), cut.as_str().encode_utf16().count()), (512, 1024));
        let odd = format!("a{emoji}");
        assert_eq!(Title::new(&odd).as_str().encode_utf16().count(), 1023);
        assert_eq!(Title::new("short").as_str(), "short");
    }

    #[test]
    fn nul_is_dropped() {
        assert_eq!(Description::new("a\0b\tc").as_str(), "ab\tc");
    }
}
