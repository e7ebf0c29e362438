//! Everything a demo needs, running: an upstream on a free loopback port, a token issuer, a relay that trusts both.
//!
//! The relay is the one that `serve` runs, with settings from the same table; only its upstream and its keys are the
//! demo's own. The keys lie in a private directory that goes with the stage.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Args;
use super::issuer::{Claims, Issuer, IssuerError};
use super::samples::{self, Samples, SamplesError};
use super::upstream::{self, Dataset, FixtureError};
use crate::app::{self, App};
use crate::config::{self, load};
use crate::server::{BindError, Server, origin};
use crate::telemetry::LogLevel;

/// The JWKS host that tokens name. It is never asked, because the relay has the keys from a file.
const JWKS_HOST: &str = "visibility.amp.cisco.com";

/// A demo that runs; it ends when dropped.
pub(super) struct Stage {
    /// Origin of the relay, as callers on this machine reach it.
    pub(super) relay: String,
    /// Origin of its probes and metrics.
    pub(super) admin: String,
    /// Origin of the upstream.
    pub(super) upstream: String,
    /// A token the relay accepts.
    pub(super) token: String,
    /// What the upstream knows: type and value as the relay is asked.
    pub(super) examples: Vec<(&'static str, String)>,
    app: Arc<App>,
    stop: CancellationToken,
    running: JoinHandle<()>,
    serving: JoinHandle<io::Result<()>>,
    _keys: Keys,
}

/// Why a demo cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The bundled pulses cannot be read.
    #[error(transparent)]
    Fixture(#[from] FixtureError),
    /// The captured answers cannot be read.
    #[error(transparent)]
    Samples(#[from] SamplesError),
    /// An address of the relay cannot be used.
    #[error("{0} (for the demo: --listen and --admin-listen)")]
    Bind(#[from] BindError),
    /// No token can be made.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// The upstream has no port, or the keys no file.
    #[error("the demo's upstream or its keys cannot be set up: {0}")]
    System(#[from] io::Error),
    /// The relay refuses the demo's settings.
    #[error("the demo's settings are not valid: {0}")]
    Settings(#[from] config::Errors),
    /// The relay cannot be built.
    #[error(transparent)]
    Relay(#[from] app::StartError),
}

impl Stage {
    /// Sets up what `args` ask for.
    pub(super) async fn set(args: &Args, log_level: LogLevel) -> Result<Self, StageError> {
        let (router, otx_key, examples) = content(args)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let upstream = format!("http://{}", listener.local_addr()?);
        let serving = tokio::spawn(axum::serve(listener, router).into_future());

        let server = Server::bind(args.listen, args.admin_listen).await?;
        let (relay, admin) = (origin(server.relay_address()), origin(server.admin_address()));
        let issuer = Issuer::generate("demo")?;
        let keys = Keys::write(&issuer)?;
        let mut settings = vec![
            ("THREATRELAY_LISTEN", args.listen.to_string()),
            ("THREATRELAY_ADMIN_LISTEN", args.admin_listen.to_string()),
            ("THREATRELAY_OTX_BASE_URL", upstream.clone()),
            ("THREATRELAY_AUTH_AUDIENCES", relay.clone()),
            ("THREATRELAY_AUTH_JWKS_FILE", keys.file().display().to_string()),
            ("THREATRELAY_PAGE_LOOKUP", "true".to_owned()),
            ("THREATRELAY_SHUTDOWN_LAME_DUCK", "0s".to_owned()),
        ];
        settings.extend(args.otlp.clone().map(|url| ("THREATRELAY_TELEMETRY_OTLP_ENDPOINT", url)));
        let config = load(None, settings.into_iter().map(|(name, value)| (name.to_owned(), value)))?.config;
        let app = App::new(config, log_level)?;
        let stop = CancellationToken::new();
        let running = tokio::spawn(server.run(app.clone(), stop.clone().cancelled_owned()));
        let token = issuer.token(&Claims {
            key: otx_key,
            jwks_host: JWKS_HOST.to_owned(),
            aud: relay.clone(),
            entities_limit: None,
        })?;
        Ok(Self { relay, admin, upstream, token, examples, app, stop, running, serving, _keys: keys })
    }

    /// Stops the relay in order and sends its last spans.
    pub(super) async fn end(mut self) -> io::Result<()> {
        self.stop.cancel();
        (&mut self.running).await.map_err(io::Error::other)?;
        self.app.flush_traces().await;
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.running.abort();
        self.serving.abort();
    }
}

type Content = (Router, String, Vec<(&'static str, String)>);

/// The upstream, a key it accepts, and what can be asked of it.
fn content(args: &Args) -> Result<Content, StageError> {
    if let Some(dir) = &args.samples {
        let samples = Samples::read(dir)?;
        let observed = |kind: &str| match kind {
            "IPv4" => "ip",
            "IPv6" => "ipv6",
            "url" => "url",
            "md5" => "md5",
            "sha1" => "sha1",
            "sha256" => "sha256",
            _ => "domain",
        };
        let examples = samples.examples().into_iter().map(|(kind, value)| (observed(kind), value.to_owned()));
        let examples = examples.collect();
        return Ok((samples::router(Arc::new(samples)), "a-key-for-captured-answers".to_owned(), examples));
    }
    let dataset = Dataset::bundled()?;
    let key = dataset.content().accounts.first().map(|account| account.key.clone()).unwrap_or_default();
    let examples = [
        ("ip", "203.0.113.7"),
        ("ipv6", "2001:db8::66"),
        ("domain", "evil.example"),
        ("url", "http://evil.example/login.php?id=1"),
        ("md5", "5162fd5d109bc811b90e8dfc2d59e6cc"),
    ];
    let examples = examples.map(|(kind, value)| (kind, value.to_owned())).into();
    Ok((upstream::router(Arc::new(dataset)), key, examples))
}

/// A JWKS file in a directory that only this user can enter.
struct Keys(PathBuf);

impl Keys {
    fn write(issuer: &Issuer) -> io::Result<Self> {
        let keys = Self(std::env::temp_dir().join(format!("threatrelay-demo-{}", uuid::Uuid::new_v4())));
        fs::DirBuilder::new().mode(0o700).create(&keys.0)?;
        fs::write(keys.file(), serde_json::to_vec(&issuer.jwks())?)?;
        Ok(keys)
    }

    fn file(&self) -> PathBuf {
        self.0.join("jwks.json")
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // What is left is a public key in the directory for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_keys_lie_in_a_private_directory_that_goes_with_them() {
        let keys = Keys::write(&Issuer::generate("k").unwrap()).unwrap();
        let (dir, file) = (keys.0.clone(), keys.file());
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(fs::read_to_string(file).unwrap().contains("\"kid\":\"k\""));
        drop(keys);
        assert!(!dir.exists());
    }
}
