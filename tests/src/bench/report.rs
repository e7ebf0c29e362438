//! The report: printed while it grows, written as Markdown at the end.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// All results of a run.
pub struct Report {
    machine: String,
    rows: Vec<Row>,
    tables: Vec<(String, Vec<String>)>,
}

/// One case.
pub(super) struct Row {
    pub(super) case: &'static str,
    pub(super) relay: String,
    pub(super) reference: String,
    /// What is compared with the goal.
    pub(super) ratio: String,
    pub(super) goal: &'static str,
    pub(super) met: bool,
    /// What the original relay took, and the client that goes about it the same way in this run.
    pub(super) original: &'static str,
    pub(super) naive: String,
}

impl Report {
    pub(super) fn new(relay: &Path) -> Self {
        let output = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output().ok();
            output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
        };
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
            .map_or("", |(_, name)| name);
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        let size = std::fs::metadata(relay).map_or(0, |file| file.len());
        let machine = format!(
            "Machine: {cores} cores ({}), Linux {}. Commit {}, {}. Relay binary: {:.1} MiB.",
            model.trim(),
            output("uname", &["-r"]),
            output("git", &["rev-parse", "--short=12", "HEAD"]),
            output("date", &["-u", "+%Y-%m-%d"]),
            mebibytes(size),
        );
        println!("{machine}\n");
        Self { machine, rows: Vec::new(), tables: Vec::new() }
    }

    pub(super) fn add(&mut self, row: Row) {
        let verdict = if row.met { "met" } else { "MISSED" };
        println!("{}\n  relay      {}\n  reference  {}", row.case, row.relay, row.reference);
        if !row.naive.is_empty() {
            println!("  naive      {}", row.naive);
        }
        println!("  ratio      {}   goal {}: {verdict}\n", row.ratio, row.goal);
        self.rows.push(row);
    }

    pub(super) fn table(&mut self, title: String, lines: Vec<String>) {
        println!("{title}");
        for line in &lines {
            println!("  {line}");
        }
        println!();
        self.tables.push((title, lines));
    }

    /// Names of the cases whose goal was missed.
    #[must_use]
    pub fn missed(&self) -> Vec<&'static str> {
        self.rows.iter().filter(|row| !row.met).map(|row| row.case).collect()
    }

    /// The whole report as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::from(include_str!("preface.md"));
        let _infallible = writeln!(text, "\n{}\n", self.machine);
        text.push_str("| case | relay | reference in the same run | ratio | goal | | naive client, same run | the Python relay |\n");
        text.push_str("|---|---|---|---|---|---|---|---|\n");
        for row in &self.rows {
            let Row { case, relay, reference, ratio, goal, met, original, naive } = row;
            let met = if *met { "met" } else { "**missed**" };
            let _infallible = writeln!(
                text,
                "| {case} | {relay} | {reference} | {ratio} | {goal} | {met} | {naive} | {original} |"
            );
        }
        for (title, lines) in &self.tables {
            let _infallible = write!(text, "\n## {title}\n\n");
            for line in lines {
                let _infallible = writeln!(text, "{line}");
            }
        }
        text
    }
}

pub(super) fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
pub(super) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}

pub(super) fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

/// The median of some measurements.
pub(super) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
