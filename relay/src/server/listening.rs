//! One listener: accepts up to the connection limit (more wait in the backlog, nobody is dropped), serves HTTP/1.1
//! on each connection and ends them in order. A failing `accept` costs a pause, a failing connection itself.

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::patience::Patience;
use super::stream::Watched;
use crate::config::Limits;

/// Pause after an `accept` that failed for want of something, file descriptors above all.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Headers that hyper reads without an allocation; it refuses more unless told otherwise.
const CHEAP_HEADERS: usize = 100;
/// The smallest read buffer that hyper takes.
const SMALLEST_BUFFER: usize = 8192;

/// A listener at work. Dropping it cuts every connection.
pub(super) struct Listening {
    stop: CancellationToken,
    accepting: AbortOnDropHandle<JoinSet<()>>,
}

impl Listening {
    /// Begins to accept. `answer` has an answer for every request.
    pub(super) fn start<A, F, B>(listener: TcpListener, answer: A, limits: &Limits) -> Self
    where
        A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let (http, limits, stopped) = (http(limits), limits.clone(), stop.clone());
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            let room = Arc::new(Semaphore::new(limits.connections));
            while let Some(accepted) = stopped.run_until_cancelled(next(&listener, &room)).await {
                let Ok((stream, place)) = accepted else { continue };
                let patience = Arc::new(Patience::new(limits.header_timeout, limits.idle_timeout));
                let stream = TokioIo::new(Watched::new(stream, patience.clone()));
                let connection = http.serve_connection(stream, noted(answer.clone(), patience.clone()));
                let stopped = stopped.child_token();
                connections.spawn(async move {
                    serve(connection, &patience, &stopped).await;
                    drop(place);
                });
                while connections.try_join_next().is_some() {}
            }
            connections
        });
        Self { stop, accepting: AbortOnDropHandle::new(accepting) }
    }

    /// Accepts no more, closes idle connections, and cuts requests that are under way longer than `drain`.
    pub(super) async fn end(self, drain: Duration) {
        self.stop.cancel();
        let Ok(mut connections) = self.accepting.await else { return };
        let all = async { while connections.join_next().await.is_some() {} };
        if timeout(drain, all).await.is_err() {
            tracing::warn!(
                connections = connections.len(),
                "connections cut: their requests took longer than the drain time"
            );
        }
    }
}

/// HTTP/1.1 within the limits on request heads. hyper's own limits lie a little above ours, so that a head that is
/// a little too large still gets an answer that says so.
fn http(limits: &Limits) -> http1::Builder {
    let head = limits.uri_bytes + limits.header_bytes + 4 * limits.header_count + 1024;
    let mut http = http1::Builder::new();
    http.max_buf_size(head.max(SMALLEST_BUFFER));
    if limits.header_count > CHEAP_HEADERS {
        http.max_headers(limits.header_count);
    }
    http
}

/// `answer` for the requests of one connection, as hyper takes it.
fn noted<F, B>(
    answer: impl Fn(Request<Incoming>) -> F,
    patience: Arc<Patience>,
) -> impl Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>
where
    F: Future<Output = Response<B>> + Send,
    B: Body,
{
    service_fn(move |request| {
        patience.request_begins();
        let (answer, patience) = (answer(request), patience.clone());
        async move {
            let answer = answer.await;
            patience.request_ends();
            Ok(answer)
        }
    })
}

/// Serves a connection to its end, or that of the patience with it.
async fn serve<S, B>(
    connection: http1::Connection<TokioIo<Watched>, S>,
    patience: &Patience,
    stopped: &CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes, Error: Into<axum::BoxError>> + 'static,
{
    let mut connection = pin!(connection);
    let mut look = pin!(sleep_until(Instant::now()));
    let mut is_stopping = false;
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                }
                return;
            }
            () = stopped.cancelled(), if !is_stopping => {
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = look.as_mut() => {
                let Some(next) = patience.next_look() else {
                    tracing::debug!("connection closed: the caller was silent for too long");
                    return;
                };
                look.as_mut().reset(next);
            }
        }
    }
}

/// The next connection, with its place among those open at once.
async fn next(listener: &TcpListener, room: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = room.clone().acquire_owned().await.map_err(io::Error::other)?;
    match listener.accept().await {
        Ok((stream, _)) => {
            stream.set_nodelay(true)?;
            Ok((stream, place))
        }
        Err(error) => {
            if !is_the_peers(&error) {
                tracing::error!(%error, "no connection could be accepted; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            Err(error)
        }
    }
}

/// Whether the connection was gone before it could be accepted, which is no failure of this process.
fn is_the_peers(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset)
}
