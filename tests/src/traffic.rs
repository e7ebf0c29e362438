//! Steady traffic while something else happens: a few callers who ask again and again, and note what fails.
//!
//! What is asked, and what counts as an answer, is the test's; that nobody was let down is read from the [`Tally`].

use std::fmt;
use std::future::Future;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;

/// Callers at work.
#[derive(Debug)]
pub struct Traffic {
    stop: watch::Sender<bool>,
    callers: JoinSet<Tally>,
}

/// What became of their requests.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many were answered.
    pub answered: usize,
    /// Those that were not: when, in seconds since the start, and why.
    pub failures: Vec<(f64, String)>,
}

impl Traffic {
    /// Lets `callers` ask, each with `pause` between an answer and the next question.
    pub fn start<F>(callers: usize, pause: Duration, ask: impl Fn() -> F + Clone + Send + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send,
    {
        let (stop, stopped) = watch::channel(false);
        let mut set = JoinSet::new();
        for _ in 0..callers {
            let (ask, mut stopped) = (ask.clone(), stopped.clone());
            set.spawn(async move {
                let (begun, mut tally) = (Instant::now(), Tally::default());
                loop {
                    match ask().await {
                        Ok(()) => tally.answered += 1,
                        Err(why) => tally.failures.push((begun.elapsed().as_secs_f64(), why)),
                    }
                    if tokio::time::timeout(pause, stopped.wait_for(|stop| *stop)).await.is_ok() {
                        return tally;
                    }
                }
            });
        }
        Self { stop, callers: set }
    }

    /// Lets every caller have its last answer and sums up.
    pub async fn stop(self) -> Tally {
        self.stop.send_replace(true);
        let mut all = Tally::default();
        for tally in self.callers.join_all().await {
            all.answered += tally.answered;
            all.failures.extend(tally.failures);
        }
        all
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answered, {} failed", self.answered, self.failures.len())?;
        for (second, why) in self.failures.iter().take(5) {
            write!(f, "\n  after {second:.1} s: {why}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn every_answer_and_every_failure_is_counted() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let ask = move || {
            let nth = count.fetch_add(1, Ordering::Relaxed);
            async move { if nth == 3 { Err("no answer".to_owned()) } else { Ok(()) } }
        };
        let traffic = Traffic::start(2, Duration::from_millis(1), ask);
        while asked.load(Ordering::Relaxed) < 10 {
            tokio::task::yield_now().await;
        }
        let tally = traffic.stop().await;
        assert_eq!(tally.answered + 1, asked.load(Ordering::Relaxed));
        assert!(tally.to_string().contains("1 failed\n  after 0.0 s: no answer"), "{tally}");
    }
}
