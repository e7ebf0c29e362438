//! The built objects on a real API server that enforces the restricted Pod Security Standard: it takes them, and stores
//! them as they were applied.

use serde_json::json;
use tests::custom_resource::{full, list, lost, merge, minimal, objects, observed};

use super::server::plane;

#[tokio::test]
async fn a_real_api_server_takes_every_object_and_stores_it_as_it_was_applied() {
    let plane = plane().await;
    let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "soc", "labels": labels}});
    plane.api().create("/api/v1/namespaces", &namespace).await.unwrap();
    let mut minimal = minimal();
    merge(
        &mut minimal,
        &json!({"credentials": {"mode": "direct", "default": {"secretRef": {"name": "otx", "key": "main"}}}}),
    );
    let observed = observed();
    for spec in [full(), minimal] {
        for (collection, object) in list(&objects(&spec, &observed).unwrap()) {
            if collection.contains("gateway.networking") || collection.contains("monitoring.coreos") {
                continue;
            }
            let path = format!("{collection}/{}", object["metadata"]["name"].as_str().unwrap());
            let stored = plane.api().apply(&path, &object).await.unwrap();
            let mut found = Vec::new();
            lost(&object, &stored, "", &PartialEq::eq, &mut found);
            assert_eq!(found, [""; 0], "{collection}");
            let again = plane.api().apply(&path, &object).await.unwrap();
            // Controllers write statuses meanwhile, which is a version but no generation.
            let version = if stored["metadata"]["generation"].is_null() { "resourceVersion" } else { "generation" };
            assert_eq!(again["metadata"][version], stored["metadata"][version], "{collection} is written twice");
            if let Some(mut spec) = object.pointer("/spec/template/spec").cloned() {
                spec.as_object_mut().unwrap().remove("priorityClassName");
                let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "judged"}, "spec": spec});
                plane.api().create("/api/v1/namespaces/soc/pods?dryRun=All", &pod).await.unwrap();
            }
        }
    }
}
