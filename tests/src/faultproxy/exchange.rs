//! One request through the proxy: classified, numbered, struck by the plan if it is the one, and answered.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::time::sleep;

use super::Shared;
use super::call::{Call, Verb};
use super::plan::{Action, Commit, CrashPoint};
use super::upstream::{Answer, path_and_query, refusal, resource_version};
use super::watch::{Broken, faulted};

/// The connection is to be reset.
#[derive(Debug, thiserror::Error)]
#[error("reset by the fault plan")]
pub(super) struct Reset;

type Body = UnsyncBoxBody<Bytes, Broken>;

/// Answers one request of a client that connected in life number `life` of the proxy.
pub(super) async fn answer(
    shared: Arc<Shared>,
    life: u64,
    request: Request<Incoming>,
) -> Result<Response<Body>, Reset> {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return Err(Reset) };
    let body = body.to_bytes();
    shared.unless_crashed(life).await?;
    let (call, struck) = shared.strike(&parts, &body);
    let number = shared.trace.begin(call.clone(), body.clone(), struck.is_some());
    let exchange = Exchange { shared, parts, body, number, call };
    match struck {
        None => exchange.pass().await,
        Some(Action::Crash(CrashPoint::BeforeSend)) => exchange.crash().await,
        Some(Action::Crash(CrashPoint::AfterCommit)) => {
            exchange.commit().await?;
            exchange.crash().await
        }
        Some(Action::Crash(CrashPoint::AfterAnswer)) => {
            let answer = exchange.pass().await;
            exchange.shared.crash();
            answer
        }
        Some(Action::Answer { status, retry_after, commit }) => {
            exchange.commit_if(commit).await?;
            Ok(whole(refusal(status, "refused by the fault plan", retry_after)))
        }
        Some(Action::Reset(commit)) => {
            exchange.commit_if(commit).await?;
            Err(Reset)
        }
        Some(Action::BlackHole(commit)) => {
            exchange.commit_if(commit).await?;
            std::future::pending().await
        }
        Some(Action::Delay { millis }) => {
            sleep(Duration::from_millis(millis)).await;
            exchange.pass().await
        }
        Some(Action::Slice { bytes, millis }) => {
            let answer = exchange.commit().await?;
            Ok(sliced(&answer, bytes, Duration::from_millis(millis)))
        }
        Some(Action::Stale { resource_version }) => {
            let stale =
                exchange.shared.upstream.fetch_stale(&exchange.parts, &exchange.call, &resource_version).await;
            let answer = stale.map_err(|_| Reset)?;
            exchange.note(&answer);
            Ok(whole(answer))
        }
        Some(Action::Watch(fault)) => {
            let response = exchange.open().await?;
            let (status, headers) = (response.status(), response.headers().clone());
            let stream = faulted(response.bytes_stream(), fault).map(|item| item.map(Frame::data));
            Ok(answer_with(status, &headers, StreamBody::new(stream).boxed_unsync()))
        }
    }
}

struct Exchange {
    shared: Arc<Shared>,
    parts: Parts,
    body: Bytes,
    number: u64,
    call: Call,
}

impl Exchange {
    /// As without a proxy.
    async fn pass(&self) -> Result<Response<Body>, Reset> {
        if self.call.verb != Verb::Watch {
            let answer = self.commit().await?;
            if self.call.verb == Verb::Get {
                self.shared.edited(&self.call).await;
            }
            return Ok(whole(answer));
        }
        let response = self.open().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let stream = response.bytes_stream().map(|item| item.map(Frame::data).map_err(Broken::from));
        Ok(answer_with(status, &headers, StreamBody::new(stream).boxed_unsync()))
    }

    /// Lets the API server do the request, to the end even when the client goes away meanwhile.
    async fn commit(&self) -> Result<Answer, Reset> {
        let (shared, parts, body) = (Arc::clone(&self.shared), self.parts.clone(), self.body.clone());
        let done = tokio::spawn(async move { shared.upstream.fetch(&parts, body).await });
        let answer = done.await.ok().and_then(Result::ok).ok_or(Reset)?;
        self.note(&answer);
        Ok(answer)
    }

    async fn commit_if(&self, commit: Commit) -> Result<(), Reset> {
        match commit {
            Commit::Before => Ok(()),
            Commit::After => self.commit().await.map(drop),
        }
    }

    async fn open(&self) -> Result<reqwest::Response, Reset> {
        let opened = self.shared.upstream.send(&self.parts, path_and_query(&self.parts), self.body.clone()).await;
        let response = opened.map_err(|_| Reset)?;
        self.shared.trace.answered(self.number, response.status().as_u16(), None);
        Ok(response)
    }

    /// Announces the crash and never answers: the client is to be killed now.
    async fn crash(&self) -> Result<Response<Body>, Reset> {
        self.shared.crash();
        std::future::pending().await
    }

    fn note(&self, answer: &Answer) {
        self.shared.trace.answered(self.number, answer.status.as_u16(), resource_version(&answer.body));
    }
}

fn whole(answer: Answer) -> Response<Body> {
    let body = Full::new(answer.body).map_err(|never: Infallible| match never {});
    answer_with(answer.status, &answer.headers, body.boxed_unsync())
}

fn sliced(answer: &Answer, bytes: usize, pause: Duration) -> Response<Body> {
    let pieces: Vec<_> = answer.body.chunks(bytes.max(1)).map(Bytes::copy_from_slice).collect();
    let stream = stream::iter(pieces).then(move |piece| async move {
        sleep(pause).await;
        Ok(Frame::data(piece))
    });
    answer_with(answer.status, &answer.headers, StreamBody::new(stream).boxed_unsync())
}

/// The API server's status and headers, except those that describe how its body was sent.
fn answer_with(status: StatusCode, headers: &HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers.clone();
    for name in [http::header::CONTENT_LENGTH, http::header::TRANSFER_ENCODING, http::header::CONNECTION] {
        response.headers_mut().remove(name);
    }
    response
}
