//! A cluster leaves nothing on the machine, however the process that started it ends.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tests::cluster::ControlPlane;
use tests::cluster::sandbox::{Level, Sandbox};
use tests::eventually::Eventually;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

#[tokio::test]
async fn dropping_a_plane_ends_its_processes_and_removes_its_folder() {
    let plane = ControlPlane::start().await.unwrap();
    let folder = plane.sandbox().folder().to_path_buf();
    assert_eq!(programs_of(&folder).len(), 3, "etcd, API server, controllers: {:?}", programs_of(&folder));
    let begun = Instant::now();
    drop(plane);
    println!("gone after {:?}", begun.elapsed());
    assert_eq!(programs_of(&folder), Vec::<String>::new());
    assert!(!folder.exists());
}

#[tokio::test]
async fn an_owner_that_is_killed_leaves_nothing() {
    let (mut owner, folder) = hold().await;
    owner.kill().await.unwrap();
    nothing_is_left(&folder).await;
}

#[tokio::test]
async fn dropping_a_plane_whose_store_is_paused_ends_it() {
    let plane = ControlPlane::start().await.unwrap();
    let folder = plane.sandbox().folder().to_path_buf();
    plane.sandbox().pause("etcd").unwrap();
    way_in_is_stopped(&folder, "/etcd").await;
    drop(plane);
    assert_eq!(programs_of(&folder), Vec::<String>::new());
    assert!(!folder.exists());
}

#[tokio::test]
async fn an_owner_that_is_killed_with_a_paused_server_leaves_nothing() {
    let (mut owner, folder) = hold().await;
    for (pid, _) in processes_of(&folder).into_iter().filter(|(_, line)| is_program(line, "/kube-apiserver")) {
        kill_process(pid, Signal::STOP).unwrap();
    }
    way_in_is_stopped(&folder, "/kube-apiserver").await;
    owner.kill().await.unwrap();
    nothing_is_left(&folder).await;
}

#[tokio::test]
async fn an_owner_that_is_interrupted_leaves_nothing_and_ends_in_order() {
    let (mut owner, folder) = hold().await;
    kill_process(pid(&owner), Signal::INT).unwrap();
    assert!(owner.wait().await.unwrap().success());
    nothing_is_left(&folder).await;
}

#[tokio::test]
async fn an_owner_that_is_killed_while_it_starts_leaves_nothing() {
    let before = folders();
    let mut owner = holder();
    let mine = async || folders().into_iter().find(|path| !before.contains(path) && is_named_after(path, &owner));
    let folder = Eventually::new("the folder is made").matches(mine, Option::is_some).await.unwrap().unwrap();
    Eventually::new("the first program runs")
        .matches(async || programs_of(&folder), |programs| !programs.is_empty())
        .await
        .unwrap();
    owner.kill().await.unwrap();
    nothing_is_left(&folder).await;
}

#[tokio::test]
async fn what_is_left_when_supervisor_and_owner_are_killed_is_removed_by_the_next_start() {
    let (mut owner, folder) = hold().await;
    let supervisors = fs::read_to_string(format!("/proc/{0}/task/{0}/children", owner.id().unwrap())).unwrap();
    let supervisor = supervisors.split_whitespace().next().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(supervisor).unwrap(), Signal::KILL).unwrap();
    Eventually::new("the programs end with their supervisor")
        .matches(async || programs_of(&folder), Vec::is_empty)
        .await
        .unwrap();
    owner.kill().await.unwrap();
    assert!(folder.exists(), "nobody was there to remove it");
    let _next = Sandbox::start(Level::Plane).unwrap();
    assert!(!folder.exists());
}

#[tokio::test]
async fn without_the_right_to_make_namespaces_the_start_fails_with_the_reason_and_leaves_nothing() {
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-all", env!("CARGO_BIN_EXE_xtask"), "cluster", "hold", "--level", "plane"]);
    let owner = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let named = format!("threatrelay-{}-", owner.id().unwrap());
    let output = owner.wait_with_output().await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    let expected = "cannot set up the cluster's namespaces: unshare: unshare failed: Operation not permitted";
    assert!(error.contains(expected), "{error}");
    let left: Vec<_> = folders().into_iter().filter(|path| path.to_string_lossy().contains(&named)).collect();
    assert_eq!(left, Vec::<PathBuf>::new());
}

/// A process that has started a control plane, and the plane's folder.
async fn hold() -> (Child, PathBuf) {
    let mut owner = holder();
    let mut said = BufReader::new(owner.stdout.take().unwrap()).lines();
    let ready = async {
        let folder = PathBuf::from(said.next_line().await.unwrap().unwrap());
        while said.next_line().await.unwrap().unwrap() != "ready" {}
        folder
    };
    let folder = tokio::time::timeout(Duration::from_mins(1), ready).await.unwrap();
    assert!(!programs_of(&folder).is_empty(), "{} has no programs", folder.display());
    (owner, folder)
}

fn holder() -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["cluster", "hold", "--level", "plane"]).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().unwrap().cast_signed()).unwrap()
}

async fn nothing_is_left(folder: &Path) {
    Eventually::new("no program and no folder is left")
        .matches(async || (programs_of(folder), folder.exists()), |(left, there)| left.is_empty() && !there)
        .await
        .unwrap();
}

fn folders() -> Vec<PathBuf> {
    let base = std::env::temp_dir().join("threatrelay-clusters");
    fs::read_dir(base).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn is_named_after(folder: &Path, owner: &Child) -> bool {
    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
    name.starts_with(&format!("threatrelay-{}-", owner.id().unwrap()))
}

/// Command lines on this machine that name a cluster's folder, without its supervisor and the ways into it.
fn programs_of(folder: &Path) -> Vec<String> {
    processes_of(folder).into_iter().map(|(_, line)| line).filter(|line| is_program(line, "")).collect()
}

/// Processes on this machine whose command line names a cluster's folder.
fn processes_of(folder: &Path) -> Vec<(Pid, String)> {
    let folder = folder.display().to_string();
    let named = |process: fs::DirEntry| {
        let pid = Pid::from_raw(process.file_name().to_str()?.parse().ok()?)?;
        let line = String::from_utf8_lossy(&fs::read(process.path().join("cmdline")).ok()?).replace('\0', " ");
        line.contains(&folder).then_some((pid, line))
    };
    fs::read_dir("/proc").unwrap().flatten().filter_map(named).collect()
}

/// Whether a command line is that of the program whose path ends so, not of what started it.
fn is_program(line: &str, end: &str) -> bool {
    let program = line.split(' ').next().unwrap_or_default();
    !program.ends_with("nsenter") && !line.contains(".sh ") && program.ends_with(end)
}

/// `nsenter` stops a moment after the program that it started; only then does it not see the program's end.
async fn way_in_is_stopped(folder: &Path, end: &str) {
    let state = async || {
        let ways = processes_of(folder).into_iter();
        let mut ways = ways.filter(|(_, line)| line.starts_with("nsenter") && line.contains(&format!("{end} ")));
        let stat = fs::read_to_string(format!("/proc/{}/stat", ways.next()?.0.as_raw_pid())).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    };
    Eventually::new(format!("the nsenter of {end} is stopped"))
        .matches(state, |state| *state == Some('T'))
        .await
        .unwrap();
}
