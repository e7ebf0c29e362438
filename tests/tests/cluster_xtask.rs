//! `cargo xtask cluster up`, `kubectl`, `shell` and `down`, as a developer types them.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs the command with temporary files in `folder`, so that a cluster of the developer's own is left alone.
fn xtask(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("cluster")
        .args(arguments)
        .env("TMPDIR", folder)
        .output()
        .unwrap();
    let printed = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(printed).unwrap())
}

#[test]
fn a_cluster_is_started_used_entered_and_stopped_without_a_trace() {
    let folder = tempfile::tempdir().unwrap();
    let (ok, said) = xtask(folder.path(), &["up", "--level", "plane"]);
    assert!(ok && said.contains("ready after"), "{said}");
    let kubeconfig = said.lines().find_map(|line| line.strip_prefix("export KUBECONFIG=")).unwrap().to_owned();
    assert!(Path::new(&kubeconfig).is_file());

    let (_, said) = xtask(folder.path(), &["up"]);
    assert!(said.contains("running already") && said.contains(&kubeconfig), "{said}");
    let (_, said) = xtask(folder.path(), &["kubectl", "get", "namespaces", "--output", "name"]);
    assert!(said.contains("namespace/kube-system"), "{said}");
    let (_, said) = xtask(folder.path(), &["shell", "sh", "-c", "ip -br addr show node0 && kubectl auth whoami"]);
    assert!(said.contains("10.200.0.1/24") && said.contains("admin"), "{said}");

    let (ok, said) = xtask(folder.path(), &["down"]);
    assert!(ok && said.starts_with("stopped in"), "{said}");
    let left: Vec<_> =
        fs::read_dir(folder.path().join("threatrelay-clusters")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, [".gate"]);
    let (ok, said) = xtask(folder.path(), &["kubectl", "get", "pods"]);
    assert!(!ok && said.contains("no cluster is running: start one with `cargo xtask cluster up`"), "{said}");
}

#[test]
fn add_ons_without_a_node_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let (ok, said) = xtask(folder.path(), &["up", "--level", "plane", "--with", "traefik"]);
    assert!(!ok && said.contains("error: add-ons run in pods: --with needs --level node"), "{said}");
}
