//! Text for people: what others wrote, made safe and cut to the terminal; columns that line up. Widths are those a
//! terminal shows, in cells.

use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::outcome::FAINT;

/// The cells of a line: the terminal's, or `None` where nothing has to be cut (a file, a pipe). `COLUMNS` overrules.
#[must_use]
pub fn terminal_width() -> Option<usize> {
    let told = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).filter(|columns| *columns > 0);
    told.or_else(|| terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0)))
}

/// A text of somebody else on one line: control characters could steer the terminal and become blanks.
#[must_use]
pub fn harmless(text: &str) -> String {
    let is_unsafe = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_unsafe(c) { ' ' } else { c }).collect()
}

/// The text in at most so many cells; what is cut ends with `…`.
#[must_use]
pub fn cut(text: &str, cells: usize) -> String {
    if text.width() <= cells {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > cells {
            break;
        }
        kept.push(c);
    }
    kept + "…"
}

/// Rows below a faint head, each `indent` cells in, every column as wide as its widest cell but the one at `elastic`,
/// which gives way when a line has to fit into `width`.
#[must_use]
pub fn table<const N: usize>(
    head: [&str; N],
    rows: &[[String; N]],
    indent: usize,
    elastic: usize,
    width: Option<usize>,
) -> String {
    const GAP: usize = 2;
    const LEAST: usize = 12;
    let mut widths = head.map(UnicodeWidthStr::width);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.width().max(*width);
        }
    }
    let whole = indent + widths.iter().sum::<usize>() + GAP * N.saturating_sub(1);
    if let (Some(most), Some(elastic)) = (width, widths.get_mut(elastic)) {
        *elastic = elastic.saturating_sub(whole.saturating_sub(most)).max(LEAST.min(*elastic));
    }
    let line = |cells: [&str; N]| {
        let mut text = " ".repeat(indent);
        for (cell, width) in cells.into_iter().zip(widths) {
            let cell = cut(cell, width);
            let _infallible = write!(text, "{cell}{}", " ".repeat(GAP + width - cell.width()));
        }
        text.truncate(text.trim_end().len());
        text
    };
    let mut text = format!("{FAINT}{}{FAINT:#}\n", line(head));
    for row in rows {
        text.push_str(&line(row.each_ref().map(String::as_str)));
        text.push('\n');
    }
    text
}

/// `1 pulse`, `2 pulses`.
#[must_use]
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_steer_a_terminal_becomes_blanks() {
        assert_eq!(harmless("a\u{1b}[31mb\nc\u{202e}d\u{9b}e\tf"), "a [31mb c d e f");
    }

    #[test]
    fn a_cut_text_fits_and_says_that_it_was_cut() {
        assert_eq!((cut("abcdef", 6), cut("abcdef", 5)), ("abcdef".to_owned(), "abcd…".to_owned()));
        // Each of these takes two cells.
        assert_eq!((cut("日本語", 6), cut("日本語", 5)), ("日本語".to_owned(), "日本…".to_owned()));
    }

    #[test]
    fn columns_line_up_and_the_elastic_one_gives_way() {
        let rows = [["日本".to_owned(), "a long title of a pulse".to_owned(), "x".to_owned()]];
        let plain = |width| anstream::adapter::strip_str(&table(["A", "TITLE", "C"], &rows, 2, 1, width)).to_string();
        assert_eq!(plain(None), "  A     TITLE                    C\n  日本  a long title of a pulse  x\n");
        assert_eq!(plain(Some(26)), "  A     TITLE            C\n  日本  a long title o…  x\n");
    }
}
