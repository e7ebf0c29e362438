//! What a command says and how it ends: text for standard output, text for standard error, an exit code. Commands give
//! an [`Outcome`] and write nothing themselves; colours are in the text and are taken out here where they are not
//! wanted. A reader who stops reading (`| head`) is no failure.

use std::fmt::{Display, Write as _};
use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use anstream::{AutoStream, ColorChoice};
use clap::ValueEnum;
use clap::builder::styling::{AnsiColor, Style};

/// A check failed, or something else did. 2, for wrong usage, is clap's too.
pub const FAILURE: u8 = 1;
/// The arguments do not say what to do.
pub const USAGE: u8 = 2;
/// The settings, or a file that they or the arguments name, are not valid.
pub const SETTINGS: u8 = 3;
/// OTX refused the key.
pub const UNAUTHORIZED: u8 = 4;
/// OTX, or the relay, could not be reached.
pub const UNREACHABLE: u8 = 5;
/// Nothing was found, and `--exit-code` asked to be told so.
pub const NOT_FOUND: u8 = 6;
/// `serve` and `config`: the settings are not valid (`EX_CONFIG` of sysexits.h, which service managers know).
pub const EX_CONFIG: u8 = 78;

/// What a command says and how it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// For standard output, complete with its last line break.
    pub stdout: String,
    /// For standard error, complete with its last line break.
    pub stderr: String,
    /// 0, or one of the codes of this module.
    pub exit_code: u8,
}

impl Outcome {
    /// A command that did what it should.
    #[must_use]
    pub fn done(stdout: String) -> Self {
        Self { stdout, ..Self::default() }
    }

    /// A command that could not do what it should.
    #[must_use]
    pub fn failed(reason: impl Display, exit_code: u8) -> Self {
        let mut outcome = Self { exit_code, ..Self::default() };
        outcome.diagnose(&ERROR, "error", reason);
        outcome
    }

    /// Adds a line to standard error, led by a word in a colour.
    pub fn diagnose(&mut self, style: &Style, word: &str, text: impl Display) {
        let _infallible = writeln!(self.stderr, "{style}{word}:{style:#} {text}");
    }

    /// Writes both texts.
    #[must_use]
    pub fn say(&self) -> ExitCode {
        let _ = AutoStream::auto(stdout()).write_all(self.stdout.as_bytes());
        let _ = AutoStream::auto(stderr()).write_all(self.stderr.as_bytes());
        ExitCode::from(self.exit_code)
    }
}

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set; anywhere with `CLICOLOR_FORCE`.
    #[default]
    Auto,
    /// Also in files and pipes.
    Always,
    /// Nowhere.
    Never,
}

impl Color {
    /// Makes it so for everything this process writes.
    pub fn choose(self) {
        match self {
            Self::Auto => ColorChoice::Auto,
            Self::Always => ColorChoice::Always,
            Self::Never => ColorChoice::Never,
        }
        .write_global();
    }
}

/// Of errors and failed checks.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Of warnings.
pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// Of what is as it should be.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Of what stands out.
pub const STRONG: Style = Style::new().bold();
/// Of what stands back.
pub const FAINT: Style = Style::new().dimmed();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_on_standard_error() {
        let Outcome { stdout, stderr, exit_code } = Outcome::failed("no", SETTINGS);
        assert_eq!((stdout.as_str(), exit_code), ("", 3));
        assert_eq!(anstream::adapter::strip_str(&stderr).to_string(), "error: no\n");
    }
}
