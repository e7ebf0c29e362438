#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use serde_json::{Value, json};

use super::*;

fn noon() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

fn deployment(generation: i64, status: &Value) -> Deployment {
    serde_json::from_value(json!({
        "metadata": {"generation": generation},
        "spec": {"selector": {}, "template": {}},
        "status": status,
    }))
    .unwrap()
}

fn rolled_out(generation: i64) -> Value {
    json!({
        "observedGeneration": generation, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2,
        "availableReplicas": 2, "conditions": [{"type": "Available", "status": "True"}],
    })
}

fn pod(container: &Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "p"},
        "status": {"containerStatuses": [container]},
    }))
    .unwrap()
}

fn container(state: &Value, last: &Value) -> Value {
    json!({
        "name": "relay", "image": "i", "imageID": "", "ready": false, "restartCount": 3,
        "state": state, "lastState": last,
    })
}

#[test]
fn a_rolled_out_deployment_is_complete() {
    let workload = Workload::of(&deployment(3, &rolled_out(3)), &[], &(2..=2), noon());
    assert!(workload.is_complete && workload.is_available && workload.obstacle.is_none(), "{workload:?}");
}

#[test]
fn what_is_not_rolled_out_is_not_complete() {
    let changed = |field: &str, value: Value| {
        let mut status = rolled_out(3);
        status[field] = value;
        status
    };
    for (case, status) in [
        ("the controller has not seen the latest generation", rolled_out(2)),
        ("a pod is of the old template", changed("updatedReplicas", json!(1))),
        ("a pod is not available", changed("availableReplicas", json!(1))),
        ("a pod is missing", changed("replicas", json!(1))),
        ("a pod too many is of the old template", changed("replicas", json!(3))),
        ("nothing is reported", Value::Null),
    ] {
        assert!(!Workload::of(&deployment(3, &status), &[], &(2..=2), noon()).is_complete, "{case}");
    }
}

#[test]
fn pods_are_complete_within_the_autoscalers_bounds_and_at_a_fixed_number_alone() {
    let status = json!({
        "observedGeneration": 3, "replicas": 5, "updatedReplicas": 5, "readyReplicas": 5, "availableReplicas": 4,
    });
    for (bounds, wanted, is_complete) in [
        (2..=5, 5, true),
        (2..=8, 5, true),
        (4..=4, 4, false),
        (2..=4, 4, false),
        (5..=5, 5, false),
        (6..=8, 6, false),
    ] {
        let workload = Workload::of(&deployment(3, &status), &[], &bounds, noon());
        assert_eq!((workload.wanted, workload.is_complete), (wanted, is_complete), "{bounds:?}");
    }
}

#[test]
fn what_keeps_pods_from_being_ready_is_told_in_its_own_words() {
    let waiting = |reason: &str, message: &str| json!({"waiting": {"reason": reason, "message": message}});
    let ended = |code: i32, message: &str| json!({"terminated": {"exitCode": code, "message": message}});
    let refused = r#"{"level":"ERROR","message":"auth.audiences is required"}"#;
    for (state, last, reason, words, needs_somebody) in [
        (waiting("ImagePullBackOff", "no such tag"), json!({}), Reason::ImagePullFailed, "no such tag", false),
        (
            waiting("CrashLoopBackOff", ""),
            ended(78, refused),
            Reason::SettingsRefused,
            "auth.audiences is required",
            true,
        ),
        (ended(78, "plain words\n"), json!({}), Reason::SettingsRefused, "plain words", true),
        (waiting("CrashLoopBackOff", ""), ended(101, "one\ntwo"), Reason::CrashLooping, "code 101: two", false),
        (waiting("CrashLoopBackOff", ""), ended(137, ""), Reason::CrashLooping, "no message", false),
        (
            waiting("CreateContainerConfigError", "secret \"x\" not found"),
            json!({}),
            Reason::DeploymentUnavailable,
            "secret \"x\"",
            false,
        ),
    ] {
        let pods = [pod(&container(&state, &last))];
        let status = json!({"observedGeneration": 3, "replicas": 1, "updatedReplicas": 1});
        let obstacle = Workload::of(&deployment(3, &status), &pods, &(1..=1), noon()).obstacle.unwrap();
        assert_eq!((obstacle.reason, obstacle.needs_somebody), (reason, needs_somebody), "{state}");
        assert!(obstacle.message.contains(words), "{}", obstacle.message);
    }
}

