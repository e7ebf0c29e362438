//! The programs that run in a sandbox: started, looked after, and disturbed on purpose (paused, killed, restarted).
//!
//! Each is the child of an `nsenter` of this process, so its end is seen here; what it prints goes to a log in the
//! sandbox's folder. A program that ends unasked is an error with the end of that log.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process};

use super::sandbox::Sandbox;

/// Why a program does not run.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("cannot start {name}: {source}")]
    Start {
        /// Its name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// It ended that should run.
    #[error("{name} ended ({status}); the end of its log:\n{log}")]
    Ended {
        /// Its name.
        name: String,
        /// Exit status.
        status: String,
        /// Last lines of its log.
        log: String,
    },
    /// It was never started, or killed before.
    #[error("no {0} runs in this cluster")]
    Absent(String),
    /// It could not be signalled.
    #[error("cannot signal {name}: {source}")]
    Signal {
        /// Its name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

/// The programs of one sandbox.
#[derive(Default)]
pub(super) struct Processes(Mutex<Vec<Process>>);

struct Process {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    /// The `nsenter`; none after a kill.
    entered: Option<Child>,
}

impl Processes {
    fn lock(&self) -> MutexGuard<'_, Vec<Process>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends every `nsenter`, so that the programs' only parent is the sandbox's first process.
    ///
    /// The kernel ends a PID namespace when all in it are reaped. An `nsenter` whose program was paused has stopped
    /// with it and would never reap it.
    pub fn abandon(&self) {
        for entered in self.lock().iter_mut().filter_map(|process| process.entered.as_mut()) {
            let _ = entered.kill();
            let _ = entered.wait();
        }
    }
}

impl Sandbox {
    /// Starts a program that runs until the sandbox ends; what it prints goes to `logs/NAME.log`.
    ///
    /// # Errors
    /// [`ProcessError::Start`]. That it ends early is told by [`Sandbox::check`].
    pub fn spawn(&self, name: &str, program: impl AsRef<Path>, arguments: Vec<String>) -> Result<(), ProcessError> {
        let mut process = Process { name: name.into(), program: program.as_ref().into(), arguments, entered: None };
        self.start_process(&mut process)?;
        self.processes.lock().push(process);
        Ok(())
    }

    /// Succeeds when every program runs that should.
    ///
    /// # Errors
    /// [`ProcessError::Ended`] for the first that does not, with the end of its log.
    pub fn check(&self) -> Result<(), ProcessError> {
        for process in self.processes.lock().iter_mut() {
            if let Some(Ok(Some(status))) = process.entered.as_mut().map(Child::try_wait) {
                let log = self.log_tail(&process.name);
                return Err(ProcessError::Ended { name: process.name.clone(), status: status.to_string(), log });
            }
        }
        Ok(())
    }

    /// Stops a program in its tracks (SIGSTOP): its connections stay open and nothing answers.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self, name: &str) -> Result<(), ProcessError> {
        self.with_running(name, |entered| signal(&children_of(entered)?, Signal::STOP))
    }

    /// Lets a paused program go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self, name: &str) -> Result<(), ProcessError> {
        // `nsenter` stops together with its program.
        self.with_running(name, |entered| {
            signal(&[children_of(entered)?, vec![pid(entered)?]].concat(), Signal::CONT)
        })
    }

    /// Ends a program with SIGKILL; it stays away until [`Sandbox::restart`].
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&self, name: &str) -> Result<(), ProcessError> {
        self.with_running(name, |entered| {
            signal(&children_of(entered)?, Signal::KILL)?;
            entered.kill()?;
            entered.wait().map(drop)
        })?;
        if let Some(process) = self.processes.lock().iter_mut().find(|process| process.name == name) {
            process.entered = None;
        }
        Ok(())
    }

    /// Starts a program again as it was started first, after a kill of its own if it still runs.
    ///
    /// # Errors
    /// When it was never started, or cannot be.
    pub fn restart(&self, name: &str) -> Result<(), ProcessError> {
        match self.kill(name) {
            Ok(()) | Err(ProcessError::Absent(_)) => {}
            Err(error) => return Err(error),
        }
        let mut processes = self.processes.lock();
        let process = processes.iter_mut().find(|process| process.name == name);
        self.start_process(process.ok_or_else(|| ProcessError::Absent(name.into()))?)
    }

    /// The last 30 lines a program printed.
    #[must_use]
    pub fn log_tail(&self, name: &str) -> String {
        let text = fs::read_to_string(self.log_path(name)).unwrap_or_default();
        let skip = text.lines().count().saturating_sub(30);
        text.lines().skip(skip).collect::<Vec<_>>().join("\n")
    }

    fn log_path(&self, name: &str) -> PathBuf {
        self.folder().join("logs").join(format!("{name}.log"))
    }

    fn start_process(&self, process: &mut Process) -> Result<(), ProcessError> {
        let failed = |source| ProcessError::Start { name: process.name.clone(), source };
        let log = OpenOptions::new().create(true).append(true).open(self.log_path(&process.name)).map_err(failed)?;
        let mut command = self.command(&process.program);
        command.args(&process.arguments).stdout(log.try_clone().map_err(failed)?).stderr(log);
        process.entered = Some(command.spawn().map_err(failed)?);
        Ok(())
    }

    fn with_running(
        &self,
        name: &str,
        disturb: impl FnOnce(&mut Child) -> io::Result<()>,
    ) -> Result<(), ProcessError> {
        let mut processes = self.processes.lock();
        let process = processes.iter_mut().find(|process| process.name == name);
        let entered = process.and_then(|process| process.entered.as_mut());
        let entered = entered.ok_or_else(|| ProcessError::Absent(name.into()))?;
        disturb(entered).map_err(|source| ProcessError::Signal { name: name.into(), source })
    }
}

fn signal(pids: &[Pid], signal: Signal) -> io::Result<()> {
    pids.iter().try_for_each(|pid| Ok(kill_process(*pid, signal)?))
}

fn pid(child: &Child) -> io::Result<Pid> {
    Pid::from_raw(child.id().cast_signed()).ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn children_of(child: &Child) -> io::Result<Vec<Pid>> {
    let id = child.id();
    let list = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
    Ok(list.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect())
}
