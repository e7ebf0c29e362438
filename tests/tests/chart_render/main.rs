//! What the operator's chart makes of values: 14 sets, by Helm 3 and Helm 4 alike, beside what they made before.
//!
//! The goldens are objects as Helm 3 renders them, without the definition of the type (`crds/` is that).
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tests::chart::folder;
use tests::chart::helm::{BOTH, Helm, KUBERNETES, objects};
use tests::golden;

const CHART: &str = "threatrelay-operator";

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chart_render").join(name)
}

/// Name and values of every set.
fn sets() -> Vec<(String, String)> {
    let mut sets: Vec<_> = fs::read_dir(here("sets"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap()))
        .collect();
    sets.sort();
    sets
}

fn rendered(helm: &Helm, values: &str) -> Vec<Value> {
    let mut objects = objects(&helm.template(&folder(CHART), "otx", values).unwrap()).unwrap();
    for object in &mut objects {
        if object["kind"] == "CustomResourceDefinition" {
            object["spec"] = "as in crds/".into();
        }
    }
    objects
}

#[test]
fn every_set_of_values_renders_as_before() {
    let helm = Helm::named("helm3").unwrap();
    for (name, values) in sets() {
        let texts: Vec<_> =
            rendered(&helm, &values).iter().map(|object| serde_saphyr::to_string(object).unwrap()).collect();
        let text = texts.join("---\n");
        golden::matches(&format!("tests/chart_render/golden/{name}.yaml"), &text);
    }
}

#[test]
fn helm_4_renders_what_helm_3_renders() {
    let [three, four] = BOTH.map(|name| Helm::named(name).unwrap());
    for (name, values) in sets() {
        assert_eq!(rendered(&three, &values), rendered(&four, &values), "{name}");
    }
}

#[test]
fn no_linter_complains() {
    let chart = folder(CHART).display().to_string();
    for name in BOTH {
        let helm = Helm::named(name).unwrap();
        for (set, values) in sets() {
            let values = helm.values_file(&values).unwrap();
            let linted = helm.run(&["lint", &chart, "--strict", "--kube-version", KUBERNETES, "--values", &values]);
            assert!(linted.is_ok(), "{name} {set}: {}", linted.unwrap_err());
        }
    }
}

#[test]
fn rights_in_namespaces_make_nothing_that_belongs_to_the_cluster() {
    let helm = Helm::named("helm3").unwrap();
    let values = fs::read_to_string(here("sets/namespaced.yaml")).unwrap();
    let without: Vec<_> = rendered(&helm, &values)
        .iter()
        .filter(|object| object["metadata"]["namespace"].is_null())
        .map(|object| object["kind"].clone())
        .collect();
    assert_eq!(without, Vec::<Value>::new());
}

#[test]
fn no_right_on_secrets_is_left_when_keys_are_not_managed() {
    let helm = Helm::named("helm3").unwrap();
    let mentions = |values: &str| {
        let objects = rendered(&helm, values);
        let mut rules = objects.iter().filter_map(|object| object["rules"].as_array()).flatten();
        rules.any(|rule| rule["resources"].as_array().unwrap().contains(&"secrets".into()))
    };
    assert!(mentions("{}"));
    assert!(!mentions("credentials: {managed: false}"));
}

#[test]
fn the_type_is_exactly_that_of_the_operator() {
    let helm = Helm::named("helm3").unwrap();
    let rendered = objects(&helm.template(&folder(CHART), "otx", "{}").unwrap()).unwrap();
    let installed = rendered.iter().find(|object| object["kind"] == "CustomResourceDefinition").unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/threatrelays.threatrelay.dev.yaml");
    let source: Value = serde_saphyr::from_str(&fs::read_to_string(source).unwrap()).unwrap();
    assert_eq!(installed["spec"], source["spec"]);
    assert_eq!(installed["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
}
