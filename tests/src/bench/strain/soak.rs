//! A modest load of all kinds for a long time: nothing of what the relay takes of the machine may grow.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;

use super::super::load::{Line, Shot};
use super::super::report::mebibytes;
use super::{BenchError, stage, unknown};

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Soak {
    /// Requests that were answered as they should be.
    pub answered: usize,
    /// Requests that were not.
    pub failed: usize,
    /// Most resident memory, in bytes.
    pub peak: u64,
    samples: Vec<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    resident: u64,
    descriptors: usize,
    threads: u64,
}

/// Between two requests.
const PACE: Duration = Duration::from_millis(5);

/// Asks for `time`: what is remembered, what is new, links, with a wrong token, with a wrong payload.
///
/// # Errors
/// [`BenchError`] when a connection breaks.
pub async fn soak(relay: &Path, time: Duration) -> Result<Soak, BenchError> {
    let stage = stage(relay, Duration::from_millis(1), &[("THREATRELAY_CACHE_MAX_BYTES", "4194304")]).await?;
    let footprint = stage.relay.footprint();
    let known = stage.observe(1)?;
    let links = stage.shot("/refer/observables", &[json!({"type": "domain", "value": "a.example"})])?;
    let wrong_token = Shot { token: Some("a.b.c".to_owned()), ..known.clone() };
    let wrong_payload = Shot { body: Bytes::from_static(b"[{"), ..known.clone() };
    let (begin, mut found, mut line) = (Instant::now(), Soak::default(), Line::open(stage.address).await?);
    let mut ticks = tokio::time::interval(PACE);
    for number in 0.. {
        let elapsed = begin.elapsed();
        if elapsed >= time {
            break;
        }
        if elapsed >= time * u32::try_from(found.samples.len()).unwrap_or(u32::MAX) / SAMPLES {
            found.samples.push(Sample {
                resident: footprint.resident(),
                descriptors: footprint.descriptors(),
                threads: footprint.threads(),
            });
        }
        if number % 100 == 0 {
            line = Line::open(stage.address).await?;
        }
        let (shot, expected): (Shot, &[u8]) = match number % 10 {
            0..=2 => (unknown(&stage, number, 3)?, b"{\"data\""),
            3 => (wrong_token.clone(), b"{\"errors\""),
            4 => (wrong_payload.clone(), b"{\"errors\""),
            5 => (links.clone(), b"{\"data\""),
            _ => (known.clone(), b"{\"data\""),
        };
        let good = line.send(&shot).await?.starts_with(expected);
        found.answered += usize::from(good);
        found.failed += usize::from(!good);
        ticks.tick().await;
    }
    found.peak = footprint.peak();
    Ok(found)
}

/// Looks at the process.
const SAMPLES: u32 = 120;

impl Soak {
    /// The most of the middle third, and of the last.
    fn compared<T: Ord + Copy>(&self, of: impl Fn(&Sample) -> T) -> Option<(T, T)> {
        let third = self.samples.len() / 3;
        let most = |samples: &[Sample]| samples.iter().map(&of).max();
        Some((most(self.samples.get(third..2 * third)?)?, most(self.samples.get(2 * third..)?)?))
    }

    /// Whether the last third takes no more than the middle one, memory within `slack` bytes.
    #[must_use]
    pub fn is_steady(&self, slack: u64) -> bool {
        let within = |slack| move |(middle, last): (u64, u64)| last <= middle + slack;
        self.compared(|sample| sample.resident).is_some_and(within(slack))
            && self.compared(|sample| sample.descriptors as u64).is_some_and(within(2))
            && self.compared(|sample| sample.threads).is_some_and(within(0))
    }
}

impl fmt::Display for Soak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answered, {} failed", self.answered, self.failed)?;
        if let Some((middle, last)) = self.compared(|sample| sample.resident) {
            write!(f, "; middle third ≤ {:.1} MiB, last ≤ {:.1} MiB", mebibytes(middle), mebibytes(last))?;
        }
        if let Some((middle, last)) = self.compared(|sample| sample.descriptors) {
            write!(f, "; descriptors ≤ {middle}, ≤ {last}")?;
        }
        if let Some((middle, last)) = self.compared(|sample| sample.threads) {
            write!(f, "; threads ≤ {middle}, ≤ {last}")?;
        }
        write!(f, "; peak {:.1} MiB", mebibytes(self.peak))
    }
}
