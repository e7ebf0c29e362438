//! `threatrelay lookup`: what the relay would answer about some observables, shown to a person. The engine, the mapping
//! and the settings are the relay's own; only the token is left out, because the key comes from a file. Ends with the
//! code of the worst that happened to any of the look-ups.

mod report;

use std::io::{IsTerminal, Write, stderr, stdin};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use prometheus_client::registry::Registry;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::ConfigFile;
use super::asked::{Asked, Values};
use super::key::KeySource;
use super::outcome::{ERROR, FAILURE, NOT_FOUND, Outcome, SETTINGS, UNAUTHORIZED, UNREACHABLE, USAGE, WARNING};
use crate::api::lookup::answer;
use crate::config::Config;
use crate::demo::samples::{self, Samples};
use crate::error::Severity;
use crate::json::to_canonical;
use crate::mapping::{self, Telling};
use crate::observable::Observable;
use crate::otx::key::OtxKey;
use crate::otx::time::Moment;
use crate::otx::{self, Engine, Failure, Lookup, Notice};
use crate::trace::TraceId;

/// Observables that are asked about at once.
const AT_ONCE: usize = 20;

/// What to look up and how to show it.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Lookups {
    #[command(flatten)]
    values: Values,
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    key: KeySource,
    /// Ask captured OTX answers in this directory instead of OTX; needs no key
    #[arg(long, value_name = "DIR", conflicts_with = "key_file")]
    samples: Option<PathBuf>,
    /// Most pulses shown of one observable, the newest first
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
    /// End with 6 when nothing is known of any of them
    #[arg(long)]
    exit_code: bool,
}

pub(super) const AFTER_HELP: &str = "\
Examples:
  threatrelay lookup --key-file FILE 'hxxp://evil[.]example/login'
  cut -d, -f2 report.csv | threatrelay lookup --key-file FILE -o json -
  threatrelay lookup --key-file FILE --exit-code 203.0.113.7 || echo \"nothing known: $?\"

Forms of the output:
  table  for people          json   a list with one object for each observable
  links  one URL a line      ctim   exactly what the relay answers to XDR";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    #[default]
    Table,
    Json,
    Ctim,
    Links,
}

/// Looks up what was asked.
pub(super) fn run(lookups: &Lookups) -> Outcome {
    let asked = match lookups.values.read(|| stdin().lock()) {
        Ok(asked) => asked,
        Err(error) => return Outcome::failed(format!("standard input cannot be read: {error}"), FAILURE),
    };
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return Outcome::failed(error, FAILURE),
    };
    let Asked { observables, refused } = asked;
    let mut outcome = if observables.is_empty() {
        Outcome { exit_code: USAGE, ..Outcome::default() }
    } else {
        runtime.block_on(lookups.ask(observables))
    };
    for refused in refused {
        outcome.diagnose(&ERROR, "error", refused);
        outcome.exit_code = if matches!(outcome.exit_code, 0 | NOT_FOUND) { FAILURE } else { outcome.exit_code };
    }
    outcome
}

impl Lookups {
    async fn ask(&self, observables: Vec<Observable>) -> Outcome {
        let upstream = match self.samples.as_deref().map(serve).transpose() {
            Ok(None) => None,
            Ok(Some(serving)) => match serving.await {
                Ok(url) => Some(url),
                Err(error) => return Outcome::failed(error, FAILURE),
            },
            Err(error) => return Outcome::failed(error, SETTINGS),
        };
        let loaded = match self.file.load_to_ask(upstream.clone()) {
            Ok(loaded) => loaded,
            Err(errors) => return super::config::refusal(&errors, SETTINGS),
        };
        let config = loaded.config;
        let key = match upstream {
            Some(_) => {
                OtxKey::new(&SecretString::from("a-key-for-captured-answers")).map_err(|error| error.to_string())
            }
            None => self.key.read(&config).map_err(|error| error.to_string()),
        };
        let key = match key {
            Ok(key) => key,
            Err(error) => return Outcome::failed(error, SETTINGS),
        };
        let engine = match engine(&config) {
            Ok(engine) => engine,
            Err(error) => return Outcome::failed(error, SETTINGS),
        };
        match look_up(&engine, &key, observables).await {
            Ok(found) => self.outcome(&found, &config),
            Err(failure) => Outcome::failed(
                format!(
                    "OTX refused the key ({failure}); see your key at {}/api and check the file with `threatrelay check`",
                    config.otx.web_url.as_str().trim_end_matches('/')
                ),
                UNAUTHORIZED,
            ),
        }
    }

