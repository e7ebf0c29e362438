//! `threatrelay man` and `completions`: what packages install beside the binary, made from the same definition of the
//! arguments that the binary reads.

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use super::outcome::{FAILURE, Outcome, USAGE};

/// The page about a command, named by the words that lead to it; none name the whole program.
pub(super) fn page(mut program: Command, words: &[String]) -> Outcome {
    program.build();
    let mut command = &program;
    for word in words {
        let Some(found) = command.find_subcommand(word) else {
            let why = format!("{} has no command {word:?}; see `threatrelay --help`", command.get_name());
            return Outcome::failed(why, USAGE);
        };
        command = found;
    }
    let mut page = Vec::new();
    match Man::new(command.clone()).render(&mut page) {
        Ok(()) => Outcome::done(String::from_utf8_lossy(&page).into_owned()),
        Err(error) => Outcome::failed(error, FAILURE),
    }
}

/// The completions of a shell.
pub(super) fn completions(mut program: Command, shell: Shell) -> Outcome {
    let mut script = Vec::new();
    let name = program.get_name().to_owned();
    clap_complete::generate(shell, &mut program, name, &mut script);
    Outcome::done(String::from_utf8_lossy(&script).into_owned())
}
