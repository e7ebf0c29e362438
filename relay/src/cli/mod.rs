//! The command line: what a person or a container types, and the exit code they get. Commands live in one file
//! each; data goes to standard output, everything else to standard error, and secrets are never taken as arguments.

mod asked;
mod check;
pub mod config;
mod key;
mod lookup;
mod manual;
mod module_type;
mod openapi;
pub mod outcome;
pub mod refang;
mod refer;
mod serve;
mod text;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use serde::Serialize;

use self::outcome::{Color, FAILURE, Outcome};
use crate::api::version::VERSION;
use crate::config::{Errors, Loaded, load, process_environment};
use crate::demo::{self, DemoError};
use crate::json::python_dumps;
use crate::telemetry;

/// Answers Cisco SecureX / XDR relay requests with threat intelligence from AlienVault OTX.
#[derive(Debug, Parser)]
#[command(name = "threatrelay", version, after_help = AFTER_HELP, max_term_width = 100)]
struct Cli {
    #[arg(
        long,
        help = "When to use colours: auto (on a terminal, see also NO_COLOR, CLICOLOR_FORCE), always, never",
        value_enum,
        default_value_t,
        global = true,
        value_name = "WHEN",
        display_order = 100,
        hide_possible_values = true,
        hide_default_value = true
    )]
    color: Color,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  threatrelay demo                              try it, nothing needed
  threatrelay lookup --key-file FILE 'hxxp://evil[.]example/login'
  threatrelay check --config FILE --key-file FILE
  THREATRELAY_AUTH_AUDIENCES=https://relay.example.com threatrelay serve

Exit codes:
  0  done                    4  OTX refused the key
  1  failed                  5  OTX, or the relay, cannot be reached
  2  wrong usage             6  nothing known, with --exit-code
  3  settings not valid     78  the same, of serve and config";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the relay until SIGTERM or SIGINT; a second signal ends it at once
    #[command(after_help = serve::AFTER_HELP)]
    Serve(ConfigFile),
    /// Run the relay on a bundled upstream and show requests to try
    #[command(after_help = "Examples:\n  threatrelay demo\n  threatrelay demo --once --listen 127.0.0.1:0")]
    Demo(demo::Args),
    /// Show what the relay would answer about some observables
    #[command(after_help = lookup::AFTER_HELP)]
    Lookup(Box<lookup::Lookups>),
    /// Print links to OTX's pages about some observables
    #[command(after_help = refer::AFTER_HELP)]
    Refer(refer::References),
    /// Check the settings and all they need, or a running relay
    #[command(after_help = check::AFTER_HELP)]
    Check(Box<check::Checks>),
    /// Show or check the settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Make tokens, or say why one is refused
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Print the document that registers the relay with a region of SecureX / XDR
    #[command(after_help = module_type::AFTER_HELP)]
    ModuleType(module_type::Registration),
    #[command(about = "Print an OpenAPI 3.1 document of the relay's endpoints")]
    Openapi,
    /// Print a script that completes commands in a shell
    #[command(after_help = "Example:\n  threatrelay completions bash > /etc/bash_completion.d/threatrelay")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print a manual page
    #[command(after_help = "Examples:\n  threatrelay man | man -l -\n  threatrelay man token mint | man -l -")]
    Man {
        /// The command it is about
        command: Vec<String>,
    },
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
#[derive(Clone, Debug, Args)]
struct ConfigFile {
    /// YAML file with settings; environment variables take precedence over it
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    fn load(&self) -> Result<Loaded, Errors> {
        load(self.config.as_deref(), process_environment())
    }

    /// The settings of a command that only asks OTX. Nobody has to be authenticated, so what that would need may be
    /// missing; `base_url` stands in for OTX.
    fn load_to_ask(&self, base_url: Option<String>) -> Result<Loaded, Errors> {
        let given = process_environment().filter(|(name, _)| !name.starts_with("THREATRELAY_AUTH_"));
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let nobody =
            [set("THREATRELAY_AUTH_MODE", "jwks"), set("THREATRELAY_AUTH_AUDIENCES", "https://nobody.invalid")];
        let base_url = base_url.map(|url| set("THREATRELAY_OTX_BASE_URL", &url));
        load(self.config.as_deref(), given.chain(nobody).chain(base_url))
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
    cli.color.choose();
    let outcome = match cli.command {
        Command::Serve(file) => match file.load() {
            Ok(loaded) => serve::run(loaded),
            refused => config::validate(&refused),
        },
        Command::Demo(args) => match demo::run(&args) {
            // Whoever reads has read enough.
            Err(DemoError::System(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Outcome::default(),
            Ok(()) => Outcome::default(),
            Err(error) => Outcome::failed(error, FAILURE),
        },
        Command::Lookup(lookups) => lookup::run(&lookups),
        Command::Refer(references) => refer::run(&references),
        Command::Check(checks) => check::run(&checks),
        Command::Config(ConfigCommand::Print { file, output }) => config::print(&file.load(), output),
        Command::Config(ConfigCommand::Validate(file)) => config::validate(&file.load()),
        Command::Token(command) => token::run(&command),
        Command::ModuleType(registration) => module_type::run(&registration),
        Command::Openapi => openapi::run(),
        Command::Completions { shell } => manual::completions(Cli::command(), shell),
        Command::Man { command } => manual::page(Cli::command(), &command),
        Command::Version { output } => version(output),
    };
    // What a command says comes after all that it logged.
    telemetry::flush();
    outcome.say()
}

fn version(output: VersionOutput) -> Outcome {
    #[derive(Serialize)]
    struct Document {
        name: &'static str,
        version: &'static str,
    }
    let name = "threatrelay";
    Outcome::done(match output {
        VersionOutput::Text => format!("{name} {VERSION}\n"),
        VersionOutput::Json => python_dumps(&Document { name, version: VERSION }) + "\n",
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

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
        assert!(text.contains("Examples:") && text.contains("78  the same, of serve and config"), "{text}");
    }

    #[test]
    fn the_version_is_told_for_people_and_programs() {
        assert_eq!(version(VersionOutput::Text).stdout, format!("threatrelay {VERSION}\n"));
        let document: serde_json::Value = serde_json::from_str(&version(VersionOutput::Json).stdout).unwrap();
        assert_eq!(document, serde_json::json!({"name": "threatrelay", "version": VERSION}));
    }
}
