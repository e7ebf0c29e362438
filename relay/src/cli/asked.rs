//! The observables that a command line names: its values, and with `-` the lines of standard input. What is no
//! observable is kept apart with its reason; empty lines and lines that start with `#` are no observables and no fault.

use std::io::{self, BufRead};

use super::refang::{NotObservable, observable};
use crate::observable::{Observable, ObservableType};

/// What to ask about.
#[derive(Clone, Debug, clap::Args)]
pub struct Values {
    /// What to ask about, also disarmed (`hxxp://evil[.]example`); `-` reads one a line from standard input
    #[arg(required = true, value_name = "VALUE")]
    values: Vec<String>,
    /// What all of them are, instead of a guess: domain, email, md5, sha1, sha256, ip, ipv6 or url
    #[arg(short = 't', long = "type", value_name = "TYPE", value_parser = kind)]
    kind: Option<ObservableType>,
}

/// What was named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Each once, in order.
    pub observables: Vec<Observable>,
    /// What cannot be asked about.
    pub refused: Vec<NotObservable>,
}

impl Values {
    /// Reads the values, and `input` where one is `-`.
    ///
    /// # Errors
    /// When `input` cannot be read.
    pub fn read(&self, input: impl FnOnce() -> io::StdinLock<'static>) -> io::Result<Asked> {
        let mut asked = Asked::default();
        let mut input = Some(input);
        for value in &self.values {
            if value != "-" {
                asked.add(value, self.kind);
            } else if let Some(input) = input.take() {
                for line in input().lines() {
                    let line = line?;
                    let line = line.trim();
                    if !line.is_empty() && !line.starts_with('#') {
                        asked.add(line, self.kind);
                    }
                }
            }
        }
        Ok(asked)
    }
}

impl Asked {
    fn add(&mut self, text: &str, kind: Option<ObservableType>) {
        match observable(text, kind) {
            Ok(observable) if self.observables.contains(&observable) => {}
            Ok(observable) => self.observables.push(observable),
            Err(refused) => self.refused.push(refused),
        }
    }
}

fn kind(name: &str) -> Result<ObservableType, String> {
    ObservableType::parse(&name.to_ascii_lowercase()).ok_or_else(|| {
        let names: Vec<&str> = ObservableType::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("it is one of {}", names.join(", "))
    })
}
