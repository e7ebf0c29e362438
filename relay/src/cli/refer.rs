//! `threatrelay refer`: links to OTX's pages about some observables, as the relay gives them to XDR. Pure text work: no
//! key, no call to OTX.

use std::io::stdin;

use clap::ValueEnum;

use super::ConfigFile;
use super::asked::{Asked, Values};
use super::config::refusal;
use super::outcome::{ERROR, FAILURE, Outcome, SETTINGS, USAGE};
use crate::api::refer::{link, references};

/// What to link to and how to show it.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct References {
    #[command(flatten)]
    values: Values,
    #[command(flatten)]
    file: ConfigFile,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

pub(super) const AFTER_HELP: &str = "\
Examples:
  threatrelay refer 203[.]0[.]113[.]7
  threatrelay refer -o json evil.example rose@evil.example";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// One URL a line
    #[default]
    Links,
    /// Exactly what the relay answers to XDR
    Json,
}

/// Gives the links.
pub(super) fn run(wanted: &References) -> Outcome {
    let Asked { observables, refused } = match wanted.values.read(|| stdin().lock()) {
        Ok(asked) => asked,
        Err(error) => return Outcome::failed(format!("standard input cannot be read: {error}"), FAILURE),
    };
    let web = match wanted.file.load_to_ask(None) {
        Ok(loaded) => loaded.config.otx.web_url,
        Err(errors) => return refusal(&errors, SETTINGS),
    };
    let stdout = match wanted.output {
        _ if observables.is_empty() => String::new(),
        Form::Links => observables.iter().map(|observable| link(observable, &web) + "\n").collect(),
        Form::Json => String::from_utf8_lossy(&references(&observables, &web)).into_owned(),
    };
    let mut outcome = Outcome::done(stdout);
    if !refused.is_empty() {
        outcome.exit_code = if observables.is_empty() { USAGE } else { FAILURE };
    }
    for refused in refused {
        outcome.diagnose(&ERROR, "error", refused);
    }
    outcome
}
