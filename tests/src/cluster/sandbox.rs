//! A network, mount and PID namespace of its own, in which a cluster's programs run and from which nothing gets out.
//!
//! Programs are started inside by [`Sandbox::spawn`] (in `process.rs`) and end with the sandbox; sockets inside are opened from outside
//! by [`Sandbox::connect`], [`Sandbox::listen`] and [`Sandbox::forward`]. The sandbox lives exactly as long as the
//! process that made it: `supervise.sh` holds it by a pipe, which the kernel closes after a crash as well as after a
//! normal end, and then removes its folder and control groups.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::io::copy_bidirectional;

use super::debian::search_path;
use super::process::Processes;
use super::state;

/// Address of the node in every sandbox; the API server listens here and on 127.0.0.1.
pub const NODE_ADDRESS: &str = "10.200.0.1";

/// What a sandbox is prepared for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Network only.
    Plane,
    /// Also the mounts, control groups and switches that containers need.
    Node,
}

/// Why a sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The state folder could not be made.
    #[error("cannot make the folder of the cluster's state: {0}")]
    State(#[source] io::Error),
    /// The supervisor could not be started.
    #[error("cannot start sh: {0}")]
    Spawn(#[source] io::Error),
    /// The namespaces could not be set up.
    #[error("cannot set up the cluster's namespaces: {0}")]
    Setup(String),
}

/// A running sandbox. Dropping it ends every process inside and waits until all are gone.
pub struct Sandbox {
    folder: state::Folder,
    supervisor: Child,
    pid: u32,
    network: File,
    pub(super) processes: Processes,
    relays: Option<tokio::runtime::Runtime>,
    forwards: Mutex<BTreeMap<SocketAddr, SocketAddr>>,
}

impl Sandbox {
    /// Makes the namespaces, prepared for `level`.
    ///
    /// # Errors
    /// When this process may not make namespaces, or a program for it is missing.
    pub fn start(level: Level) -> Result<Self, SandboxError> {
        let folder = state::Folder::create().map_err(SandboxError::State)?;
        for part in ["logs", "mounts"] {
            fs::create_dir_all(folder.path().join(part)).map_err(SandboxError::State)?;
        }
        for (name, script) in
            [("supervise.sh", include_str!("supervise.sh")), ("inside.sh", include_str!("inside.sh"))]
        {
            fs::write(folder.path().join(name), script).map_err(SandboxError::State)?;
        }
        let mut supervisor = Command::new("sh")
            .arg(folder.path().join("supervise.sh"))
            .arg(folder.path())
            .arg(folder.name())
            .arg(folder.path().join("inside.sh"))
            .arg(if level == Level::Node { "node" } else { "plane" })
            .current_dir("/")
            .env("PATH", search_path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A process group of its own, so that Ctrl-C reaches the owner alone and the clean-up is not cut short.
            .process_group(0)
            .spawn()
            .map_err(SandboxError::Spawn)?;
        let mut said = String::new();
        let mut lines = BufReader::new(supervisor.stdout.take().ok_or_else(|| SandboxError::Setup(String::new()))?);
        while !said.ends_with("ready\n") {
            if !matches!(lines.read_line(&mut said), Ok(n) if n > 0) {
                drop(supervisor.stdin.take());
                let output = supervisor.wait_with_output().map_err(SandboxError::State)?;
                let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                return Err(SandboxError::Setup(why));
            }
        }
        let pid = said.lines().find_map(|line| line.strip_prefix("pid ")?.parse().ok());
        let pid: u32 = pid.ok_or_else(|| SandboxError::Setup(said.clone()))?;
        fs::write(folder.path().join("pid"), pid.to_string()).map_err(SandboxError::State)?;
        let network = File::open(format!("/proc/{pid}/ns/net")).map_err(SandboxError::State)?;
        let relays = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("cluster-relay")
            .enable_all()
            .build()
            .map_err(SandboxError::State)?;
        Ok(Self {
            folder,
            supervisor,
            pid,
            network,
            processes: Processes::default(),
            relays: Some(relays),
            forwards: Mutex::default(),
        })
    }

    /// The folder with everything this sandbox writes; it goes with the sandbox.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its name, unique on this machine while it runs; also the name of its control groups.
    #[must_use]
    pub fn name(&self) -> &str {
        self.folder.name()
    }

    /// A process in the sandbox's network and mount namespaces, for `nsenter`.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// A command that will run inside.
    #[must_use]
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/proc/{}/ns/net", self.pid))
            .arg(format!("--mount=/proc/{}/ns/mnt", self.pid))
            .arg(format!("--pid=/proc/{}/ns/pid_for_children", self.pid))
            .arg(format!("--wd={}", self.folder().display()))
            .arg("--")
            .arg(program.as_ref())
            .env("PATH", search_path())
            .stdin(Stdio::null())
            .process_group(0);
        command
    }

    /// Runs `work` on a thread in the sandbox's network namespace. Sockets it opens belong to that namespace for good
    /// and can be used anywhere.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or `work` fails.
    pub fn within_network<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        enter_and(&self.network, work)
    }

    /// Connects to an address inside: of the node, a Service or a pod.
    ///
    /// # Errors
    /// Those of connecting; five seconds without an answer are one.
    pub fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        self.within_network(|| TcpStream::connect_timeout(&address, Duration::from_secs(5)))
    }

    /// A listener inside, so that a server in this process is reachable from pods at [`NODE_ADDRESS`].
    ///
    /// # Errors
    /// Those of binding.
    pub fn listen(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let listener = self.within_network(|| TcpListener::bind(address))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// Where tasks run that live as long as the sandbox; a test's own runtime ends with the test.
    ///
    /// # Errors
    /// When the sandbox is being dropped.
    pub fn runtime(&self) -> io::Result<&tokio::runtime::Runtime> {
        self.relays.as_ref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// A loopback address outside whose connections are carried to `inside` until the sandbox ends; always the same one
    /// for the same `inside`.
    ///
    /// # Errors
    /// Those of binding on 127.0.0.1.
    pub fn forward(&self, inside: SocketAddr) -> io::Result<SocketAddr> {
        let mut forwards = self.forwards.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outside) = forwards.get(&inside) {
            return Ok(*outside);
        }
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let outside = listener.local_addr()?;
        let network = self.network.try_clone()?;
        let runtime = self.runtime()?;
        let _context = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(network) = network.try_clone() else { break };
                tokio::spawn(carry(client, network, inside));
            }
        });
        forwards.insert(inside, outside);
        Ok(outside)
    }
}

/// Ends when the client does, or when nothing listens inside.
async fn carry(mut client: tokio::net::TcpStream, network: File, inside: SocketAddr) {
    let connect = move || {
        let stream = enter_and(&network, || TcpStream::connect_timeout(&inside, Duration::from_secs(5)))?;
        stream.set_nonblocking(true)?;
        Ok::<_, io::Error>(stream)
    };
    let Ok(Ok(stream)) = tokio::task::spawn_blocking(connect).await else { return };
    let Ok(mut server) = tokio::net::TcpStream::from_std(stream) else { return };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let _ = copy_bidirectional(&mut client, &mut server).await;
}

/// Entering a namespace changes one thread for good, so a short-lived one is made for it.
fn enter_and<T: Send>(network: &File, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let entered = scope.spawn(|| {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
            work()
        });
        entered.join().unwrap_or_else(|_| Err(io::Error::other("the thread inside the namespace panicked")))
    })
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        self.processes.abandon();
        let _ = self.supervisor.wait();
        if let Some(relays) = self.relays.take() {
            relays.shutdown_background();
        }
    }
}
