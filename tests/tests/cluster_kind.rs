//! kind takes our configuration. It runs far enough to check it, against a stand-in for Docker that refuses everything.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tests::cluster::programs::{Program, locate};

/// Says what kind asks before it checks the configuration, and nothing after that.
const DOCKER: &str = r#"#!/bin/sh
case "$1" in
    -v) echo "Docker version 0" ;;
    info) echo '{"CgroupVersion": "2", "SecurityOptions": []}' ;;
    ps | inspect) ;;
    *) echo "no engine here" >&2; exit 1 ;;
esac
"#;

/// What `kind create cluster` says of a configuration.
fn kind_says(config: &Path) -> String {
    let folder = tempfile::tempdir().unwrap();
    let docker = folder.path().join("docker");
    fs::write(&docker, DOCKER).unwrap();
    fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).unwrap();
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
