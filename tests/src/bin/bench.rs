//! `bench`: runs the benchmarks against a binary of the relay and writes the report. `bench peer ADDRESS FILE` is
//! the reference server that it starts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tests::bench::strain;

/// Measures the relay beside references in one run.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The relay's binary
    #[arg(long, global = true, default_value = "target/dist/threatrelay")]
    relay: PathBuf,
    /// Where the report goes; nowhere when absent
    #[arg(long)]
    write: Option<PathBuf>,
    /// Only cases whose name contains this
    #[arg(long, default_value = "")]
    filter: String,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the bytes of a file
    Peer { address: SocketAddr, file: PathBuf },
    /// Overload, slow callers, a million questions, a soak
    Load {
        /// Seconds of the overload
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Minutes of the soak
        #[arg(long, default_value_t = 20)]
        minutes: u64,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { command, relay, write, filter } = Arguments::parse();
    if let Some(Command::Peer { address, file }) = &command {
        return match tests::bench::serve_peer(*address, file).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&format!("the reference server: {error}")),
        };
    }
    if let Some(Command::Load { seconds, minutes }) = command {
        let outcome = strain::run(&relay, Duration::from_secs(seconds), Duration::from_mins(minutes)).await;
        return match outcome {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => fail("goals missed"),
            Err(error) => fail(&error.to_string()),
        };
    }
    let peer = match std::env::current_exe() {
        Ok(peer) => peer,
        Err(error) => return fail(&format!("finding this program: {error}")),
    };
    let report = match tests::bench::run(&relay, &peer, &filter).await {
        Ok(report) => report,
        Err(error) => return fail(&error.to_string()),
    };
    if let Some(path) = write
        && let Err(error) = std::fs::write(&path, report.markdown())
    {
        return fail(&format!("writing {}: {error}", path.display()));
    }
    match report.missed().as_slice() {
        [] => ExitCode::SUCCESS,
        missed => fail(&format!("goals missed: {}", missed.join("; "))),
    }
}

fn fail(why: &str) -> ExitCode {
    eprintln!("bench: {why}");
    ExitCode::FAILURE
}
