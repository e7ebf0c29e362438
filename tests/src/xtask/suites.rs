//! Running test suites by nextest and counting what they did.

use std::error::Error;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Tests by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
}

impl Count {
    pub(super) fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    pub(super) fn add_check(&mut self, name: &str, passed: bool) {
        println!("{name}: {}", if passed { "ok" } else { "FAILED" });
        self.add(&Self { passed: usize::from(passed), failed: usize::from(!passed), skipped: 0 });
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// The two halves of the suites.
#[derive(Clone, Copy)]
pub(super) enum Suites {
    WithoutCluster,
    Cluster,
}

impl Suites {
    /// Which tests they are, in nextest's language.
    const fn filter(self) -> &'static str {
        match self {
            Self::WithoutCluster => "not (package(tests) and binary(/^(cluster_|faultproxy)/))",
            Self::Cluster => "package(tests) and binary(/^(cluster_|faultproxy)/)",
        }
    }

    /// Builds and runs them.
    ///
    /// # Errors
    /// When nextest cannot be run, or ends without a summary (a build that failed).
    pub(super) fn run(self) -> Result<Count, Box<dyn Error>> {
        // Binaries that suites start as processes of their own.
        let built =
            Command::new("cargo").args(["build", "--quiet", "--release", "--workspace", "--bins"]).status()?;
        if !built.success() {
            return Err("the build failed".into());
        }
        let ignored = self.ignored()?;
        let relay = std::env::current_exe()?.with_file_name("threatrelay");
        let mut nextest = Command::new("cargo")
            .env("THREATRELAY_BINARY", relay)
            .args([
                "nextest",
                "run",
                "--release",
                "--workspace",
                "--no-fail-fast",
                "--color",
                "never",
                "-E",
                self.filter(),
            ])
            .stderr(Stdio::piped())
            .spawn()?;
        let mut summary = None;
        for line in BufReader::new(nextest.stderr.take().ok_or("nextest has no output")?).lines() {
            let line = line?;
            summary = summary_of(&line).or(summary);
            eprintln!("{line}");
        }
        let status = nextest.wait()?;
        let mut count = summary.ok_or("nextest ended without a summary")?;
        count.skipped = ignored;
        if !status.success() && count.failed == 0 {
            return Err(format!("nextest ended with {status}").into());
        }
        Ok(count)
    }

    /// Tests that say themselves that they do not run here (data or a program is absent).
    fn ignored(self) -> Result<usize, Box<dyn Error>> {
        let list = Command::new("cargo")
            .args([
                "nextest",
                "list",
                "--release",
                "--workspace",
                "--run-ignored",
                "only",
                "--message-format",
                "oneline",
            ])
            .args(["--color", "never", "-E", self.filter()])
            .stderr(Stdio::inherit())
            .output()?;
        let names = String::from_utf8_lossy(&list.stdout);
        for name in names.lines() {
            println!("skipped: {name}");
        }
        Ok(names.lines().count())
    }
}

/// Reads `Summary [  12.3s] 300 tests run: 298 passed (3 slow), 2 failed, 12 skipped`.
fn summary_of(line: &str) -> Option<Count> {
    let (_, counts) = line.trim_start().strip_prefix("Summary ")?.split_once(" run: ")?;
    let number = |word: &str| {
        counts
            .split(", ")
            .find_map(|part| part.split_once(' ').filter(|(_, rest)| rest.starts_with(word))?.0.parse().ok())
    };
    let failed = ["failed", "timed out", "exec failed"].into_iter().filter_map(number).sum();
    Some(Count { passed: number("passed").unwrap_or(0), failed, skipped: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_counted() {
        for (line, passed, failed) in [
            ("     Summary [  12.345s] 300 tests run: 298 passed (3 slow), 2 failed, 12 skipped", 298, 2),
            ("     Summary [   0.100s] 1 test run: 1 passed, 0 skipped", 1, 0),
            ("     Summary [   9.100s] 5/9 tests run: 3 passed (1 flaky), 1 failed, 1 timed out, 2 skipped", 3, 2),
            ("     Summary [   0.000s] 0 tests run: 0 passed, 5 skipped", 0, 0),
        ] {
            assert_eq!(summary_of(line), Some(Count { passed, failed, skipped: 0 }), "{line}");
        }
        assert_eq!(summary_of("        PASS [   0.004s] tests::contract"), None);
    }
}
