//! Another version of the operator over relays that run.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::json;
use tests::operator::Operator;

use super::{all_of, plane};

/// The operator's program with another version in it: what a later build is to the relays.
async fn another_version(folder: &tempfile::TempDir) -> PathBuf {
    let own = env!("CARGO_PKG_VERSION").as_bytes();
    let other: Vec<u8> = own.iter().map(|byte| if byte.is_ascii_digit() { b'9' } else { *byte }).collect();
    let mut program = fs::read(Operator::program().await).unwrap();
    let places: Vec<_> = program.windows(own.len()).enumerate().filter(|(_, found)| *found == own).collect();
    let places: Vec<_> = places.into_iter().map(|(at, _)| at).collect();
    for at in places {
        program[at..at + own.len()].copy_from_slice(&other);
    }
    let path = folder.path().join("threatrelay-operator");
    fs::write(&path, program).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test]
async fn another_version_of_the_operator_changes_no_pod_template() {
    let mut scene = all_of("upgrade").await;
    let deployment = scene.path("apps/v1/deployments", "r");
    let generation = scene.api.field(&deployment, "/metadata/generation").await.unwrap();
    let template = scene.api.field(&deployment, "/spec/template").await.unwrap();
    assert_eq!(template["spec"]["containers"][0]["image"], "registry.example/threatrelay:1.0.0");
    let folder = tempfile::tempdir().unwrap();
    let program = another_version(&folder).await;
    let flags = ["--namespaces", &scene.namespace, "--leader-election", "false"];
    let next = Operator::start_program(&program, plane().await.api().access(), &flags);
    std::mem::replace(&mut scene.operator, next).kill().await;
    scene.change("r", json!({"podDisruptionBudget": {"enabled": false}})).await;
    scene.gone(&scene.path("policy/v1/poddisruptionbudgets", "r")).await;
    scene.ready("r").await;
    let log = scene.operator.log();
    let started = log.lines().find(|line| line.contains("\"started\"")).unwrap();
    assert!(!started.contains(env!("CARGO_PKG_VERSION")), "{started}");
    assert_eq!(scene.api.field(&deployment, "/spec/template").await.unwrap(), template);
    assert_eq!(scene.api.field(&deployment, "/metadata/generation").await.unwrap(), generation);
}

#[tokio::test]
async fn without_an_image_for_relays_the_operator_does_not_start() {
    let (code, text) = Operator::command(plane().await.api().access(), &["run"]).await;
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("--relay-image"), "{text}");
}