    fn outcome(&self, found: &[Lookup], config: &Config) -> Outcome {
        let (web, limit) = (&config.otx.web_url, usize::from(self.limit));
        let stdout = match self.output {
            Form::Table => report::table(found, limit, web, super::text::terminal_width()),
            Form::Json => report::json(found, limit, web),
            Form::Links => report::links(found, limit, web),
            Form::Ctim => {
                let telling = Telling::of(config, limit, Moment::now());
                let answer = answer(found, mapping::bundle(found, &telling), &TraceId::random());
                let answer = to_canonical(&answer);
                String::from_utf8_lossy(&answer).into_owned()
            }
        };
        let mut outcome = Outcome { exit_code: self.exit_code(found), stdout, ..Outcome::default() };
        // In the other forms they are a part of the output.
        if matches!(self.output, Form::Table | Form::Links) {
            for entry in report::entries(found) {
                let message = super::text::harmless(&entry.message);
                match entry.severity {
                    Severity::Warning => outcome.diagnose(&WARNING, "warning", message),
                    Severity::Error | Severity::Fatal => outcome.diagnose(&ERROR, "error", message),
                }
            }
        }
        outcome
    }

    fn exit_code(&self, found: &[Lookup]) -> u8 {
        let failures: Vec<&Failure> = found
            .iter()
            .flat_map(|lookup| match &lookup.outcome {
                Err(failure) => vec![failure],
                Ok(known) => known.notices.iter().filter_map(failure_of).collect(),
            })
            .collect();
        let is_known = |lookup: &Lookup| lookup.outcome.as_ref().is_ok_and(|known| !known.matches.is_empty());
        if failures.iter().any(|failure| is_unreachable(failure)) {
            UNREACHABLE
        } else if !failures.is_empty() {
            FAILURE
        } else if self.exit_code && !found.iter().any(is_known) {
            NOT_FOUND
        } else {
            0
        }
    }
}

/// Whether OTX could not be asked, as opposed to: it answered something that cannot be used.
pub(super) fn is_unreachable(failure: &Failure) -> bool {
    failure.is_outage() || matches!(failure, Failure::Deadline(_) | Failure::CircuitOpen)
}

fn failure_of(notice: &Notice) -> Option<&Failure> {
    match notice {
        Notice::PulseNotAsked { failure, .. } | Notice::PassiveDnsNotAsked { failure } => Some(failure),
        Notice::Capped { .. } | Notice::Stale { .. } => None,
    }
}

/// Looks up some at a time, and tells on a terminal how far it is.
async fn look_up(engine: &Engine, key: &OtxKey, observables: Vec<Observable>) -> Result<Vec<Lookup>, Failure> {
    let total = observables.len();
    let shows_progress = total > 1 && stderr().is_terminal();
    let mut found = Vec::with_capacity(total);
    for some in observables.chunks(AT_ONCE) {
        if shows_progress {
            let _ = write!(stderr(), "\r{} of {total} looked up", found.len());
        }
        let answer = engine.lookup(key, some.to_vec()).await;
        if shows_progress {
            let _ = write!(stderr(), "\r\x1b[K");
        }
        found.extend(answer?);
    }
    Ok(found)
}

/// Serves captured answers on loopback as long as this process runs; gives their origin.
fn serve(dir: &Path) -> Result<impl Future<Output = std::io::Result<String>>, samples::SamplesError> {
    let router = samples::router(Arc::new(Samples::read(dir)?));
    Ok(async move {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        tokio::spawn(axum::serve(listener, router).into_future());
        Ok(format!("http://{address}"))
    })
}

/// The relay's way to OTX, counted nowhere.
///
/// # Errors
/// When the settings name a file of certificates that cannot be used.
pub(super) fn engine(config: &Config) -> Result<Engine, otx::StartError> {
    Engine::new(config, otx::Metrics::register(&mut Registry::default()))
}
