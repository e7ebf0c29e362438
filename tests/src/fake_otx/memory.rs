//! The honest half of a fake OTX: the bundled upstream's router over a data set that can be changed, with every answer
//! kept as the bytes that were sent.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, RwLock};

use axum::body::{Body, to_bytes};
use axum::{Router, http};
use threatrelay::demo::upstream::{Content, Dataset, KEY_HEADER, router};
use tower::ServiceExt;

use super::script::Answer;
use super::{accepts_gzip, lock, play};
use crate::wire::{Reply, Request, Step};

/// Bytes of answers kept.
const MAX_KEPT: usize = 512 << 20;

/// A changeable upstream that remembers its answers.
pub(super) struct Upstream {
    now: RwLock<Now>,
    kept: Mutex<Kept>,
}

#[derive(Clone)]
struct Now {
    dataset: Arc<Dataset>,
    router: Router,
}

#[derive(Default)]
struct Kept {
    replies: HashMap<Asked, Reply>,
    bytes: usize,
}

/// What an answer depends on.
#[derive(PartialEq, Eq, Hash)]
struct Asked {
    method: String,
    target: String,
    host: Option<String>,
    key: Option<String>,
    gzipped: bool,
}

impl Upstream {
    pub(super) fn new(dataset: Dataset) -> Self {
        Self { now: RwLock::new(Now::of(dataset)), kept: Mutex::default() }
    }

    pub(super) fn dataset(&self) -> Arc<Dataset> {
        self.now().dataset
    }

    pub(super) fn edit(&self, change: impl FnOnce(&mut Content)) {
        let mut content = self.dataset().content().clone();
        change(&mut content);
        *self.now.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Now::of(Dataset::new(content));
        *lock(&self.kept) = Kept::default();
    }

    /// The honest answer, not compressed.
    pub(super) async fn answer(&self, request: &Request) -> Answer {
        let mut asked = http::Request::builder().method(request.method.as_str()).uri(request.target.as_str());
        for (name, value) in request.headers.iter().filter(|(name, _)| name != "accept-encoding") {
            asked = asked.header(name, value);
        }
        if request.tls {
            asked = asked.header("x-forwarded-proto", "https");
        }
        let Ok(asked) = asked.body(Body::from(request.body.clone())) else {
            return Answer { status: 400, headers: Vec::new(), body: "unreadable request".into() };
        };
        let Ok(response) = self.now().router.oneshot(asked).await;
        let (head, body) = response.into_parts();
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = head.headers.iter().filter(|(name, _)| *name != http::header::CONTENT_LENGTH);
        Answer {
            status: head.status.as_u16(),
            headers: headers.map(|(name, value)| (name.to_string(), text(value))).collect(),
            body: to_bytes(body, usize::MAX).await.unwrap_or_default(),
        }
    }

    /// The honest answer as it is sent.
    pub(super) async fn reply(&self, request: &Request) -> Reply {
        let asked = Asked {
            method: request.method.clone(),
            target: request.target.clone(),
            host: request.header("host").map(str::to_owned),
            key: request.header(KEY_HEADER).map(str::to_owned),
            gzipped: accepts_gzip(request),
        };
        if let Some(reply) = lock(&self.kept).replies.get(&asked) {
            return reply.clone();
        }
        let reply = play::honest(&self.answer(request).await, asked.gzipped);
        let size: usize = reply.0.iter().map(|step| if let Step::Send(bytes) = step { bytes.len() } else { 0 }).sum();
        let mut kept = lock(&self.kept);
        if kept.bytes + size <= MAX_KEPT {
            kept.bytes += size;
            kept.replies.insert(asked, reply.clone());
        }
        reply
    }

    fn now(&self) -> Now {
        self.now.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

impl Now {
    fn of(dataset: Dataset) -> Self {
        let dataset = Arc::new(dataset);
        Self { router: router(Arc::clone(&dataset)), dataset }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upstream({} pulses)", self.dataset().content().pulses.len())
    }
}
