//! A closed load: some keep-alive connections that each send the next request when the last is answered.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode, header, response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{BenchError, Doing};

/// One request, sent again and again.
#[derive(Clone, Debug)]
pub(super) struct Shot {
    pub(super) address: SocketAddr,
    pub(super) path: &'static str,
    pub(super) token: Option<String>,
    pub(super) body: Bytes,
}

/// What a load measured.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) per_second: f64,
    latencies: Vec<Duration>,
}

impl Measured {
    /// The latency that `share` of the requests stayed below.
    pub(super) fn percentile(&self, share: f64) -> Duration {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index"
        )]
        let index = ((self.latencies.len() - 1) as f64 * share) as usize;
        self.latencies.get(index).copied().unwrap_or_default()
    }
}

/// A connection.
pub(super) struct Line {
    sender: SendRequest<Full<Bytes>>,
}

impl Line {
    pub(super) async fn open(address: SocketAddr) -> Result<Self, BenchError> {
        let stream = TcpStream::connect(address).await.doing("connecting")?;
        stream.set_nodelay(true).doing("connecting")?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.doing("connecting")?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// Sends one request and reads the whole answer, which must be good.
    pub(super) async fn send(&mut self, shot: &Shot) -> Result<Bytes, BenchError> {
        let (head, body) = self.exchange(shot).await?;
        let status = head.status;
        if status == StatusCode::OK { Ok(body) } else { Err(BenchError::new(format!("status {status}"))) }
    }

    /// Sends one request and reads the whole answer, whatever it is.
    pub(super) async fn exchange(&mut self, shot: &Shot) -> Result<(response::Parts, Bytes), BenchError> {
        let mut request = Request::post(shot.path).header(header::HOST, "relay.example");
        if let Some(token) = &shot.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::new(shot.body.clone())).doing("making a request")?;
        self.sender.ready().await.doing("waiting for the connection")?;
        let response = self.sender.send_request(request).await.doing("sending a request")?;
        let (head, body) = response.into_parts();
        Ok((head, body.collect().await.doing("reading an answer")?.to_bytes()))
    }
}

/// Sends `shot` over `connections` for `time`, after a tenth of it that is not counted.
pub(super) async fn run(shot: &Shot, connections: usize, time: Duration) -> Result<Measured, BenchError> {
    let begin = Instant::now() + time / 10;
    let end = begin + time;
    let workers: Vec<_> = (0..connections)
        .map(|_| {
            let shot = shot.clone();
            tokio::spawn(async move {
                let mut line = Line::open(shot.address).await?;
                let mut latencies = Vec::new();
                loop {
                    let sent = Instant::now();
                    if sent >= end {
                        return Ok::<_, BenchError>(latencies);
                    }
                    line.send(&shot).await?;
                    if sent >= begin {
                        latencies.push(sent.elapsed());
                    }
                }
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for worker in workers {
        latencies.extend(worker.await.doing("a connection")??);
    }
    if latencies.is_empty() {
        return Err(BenchError::new("no request was answered in time"));
    }
    latencies.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let per_second = latencies.len() as f64 / time.as_secs_f64();
    Ok(Measured { per_second, latencies })
}
