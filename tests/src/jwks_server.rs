//! A JWKS host on loopback: HTTPS with a certificate of one's own, any answer, every fetch counted.
//!
//! It serves `/.well-known/jwks` and answers 404 elsewhere. What it answers can be changed while it runs, so that keys
//! rotate and hosts fail.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use threatrelay::demo::issuer::Issuer;

use crate::tls::{Authority, Certificate};
use crate::wire::{Reply, Request, Server, Step};

/// What a fetch is answered with.
#[derive(Clone, Debug)]
pub enum Document {
    /// 200 with this JSON.
    Keys(Bytes),
    /// This status with these headers and body.
    Status(u16, Vec<(String, String)>, Bytes),
    /// Nothing, until the client gives up.
    Silence,
    /// 200 with this many MiB of a JSON string that never ends.
    Endless(u32),
}

impl Document {
    /// The JWKS of some issuers.
    #[must_use]
    pub fn of(issuers: &[&Issuer]) -> Self {
        let keys: Vec<_> = issuers.iter().map(|issuer| issuer.jwk()).collect();
        Self::Keys(serde_json::json!({ "keys": keys }).to_string().into())
    }

    /// A redirect to `location`.
    #[must_use]
    pub fn redirect(location: &str) -> Self {
        Self::Status(302, vec![("location".to_owned(), location.to_owned())], Bytes::new())
    }
}

/// A running JWKS host; it ends when dropped.
#[derive(Debug)]
pub struct JwksServer {
    server: Server,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    document: Mutex<Document>,
    fetches: Mutex<Vec<Request>>,
}

impl JwksServer {
    /// Serves `document` on a free port of 127.0.0.1, with such a certificate of `authority`.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(authority: &Authority, certificate: Certificate, document: Document) -> io::Result<Self> {
        let shared = Arc::new(Shared { document: Mutex::new(document), fetches: Mutex::default() });
        let answering = Arc::clone(&shared);
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::start(address, Some(authority.server(certificate)), move |request| {
            let reply = answering.answer(request);
            async move { reply }
        })
        .await?;
        Ok(Self { server, shared })
    }

    /// What `auth.jwksHosts` and the claim `jwks_host` must say: `localhost` and the port.
    #[must_use]
    pub fn host(&self) -> String {
        format!("localhost:{}", self.server.address().port())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Changes what it answers.
    pub fn set(&self, document: Document) {
        *self.shared.document.lock().unwrap_or_else(PoisonError::into_inner) = document;
    }

    /// Requests so far, with their headers.
    #[must_use]
    pub fn fetches(&self) -> Vec<Request> {
        self.shared.fetches.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// TCP connections so far, those whose TLS handshake failed included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.server.connections()
    }
}

impl Shared {
    fn answer(&self, request: Request) -> Reply {
        let found = request.path() == "/.well-known/jwks";
        self.fetches.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        if !found {
            return Reply::new(404, &[], b"");
        }
        let json = [("content-type".to_owned(), "application/json".to_owned())];
        match &*self.document.lock().unwrap_or_else(PoisonError::into_inner) {
            Document::Keys(body) => Reply::new(200, &json, body),
            Document::Status(status, headers, body) => Reply::new(*status, headers, body),
            Document::Silence => Reply(vec![Step::Stall]),
            Document::Endless(mebibytes) => {
                let head =
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{\"keys\":\"";
                Reply(vec![
                    Step::Send(head.into()),
                    Step::Repeat(vec![b'k'; 1 << 20].into(), *mebibytes),
                    Step::Close,
                ])
            }
        }
    }
}
