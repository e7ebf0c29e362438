//! One listener: accepts up to the connection limit (more wait in the backlog, nobody is dropped), serves HTTP/1.1
//! on each connection and ends them in order. A failing `accept` costs a pause, a failing connection itself.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

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
    accepting: AbortOnDropHandle<Connections>,
}

#[derive(Default)]
struct Connections {
    graceful: GracefulShutdown,
    tasks: JoinSet<()>,
}

impl Listening {
    /// Begins to accept.
    pub(super) fn start(listener: TcpListener, router: Router, limits: &Limits) -> Self {
        let stop = CancellationToken::new();
        let http = http(limits);
        let room = Arc::new(Semaphore::new(limits.connections));
        let accepting = tokio::spawn(accept(listener, router, http, room, stop.clone()));
        Self { stop, accepting: AbortOnDropHandle::new(accepting) }
    }

    /// Accepts no more, closes idle connections, and cuts requests that are under way longer than `drain`.
    pub(super) async fn end(self, drain: Duration) {
        self.stop.cancel();
        let Ok(Connections { graceful, tasks }) = self.accepting.await else { return };
        if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
            tracing::warn!(
                connections = tasks.len(),
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
    http.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout).max_buf_size(head.max(SMALLEST_BUFFER));
    if limits.header_count > CHEAP_HEADERS {
        http.max_headers(limits.header_count);
    }
    http
}

async fn accept(
    listener: TcpListener,
    router: Router,
    http: http1::Builder,
    room: Arc<Semaphore>,
    stop: CancellationToken,
) -> Connections {
    let mut connections = Connections::default();
    let service = TowerToHyperService::new(router);
    while let Some(accepted) = stop.run_until_cancelled(next(&listener, &room)).await {
        let Ok((stream, place)) = accepted else { continue };
        let connection = http.serve_connection(TokioIo::new(stream), service.clone());
        let connection = connections.graceful.watch(connection);
        connections.tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
            }
            drop(place);
        });
        while connections.tasks.try_join_next().is_some() {}
    }
    connections
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
