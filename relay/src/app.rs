//! What all requests share: the settings, who may ask, the way to OTX, the metrics, the log level, the phase of the
//! relay's life and the room for requests. Built once from [`Config`]; there is no other shared state.

mod room;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use http::HeaderMap;
use opentelemetry::trace::SpanKind;
use tokio::sync::{Semaphore, SemaphorePermit};

use self::room::Room;
pub use self::room::Share;
use crate::api::http_error::HttpError;
use crate::auth::outside::Outside;
use crate::auth::{self, Authenticator, Caller, Refused};
use crate::config::{Answers, Config};
use crate::metrics::{Exposition, Metrics};
use crate::otx::{self, Engine};
use crate::telemetry::LogLevel;
use crate::tiles::journal::Journal;
use crate::trace::export::{self, Tracer};
use crate::trace::span::Span;
use crate::upstream::{Upstream, Watchman};

/// Bytes of large request bodies held at once. Where one body may be larger than this, one is held.
const BODIES: usize = 16 << 20;

/// The state of a relay.
pub struct App {
    /// The effective settings.
    pub config: Config,
    /// What is counted.
    pub metrics: Metrics,
    /// The way to OTX.
    pub otx: Engine,
    /// What is logged.
    pub log_level: LogLevel,
    /// What was looked up lately, by key; empty where answers are the original's.
    pub journal: Journal,
    /// What is traced.
    pub(crate) tracer: Tracer,
    authenticator: Authenticator,
    watchman: Watchman,
    phase: AtomicU8,
    room: Room,
    bodies: Semaphore,
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

const READY: u8 = Phase::Ready as u8;
const DRAINING: u8 = Phase::Draining as u8;

/// A relay that cannot be built from its settings.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nobody could be authenticated.
    #[error(transparent)]
    Auth(#[from] auth::StartError),
    /// OTX could not be asked.
    #[error(transparent)]
    Otx(#[from] otx::StartError),
    /// Traces could not be sent.
    #[error(transparent)]
    Traces(#[from] export::StartError),
}

impl App {
    /// A relay that is starting, inside a Tokio runtime.
    ///
    /// # Errors
    /// [`StartError`] when a file that the settings name cannot be used.
    pub fn new(config: Config, log_level: LogLevel) -> Result<Arc<Self>, StartError> {
        Self::reaching(&Outside::default(), config, log_level)
    }

    /// The same, with JWKS hosts as they are found in `outside`.
    ///
    /// # Errors
    /// [`StartError`] when a file that the settings name cannot be used.
    pub fn reaching(outside: &Outside, config: Config, log_level: LogLevel) -> Result<Arc<Self>, StartError> {
        let metrics = Metrics::new();
        Ok(Arc::new(Self {
            otx: Engine::new(&config, metrics.otx.clone())?,
            authenticator: Authenticator::new(&config, outside, &metrics.auth)?,
            tracer: Tracer::start(&config, &metrics.spans)?,
            journal: Journal::new(config.answers == Answers::Rich),
            watchman: Watchman::default(),
            room: Room::new(config.limits.concurrent_requests),
            bodies: Semaphore::new(config.limits.body_bytes.max(BODIES)),
            phase: AtomicU8::new(Phase::Starting as u8),
            metrics,
            log_level,
            config,
        }))
    }

    /// Who asks, by the `Authorization` header. A refusal is counted.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, Refused> {
        let span = Span::child(SpanKind::Internal, "jwt.verify", Vec::new);
        let caller = span.around(self.authenticator.authenticate(headers)).await;
        caller.inspect_err(|refused| {
            span.fail(refused.reason());
            self.metrics.count_auth_failure(refused.reason());
        })
    }

    /// All metrics as text, with what is measured only when somebody asks.
    #[must_use]
    pub fn scrape(&self, form: Exposition) -> String {
        self.otx.measure();
        self.metrics.encode(form)
    }

    /// Sends the last spans, once there are no more requests. Takes at most some seconds.
    pub async fn flush_traces(&self) {
        self.tracer.end().await;
    }

    /// What OTX says to the keys that the relay holds itself.
    pub async fn upstream(&self) -> Upstream {
        self.watchman.report(&self.otx, self.authenticator.held_keys()).await
    }

    /// Where the relay is in its life.
    pub fn phase(&self) -> Phase {
        // Asked for every answer, so it is no lock.
        match self.phase.load(Ordering::Acquire) {
            READY => Phase::Ready,
            DRAINING => Phase::Draining,
            _ => Phase::Starting,
        }
    }

    /// Moves on in life.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// Room for one request that waits for others, kept until dropped.
    ///
    /// # Errors
    /// 503 when there is none; nobody queues.
    pub fn admit(&self) -> Result<SemaphorePermit<'_>, HttpError> {
        self.room.enter().ok_or_else(HttpError::overloaded)
    }

    /// Lets this caller keep the room that it was admitted to, until dropped.
    ///
    /// # Errors
    /// 503 when there is little room left and the caller holds much of it.
    pub fn share(&self, caller: &Caller) -> Result<Share<'_>, HttpError> {
        self.room.share(caller.key.scope()).ok_or_else(HttpError::overloaded)
    }

    /// Room for so many more bytes of a request body, kept until dropped.
    ///
    /// # Errors
    /// 503 when other bodies take it; nobody queues.
    pub fn room_for_body(&self, bytes: usize) -> Result<SemaphorePermit<'_>, HttpError> {
        let room = u32::try_from(bytes).ok().and_then(|bytes| self.bodies.try_acquire_many(bytes).ok());
        room.ok_or_else(HttpError::overloaded)
    }
}

#[cfg(test)]
pub(crate) mod fixture;