/// What a Deployment that waits for this pod is hindered by, at noon.
fn hindered_by(pod: Value) -> (Option<Duration>, Option<Obstacle>) {
    let status = json!({"observedGeneration": 3, "replicas": 1, "updatedReplicas": 1});
    let workload = Workload::of(&deployment(3, &status), &[serde_json::from_value(pod).unwrap()], &(1..=1), noon());
    (workload.patience, workload.obstacle)
}

#[test]
fn a_container_that_ends_again_and_again_loops_while_it_runs_too() {
    let ended = |at: &str| json!({"terminated": {"exitCode": 1, "message": "x", "finishedAt": at}});
    let running = json!({"running": {"startedAt": "2026-01-01T11:59:59Z"}});
    for (restarts, at, expected) in [
        (2, "2026-01-01T11:59:58Z", Some(Reason::CrashLooping)),
        (1, "2026-01-01T11:59:58Z", None),
        (9, "2026-01-01T11:50:00Z", None),
    ] {
        let mut container = container(&running, &ended(at));
        container["restartCount"] = restarts.into();
        let (_, found) =
            hindered_by(json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [container]}}));
        assert_eq!(found.map(|obstacle| obstacle.reason), expected, "{restarts} {at}");
    }
}

#[test]
fn of_many_last_lines_the_error_is_told() {
    for (message, reason, expected) in [
        ("error: no such command\n\nFor more, try --help.", "Error", "last with code 2: no such command. Look"),
        (r#"{"level":"ERROR","message":"panic","reason":"no luck"}"#, "Error", "panic: no luck. Look"),
        ("a line.", "Error", "a line. Look"),
        ("", "OOMKilled", "OOMKilled. Look"),
        ("", "Error", "it left no message. Look"),
    ] {
        let ended = json!({"terminated": {"exitCode": 2, "message": message, "reason": reason}});
        let found = of_pod(&pod(&container(&json!({"waiting": {"reason": "CrashLoopBackOff"}}), &ended)), noon());
        assert!(found.as_ref().is_some_and(|found| found.message.contains(expected)), "{found:?}");
    }
}

#[test]
fn a_pod_that_takes_longer_than_a_start_is_told_with_what_to_look_at() {
    let unready = |since: &str, state: Value| {
        json!({"metadata": {"name": "p"}, "status": {
            "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": since}],
            "containerStatuses": [container(&state, &json!({}))],
        }})
    };
    let running = || json!({"running": {"startedAt": "2026-01-01T11:00:00Z"}});
    let waiting = || json!({"waiting": {"reason": "ContainerCreating"}});
    for (since, state, words) in [
        ("2026-01-01T11:59:40Z", running(), Some("kubectl logs p")),
        ("2026-01-01T11:59:40Z", running(), Some("since 2026-01-01T11:59:40Z")),
        ("2026-01-01T11:59:40Z", waiting(), Some("(ContainerCreating)")),
        ("2026-01-01T11:59:41Z", running(), None),
        ("2026-01-01T13:00:00Z", running(), None),
    ] {
        let (patience, found) = hindered_by(unready(since, state));
        assert_eq!(patience.is_some(), found.is_none() || since.ends_with("40Z"), "{since}");
        let told = found.as_ref().map(|found| (found.reason, found.needs_somebody));
        assert_eq!(told, words.map(|_| (Reason::PodsNotReady, false)), "{since}");
        assert!(found.is_none_or(|found| found.message.contains(words.unwrap_or_default())), "{since}");
    }
}

