//! The operator within this process, on a thread and a runtime of its own: ending the runtime is a crash, as nothing of
//! it runs on. What it logs is kept.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use clap::Parser;
use kube::config::{KubeConfigOptions, Kubeconfig};
use threatrelay_operator::admin::Readiness;
use threatrelay_operator::broken::Defect;
use threatrelay_operator::metrics::Metrics;
use threatrelay_operator::settings::Settings;
use threatrelay_operator::{client, runtime, telemetry};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::cluster::Access;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    settings: Settings,
}

/// The image for relays that no flag names.
pub(super) const IMAGE: &str = "registry.example/threatrelay:1.0.0";

/// The settings that these flags amount to.
///
/// # Panics
/// When they are wrong.
#[must_use]
pub fn settings(flags: &[&str]) -> Settings {
    let image: &[&str] = if flags.contains(&"--relay-image") { &[] } else { &["--relay-image", IMAGE] };
    let all = ["operator", "--leader-election", "false"].iter().chain(image).chain(flags);
    Flags::try_parse_from(all).expect("flags of the operator").settings
}

/// Lines that operators have logged. Clones share them.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// All of it.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Keeps what a process has logged.
    pub fn keep(&self, text: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend_from_slice(text.as_bytes());
        all.push(b'\n');
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A running operator. Crashes when dropped.
pub struct Operator {
    crash: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl Operator {
    /// Starts it before the server of `access`, with a planted defect where one is named and built in.
    ///
    /// # Panics
    /// When no thread can be made.
    #[must_use]
    pub fn start(access: &Access, settings: Settings, defect: Option<Defect>, log: &Log) -> Self {
        let crash = CancellationToken::new();
        let (end, ended) = oneshot::channel();
        let (access, log, crashing) = (access.clone(), log.clone(), crash.clone());
        let body = move || {
            let _logging = tracing::subscriber::set_default(subscriber(log.clone()));
            plant(defect);
            let run = AssertUnwindSafe(|| live(&access, settings, &crashing));
            if let Err(why) = catch_unwind(run).map_err(|_| "it panicked").and_then(|done| done) {
                let _in_memory = writeln!(log.clone(), "ERROR the operator ended: {why}");
            }
            let _waiting = end.send(());
        };
        thread::Builder::new().name("operator".to_owned()).spawn(body).expect("a thread for the operator");
        Self { crash, ended }
    }

    /// Ends it at once, and waits until nothing of it is left.
    pub async fn crash(mut self) {
        self.crash.cancel();
        let _gone_either_way = (&mut self.ended).await;
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.crash.cancel();
    }
}

#[cfg(feature = "broken-variants")]
fn plant(defect: Option<Defect>) {
    threatrelay_operator::broken::plant(defect);
}

#[cfg(not(feature = "broken-variants"))]
fn plant(defect: Option<Defect>) {
    assert_eq!(defect, None, "defects are built in with the feature broken-variants");
}

fn live(access: &Access, settings: Settings, crash: &CancellationToken) -> Result<(), &'static str> {
    let own = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|_| "no runtime")?;
    let work = async {
        let kubeconfig = Kubeconfig::from_yaml(&access.kubeconfig()).map_err(|_| "no kubeconfig")?;
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let (metrics, readiness) = (Metrics::new(8), Readiness::default());
        let client =
            client::of(config.map_err(|_| "no configuration")?, &metrics.requests).map_err(|_| "no client")?;
        let identity = format!("operator_{}", uuid::Uuid::new_v4().simple());
        let life = runtime::live(client, settings, (metrics, readiness), identity, CancellationToken::new());
        life.await.map_err(|_| "it does not start")?;
        Err("it was told to stop, or lost its lease")
    };
    own.block_on(async {
        tokio::select! {
            ended = work => ended,
            () = crash.cancelled() => Ok(()),
        }
    })
}

fn subscriber(log: Log) -> impl tracing::Subscriber + Send + Sync {
    let filter = telemetry::filter("info").expect("the operator's own level");
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(Mutex::new(log)).finish()
}
