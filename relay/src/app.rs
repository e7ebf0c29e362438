//! What all requests share: the settings, the metrics, the log level, the phase of the relay's life and the room for
//! requests. Built once from [`Config`]; there is no other shared state.

use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit, watch};

use crate::api::http_error::HttpError;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::telemetry::LogLevel;

/// The state of a relay.
#[derive(Debug)]
pub struct App {
    /// The effective settings.
    pub config: Config,
    /// What is counted.
    pub metrics: Metrics,
    /// What is logged.
    pub log_level: LogLevel,
    phase: watch::Sender<Phase>,
    slots: Semaphore,
}

/// Where a relay is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not yet to be sent requests.
    Starting,
    /// Answers.
    Ready,
    /// Still answers, but is to be sent no more requests.
    Draining,
}

impl App {
    /// A relay that is starting.
    #[must_use]
    pub fn new(config: Config, log_level: LogLevel) -> Arc<Self> {
        let slots = Semaphore::new(config.limits.concurrent_requests);
        Arc::new(Self {
            config,
            metrics: Metrics::new(),
            log_level,
            phase: watch::Sender::new(Phase::Starting),
            slots,
        })
    }

    /// Where the relay is in its life.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Moves on in life.
    pub fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Room for one request that waits for others, kept until dropped.
    ///
    /// # Errors
    /// 503 when there is none; nobody queues.
    pub fn admit(&self) -> Result<SemaphorePermit<'_>, HttpError> {
        self.slots.try_acquire().map_err(|_| HttpError::overloaded())
    }
}

#[cfg(test)]
pub(crate) mod fixture;
