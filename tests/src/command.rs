//! The relay's binary as a person uses it: arguments, environment and standard input go in, both outputs and the exit
//! code come out. Outputs can be compared with files that are checked in.
#![expect(clippy::expect_used, reason = "a command that cannot be run ends the test, with the step's name")]

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::golden;
use crate::process::binary;

/// Longest time a command may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A command to be run.
#[derive(Debug)]
pub struct Command {
    command: tokio::process::Command,
    input: Vec<u8>,
}

/// What a command said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The exit code.
    pub code: i32,
}

/// `threatrelay` with these arguments, an empty environment and nothing on standard input.
#[must_use]
pub fn threatrelay(arguments: &[&str]) -> Command {
    let mut command = tokio::process::Command::new(binary());
    command.args(arguments).env_clear().kill_on_drop(true);
    Command { command, input: Vec::new() }
}

impl Command {
    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Puts a text on its standard input.
    #[must_use]
    pub fn input(mut self, text: &str) -> Self {
        self.input = text.into();
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it cannot be run, or has not ended in time.
    pub async fn run(mut self) -> Said {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().expect("the command");
        let mut stdin = child.stdin.take().expect("its standard input");
        // A command that reads nothing may have ended.
        let _ = stdin.write_all(&self.input).await;
        drop(stdin);
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
        let output = output.expect("a command that ends in time").expect("its output");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Said {
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            code: output.status.code().expect("an exit code"),
        }
    }
}

impl Said {
    /// It must have ended with this code.
    ///
    /// # Panics
    /// With all it said, if it has not.
    #[must_use]
    pub fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// All of it must be what `tests/tests/golden/cli/NAME.txt` holds, once each of `varying` has been replaced by the
    /// word beside it.
    ///
    /// # Panics
    /// With both texts, if it is not.
    pub fn is_golden(&self, name: &str, varying: &[(&str, &str)]) {
        let Self { stdout, stderr, code } = self;
        let mut text = format!("{stdout}--- standard error\n{stderr}--- exit code {code}\n");
        for (value, word) in varying {
            text = text.replace(value, word);
        }
        // Trailing blanks say nothing and do not survive editors.
        let text: String = text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect();
        golden::matches(&format!("tests/golden/cli/{name}.txt"), &text);
    }
}
