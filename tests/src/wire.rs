//! An HTTP/1.1 server that can be as broken as it is told to: it reads whole requests and plays a [`Reply`] byte by
//! byte, pauses, cuts and resets included.
//!
//! A [`Request`] goes to a handler, the handler's [`Reply`] goes out. Real servers refuse to send a wrong length or half
//! a header; faults need exactly that, so nothing here knows what a correct answer is.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Largest request head taken.
const MAX_HEAD: usize = 1 << 20;

/// A request, read whole.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET` ...
    pub method: String,
    /// Path and query, as received.
    pub target: String,
    /// Names in lower case, values as Latin-1.
    pub headers: Vec<(String, String)>,
    /// The body, if a length was given.
    pub body: Bytes,
    /// Whether it came over TLS.
    pub tls: bool,
}

impl Request {
    /// The first header of this (lower-case) name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The target without its query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// What is sent back, in order.
#[derive(Clone, Debug, Default)]
pub struct Reply(pub Vec<Step>);

/// One thing a [`Reply`] does.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sends these bytes.
    Send(Bytes),
    /// Sends these bytes as often as said.
    Repeat(Bytes, u32),
    /// Sends these bytes a few at a time.
    Drip {
        /// What is sent.
        bytes: Bytes,
        /// How many at once.
        at_once: usize,
        /// Time between two sends.
        every: Duration,
    },
    /// Waits.
    Wait(Duration),
    /// Says nothing any more until the client gives up.
    Stall,
    /// Ends the connection in order (FIN).
    Close,
    /// Ends the connection at once (RST); what was not read yet is lost.
    Reset,
}

impl Reply {
    /// A correct answer with a length.
    #[must_use]
    pub fn new(status: u16, headers: &[(String, String)], body: &[u8]) -> Self {
        let mut bytes = head(status, headers, body.len());
        bytes.extend_from_slice(body);
        Self(vec![Step::Send(bytes.freeze())])
    }

    /// The same after a pause.
    #[must_use]
    pub fn after(mut self, pause: Duration) -> Self {
        if !pause.is_zero() {
            self.0.insert(0, Step::Wait(pause));
        }
        self
    }
}

/// A status line and headers, with this `content-length`.
#[must_use]
pub fn head(status: u16, headers: &[(String, String)], length: usize) -> BytesMut {
    let mut head = open_head(status, headers);
    head.extend_from_slice(format!("content-length: {length}\r\n\r\n").as_bytes());
    head
}

/// A status line and headers, neither with a length nor ended.
#[must_use]
pub fn open_head(status: u16, headers: &[(String, String)]) -> BytesMut {
    let phrase = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let mut head = format!("HTTP/1.1 {status} {}\r\n", phrase.unwrap_or("Unknown"));
    for (name, value) in headers {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    }
    BytesMut::from(head.as_str())
}

/// A running server; it ends, with all its connections, when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Serves `handler` on `address` (port 0: a free one), over TLS if `tls` is given.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start<H, F>(address: SocketAddr, tls: Option<Arc<ServerConfig>>, handler: H) -> io::Result<Self>
    where
        H: Fn(Request) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Reply> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                accepted.fetch_add(1, Ordering::Relaxed);
                let (tls, handler) = (tls.clone(), handler.clone());
                open.spawn(async move {
                    // A connection that breaks is what clients are tested with; there is nobody to tell.
                    let _ = converse(stream, tls, handler).await;
                });
                while open.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, connections, accepting })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// TCP connections accepted so far, those whose TLS handshake failed included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn converse<H, F>(stream: TcpStream, tls: Option<Arc<ServerConfig>>, handler: H) -> io::Result<()>
where
    H: Fn(Request) -> F,
    F: Future<Output = Reply>,
{
    stream.set_nodelay(true)?;
    let mut stream = match tls {
        Some(config) => Stream::Tls(Box::new(TlsAcceptor::from(config).accept(stream).await?)),
        None => Stream::Plain(stream),
    };
    let mut buffer = BytesMut::with_capacity(4096);
    while let Some(request) = read_request(&mut stream, &mut buffer).await? {
        let last = request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        for step in handler(request).await.0 {
            match step {
                Step::Send(bytes) => stream.send(&bytes).await?,
                Step::Repeat(bytes, times) => {
                    for _ in 0..times {
                        stream.send(&bytes).await?;
                    }
                }
                Step::Drip { bytes, at_once, every } => {
                    for few in bytes.chunks(at_once.max(1)) {
                        stream.send(few).await?;
                        tokio::time::sleep(every).await;
                    }
                }
                Step::Wait(pause) => tokio::time::sleep(pause).await,
                Step::Stall => return stream.until_closed().await,
                Step::Close => return stream.close().await,
                Step::Reset => return stream.tcp().set_zero_linger(),
            }
        }
        if last {
            return stream.close().await;
        }
    }
    Ok(())
}

/// The next request, or `None` when the client is done.
async fn read_request(stream: &mut Stream, buffer: &mut BytesMut) -> io::Result<Option<Request>> {
    let (mut request, head_length, body_length) = loop {
        if let Some(parsed) = parse_head(buffer)? {
            break parsed;
        }
        if buffer.len() > MAX_HEAD {
            return Err(io::Error::other("request head too large"));
        }
        if stream.receive(buffer).await? == 0 {
            return Ok(None);
        }
    };
    while buffer.len() < head_length + body_length {
        if stream.receive(buffer).await? == 0 {
            return Ok(None);
        }
    }
    let _ = buffer.split_to(head_length);
    request.body = buffer.split_to(body_length).freeze();
    request.tls = matches!(stream, Stream::Tls(_));
    Ok(Some(request))
}

fn parse_head(bytes: &[u8]) -> io::Result<Option<(Request, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut head = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) = head.parse(bytes).map_err(io::Error::other)? else { return Ok(None) };
    let latin1 = |value: &[u8]| value.iter().map(|&byte| char::from(byte)).collect::<String>();
    let headers: Vec<(String, String)> =
        head.headers.iter().map(|header| (header.name.to_ascii_lowercase(), latin1(header.value))).collect();
    let request = Request {
        method: head.method.unwrap_or_default().to_owned(),
        target: head.path.unwrap_or_default().to_owned(),
        headers,
        body: Bytes::new(),
        tls: false,
    };
    let body = request.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    Ok(Some((request, length, body)))
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    async fn receive(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read_buf(buffer).await,
            Self::Tls(stream) => stream.read_buf(buffer).await,
        }
    }

    async fn until_closed(&mut self) -> io::Result<()> {
        let mut ignored = BytesMut::new();
        while self.receive(&mut ignored).await? > 0 {
            ignored.clear();
        }
        Ok(())
    }

    async fn close(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.shutdown().await,
            Self::Tls(stream) => stream.shutdown().await,
        }
    }
}
