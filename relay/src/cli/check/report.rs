//! Findings in groups, as people and programs read them, and the exit code they come to.

use std::fmt::Write as _;

use clap::ValueEnum;
use serde::Serialize;

use crate::cli::outcome::{ERROR, FAILURE, FAINT, GOOD, Outcome, STRONG, WARNING};
use crate::cli::text::{counted, harmless};

/// How findings are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    #[default]
    Table,
    Json,
}

/// Everything that was found out.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    success: bool,
    groups: Vec<Group>,
    #[serde(skip)]
    exit_code: u8,
}

/// What was found out about one thing.
#[derive(Debug, Serialize)]
struct Group {
    name: &'static str,
    checks: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct Finding {
    result: Verdict,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Passed,
    Warning,
    Failed,
    Skipped,
}

impl Report {
    /// What follows is about this.
    pub(super) fn group(&mut self, name: &'static str) {
        self.groups.push(Group { name, checks: Vec::new() });
    }

    pub(super) fn pass(&mut self, message: impl Into<String>) {
        self.add(Verdict::Passed, message, None);
    }

    pub(super) fn skip(&mut self, message: impl Into<String>) {
        self.add(Verdict::Skipped, message, None);
    }

    pub(super) fn warn(&mut self, message: impl Into<String>, next: impl Into<String>) {
        self.add(Verdict::Warning, message, Some(next.into()));
    }

    /// A failure, and the exit code for it; of several failures the first code that is not the general one counts.
    pub(super) fn fail(&mut self, exit_code: u8, message: impl Into<String>, next: impl Into<String>) {
        if matches!(self.exit_code, 0 | FAILURE) {
            self.exit_code = exit_code;
        }
        self.add(Verdict::Failed, message, Some(next.into()));
    }

    fn add(&mut self, result: Verdict, message: impl Into<String>, next: Option<String>) {
        if let Some(group) = self.groups.last_mut() {
            let next = next.filter(|next| !next.is_empty());
            group.checks.push(Finding { result, message: harmless(&message.into()), next });
        }
    }

    /// The whole of it.
    pub(super) fn outcome(mut self, form: Form) -> Outcome {
        self.success = self.exit_code == 0;
        let stdout = match form {
            Form::Table => self.table(),
            Form::Json => serde_json::to_string_pretty(&self).unwrap_or_default() + "\n",
        };
        Outcome { stdout, exit_code: self.exit_code, ..Outcome::default() }
    }

    fn table(&self) -> String {
        let mut text = String::new();
        for Group { name, checks } in &self.groups {
            let _infallible = writeln!(text, "{STRONG}{name}{STRONG:#}");
            for Finding { result, message, next } in checks {
                let (style, mark) = match result {
                    Verdict::Passed => (GOOD, "✔"),
                    Verdict::Warning => (WARNING, "!"),
                    Verdict::Failed => (ERROR, "✗"),
                    Verdict::Skipped => (FAINT, "-"),
                };
                let _infallible = writeln!(text, "  {style}{mark}{style:#} {message}");
                if let Some(next) = next {
                    let _infallible = writeln!(text, "    next: {next}");
                }
            }
            text.push('\n');
        }
        let count = |verdict| {
            self.groups.iter().flat_map(|group| &group.checks).filter(|finding| finding.result == verdict).count()
        };
        let (passed, warned, failed) =
            (count(Verdict::Passed), counted(count(Verdict::Warning), "warning"), count(Verdict::Failed));
        let _infallible = writeln!(text, "{passed} passed, {warned}, {failed} failed");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::outcome::UNREACHABLE;

    #[test]
    fn the_first_special_failure_decides_the_exit_code() {
        let exit_code = |codes: &[u8]| {
            let mut report = Report::default();
            report.group("Things");
            for code in codes {
                report.fail(*code, "broken", "mend it");
            }
            report.outcome(Form::Table).exit_code
        };
        assert_eq!((exit_code(&[]), exit_code(&[FAILURE])), (0, 1));
        assert_eq!(exit_code(&[FAILURE, UNREACHABLE, 4]), UNREACHABLE);
    }
}
