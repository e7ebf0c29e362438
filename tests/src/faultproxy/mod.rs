//! A TLS proxy in front of the real API server that does to a client what networks, servers and crashes do.
//!
//! Every request is classified ([`call`]), numbered and noted ([`trace`]); at most one armed [`Plan`] strikes the
//! request it names. The client connects with [`FaultProxy::access`] as it would to the server, over HTTP/1.1. What the
//! proxy cannot reach upstream it answers with a reset. Upgrades (`exec`, `port-forward`) do not pass.

pub mod call;
mod exchange;
pub mod plan;
pub mod trace;
mod upstream;
mod watch;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::ExtendedKeyUsagePurpose;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::cluster::Access;
use crate::cluster::pki::Authority;
use call::Call;
use exchange::Reset;
use plan::{Action, Plan};
use trace::{Entry, Trace};
use upstream::Upstream;

/// Why the proxy did not start.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// No certificate.
    #[error("cannot make the proxy's certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// No PEM.
    #[error("cannot read the proxy's certificate: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// No TLS.
    #[error("cannot set up the proxy's TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// No listener.
    #[error("the proxy cannot listen: {0}")]
    Listen(#[from] io::Error),
    /// No client.
    #[error("cannot make the proxy's client: {0}")]
    Client(#[from] reqwest::Error),
}

/// Something that happens between what a client reads and what it does about it.
pub type Edit = Arc<dyn Fn(&Call) -> BoxFuture<'static, ()> + Send + Sync>;

/// A running proxy. It ends when dropped, or with the runtime that started it.
pub struct FaultProxy {
    shared: Arc<Shared>,
    access: Access,
    accepting: tokio::task::JoinHandle<()>,
}

impl FaultProxy {
    /// Starts a proxy in front of `server` on a loopback port, with a certificate authority of its own.
    ///
    /// # Errors
    /// See [`ProxyError`].
    pub async fn start(server: &Access) -> Result<Self, ProxyError> {
        let authority = Authority::new("threatrelay-test-faultproxy")?;
        let usage = ExtendedKeyUsagePurpose::ServerAuth;
        let (certificate, key) = authority.certificate(&["127.0.0.1", "localhost"], ("faultproxy", None), usage)?;
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes())?];
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes())?)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let access = Access {
            server: format!("https://{}", listener.local_addr()?),
            ca: authority.pem,
            token: server.token.clone(),
        };
        let shared = Arc::new(Shared {
            upstream: Upstream::new(server)?,
            trace: Trace::default(),
            armed: Mutex::default(),
            edit: Mutex::default(),
            phase: tokio::sync::watch::Sender::new(Phase::default()),
        });
        let serving = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(serve(client, acceptor.clone(), Arc::clone(&serving)));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { shared, access, accepting })
    }

    /// How a client reaches the API server through the proxy, with the identity the proxy was started with.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Arms `plan` in place of the one before; occurrences count from now.
    pub fn arm(&self, plan: Plan) {
        *self.shared.armed.lock().unwrap_or_else(PoisonError::into_inner) = Some((plan, 0));
    }

    /// Lets everything pass.
    pub fn disarm(&self) {
        *self.shared.armed.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// From now on `edit` runs after every GET that was answered, before the client has the answer.
    pub fn after_reads(&self, edit: Option<Edit>) {
        *self.shared.edit.lock().unwrap_or_else(PoisonError::into_inner) = edit;
    }

    /// All requests so far.
    #[must_use]
    pub fn trace(&self) -> Vec<Entry> {
        self.shared.trace.entries()
    }

    /// Writes the trace as JSON lines.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_trace(&self, path: &Path) -> io::Result<()> {
        self.shared.trace.write(path)
    }

    /// Waits for the moment at which a [`Action::Crash`] wants the client to be killed. Until
    /// [`FaultProxy::client_restarts`] no request is passed on or answered.
    pub async fn crashed(&self) {
        let mut phase = self.shared.phase.subscribe();
        let _ = phase.wait_for(|phase| phase.frozen).await;
    }

    /// The killed client is gone and another starts: connections of the old one are reset, the plan is disarmed.
    pub fn client_restarts(&self) {
        self.disarm();
        self.shared.phase.send_modify(|phase| *phase = Phase { life: phase.life + 1, frozen: false });
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What all connections share.
struct Shared {
    upstream: Upstream,
    trace: Trace,
    armed: Mutex<Option<(Plan, u32)>>,
    edit: Mutex<Option<Edit>>,
    phase: tokio::sync::watch::Sender<Phase>,
}

/// Which life of the client it is, and whether that life has just ended.
#[derive(Debug, Clone, Copy, Default)]
struct Phase {
    life: u64,
    frozen: bool,
}

impl Shared {
    /// Classifies a request and counts it against the plan; the action, if it is the one.
    fn strike(&self, parts: &Parts, body: &Bytes) -> (Call, Option<Action>) {
        let call = Call::of(parts, body);
        let mut armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        let action = armed.as_mut().filter(|(plan, _)| plan.matching.holds(&call)).and_then(|(plan, count)| {
            *count += 1;
            plan.occurrence.includes(*count).then(|| plan.action.clone())
        });
        (call, action)
    }

    /// Lets somebody edit what was read.
    async fn edited(&self, call: &Call) {
        let edit = self.edit.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(edit) = edit {
            edit(call).await;
        }
    }

    fn crash(&self) {
        self.phase.send_modify(|phase| phase.frozen = true);
    }

    /// Holds a request while the proxy stands still; one of an ended life is reset.
    async fn unless_crashed(&self, life: u64) -> Result<(), Reset> {
        let mut phase = self.phase.subscribe();
        match phase.wait_for(|phase| !phase.frozen).await {
            Ok(now) if now.life == life => Ok(()),
            _ => Err(Reset),
        }
    }
}

/// One connection: ends in order, or by a reset when the plan or a new life of the client says so.
async fn serve(client: TcpStream, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let mut phase = shared.phase.subscribe();
    let life = phase.borrow_and_update().life;
    let _ = client.set_nodelay(true);
    let Ok(tls) = acceptor.accept(client).await else { return };
    let service = service_fn(move |request| exchange::answer(Arc::clone(&shared), life, request));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(tls), service);
    let in_order = tokio::select! {
        ended = &mut connection => ended.is_ok(),
        _ = phase.wait_for(|now| now.life != life) => false,
    };
    if !in_order {
        // A socket closed with no time to linger sends RST and forgets what is queued.
        let _ = connection.into_parts().io.into_inner().get_ref().0.set_zero_linger();
    }
}
