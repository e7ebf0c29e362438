//! The operator as its chart installs it: what Helm renders, and the settings that its pod gets.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::chart::folder;
use crate::chart::helm::{Helm, KUBERNETES, objects};

/// The namespace that it is installed in.
pub const SYSTEM: &str = "threatrelay-system";

/// Name of its account, its Deployment and its lease.
pub const ACCOUNT: &str = "threatrelay-operator";

/// The objects of the chart with these values, the CRD and [`SYSTEM`] among them.
///
/// # Panics
/// When Helm is not built, or the chart refuses the values.
#[must_use]
pub fn installed(values: &Value) -> Vec<Value> {
    let helm = Helm::named("helm3").expect("helm");
    let values = helm.values_file(&values.to_string()).expect("a file of values");
    let chart = folder("threatrelay-operator").display().to_string();
    let rendered = helm
        .run(
            &[
                &["template", ACCOUNT, &chart, "--namespace", SYSTEM, "--values", &values, "--skip-tests"],
                &["--kube-version", KUBERNETES][..],
            ]
            .concat(),
        )
        .expect("a rendered chart");
    let mut all = vec![json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": SYSTEM, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    })];
    all.extend(objects(&rendered).expect("objects"));
    all
}

/// The objects as one, for `kubectl apply`.
#[must_use]
pub fn list(objects: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()
}

/// The variables that the operator's container gets.
#[must_use]
pub fn variables(objects: &[Value]) -> BTreeMap<String, String> {
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment");
    let variables = deployment.and_then(|one| one.pointer("/spec/template/spec/containers/0/env")?.as_array());
    let value = |variable: &Value| {
        let name = variable["name"].as_str()?.to_owned();
        // The only one that is not said is the pod's namespace.
        Some((name, variable["value"].as_str().unwrap_or(SYSTEM).to_owned()))
    };
    variables.into_iter().flatten().filter_map(value).collect()
}
