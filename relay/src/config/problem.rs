//! What is wrong with the settings: every problem at once, one line each, saying which setting, where its value came
//! from, why it is refused and what is allowed.

use std::fmt;
use std::path::PathBuf;

use super::table::Setting;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The table of settings.
    Default,
    /// A line of the configuration file.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
    },
    /// The setting's environment variable.
    Environment,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment => f.write_str("environment"),
        }
    }
}

/// One thing that is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The configuration file could not be read.
    #[error("{}: the configuration file cannot be read: {source}; name another with --config", path.display())]
    Unreadable {
        /// The file as it was named.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The configuration file is not a YAML mapping.
    #[error("{origin}: not a valid YAML configuration: {why}")]
    NotYaml {
        /// Where it stops being one.
        origin: Origin,
        /// Why.
        why: String,
    },
    /// A name that no setting has.
    #[error("{origin}: there is no setting {name}{hint}")]
    Unknown {
        /// Where it stands.
        origin: Origin,
        /// The path or the variable.
        name: String,
        /// What may have been meant.
        hint: String,
    },
    /// A value that its setting does not allow.
    #[error("{} ({}), from {origin}: {why}; allowed: {}", setting.path, setting.variable(), setting.form)]
    Invalid {
        /// The setting.
        setting: &'static Setting,
        /// Where the value came from.
        origin: Origin,
        /// Why it is refused.
        why: String,
    },
    /// Values that are allowed one by one, but not together.
    #[error("{} ({}), from {origin}: {why}", setting.path, setting.variable())]
    Conflict {
        /// The setting to change.
        setting: &'static Setting,
        /// Where its value came from.
        origin: Origin,
        /// What it conflicts with, and what to do.
        why: String,
    },
    /// A setting that is needed and has no value.
    #[error("{} ({}), not set: {why}; for example {example}", setting.path, setting.variable())]
    Missing {
        /// The setting.
        setting: &'static Setting,
        /// What needs it.
        why: &'static str,
        /// A value it could have.
        example: &'static str,
    },
    /// The table of settings and the code that reads it disagree.
    #[error(
        "{path}: the table of settings does not give the type its reader expects; this is a defect of threatrelay"
    )]
    Table {
        /// The setting's path.
        path: &'static str,
    },
}

/// All that is wrong with the settings; `Display` gives one line for each problem.
#[derive(Debug)]
pub struct Errors(pub Vec<Problem>);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            // A file name or a YAML message may hold a line break.
            f.write_str(&problem.to_string().replace(['\n', '\r'], " "))?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

impl From<Problem> for Errors {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}
