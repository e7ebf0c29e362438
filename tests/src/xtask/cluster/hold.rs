//! `cluster up` and `down`: a cluster that outlives the command that started it.
//!
//! A cluster lives as long as the process that started it, so `up` starts a process of its own for that (`hold`), waits
//! until it says "ready", and leaves it running. It is found again by a link to its folder.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use super::{AddOn, Extent, Level, environment};
use crate::binaries;
use crate::cluster::network_policy::Enforcer;
use crate::cluster::{self, ControlPlane, Memory, running};
use crate::eventually::Eventually;
use crate::xtask::suites::Variables;

const READY: &str = "ready";

/// Starts one, unless one runs already; its process gets these variables too.
pub(in crate::xtask) fn up(extent: &Extent, variables: &Variables) -> Result<ExitCode, Box<dyn Error>> {
    if let Some(folder) = running::find() {
        println!("a cluster is running already");
        print_kubeconfig(&folder);
        return Ok(ExitCode::SUCCESS);
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.envs(variables.iter().cloned());
    command.args(["cluster", "hold", "--level", if extent.level == Level::Plane { "plane" } else { "node" }]);
    for addon in &extent.with {
        command.arg("--with").arg(match addon {
            AddOn::Traefik => "traefik",
            AddOn::Metrics => "metrics",
            AddOn::NetworkPolicy => "network-policy",
            AddOn::Images => "images",
        });
    }
    // Its complaints are shown here as long as this process lives, that is until it is ready.
    let log = tempfile::NamedTempFile::new()?;
    let mut holder = command
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(log.path())?)
        .process_group(0)
        .spawn()?;
    let said = holder.stdout.take().ok_or("the holder has no output")?;
    let mut lines = BufReader::new(said).lines();
    let Some(Ok(folder)) = lines.next() else {
        return Err(fs::read_to_string(log.path())?.trim().trim_start_matches("error: ").into());
    };
    for line in lines.map_while(Result::ok).take_while(|line| line != READY) {
        println!("{line}");
    }
    running::remember(Path::new(&folder))?;
    print_kubeconfig(Path::new(&folder));
    Ok(ExitCode::SUCCESS)
}

fn print_kubeconfig(folder: &Path) {
    println!("export KUBECONFIG={}", folder.join("kubeconfig").display());
}

pub(super) fn down() -> Result<ExitCode, Box<dyn Error>> {
    let Some(folder) = running::find() else {
        println!("no cluster is running");
        return Ok(ExitCode::SUCCESS);
    };
    let begun = Instant::now();
    running::end(&folder)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(
        Eventually::new("the cluster's folder is gone")
            .within(Duration::from_secs(30))
            .matches(async || folder.exists(), |there| !there),
    )?;
    running::forget()?;
    println!("stopped in {:.1?}", begun.elapsed());
    Ok(ExitCode::SUCCESS)
}

pub(super) fn hold(extent: &Extent) -> Result<ExitCode, Box<dyn Error>> {
    if extent.level == Level::Plane && !extent.with.is_empty() {
        return Err("add-ons run in pods: --with needs --level node".into());
    }
    tokio::runtime::Runtime::new()?.block_on(async {
        let mut ended = signal(SignalKind::terminate())?;
        let mut interrupted = signal(SignalKind::interrupt())?;
        // Also while it starts: what has been started then ends with the future.
        tokio::select! {
            done = held(extent) => done?,
            _ = ended.recv() => {}
            _ = interrupted.recv() => {}
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Never ends well: the cluster runs until this is dropped.
async fn held(extent: &Extent) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    if extent.level == Level::Plane {
        let plane = ControlPlane::start().await?;
        environment::prepare(plane.sandbox().folder(), None)?;
        println!("{}", plane.sandbox().folder().display());
        tell_ready(&plane, begun);
        return std::future::pending().await;
    }
    let cluster = Arc::new(cluster::Cluster::start_local().await?);
    let mut lines = Vec::new();
    let (mut enforcer, mut ingress) = (None, None);
    for addon in &extent.with {
        match addon {
            AddOn::Traefik => {
                let traefik = cluster.add_traefik().await?;
                let (http, https) = (cluster.forward(traefik.http)?, cluster.forward(traefik.https)?);
                lines.push(format!("http://{http} and https://{https} are traefik"));
                ingress = Some(https);
            }
            AddOn::Metrics => cluster.add_metrics_server().await?,
            AddOn::NetworkPolicy => enforcer = Some(Enforcer::start(&cluster)?),
            AddOn::Images => {
                for name in binaries::published() {
                    cluster.load(&binaries::stand_in(name)?)?;
                }
                cluster.load(&binaries::fake_otx()?)?;
            }
        }
    }
    let plane = cluster.plane().ok_or("the cluster is not a local one")?;
    environment::prepare(plane.sandbox().folder(), ingress)?;
    println!("{}", plane.sandbox().folder().display());
    for line in lines {
        println!("{line}");
    }
    tell_ready(plane, begun);
    let _kept = enforcer;
    std::future::pending().await
}

fn tell_ready(plane: &ControlPlane, begun: Instant) {
    println!("ready after {:.1?}; resident memory {}", begun.elapsed(), Memory::of(plane.sandbox()));
    println!("{READY}");
}
