//! The command line: what a person or a container types, and the exit code they get. Commands live in one file each; data
//! goes to standard output, everything else to standard error, and secrets are never taken as arguments.

mod serve;

use std::fmt::Display;
use std::io::{Write, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;

use crate::api::version::VERSION;

/// Exit code when the command was understood and failed.
const FAILURE: u8 = 1;
/// Exit code when the settings are not valid (`EX_CONFIG` of sysexits.h); 2, for wrong usage, is clap's.
const CONFIGURATION: u8 = 78;

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
    Demo,
    /// Print the version
    #[command(after_help = "Example:\n  threatrelay version -o json")]
    Version {
        /// Form of the output
        #[arg(short, long, value_enum, default_value_t)]
        output: VersionOutput,
    },
}

/// Where the settings are read from, beside the environment.
#[derive(Debug, Args)]
struct ConfigFile {
    /// YAML file with settings; environment variables take precedence over it
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
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
    match cli.command {
        Command::Serve(ConfigFile { config }) => serve::run(config.as_deref()),
        Command::Demo => fail("this build has no demo"),
        Command::Version { output } => say(&version(output)),
    }
}

fn version(output: VersionOutput) -> String {
    #[derive(Serialize)]
    struct Document {
        name: &'static str,
        version: &'static str,
    }
    let name = "threatrelay";
    match output {
        VersionOutput::Text => format!("{name} {VERSION}\n"),
        VersionOutput::Json => crate::json::python_dumps(&Document { name, version: VERSION }) + "\n",
    }
}

/// Writes data. A reader who stops reading (`| head`) is no failure.
fn say(text: &str) -> ExitCode {
    let _ = stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// Says in one line why a command failed.
fn fail(reason: impl Display) -> ExitCode {
    let _ = writeln!(stderr(), "error: {reason}");
    ExitCode::from(FAILURE)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_of_the_arguments_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_command_is_needed_and_wrong_usage_exits_with_2() {
        for arguments in [&["threatrelay"][..], &["threatrelay", "server"], &["threatrelay", "serve", "--port", "1"]] {
            let refusal = Cli::try_parse_from(arguments).expect_err("refused");
            assert_eq!(refusal.exit_code(), 2, "{arguments:?}");
        }
    }

    #[test]
    fn help_shows_examples_and_exit_codes() {
        let help = Cli::try_parse_from(["threatrelay", "--help"]).expect_err("help");
        assert_eq!(help.exit_code(), 0);
        let text = help.to_string();
        assert!(text.contains("Examples:") && text.contains("78  settings not valid"), "{text}");
    }

    #[test]
    fn the_version_is_told_for_people_and_programs() {
        assert_eq!(version(VersionOutput::Text), format!("threatrelay {VERSION}\n"));
        let document: serde_json::Value = serde_json::from_str(&version(VersionOutput::Json)).expect("JSON");
        assert_eq!(document, serde_json::json!({"name": "threatrelay", "version": VERSION}));
    }
}
