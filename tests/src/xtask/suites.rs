//! Running test suites and counting what they did: by nextest, a process a test, or by cargo, a process a suite.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use super::test::timed;

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

/// Parts of the suites.
#[derive(Clone, Copy)]
pub(super) enum Suites {
    /// What runs anywhere, a process a test.
    Plain,
    /// Thousands of cases that mostly wait, a process a suite.
    Tables,
    /// What plants defects in the relay, which is built once more with them.
    Variants,
    /// What looks at the static binaries, a process a suite.
    Shipped,
    /// What needs a Kubernetes of its own, a process a test.
    Cluster,
    /// What shares a control plane among its tests, a process a suite.
    Plane,
    /// What plants defects in the operator, which is built once more with them, and needs a control plane.
    PlaneVariants,
    /// What shares a cluster with nodes among its tests, of any provider, a process a suite.
    Nodes,
}

/// Variables for the suites.
pub(super) type Variables = Vec<(&'static str, OsString)>;

/// Suites whose tests share a process.
const TABLES: &[&str] = &["engine_faults", "trust_auth", "trust_input"];
/// Suites that need the relay's planted defects, and the options that build them in.
const VARIANTS: &[&str] = &["trust_variants"];
/// The same of the operator.
const PLANE_VARIANTS: &[&str] = &["faults_variants"];
const WITH_DEFECTS: &[&str] = &["--features", "broken-variants"];
/// Suites about what is shipped.
const SHIPPED: &[&str] = &["trust_supply"];
/// Suites whose tests share a control plane, and so a process, and mostly wait.
const WAITING: &[&str] = &["operator_schema", "operator_rbac", "operator_reconcile", "operator_runtime"];
/// The same that need the machine.
const PLANE: &[&str] = &["faults_plane", "faults_turmoil", "faults_operations", "faults_scale"];
/// Suites whose tests share a cluster with nodes and mostly wait, side by side.
const AILING: &[&str] = &["faults_relay"];
/// Suites whose tests share a cluster with nodes.
const NODES: &[&str] = &["cluster_node", "cluster_relay", "operator_node", "install_lifecycle"];
/// The suites that need a Kubernetes, in nextest's language.
const CLUSTER: &str = "binary(/^(chart_|cluster_|faultproxy|image_|install_|operator_rbac)/)";

impl Suites {
    /// Builds and runs them, with these variables.
    ///
    /// # Errors
    /// When the runner cannot be run, or ends without a summary (a build that failed).
    pub(super) fn run(self, variables: &Variables) -> Result<Count, Box<dyn Error>> {
        // Binaries that suites start as processes of their own.
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--quiet", "--workspace", "--bins"]);
        if !timed("binaries", || cargo.status())?.success() {
            return Err("the build failed".into());
        }
        let shared: Vec<String> = TABLES
            .iter()
            .chain(SHIPPED)
            .chain(WAITING)
            .chain(PLANE)
            .chain(NODES)
            .chain(AILING)
            .map(|suite| format!("binary({suite})"))
            .collect();
        let shared = shared.join(" or ");
        match self {
            Self::Plain => timed("plain suites", || {
                nextest(&format!("not (package(tests) and ({CLUSTER} or {shared}))"), variables)
            }),
            Self::Cluster => timed("suites of clusters", || {
                nextest(&format!("package(tests) and {CLUSTER} and not ({shared})"), variables)
            }),
            Self::Tables => cargo_test(TABLES, &[], variables),
            Self::Variants => cargo_test(VARIANTS, WITH_DEFECTS, variables),
            Self::Shipped => cargo_test(SHIPPED, &[], variables),
            // Most of their time they wait, each for an operator of its own.
            Self::Plane => {
                let variables = side_by_side(variables, "8");
                let mut all = together(WAITING, &variables)?;
                all.add(&cargo_test(PLANE, &[], &variables)?);
                Ok(all)
            }
            Self::PlaneVariants => cargo_test(PLANE_VARIANTS, WITH_DEFECTS, variables),
            Self::Nodes => {
                let mut all = cargo_test(NODES, &[], variables)?;
                all.add(&cargo_test(AILING, &[], &side_by_side(variables, "12"))?);
                Ok(all)
            }
        }
    }
}

/// So many tests of a process at once.
fn side_by_side(variables: &Variables, tests: &str) -> Variables {
    [&variables[..], &[("RUST_TEST_THREADS", tests.into())]].concat()
}

/// Runs these suites of the tests' crate one after the other, each in one process.
fn cargo_test(suites: &[&str], options: &[&str], variables: &Variables) -> Result<Count, Box<dyn Error>> {
    let mut all = Count::default();
    for suite in suites {
        all.add(&tried(suite, options, variables)?);
    }
    Ok(all)
}

/// Runs these suites at the same time.
fn together(suites: &[&str], variables: &Variables) -> Result<Count, Box<dyn Error>> {
    let mut all = Count::default();
    let counts: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = suites
            .iter()
            .map(|suite| {
                let run = || tried(suite, &[], variables).map_err(|error| error.to_string());
                scope.spawn(run)
            })
            .collect();
        running.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    for count in counts {
        all.add(&count.map_err(|_| "a suite's thread broke")??);
    }
    Ok(all)
}

/// Runs a suite in one process, and once more if some of it fails.
fn tried(suite: &str, options: &[&str], variables: &Variables) -> Result<Count, Box<dyn Error>> {
    let count = timed(suite, || suite_alone(suite, options, variables))?;
    if count.failed == 0 {
        return Ok(count);
    }
    println!("{suite}: {} failed; once more, as on a busy machine what waits for others may", count.failed);
    suite_alone(suite, options, variables)
}

/// Runs a suite in one process; each line says whose it is.
fn suite_alone(suite: &str, options: &[&str], variables: &Variables) -> Result<Count, Box<dyn Error>> {
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--quiet", "-p", "tests", "--test", suite]).args(options);
    let mut running =
        cargo.envs(variables.iter().cloned()).env("THREATRELAY_BINARY", relay()?).stdout(Stdio::piped()).spawn()?;
    let count = watch(running.stdout.take(), &format!("{suite}: "), result_of)?;
    let status = running.wait()?;
    let count = count.ok_or_else(|| format!("{suite} ended without a result ({status})"))?;
    if !status.success() && count.failed == 0 {
        return Err(format!("{suite} ended with {status}").into());
    }
    Ok(count)
}

/// The relay's binary, for tests that start it.
fn relay() -> io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name("threatrelay"))
}

