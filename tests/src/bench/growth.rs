//! How cost grows with pulses, rows, observables and concurrency: tables rather than goals.

use std::time::Duration;

use super::BenchError;
use super::cases::Programs;
use super::load;
use super::report::{Report, mebibytes, milliseconds};
use super::stage::Stage;
use crate::fake_otx::scale::Scale;

const ROUND_TRIP: Duration = Duration::from_millis(100);

pub(super) async fn tables(programs: Programs<'_>, report: &mut Report) -> Result<(), BenchError> {
    let mut lines = header("pulses", "time, RTT 100 ms, cold");
    for pulses in [1, 5, 10, 25, 50] {
        lines.push(cold(programs, Scale::new(pulses, 100), 1, pulses).await?);
    }
    report.table("Growth with pulses (100 rows each)".into(), lines);

    let mut lines = header("rows", "time, RTT 100 ms, cold");
    for rows in [100, 1_000, 10_000, 100_000, 335_000] {
        lines.push(cold(programs, Scale::new(1, rows), 1, rows).await?);
    }
    report.table("Growth with rows (one pulse)".into(), lines);

    let mut lines = header("observables", "time, RTT 100 ms, cold");
    for observables in [1, 10, 50, 200] {
        let scale = Scale { observables, ..Scale::new(10, 300) };
        lines.push(cold(programs, scale, observables, observables).await?);
    }
    report.table("Growth with observables (in the same 10 pulses)".into(), lines);

    let stage = Stage::set(programs.relay, Scale::new(10, 100), Duration::ZERO).await?;
    let shot = stage.observe(1)?;
    stage.once(&shot, 10).await?;
    let mut lines =
        vec!["| connections | requests a second, warm | p50 | p99 |".to_owned(), "|---|---|---|---|".to_owned()];
    for connections in [1, 4, 16, 64, 256] {
        let measured = load::run(&shot, connections, Duration::from_secs(3)).await?;
        lines.push(format!(
            "| {connections} | {:.0} | {} | {} |",
            measured.per_second,
            milliseconds(measured.percentile(0.5)),
            milliseconds(measured.percentile(0.99))
        ));
    }
    report.table("Growth with concurrency (1 domain in 10 pulses, warm)".into(), lines);
    Ok(())
}

fn header(what: &str, time: &str) -> Vec<String> {
    vec![format!("| {what} | {time} | calls | peak memory |"), "|---|---|---|---|".to_owned()]
}

async fn cold(programs: Programs<'_>, scale: Scale, observables: usize, label: usize) -> Result<String, BenchError> {
    let pulses = scale.pulses;
    let stage = Stage::set(programs.relay, scale, ROUND_TRIP).await?;
    let time = stage.once(&stage.observe(observables)?, observables * pulses).await?;
    let peak = mebibytes(stage.relay.footprint().peak());
    Ok(format!("| {label} | {} | {} | {peak:.1} MiB |", milliseconds(time), stage.otx.total()))
}
