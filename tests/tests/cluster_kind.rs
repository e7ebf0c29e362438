//! kind takes our configuration, and suites run on its cluster.
//!
//! There is no Docker here. The real kind runs far enough to check the configuration, against a stand-in for Docker that
//! refuses everything. How a suite uses a cluster of kind is shown on a local one behind a stand-in for kind, which
//! records how it is called.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tests::cluster::Cluster;
use tests::cluster::kind::Kind;
use tests::cluster::programs::{Program, locate};
use tests::eventually::Eventually;

/// Says what kind asks before it checks the configuration, and nothing after that.
const DOCKER: &str = r#"#!/bin/sh
case "$1" in
    -v) echo "Docker version 0" ;;
    info) echo '{"CgroupVersion": "2", "SecurityOptions": []}' ;;
    ps | inspect) ;;
    *) echo "no engine here" >&2; exit 1 ;;
esac
"#;

/// Gives the kubeconfig beside it, and loads archives into the sandbox whose process is named beside it.
const KIND: &str = r#"#!/bin/sh
here=$(dirname "$0")
echo "$@" >>"$here/calls"
case "$1 $2" in
    "get kubeconfig") cat "$here/kubeconfig" ;;
    "load image-archive")
        pid=$(cat "$here/pid")
        exec nsenter --net=/proc/$pid/ns/net --mount=/proc/$pid/ns/mnt --pid=/proc/$pid/ns/pid_for_children -- \
            ctr --namespace k8s.io images import --snapshotter overlayfs "$5" ;;
    "create cluster" | "delete cluster") ;;
    *) echo "unknown command" >&2; exit 1 ;;
esac
"#;

/// Makes a program of a script.
fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// What `kind create cluster` says of a configuration.
fn kind_says(config: &Path) -> String {
    let folder = tempfile::tempdir().unwrap();
    script(&folder.path().join("docker"), DOCKER);
    let output = Command::new(locate("kind").unwrap())
        .args(["create", "cluster", "--config"])
        .arg(config)
        .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
        .env("KIND_EXPERIMENTAL_PROVIDER", "docker")
        .env("HOME", folder.path())
        .output()
        .unwrap();
    // With the stand-in nothing can be created, so an end in order would mean that a real engine was asked.
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn the_configuration_is_accepted_up_to_the_first_call_of_docker() {
    let said = kind_says(&Program::named("kind").unwrap().source().join("cluster.yaml"));
    assert!(said.contains("Creating cluster \"threatrelay\"") && said.contains("no engine here"), "{said}");
}

#[test]
fn a_wrong_configuration_is_refused_before_docker_is_called() {
    let text = fs::read_to_string(Program::named("kind").unwrap().source().join("cluster.yaml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("cluster.yaml");
    fs::write(&config, text.replace("kubeProxyMode: nftables", "kubeProxyMode: magic")).unwrap();
    let said = kind_says(&config);
    assert!(said.contains("invalid kubeProxyMode: magic") && !said.contains("no engine here"), "{said}");
    fs::write(&config, text.replace("networking:", "netwroking:")).unwrap();
    let said = kind_says(&config);
    assert!(said.contains("netwroking") && !said.contains("no engine here"), "{said}");
}

#[tokio::test]
async fn a_suite_runs_on_the_cluster_that_kind_made() {
    let local = Cluster::start_local().await.unwrap();
    let plane = local.plane().unwrap();
    let folder = tempfile::tempdir().unwrap();
    script(&folder.path().join("kind"), KIND);
    fs::copy(plane.kubeconfig(), folder.path().join("kubeconfig")).unwrap();
    fs::write(folder.path().join("pid"), plane.sandbox().pid().to_string()).unwrap();
    let kind = Kind::at(folder.path().join("kind"));

    kind.create().unwrap();
    let cluster = Cluster::join(&kind).await.unwrap();
    let identity = cluster.kubectl(&["auth", "whoami"]).unwrap();
    assert!(identity.contains("system:serviceaccount:test-gate:test-gate"), "{identity}");
    let namespace = cluster.restricted_namespace("joined").await.unwrap();
    let address = cluster.serve(&namespace, "web", &[8080]).await.unwrap();
    let answered = Eventually::new("the Service answers through the probe")
        .ok(async || cluster.fetch(address, "/").await.map_err(|error| format!("{error:?}")))
        .await
        .unwrap();
    assert!(answered.1.starts_with("pod=web-"), "{}", answered.1);
    kind.delete().unwrap();

    let calls = fs::read_to_string(folder.path().join("calls")).unwrap();
    let calls: Vec<_> = calls.lines().collect();
    let [created, got, loaded, deleted] = calls[..] else { unreachable!("{calls:?}") };
    assert!(created.starts_with("create cluster --wait 3m --config /") && created.ends_with("kind/cluster.yaml"));
    assert_eq!(got, "get kubeconfig --name threatrelay");
    assert!(loaded.starts_with("load image-archive --name threatrelay /"), "{loaded}");
    assert_eq!(deleted, "delete cluster --name threatrelay");
}
