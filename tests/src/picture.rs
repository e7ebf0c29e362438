//! What a terminal shows, as a picture: text with the escape sequences that the command line uses becomes an SVG in which
//! light and dark follow the reader's scheme. The same text is always the same picture. Other sequences are left out.

use std::fmt::Write as _;

/// Size of a character, and of what stands around the text.
const WIDE: usize = 8;
const HIGH: usize = 19;
const MARGIN: usize = 14;

/// Colours of the reader's scheme: the ground, the text, and the classes of [`class`].
const STYLE: &str = "text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre;fill:#1f2328}\
rect{fill:#f6f8fa;stroke:#d1d9e0}.b{font-weight:700}.f{fill:#59636e}.g{fill:#116329}.r{fill:#a40e26}.y{fill:#7d4e00}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}rect{fill:#161b22;stroke:#3d444d}.f{fill:#9198a1}.g{fill:#56d364}.r{fill:#ff7b72}.y{fill:#e3b341}}";

/// A picture of `command` and what it said.
#[must_use]
pub fn terminal(command: &str, said: &str) -> String {
    let lines: Vec<&str> = said.trim_end().lines().collect();
    let columns = lines.iter().map(|line| plain(line).chars().count()).chain([command.chars().count() + 2]).max();
    let (width, height) = (columns.unwrap_or_default() * WIDE + 2 * MARGIN, (lines.len() + 1) * HIGH + 2 * MARGIN);
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n<rect x=\".5\" y=\".5\" width=\"{}\" height=\"{}\" rx=\"6\"/>\n",
        escaped(command),
        width - 1,
        height - 1,
    );
    let prompt = format!("\u{1b}[2m$\u{1b}[0m {command}");
    for (index, line) in std::iter::once(prompt.as_str()).chain(lines).enumerate() {
        let y = MARGIN + index * HIGH + 14;
        for (column, class, text) in runs(line) {
            let (x, length) = (MARGIN + column * WIDE, text.chars().count() * WIDE);
            let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
            let text = escaped(&text);
            let _infallible =
                writeln!(picture, "<text x=\"{x}\" y=\"{y}\" textLength=\"{length}\"{class}>{text}</text>");
        }
    }
    picture + "</svg>\n"
}

/// A line without its escape sequences.
fn plain(line: &str) -> String {
    runs(line).into_iter().map(|(_, _, text)| text).collect()
}

/// The parts of a line that look alike: column, classes, text.
fn runs(line: &str) -> Vec<(usize, String, String)> {
    let (mut column, mut classes, mut runs) = (0, Vec::new(), Vec::new());
    let mut parts = line.split("\u{1b}[");
    let mut push = |text: &str, classes: &[&str]| {
        if !text.is_empty() {
            runs.push((column, classes.join(" "), text.to_owned()));
            column += text.chars().count();
        }
    };
    push(parts.next().unwrap_or_default(), &[]);
    for part in parts {
        let (codes, text) = part.split_once('m').unwrap_or(("", part));
        for code in codes.split(';') {
            match class(code) {
                Some(class) => classes.push(class),
                None => classes.clear(),
            }
        }
        push(text, &classes);
    }
    runs
}

/// The class of a code; none for the one that ends all.
fn class(code: &str) -> Option<&'static str> {
    match code {
        "1" => Some("b"),
        "2" => Some("f"),
        "31" => Some("r"),
        "32" => Some("g"),
        "33" => Some("y"),
        _ => None,
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_look_alike_stand_at_their_columns() {
        let runs = runs("\u{1b}[1ma<b\u{1b}[0m in \u{1b}[31m\u{1b}[1mred\u{1b}[0m");
        let runs: Vec<_> = runs.iter().map(|(at, class, text)| (*at, class.as_str(), text.as_str())).collect();
        assert_eq!(runs, [(0, "b", "a<b"), (3, "", " in "), (7, "r b", "red")]);
    }

    #[test]
    fn what_is_shown_is_text() {
        let picture = terminal("x", "<script>&");
        assert!(picture.contains(">&lt;script&gt;&amp;</text>"), "{picture}");
    }
}
