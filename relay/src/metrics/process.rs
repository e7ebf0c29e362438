//! What the process takes, read from `/proc/self` when metrics are scraped. What cannot be read is left out.

use std::fmt;
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Linux counts processor time in hundredths of a second towards programs, on every machine.
const TICKS: u32 = 100;

/// The process of the relay.
#[derive(Debug)]
pub(super) struct Process {
    began: Duration,
}

impl Process {
    /// This process, which begins now.
    pub(super) fn begin() -> Self {
        Self { began: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut write = |name: &str, help: &str, unit: Option<&Unit>, metric: &dyn EncodeMetric| {
            metric.encode(encoder.encode_descriptor(name, help, unit, metric.metric_type())?)
        };
        let (seconds, bytes) = (Some(&Unit::Seconds), Some(&Unit::Bytes));
        let began = ConstGauge::new(self.began.as_secs_f64());
        write("process_start_time", "When the relay began, since 1970", seconds, &began)?;
        if let Some(used) = processor_seconds() {
            write("process_cpu", "Processor time used", seconds, &ConstCounter::new(used))?;
        }
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        if let Some(kib) = number_after(&status, "VmRSS:") {
            write("process_resident_memory", "Memory held", bytes, &ConstGauge::new(kib * 1024))?;
        }
        if let Some(kib) = number_after(&status, "VmSize:") {
            write("process_virtual_memory", "Address space taken", bytes, &ConstGauge::new(kib * 1024))?;
        }
        if let Some(threads) = number_after(&status, "Threads:") {
            write("process_threads", "Threads", None, &ConstGauge::new(threads))?;
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            let open = i64::try_from(open.count()).unwrap_or(i64::MAX);
            write("process_open_fds", "Open file descriptors", None, &ConstGauge::new(open))?;
        }
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        if let Some(most) = number_after(&limits, "Max open files") {
            write("process_max_fds", "Most open file descriptors", None, &ConstGauge::new(most))?;
        }
        Ok(())
    }
}

/// Fields 14 and 15 of `/proc/self/stat`; the second field, a name in brackets, may hold anything.
fn processor_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<u32>);
    Some((f64::from(ticks.next()?.ok()?) + f64::from(ticks.next()?.ok()?)) / f64::from(TICKS))
}

fn number_after(text: &str, name: &str) -> Option<i64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
