//! The command line: what a person or a container types, and the exit code they get. Commands live in one file
//! each; data goes to standard output, everything else to standard error, and secrets are never taken as arguments.

pub mod config;
mod serve;

use std::fmt::Display;
use std::io::{Write, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;

use self::config::Outcome;
use crate::api::version::VERSION;
use crate::config::{Errors, Loaded, load, process_environment};
use crate::demo;
use crate::json::python_dumps;
use crate::telemetry;

/// Exit code of a command that failed. 2, for wrong usage, is clap's; 78 is [`config::EX_CONFIG`].
const FAILURE: u8 = 1;

/// Answers Cisco SecureX / XDR relay requests with threat intelligence from AlienVault OTX.
#[derive(Debug, Parser)]
#[command(name = "threatrelay", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  threatrelay demo                              try it, nothing needed
  threatrelay config validate --config FILE     check the settings
  THREATRELAY_AUTH_AUDIENCES=https://relay.example.com threatrelay serve

Exit codes:
  0  done      1  failed      2  wrong usage      78  settings not valid";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the relay until SIGTERM or SIGINT; a second signal ends it at once
    #[command(after_help = serve::AFTER_HELP)]
    Serve(ConfigFile),
    /// Run the relay on a bundled upstream and show requests to try
    #[command(after_help = "Examples:\n  threatrelay demo\n  threatrelay demo --once --listen 127.0.0.1:0")]
    Demo(demo::Args),
    /// Show or check the settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the version
    #[command(after_help = "Example:\n  threatrelay version -o json")]
    Version {
        /// Form of the output
        #[arg(short, long, value_enum, default_value_t)]
        output: VersionOutput,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every setting with its value and where the value came from
    #[command(after_help = "Example:\n  threatrelay config print -o yaml --config FILE")]
    Print {
        #[command(flatten)]
        file: ConfigFile,
        /// Form of the output
        #[arg(short, long, value_enum, default_value_t)]
        output: config::Output,
    },
    /// Say whether the settings are valid and name every problem
    #[command(after_help = "Example:\n  threatrelay config validate --config FILE")]
    Validate(ConfigFile),
}

/// Where the settings are read from, beside the environment.
#[derive(Debug, Args)]
struct ConfigFile {
    /// YAML file with settings; environment variables take precedence over it
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    fn load(&self) -> Result<Loaded, Errors> {
        load(self.config.as_deref(), process_environment())
    }
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum VersionOutput {
    #[default]
    Text,
    Json,
}

/// Does what the arguments of this process say.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(refusal) => {
            // Help goes to standard output and is no failure; clap knows which is which.
            let _ = refusal.print();
            return ExitCode::from(u8::try_from(refusal.exit_code()).unwrap_or(FAILURE));
        }
    };
    let exit_code = match cli.command {
        Command::Serve(file) => match file.load() {
            Ok(loaded) => serve::run(loaded),
            refused => say(&config::validate(&refused)),
        },
        Command::Demo(args) => match demo::run(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(error, FAILURE),
        },
        Command::Config(ConfigCommand::Print { file, output }) => say(&config::print(&file.load(), output)),
        Command::Config(ConfigCommand::Validate(file)) => say(&config::validate(&file.load())),
        Command::Version { output } => say(&version(output)),
    };
    telemetry::flush();
    exit_code
}

fn version(output: VersionOutput) -> Outcome {
    #[derive(Serialize)]
    struct Document {
        name: &'static str,
        version: &'static str,
    }
    let name = "threatrelay";
    let stdout = match output {
        VersionOutput::Text => format!("{name} {VERSION}\n"),
        VersionOutput::Json => python_dumps(&Document { name, version: VERSION }) + "\n",
    };
    Outcome { stdout, stderr: String::new(), exit_code: 0 }
}

/// Writes what a command says. A reader who stops reading (`| head`) is no failure.
fn say(outcome: &Outcome) -> ExitCode {
    let _ = stdout().write_all(outcome.stdout.as_bytes());
    let _ = stderr().write_all(outcome.stderr.as_bytes());
    ExitCode::from(outcome.exit_code)
}

/// Says in one line why a command failed, after all that it logged.
fn fail(reason: impl Display, exit_code: u8) -> ExitCode {
    telemetry::flush();
    let _ = writeln!(stderr(), "error: {reason}");
    ExitCode::from(exit_code)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_of_the_arguments_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_command_is_needed_and_wrong_usage_exits_with_2() {
        for arguments in [&["threatrelay"][..], &["threatrelay", "server"], &["threatrelay", "serve", "--port", "1"]]
        {
            let refusal = Cli::try_parse_from(arguments).unwrap_err();
            assert_eq!(refusal.exit_code(), 2, "{arguments:?}");
        }
    }

    #[test]
    fn help_shows_examples_and_exit_codes() {
        let help = Cli::try_parse_from(["threatrelay", "--help"]).unwrap_err();
        assert_eq!(help.exit_code(), 0);
        let text = help.to_string();
        assert!(text.contains("Examples:") && text.contains("78  settings not valid"), "{text}");
    }

    #[test]
    fn the_version_is_told_for_people_and_programs() {
        assert_eq!(version(VersionOutput::Text).stdout, format!("threatrelay {VERSION}\n"));
        let document: serde_json::Value = serde_json::from_str(&version(VersionOutput::Json).stdout).unwrap();
        assert_eq!(document, serde_json::json!({"name": "threatrelay", "version": VERSION}));
    }
}
