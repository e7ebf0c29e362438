//! checkov looks at what the charts render and at what the operator builds. What it complains of is one of the exceptions
//! here, each with its reason, or is a failure.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::chart::folder;
use tests::chart::helm::Helm;
use tests::checkov::complaints;
use tests::custom_resource::{full, list, merge, minimal, objects, observed};

/// Checks that do not hold here: number, kind of the objects (`*`: any), and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "CKV_K8S_11",
        "*",
        "a processor limit makes answers late on a node that is idle; `resources` takes one from whoever wants it",
    ),
    (
        "CKV_K8S_15",
        "*",
        "an image that a node has is not asked for again, so that pods start while the registry is away",
    ),
    (
        "CKV_K8S_43",
        "*",
        "the digest of an image is known when it is published; `image.digest` pins it, and the notes say so",
    ),
    ("CKV_K8S_8", "Pod", "the pod of `helm test` asks once and ends"),
    ("CKV_K8S_9", "Pod", "the pod of `helm test` asks once and ends"),
    ("CKV2_K8S_6", "Pod", "the pod of `helm test` is gone when it has asked; the operator's policy is for operators"),
];

/// Folders whose names begin with a dot are passed over.
fn visible_folder() -> TempDir {
    tempfile::Builder::new().prefix("checkov").tempdir().unwrap()
}

fn write(to: &Path, name: &str, objects: &[Value]) {
    let texts: Vec<_> = objects.iter().map(|object| serde_saphyr::to_string(object).unwrap()).collect();
    fs::write(to.join(name).with_extension("yaml"), texts.join("---\n")).unwrap();
}

#[test]
fn nothing_is_unsafe_but_for_a_reason() {
    let files = visible_folder();
    let helm = Helm::named("helm3").unwrap();
    let charts = [
        ("threatrelay-operator", "defaults", json!({})),
        (
            "threatrelay-operator",
            "small",
            json!({
                "watchNamespaces": ["soc-eu"], "credentials": {"managed": false}, "replicaCount": 2,
            }),
        ),
        ("threatrelay", "alone", minimal()),
        (
            "threatrelay",
            "keys",
            json!({
                "auth": {"audiences": ["a"]}, "credentials": {"keys": {"default": "key"}}, "autoscaling": {"maxReplicas": 3},
                "ingress": {"host": "otx.soc.example"},
            }),
        ),
    ];
    for (chart, name, values) in charts {
        let rendered = helm.template(&folder(chart), name, &values.to_string()).unwrap();
        fs::write(files.path().join(name).with_extension("yaml"), rendered).unwrap();
    }
    let mut direct = full();
    merge(&mut direct, &json!({"credentials": {"mode": "direct"}}));
    for (name, spec) in [("built-minimal", minimal()), ("built-full", full()), ("built-direct", direct)] {
        let objects: Vec<_> =
            list(&objects(&spec, &observed()).unwrap()).into_iter().map(|(_, object)| object).collect();
        write(files.path(), name, &objects);
    }

    let found = complaints(files.path()).unwrap();
    let is_excepted = |check: &str, object: &str| {
        let of = |kind: &str| kind == "*" || object.starts_with(&format!("{kind}."));
        EXCEPTIONS.iter().any(|(number, kind, _)| *number == check && of(kind))
    };
    let unsafe_ones: Vec<_> = found.iter().filter(|one| !is_excepted(&one.check, &one.object)).collect();
    assert!(unsafe_ones.is_empty(), "{unsafe_ones:#?}");
    for (number, _, why) in EXCEPTIONS {
        assert!(found.iter().any(|one| one.check == *number), "{number} is no longer complained of: {why}");
    }
}

#[test]
fn what_is_unsafe_is_noticed() {
    let files = visible_folder();
    let container = json!({"name": "a", "image": "a", "securityContext": {"privileged": true}});
    let pod =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [container]}});
    write(files.path(), "pod", &[pod]);
    let found = complaints(files.path()).unwrap();
    assert!(found.iter().any(|one| one.check == "CKV_K8S_16" && one.object == "Pod.default.a"), "{found:?}");
}
