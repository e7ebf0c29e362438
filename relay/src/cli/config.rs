//! `threatrelay config`: what the settings are and where each came from, and whether they are valid. Takes the outcome
//! of [`config::load`](crate::config::load) and gives text and an exit code; nothing here reads or writes.

use std::fmt::Write as _;

use clap::ValueEnum;
use serde::Serialize;

use super::outcome::{ERROR, EX_CONFIG, FAILURE, Outcome, WARNING};
use crate::config::{Errors, Loaded};

/// How `config print` writes the settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Columns for people.
    #[default]
    Table,
    /// A list of objects with `path`, `variable`, `value` and `source`.
    Yaml,
    /// The same list as JSON.
    Json,
}

/// One setting as `config print -o yaml|json` writes it.
#[derive(Serialize)]
struct Row<'a> {
    path: &'a str,
    variable: &'a str,
    value: Option<&'a str>,
    source: String,
}

/// `config print`: every setting, its value and its source; warnings and errors go to standard error.
#[must_use]
pub fn print(loaded: &Result<Loaded, Errors>, output: Output) -> Outcome {
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(errors) => return refusal(errors, EX_CONFIG),
    };
    let rows: Vec<Row<'_>> = loaded
        .settings
        .iter()
        .map(|setting| Row {
            path: setting.path,
            variable: &setting.variable,
            value: setting.value.as_deref(),
            source: setting.source.to_string(),
        })
        .collect();
    let written = match output {
        Output::Table => Ok(table(&rows)),
        Output::Yaml => serde_saphyr::to_string(&rows).map_err(|error| error.to_string()),
        Output::Json => {
            serde_json::to_string_pretty(&rows).map(|json| json + "\n").map_err(|error| error.to_string())
        }
    };
    match written {
        Ok(stdout) => with_warnings(stdout, loaded),
        Err(error) => Outcome::failed(error, FAILURE),
    }
}

/// `config validate`: one line for each problem, or that there is none.
#[must_use]
pub fn validate(loaded: &Result<Loaded, Errors>) -> Outcome {
    match loaded {
        Ok(loaded) => with_warnings("the configuration is valid\n".to_owned(), loaded),
        Err(errors) => refusal(errors, EX_CONFIG),
    }
}

/// One line for each problem of the settings.
pub(super) fn refusal(errors: &Errors, exit_code: u8) -> Outcome {
    let mut outcome = Outcome { exit_code, ..Outcome::default() };
    for line in errors.to_string().lines() {
        outcome.diagnose(&ERROR, "error", line);
    }
    outcome
}

fn with_warnings(stdout: String, loaded: &Loaded) -> Outcome {
    let mut outcome = Outcome::done(stdout);
    for line in &loaded.warnings {
        outcome.diagnose(&WARNING, "warning", line);
    }
    outcome
}

fn table(rows: &[Row<'_>]) -> String {
    let value = |row: &Row<'_>| row.value.unwrap_or("-").to_owned();
    let width = |cell: &dyn Fn(&Row<'_>) -> usize, head: &str| rows.iter().map(cell).fold(head.len(), usize::max);
    let path_width = width(&|row| row.path.len(), "SETTING");
    let value_width = width(&|row| value(row).chars().count(), "VALUE");
    let mut text = format!("{:path_width$}  {:value_width$}  SOURCE\n", "SETTING", "VALUE");
    for row in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:path_width$}  {:value_width$}  {}", row.path, value(row), row.source);
    }
    text
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;
    use crate::config::load;

    fn loaded(variables: &[(&str, &str)]) -> Result<Loaded, Errors> {
        load(None, variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    const AUDIENCES: (&str, &str) = ("THREATRELAY_AUTH_AUDIENCES", "https://a.example,https://b.example");

    #[test]
    fn the_table_has_a_line_for_every_setting_with_its_source() {
        let Outcome { stdout, stderr, exit_code } = print(&loaded(&[AUDIENCES]), Output::Table);
        let words = |start: &str| -> Vec<&str> {
            stdout.lines().find(|line| line.starts_with(start)).unwrap_or_default().split_whitespace().collect()
        };
        assert_eq!(words("SETTING"), ["SETTING", "VALUE", "SOURCE"]);
        assert_eq!(words("auth.audiences"), ["auth.audiences", "https://a.example,https://b.example", "environment"]);
        assert_eq!(words("listen"), ["listen", "0.0.0.0:9090", "default"]);
        assert_eq!(words("otx.proxy"), ["otx.proxy", "-", "default"]);
        assert_eq!((stderr.as_str(), exit_code), ("", 0));
    }

    #[test]
    fn yaml_and_json_hold_the_same_list() {
        let loaded = loaded(&[AUDIENCES]);
        let json: serde_json::Value = serde_json::from_str(&print(&loaded, Output::Json).stdout).unwrap();
        let yaml: serde_json::Value = serde_saphyr::from_str(&print(&loaded, Output::Yaml).stdout).unwrap();
        assert_eq!(json, yaml);
        assert_eq!(
            json[0],
            serde_json::json!({
                "path": "listen", "variable": "THREATRELAY_LISTEN", "value": "0.0.0.0:9090", "source": "default"
            })
        );
    }

    #[test]
    fn a_wrong_configuration_ends_with_the_code_for_it_and_one_line_a_problem() {
        let wrong = loaded(&[("THREATRELAY_LISTEN", "nowhere"), ("THREATRELAY_ANSWERS", "none")]);
        for outcome in [validate(&wrong), print(&wrong, Output::Yaml)] {
            assert_eq!((outcome.exit_code, outcome.stdout.as_str()), (78, ""));
            assert_eq!(plain(&outcome.stderr).lines().filter(|line| line.starts_with("error: ")).count(), 3);
        }
    }

    #[test]
    fn a_valid_configuration_ends_with_zero_and_its_warnings() {
        let valid = loaded(&[AUDIENCES, ("THREATRELAY_OTX_BASE_URL", "http://192.0.2.1")]);
        let outcome = validate(&valid);
        assert_eq!((outcome.exit_code, outcome.stdout.as_str()), (0, "the configuration is valid\n"));
        assert!(plain(&outcome.stderr).starts_with("warning: otx.baseUrl "), "{}", outcome.stderr);
    }
}
