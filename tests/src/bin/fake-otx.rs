//! `fake-otx`: the fake OTX as a process of its own, for benchmarks and for trying things by hand.
//!
//! Prints its origin on the first line of standard output and serves until it is killed. `GET /-/calls` tells how often
//! each route was called, `POST /-/calls` starts counting anew; neither counts itself.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use tests::fake_otx::scale::Scale;
use tests::fake_otx::{At, FakeOtx, Fault, How, Route, Rule};
use threatrelay::demo::upstream::Dataset;

/// A fake OTX.
#[derive(Debug, Parser)]
struct Args {
    /// Address to serve on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Serve this many generated pulses instead of the bundled ones.
    #[arg(long)]
    pulses: Option<usize>,
    /// Rows of each generated pulse.
    #[arg(long, default_value_t = 100)]
    rows: usize,
    /// Domains (`wanted-0.example` ...) that every generated pulse holds.
    #[arg(long, default_value_t = 1)]
    observables: usize,
    /// Rows that stand before them, newest first; half of all unless given.
    #[arg(long)]
    depth: Option<usize>,
    /// Milliseconds that every answer is late.
    #[arg(long, default_value_t = 0)]
    latency: u64,
    /// A fault as `ROUTE:FAULT[:TIMES]`, e.g. `general:503`, `listing:reset:2`, `any:stall`; can be given often.
    /// Routes: me, general, listing, detail, search, any. Faults: a status, reset, close, stall, html, null, drip,
    /// gzip-bomb, truncated-gzip, endless-next.
    #[arg(long = "fault", value_parser = rule)]
    faults: Vec<Rule>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let dataset = match args.pulses {
        None => Dataset::bundled()?,
        Some(pulses) => {
            let rows = args.rows;
            let depth = args.depth.unwrap_or(rows / 2);
            Scale { pulses, rows, observables: args.observables, depth }.dataset()
        }
    };
    let fake = FakeOtx::serve(dataset, args.listen, None).await?;
    fake.set_round_trip(Duration::from_millis(args.latency));
    for rule in args.faults {
        fake.add(rule);
    }
    let mut out = std::io::stdout();
    writeln!(out, "{}", fake.url())?;
    out.flush()?;
    std::future::pending().await
}

fn rule(text: &str) -> Result<Rule, String> {
    let mut words = text.split(':');
    let route = match words.next() {
        Some("me") => Some(Route::Me),
        Some("general") => Some(Route::General),
        Some("listing") => Some(Route::Listing),
        Some("detail") => Some(Route::Detail),
        Some("search") => Some(Route::Search),
        Some("any") => None,
        _ => return Err("the route must be me, general, listing, detail, search or any".to_owned()),
    };
    let fault = match words.next() {
        Some("reset") => Fault::Break(At::Body, How::Reset),
        Some("close") => Fault::Break(At::Body, How::Close),
        Some("stall") => Fault::Break(At::Start, How::Stall),
        Some("html") => Fault::body("<html></html>"),
        Some("null") => Fault::body("null"),
        Some("drip") => Fault::Drip(1, Duration::from_secs(1)),
        Some("gzip-bomb") => Fault::GzipBomb(1024),
        Some("truncated-gzip") => Fault::TruncatedGzip,
        Some("endless-next") => Fault::endless_next(),
        Some("429") => Fault::throttled(None),
        Some(status) => Fault::status(status.parse().map_err(|_| format!("no such fault: {status}"))?),
        None => return Err("a fault must follow the route, e.g. general:503".to_owned()),
    };
    let rule = route.map_or_else(|| Rule::always(fault.clone()), |route| Rule::on(route, fault.clone()));
    match words.next() {
        None => Ok(rule),
        Some(times) => times.parse().map(|times| rule.times(times)).map_err(|_| format!("no number: {times}")),
    }
}