fn nextest(filter: &str, variables: &Variables) -> Result<Count, Box<dyn Error>> {
    let ignored = ignored(filter)?;
    let mut cargo = Command::new("cargo");
    cargo.args(["nextest", "run", "--workspace", "--no-fail-fast", "--color", "never", "-E", filter]);
    let mut running =
        cargo.envs(variables.iter().cloned()).env("THREATRELAY_BINARY", relay()?).stderr(Stdio::piped()).spawn()?;
    let count = watch(running.stderr.take(), "", summary_of)?;
    let status = running.wait()?;
    let count = Count { skipped: ignored, ..count.ok_or("nextest ended without a summary")? };
    if !status.success() && count.failed == 0 {
        return Err(format!("nextest ended with {status}").into());
    }
    Ok(count)
}

/// Tests that say themselves that they do not run here (data or a program is absent).
fn ignored(filter: &str) -> Result<usize, Box<dyn Error>> {
    let list = Command::new("cargo")
        .args(["nextest", "list", "--workspace", "--run-ignored", "only", "--message-format", "oneline"])
        .args(["--color", "never", "-E", filter])
        .stderr(Stdio::inherit())
        .output()?;
    let names = String::from_utf8_lossy(&list.stdout);
    for name in names.lines() {
        println!("skipped: {name}");
    }
    Ok(names.lines().count())
}

/// Passes a runner's output on, each line behind the prefix, and returns the last count in it.
fn watch(
    output: Option<impl Read>,
    prefix: &str,
    count_of: fn(&str) -> Option<Count>,
) -> Result<Option<Count>, Box<dyn Error>> {
    let mut count = None;
    for line in BufReader::new(output.ok_or("the runner has no output")?).lines() {
        let line = line?;
        count = count_of(&line).or(count);
        println!("{prefix}{line}");
    }
    Ok(count)
}

/// Reads `Summary [  12.3s] 300 tests run: 298 passed (3 slow), 2 failed, 12 skipped`.
fn summary_of(line: &str) -> Option<Count> {
    let (_, counts) = line.trim_start().strip_prefix("Summary ")?.split_once(" run: ")?;
    let failed =
        ["failed", "timed out", "exec failed"].into_iter().filter_map(|word| number(counts, ", ", word)).sum();
    Some(Count { passed: number(counts, ", ", "passed").unwrap_or(0), failed, skipped: 0 })
}

/// Reads `test result: ok. 2206 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 33.31s`.
fn result_of(line: &str) -> Option<Count> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |word| number(counts, "; ", word);
    Some(Count { passed: number("passed")?, failed: number("failed")?, skipped: number("ignored")? })
}

/// The number before `word`.
fn number(counts: &str, between: &str, word: &str) -> Option<usize> {
    let mut parts = counts.split(between).filter_map(|part| part.split_once(' '));
    parts.find(|(_, rest)| rest.starts_with(word))?.0.parse().ok()
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

    #[test]
    fn a_result_is_counted() {
        let line =
            "test result: ok. 2205 passed; 1 failed; 3 ignored; 0 measured; 0 filtered out; finished in 33.31s";
        assert_eq!(result_of(line), Some(Count { passed: 2205, failed: 1, skipped: 3 }));
        assert_eq!(result_of("running 2206 tests"), None);
    }
}
