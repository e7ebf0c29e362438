//! The built objects: the same bytes for the same input, labels and owners everywhere, and what is left out when.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tests::custom_resource::{full, list, merge, minimal, objects, observed, resource};
use tests::golden;
use threatrelay_operator::build::url;

/// Sections that may be left out alone.
const SECTIONS: [&str; 15] = [
    "autoscaling",
    "image",
    "credentials",
    "upstream",
    "cache",
    "answers",
    "ingress",
    "gateway",
    "resources",
    "scheduling",
    "podSecurity",
    "networkPolicy",
    "podDisruptionBudget",
    "monitoring",
    "log",
];

#[test]
fn the_same_input_gives_the_same_bytes() {
    let observed = observed();
    let mut runner = TestRunner::new(Config { cases: 2_000, failure_persistence: None, ..Config::default() });
    let input =
        (any::<u16>(), 1..100_i32, "[a-z]{1,12}", proptest::collection::btree_map("[a-z]{1,8}", "[a-z]{0,8}", 0..6));
    runner
        .run(&input, |(left_out, replicas, word, labels)| {
            let mut spec = full();
            for (at, section) in SECTIONS.iter().enumerate().filter(|(at, _)| left_out & (1 << at) != 0) {
                merge(&mut spec, &json!({*section: null}));
                if at == 0 {
                    merge(&mut spec, &json!({"replicas": replicas}));
                }
            }
            merge(&mut spec, &json!({"scheduling": {"nodeSelector": labels}, "auth": {"audiences": [word]}}));
            // Once from the value, once from its text.
            let text = spec.to_string();
            let again: Value = serde_json::from_str(&text).unwrap();
            let (one, two) =
                (list(&objects(&spec, &observed).unwrap()), list(&objects(&again, &observed.clone()).unwrap()));
            prop_assert_eq!(json!(one).to_string(), json!(two).to_string());
            Ok(())
        })
        .unwrap();
}

/// A change here replaces pods of relays that run, when an operator is upgraded: it is to be meant, and in the changelog.
#[test]
fn what_is_made_of_a_resource_is_as_written_down() {
    let mut little = minimal();
    merge(
        &mut little,
        &json!({"credentials": {"mode": "direct", "default": {"secretRef": {"name": "otx", "key": "a"}}}}),
    );
    for (name, spec) in [("everything", full()), ("little", little)] {
        let mut objects = list(&objects(&spec, &observed()).unwrap());
        for (_, object) in &mut objects {
            if let Some(digest) = object.pointer_mut("/spec/template/metadata/annotations/threatrelay.dev~1ca-hash") {
                *digest = "of certificates that are drawn".into();
            }
        }
        let texts: Vec<_> = objects.iter().map(|(_, object)| serde_saphyr::to_string(object).unwrap()).collect();
        golden::matches(&format!("tests/golden/objects/{name}.yaml"), &texts.join("---\n"));
    }
}

#[test]
fn every_object_carries_our_labels_and_belongs_to_the_resource() {
    for (kind, object) in list(&objects(&full(), &observed()).unwrap()) {
        let metadata = &object["metadata"];
        for (label, value) in [
            ("name", "threatrelay"),
            ("instance", "soc-relay"),
            ("component", "relay"),
            ("part-of", "threatrelay"),
            ("managed-by", "threatrelay-operator"),
        ] {
            assert_eq!(metadata["labels"][format!("app.kubernetes.io/{label}")], value, "{kind}");
        }
        assert_eq!(metadata["namespace"], "soc", "{kind}");
        let owner = &metadata["ownerReferences"][0];
        assert_eq!((&owner["kind"], &owner["uid"]), (&json!("ThreatRelay"), &json!("7d1f")), "{kind}");
        assert_eq!(owner["controller"], true, "{kind}");
    }
}

#[test]
fn pods_are_chosen_by_what_never_changes() {
    for (kind, object) in list(&objects(&full(), &observed()).unwrap()) {
        for place in ["/spec/selector/matchLabels", "/spec/podSelector/matchLabels"] {
            if let Some(selector) = object.pointer(place) {
                let expected =
                    json!({"app.kubernetes.io/name": "threatrelay", "app.kubernetes.io/instance": "soc-relay"});
                assert_eq!(selector, &expected, "{kind}");
            }
        }
    }
}

#[test]
fn nothing_in_a_pod_depends_on_the_operators_version() {
    let text = json!(list(&objects(&full(), &observed()).unwrap())).to_string();
    assert!(!text.contains(env!("CARGO_PKG_VERSION")), "the version is in {text}");
}

#[test]
fn a_relay_of_one_pod_has_no_disruption_budget() {
    for (spec, expected) in [
        (json!({"autoscaling": null, "replicas": 1}), false),
        (json!({"autoscaling": null, "replicas": 2}), true),
        (json!({"autoscaling": null}), true),
        (json!({"autoscaling": {"minReplicas": 1}}), false),
    ] {
        let mut all = full();
        merge(&mut all, &spec);
        assert_eq!(objects(&all, &observed()).unwrap().pod_disruption_budget.is_some(), expected, "{spec}");
    }
}

#[test]
fn pods_are_counted_where_their_number_is_fixed_and_left_to_the_autoscaler_where_not() {
    for (spec, expected) in [
        (json!({"autoscaling": null, "replicas": 4}), json!(4)),
        (json!({"autoscaling": null}), json!(2)),
        (json!({}), Value::Null),
    ] {
        let mut all = full();
        merge(&mut all, &spec);
        let deployment = json!(objects(&all, &observed()).unwrap().deployment);
        assert_eq!(deployment["spec"]["replicas"], expected, "{spec}");
    }
}

#[test]
fn without_any_key_to_be_had_there_is_no_secret_and_pods_wait_for_it() {
    let mut observed = observed();
    observed.secrets.insert("otx".into(), None);
    observed.secrets.insert("otx-teams".into(), None);
    let objects = objects(&full(), &observed).unwrap();
    assert!(objects.secret.is_none());
    let volumes = json!(objects.deployment)["spec"]["template"]["spec"]["volumes"].clone();
    assert_eq!(volumes[1]["secret"]["secretName"], "soc-relay-otx-keys");
    assert_eq!(volumes[1]["secret"].get("optional"), None);
}

#[test]
fn the_url_is_that_of_the_ingress_or_else_of_the_gateway() {
    for (more, expected) in [
        (json!({}), Some("https://otx.soc.example")),
        (json!({"ingress": {"tls": {"enabled": false, "secretName": null}}}), Some("http://otx.soc.example")),
        (json!({"ingress": null}), Some("https://otx.gw.example")),
        (json!({"ingress": null, "gateway": null}), None),
    ] {
        let mut spec = full();
        merge(&mut spec, &more);
        assert_eq!(url(&resource(&spec).unwrap().spec).as_deref(), expected, "{more}");
    }
}
