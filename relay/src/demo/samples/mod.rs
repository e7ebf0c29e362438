//! An upstream of captured OTX bodies: what a directory holds is served as it was captured.
//!
//! Every `.json` and `.json.gz` file is told apart by its content, not its name. Where the rows of a pulse were not
//! captured, one is derived from the answer that names the pulse, and the log says so. A directory that cannot be
//! read, or that holds no answer about any indicator, is an error; a file of no known form is logged and left out.

mod form;
mod router;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tracing::{info, warn};

use self::form::Form;
use super::upstream::IndicatorType;

pub use self::router::router;

/// Captured bodies, ready to be served.
#[derive(Debug, Default)]
pub struct Samples {
    generals: Vec<General>,
    pulses: BTreeMap<String, Bytes>,
    rows: BTreeMap<String, Vec<Value>>,
    search: Option<Bytes>,
    account: Option<Bytes>,
    refusals: BTreeMap<u16, Value>,
}

/// A captured answer about one indicator.
#[derive(Clone, Debug)]
struct General {
    indicator: String,
    /// As `type` of the answer: `IPv4`, `domain`, `md5` ...
    answer_type: String,
    /// Pulses in which the indicator is active.
    pulses: usize,
    content: Value,
    body: Bytes,
}

/// Captured bodies cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum SamplesError {
    /// A file or the directory cannot be read.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// What was read.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// There is nothing to ask for.
    #[error("{0} holds no answer about an indicator (an object with `indicator` and `pulse_info`)")]
    Empty(PathBuf),
}

impl Samples {
    /// Reads every capture in `dir`, not below it.
    ///
    /// # Errors
    /// [`SamplesError`] when something cannot be read, or when no file is an answer about an indicator.
    pub fn read(dir: &Path) -> Result<Self, SamplesError> {
        let mut samples = Self::default();
        for path in files(dir)? {
            let Some(body) = read_file(&path)? else { continue };
            match serde_json::from_slice(&body) {
                Ok(content) => samples.take(&path, content, body),
                Err(error) => warn!(sample.file = %path.display(), %error, "sample is no JSON and is left out"),
            }
        }
        if samples.generals.is_empty() {
            return Err(SamplesError::Empty(dir.to_owned()));
        }
        samples.derive_rows();
        Ok(samples)
    }

    /// One captured indicator of each of `IPv4`, `IPv6`, `domain`, `url` and a hash, as far as there are, rather one
    /// with many pulses: the answer's `type` and the value.
    pub fn examples(&self) -> Vec<(&str, &str)> {
        let of_types = |types: &[&str]| {
            let wanted = |general: &&General| types.contains(&general.answer_type.as_str());
            let best = self.generals.iter().filter(wanted).max_by_key(|general| general.pulses);
            best.map(|general| (general.answer_type.as_str(), general.indicator.as_str()))
        };
        [&["IPv4"][..], &["IPv6"], &["domain"], &["url"], &["md5", "sha1", "sha256"]]
            .into_iter()
            .filter_map(of_types)
            .collect()
    }

    fn take(&mut self, path: &Path, content: Value, body: Bytes) {
        match form::of(&content) {
            Some(Form::General { indicator, answer_type, pulses }) => {
                self.generals.push(General { indicator, answer_type, pulses, content, body });
            }
            Some(Form::Pulse { id }) => {
                let rows = form::detail_rows(&id, &content);
                self.rows.entry(id.clone()).or_insert(rows);
                self.pulses.insert(id, body);
            }
            Some(Form::Listing) => {
                for (id, rows) in form::listed_rows(&content) {
                    self.rows.insert(id, rows);
                }
            }
            Some(Form::Search) => self.search = Some(body),
            Some(Form::Account) => self.account = Some(body),
            Some(Form::Errors) => self.refusals.extend(form::error_bodies(&content)),
            None => info!(sample.file = %path.display(), "sample has no form that is served and is left out"),
        }
    }

    /// Gives each pulse without captured rows the one row that its answer implies.
    fn derive_rows(&mut self) {
        for general in &self.generals {
            for pulse in general.content["pulse_info"]["pulses"].as_array().into_iter().flatten() {
                let Some(id) = pulse["id"].as_str() else { continue };
                let captured = self.rows.get(id).is_some_and(|rows| !rows.iter().any(|row| row["derived"] == true));
                if captured {
                    continue;
                }
                info!(
                    pulse.id = id,
                    indicator = general.indicator,
                    "no rows of this pulse were captured; one is derived from the pulse"
                );
                self.rows.entry(id.to_owned()).or_default().push(form::derived_row(id, pulse, &general.content));
            }
        }
        for row in self.rows.values_mut().flatten().filter_map(Value::as_object_mut) {
            row.remove("derived");
        }
    }

    fn general(&self, kind: IndicatorType, value: &str) -> Option<&General> {
        self.generals
            .iter()
            .find(|general| general.answer_type == kind.answer_type() && kind.normal(&general.indicator) == value)
    }

    fn refusal(&self, status: u16) -> Value {
        self.refusals.get(&status).cloned().unwrap_or_else(|| json!({"detail": "refused"}))
    }
}

fn files(dir: &Path) -> Result<Vec<PathBuf>, SamplesError> {
    let failed = |source| SamplesError::Read { path: dir.to_owned(), source };
    let mut paths = fs::read_dir(dir)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    paths.sort();
    Ok(paths)
}

/// The file's text, unzipped; `None` for what is neither `.json` nor `.json.gz`.
fn read_file(path: &Path) -> Result<Option<Bytes>, SamplesError> {
    let failed = |source| SamplesError::Read { path: path.to_owned(), source };
    let name = path.to_string_lossy();
    let bytes = if name.ends_with(".json.gz") {
        let mut text = Vec::new();
        GzDecoder::new(fs::File::open(path).map_err(failed)?).read_to_end(&mut text).map_err(failed)?;
        text
    } else if path.extension().is_some_and(|extension| extension == "json") {
        fs::read(path).map_err(failed)?
    } else {
        return Ok(None);
    };
    Ok(Some(bytes.into()))
}

#[cfg(test)]
mod tests;
