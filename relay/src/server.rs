//! The two listeners of a relay and their life: bound before anything else is built, ready, draining, gone. A stop
//! turns readiness off at once, keeps answering for the lame-duck time (each answer ends its connection), then
//! accepts no more and gives requests under way the drain time. Only binding can fail.

mod listening;
mod patience;
mod stream;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use futures_util::FutureExt;
use http::Request;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tower::ServiceExt;

use self::listening::Listening;
use crate::admin::admin;
use crate::app::{App, Phase};
use crate::config::Limits;
use crate::router;

/// Connections open at once on the admin listener.
const ADMIN_CONNECTIONS: usize = 64;
/// Time that a scrape or probe under way gets to end once the relay has stopped.
const ADMIN_DRAIN: Duration = Duration::from_secs(1);

/// Both listeners, bound; callers may connect already and are answered as soon as [`Server::run`] runs.
#[derive(Debug)]
pub struct Server {
    relay: TcpListener,
    admin: TcpListener,
    relay_address: SocketAddr,
    admin_address: SocketAddr,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process listens there.
    #[error("{address} is in use already; stop the process that listens there or set {setting} to a free address")]
    InUse {
        /// Where.
        address: SocketAddr,
        /// The setting that names the address.
        setting: &'static str,
    },
    /// Anything else: no such interface, a privileged port.
    #[error("cannot listen on {address}: {source}; set {setting} to an address of this machine that you may use")]
    Unusable {
        /// Where.
        address: SocketAddr,
        /// The setting that names the address.
        setting: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl Server {
    /// Listens on the address of the relay endpoints and on that of the admin ones; port 0 takes a free port.
    ///
    /// # Errors
    /// [`BindError`], naming the setting to change.
    pub async fn bind(listen: SocketAddr, admin_listen: SocketAddr) -> Result<Self, BindError> {
        let (relay, relay_address) = bind(listen, "`listen` (THREATRELAY_LISTEN)").await?;
        let (admin, admin_address) = bind(admin_listen, "`adminListen` (THREATRELAY_ADMIN_LISTEN)").await?;
        Ok(Self { relay, admin, relay_address, admin_address })
    }

    /// Where the relay endpoints are.
    #[must_use]
    pub fn relay_address(&self) -> SocketAddr {
        self.relay_address
    }

    /// Where probes, metrics and the log level are.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Answers until `stop` completes, then drains. Dropping the future cuts every connection at once.
    pub async fn run(self, app: Arc<App>, stop: impl Future<Output = ()> + Send) {
        let limits = &app.config.limits;
        let shutdown = &app.config.shutdown;
        let answer = {
            let app = app.clone();
            move |request| {
                let app = app.clone();
                async move { router::answer(&app, request).await }
            }
        };
        let relay = Listening::start(self.relay, answer, limits);
        let admin_limits = Limits { connections: ADMIN_CONNECTIONS, ..limits.clone() };
        let admin = routed(admin(app.clone()));
        let admin = Listening::start(self.admin, admin, &admin_limits);

        app.enter(Phase::Ready);
        tracing::info!(relay = %self.relay_address, admin = %self.admin_address, "ready");
        stop.await;

        app.enter(Phase::Draining);
        tracing::info!(lame_duck = ?shutdown.lame_duck, drain = ?shutdown.drain, "draining");
        tokio::time::sleep(shutdown.lame_duck).await;
        relay.end(shutdown.drain).await;
        admin.end(ADMIN_DRAIN).await;
        tracing::info!("stopped");
    }
}

/// What `router` answers.
fn routed(
    router: Router,
) -> impl Fn(Request<Incoming>) -> Pin<Box<dyn Future<Output = Response> + Send>> + Clone + Send {
    move |request| Box::pin(router.clone().oneshot(request).map(|Ok(response)| response))
}

async fn bind(address: SocketAddr, setting: &'static str) -> Result<(TcpListener, SocketAddr), BindError> {
    let unusable = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { address, setting },
        _ => BindError::Unusable { address, setting, source },
    };
    let listener = TcpListener::bind(address).await.map_err(unusable)?;
    let bound = listener.local_addr().map_err(unusable)?;
    Ok((listener, bound))
}

/// How callers on this machine reach an address that may stand for all of them.
#[must_use]
pub fn origin(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}