#[test]
fn a_pod_that_is_late_when_its_deployment_gave_up_needs_somebody() {
    let status = json!({
        "observedGeneration": 3, "replicas": 1, "updatedReplicas": 1,
        "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "m"}],
    });
    let late = serde_json::from_value(json!({"metadata": {"name": "p"}, "status": {
        "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T11:00:00Z"}],
    }}));
    for (pods, reason) in [(vec![late.unwrap()], Reason::PodsNotReady), (Vec::new(), Reason::DeploymentUnavailable)] {
        let obstacle = Workload::of(&deployment(3, &status), &pods, &(1..=1), noon()).obstacle.unwrap();
        assert_eq!((obstacle.reason, obstacle.needs_somebody), (reason, true));
    }
}

#[test]
fn pods_that_are_never_made_are_told_of_by_the_deployment() {
    for (message, reason) in [
        ("pods \"x\" is forbidden: exceeded quota: q, requested: pods=1", Reason::QuotaExceeded),
        ("pods \"x\" is forbidden: violates PodSecurity", Reason::AdmissionDenied),
    ] {
        let status = json!({
            "observedGeneration": 3,
            "conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}],
        });
        let obstacle = Workload::of(&deployment(3, &status), &[], &(1..=1), noon()).obstacle.unwrap();
        assert!(obstacle.reason == reason && obstacle.message.starts_with(message), "{obstacle:?}");
    }
}

#[test]
fn a_pod_that_no_node_takes_is_told_of() {
    let pod = serde_json::from_value(json!({
        "metadata": {"name": "p"},
        "status": {"conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"},
        ]},
    }));
    let obstacle = of_pod(&pod.unwrap(), noon()).unwrap();
    assert!(obstacle.reason == Reason::Unschedulable && obstacle.message.contains("0/1 nodes"), "{obstacle:?}");
}

#[test]
fn only_a_pod_that_no_node_takes_is_called_so() {
    for (type_, status, reason) in [
        ("PodScheduled", "True", "Unschedulable"),
        ("PodScheduled", "False", "Other"),
        ("Other", "False", "Unschedulable"),
    ] {
        let condition = json!({"type": type_, "status": status, "reason": reason});
        let pod = serde_json::from_value(json!({"metadata": {"name": "p"}, "status": {"conditions": [condition]}}));
        assert_eq!(of_pod(&pod.unwrap(), noon()), None, "{condition}");
    }
}

#[test]
fn a_pod_that_is_ready_is_never_late() {
    let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T11:00:00Z"});
    assert_eq!(hindered_by(json!({"metadata": {"name": "p"}, "status": {"conditions": [ready]}})), (None, None));
}

#[test]
fn of_pods_before_the_latest_change_nothing_is_told() {
    let broken = pod(&container(&json!({"waiting": {"reason": "ImagePullBackOff"}}), &json!({})));
    assert_eq!(Workload::of(&deployment(3, &rolled_out(2)), &[broken], &(2..=2), noon()).obstacle, None);
}

#[test]
fn of_several_pods_the_one_that_needs_somebody_is_told_of() {
    let pulls = pod(&container(&json!({"waiting": {"reason": "ImagePullBackOff"}}), &json!({})));
    let refuses = pod(&container(&json!({"terminated": {"exitCode": 78, "message": "m"}}), &json!({})));
    let status = json!({"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2});
    for pods in [[pulls.clone(), refuses.clone()], [refuses, pulls]] {
        let found = Workload::of(&deployment(3, &status), &pods, &(2..=2), noon()).obstacle;
        assert_eq!(found.map(|found| found.reason), Some(Reason::SettingsRefused));
    }
}

#[test]
fn a_pod_that_is_starting_is_no_obstacle() {
    for state in [json!({"waiting": {"reason": "ContainerCreating"}}), json!({"running": {}})] {
        assert_eq!(of_pod(&pod(&container(&state, &json!({}))), noon()), None);
    }
}
