use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or_default()
}

fn workload() -> Workload {
    Workload {
        is_available: true,
        is_complete: true,
        replicas: 2,
        ready: 2,
        wanted: 2,
        obstacle: None,
        patience: None,
    }
}

fn obstacle(reason: Reason, needs_somebody: bool) -> Obstacle {
    Obstacle { reason, message: format!("because of {}", reason.word()), needs_somebody }
}

fn look(verdict: Verdict) -> Look {
    Look { verdict, at: at(100) }
}

/// The facts of a relay with which all is well.
fn facts(before: &ThreatRelayStatus) -> Facts<'_> {
    Facts {
        generation: Some(4),
        before,
        outcome: Outcome::Applied,
        references: Resolved::Yes,
        workload: Some(workload()),
        route: Route::Accepted("the way in".to_owned()),
        look: Some(look(Verdict::Reachable(1))),
        url: Some("https://otx.soc.example".to_owned()),
        selector: "a=b".to_owned(),
        version: Some("1.2.3".to_owned()),
        keys: 1,
    }
}

fn words(status: &ThreatRelayStatus, type_: &str) -> Option<(String, String)> {
    let found = status.conditions.iter().find(|condition| condition.type_ == type_)?;
    Some((found.status.clone(), found.reason.clone()))
}

/// What [`words`] gives of such a condition.
fn pair(truth: &str, reason: Reason) -> (String, String) {
    (truth.to_owned(), reason.word().to_owned())
}

#[test]
fn when_all_is_well_every_condition_says_so() {
    let before = ThreatRelayStatus::default();
    let status = compute(&facts(&before), at(1));
    for (type_, reason) in [
        (READY, Reason::Reconciled),
        (AVAILABLE, Reason::DeploymentAvailable),
        (CREDENTIALS_RESOLVED, Reason::Reconciled),
        (ROUTE_ACCEPTED, Reason::RouteAccepted),
        (UPSTREAM_REACHABLE, Reason::OtxReachable),
    ] {
        assert_eq!(words(&status, type_), Some(pair("True", reason)), "{type_}");
    }
    assert_eq!(status.conditions.len(), 5);
    assert!(status.conditions.iter().all(|condition| condition.observed_generation == Some(4)));
    assert_eq!(status.observed_generation, Some(4));
    assert_eq!((status.readiness.as_deref(), status.keys), (Some("2/2"), Some(1)));
}

#[test]
fn ready_names_what_is_in_the_way_and_stalled_whether_somebody_must_act() {
    let before = ThreatRelayStatus::default();
    let fine = || facts(&before);
    let hindered = |reason, needs| Facts { outcome: Outcome::Hindered(obstacle(reason, needs)), ..fine() };
    let stuck =
        |obstacle| Facts { workload: Some(Workload { is_complete: false, obstacle, ..workload() }), ..fine() };
    let without = Outcome::AppliedWithout(Reason::ServiceMonitorCrdMissing, String::new());
    let no_gateway = Route::Refused(Reason::GatewayApiNotInstalled, String::new());
    let refused = || Some(look(Verdict::Unauthorized(vec!["team-a".to_owned()])));
    let down = || Some(look(Verdict::Unreachable("x".to_owned())));
    let cases = [
        ("a missing Secret", hindered(Reason::SecretNotFound, true), "False", Reason::SecretNotFound, true),
        ("a foreign object", hindered(Reason::OwnershipConflict, true), "False", Reason::OwnershipConflict, true),
        ("an object on its way out", hindered(Reason::Progressing, false), "False", Reason::Progressing, false),
        ("suspended", Facts { outcome: Outcome::Suspended, ..fine() }, "Unknown", Reason::Paused, false),
        ("a rollout", stuck(None), "False", Reason::Progressing, false),
        (
            "bad settings",
            stuck(Some(obstacle(Reason::SettingsRefused, true))),
            "False",
            Reason::SettingsRefused,
            true,
        ),
        ("no image", stuck(Some(obstacle(Reason::ImagePullFailed, false))), "False", Reason::ImagePullFailed, false),
        ("no Gateway", Facts { route: no_gateway, ..fine() }, "False", Reason::GatewayApiNotInstalled, false),
        ("no answer", Facts { route: Route::Waiting(String::new()), ..fine() }, "True", Reason::Reconciled, false),
        ("no monitor", Facts { outcome: without, ..fine() }, "True", Reason::ServiceMonitorCrdMissing, false),
        ("a revoked key", Facts { look: refused(), ..fine() }, "False", Reason::OtxUnauthorized, false),
        ("OTX is down", Facts { look: down(), ..fine() }, "True", Reason::Reconciled, false),
        ("not looked at", Facts { look: None, ..fine() }, "True", Reason::Reconciled, false),
    ];
    for (case, facts, truth, reason, is_stalled) in cases {
        let status = compute(&facts, at(1));
        assert_eq!(words(&status, READY), Some(pair(truth, reason)), "{case}");
        assert_eq!(words(&status, STALLED).is_some(), is_stalled, "{case}");
        assert_eq!(words(&status, RECONCILING).is_some(), reason == Reason::Progressing, "{case}");
    }
}

#[test]
fn what_otx_says_is_told_with_the_names_of_keys() {
    let before = ThreatRelayStatus::default();
    let keys = || vec!["team-a".to_owned(), "team-b".to_owned()];
    for (verdict, truth, reason, words_of_it) in [
        (Verdict::Unauthorized(keys()), "False", Reason::OtxUnauthorized, "team-a, team-b"),
        (Verdict::RateLimited(keys()), "False", Reason::OtxRateLimited, "team-a, team-b"),
        (Verdict::Unreachable("no route".to_owned()), "False", Reason::OtxUnreachable, "no route"),
        (Verdict::Unknown("no pod".to_owned()), "Unknown", Reason::NotProbed, "no pod"),
    ] {
        let status = compute(&Facts { look: Some(look(verdict)), ..facts(&before) }, at(1));
        assert_eq!(words(&status, UPSTREAM_REACHABLE), Some(pair(truth, reason)));
        let condition = status.conditions.iter().find(|condition| condition.type_ == UPSTREAM_REACHABLE);
        assert!(condition.is_some_and(|condition| condition.message.contains(words_of_it)), "{condition:?}");
    }
}

#[test]
fn conditions_of_passing_states_go_away_with_them() {
    let before = ThreatRelayStatus::default();
    let stalled = Outcome::Hindered(obstacle(Reason::OwnershipConflict, true));
    let before = compute(&Facts { outcome: stalled, ..facts(&before) }, at(1));
    assert!(words(&before, STALLED).is_some());
    assert!(words(&compute(&facts(&before), at(2)), STALLED).is_none());
}

#[test]
fn a_message_is_never_longer_than_a_kibibyte() {
    let long = Obstacle { reason: Reason::AdmissionDenied, message: "ä".repeat(5000), needs_somebody: true };
    let before = ThreatRelayStatus::default();
    let status = compute(&Facts { outcome: Outcome::Hindered(long), ..facts(&before) }, at(1));
    assert!(status.conditions.iter().all(|condition| condition.message.len() <= MESSAGE));
}

#[test]
fn the_same_facts_later_are_no_difference() {
    let before = ThreatRelayStatus::default();
    let first = compute(&facts(&before), at(1));
    assert!(differs(&before, &first));
    let mut second = compute(&facts(&first), at(50));
    assert!(!differs(&first, &second));
    second.conditions.reverse();
    assert!(!differs(&first, &second), "order is none");
    for condition in &mut second.conditions {
        condition.last_transition_time = Time(at(77));
    }
    assert!(!differs(&first, &second), "times are none");
}

#[test]
fn every_fact_is_a_difference() {
    let before = ThreatRelayStatus::default();
    let first = compute(&facts(&before), at(1));
    let changes: Vec<(&str, Facts<'_>)> = vec![
        ("generation", Facts { generation: Some(5), ..facts(&first) }),
        ("url", Facts { url: None, ..facts(&first) }),
        ("pods", Facts { workload: Some(Workload { ready: 1, ..workload() }), ..facts(&first) }),
        ("route", Facts { route: Route::Accepted("another".to_owned()), ..facts(&first) }),
        ("version", Facts { version: None, ..facts(&first) }),
        ("keys", Facts { keys: 2, ..facts(&first) }),
    ];
    for (case, facts) in changes {
        assert!(differs(&first, &compute(&facts, at(1))), "{case}");
    }
}

#[test]
fn a_later_look_that_says_the_same_is_written_every_ten_minutes() {
    let before = ThreatRelayStatus::default();
    let first = compute(&facts(&before), at(1));
    let later = |seconds: i64| {
        let look = Look { verdict: Verdict::Reachable(1), at: at(100 + seconds) };
        compute(&Facts { look: Some(look), ..facts(&first) }, at(1))
    };
    assert!(!differs(&first, &later(599)));
    assert!(differs(&first, &later(600)));
}

#[test]
fn a_resource_that_cannot_be_read_is_invalid_and_stalled() {
    let status = unreadable(&[], Some(2), "missing field `host`", at(1));
    assert_eq!(words(&status, READY), Some(pair("False", Reason::InvalidSpec)));
    assert!(words(&status, STALLED).is_some());
}

#[test]
fn what_could_not_be_read_for_want_of_a_right_is_told_and_what_was_known_stays() {
    let before = compute(&facts(&ThreatRelayStatus::default()), at(1));
    let source = kube::core::Status::failure("services \"r\" is forbidden: User \"o\" cannot get it", "Forbidden");
    let source = Box::new(kube::Error::Api(Box::new(source)));
    let error = CallError::Refused { what: "get Service \"r\"".to_owned(), source };
    let status = unread(&before, Some(5), &error, at(2));
    assert_eq!(words(&status, READY), Some(pair("False", Reason::Forbidden)));
    assert_eq!(words(&status, STALLED), Some(pair("True", Reason::Forbidden)));
    assert_eq!(words(&status, AVAILABLE), words(&before, AVAILABLE));
    assert_eq!((status.observed_generation, status.replicas), (Some(5), before.replicas));
    assert!(status.conditions.iter().any(|condition| condition.message.contains("get Service \"r\"")));
}

#[test]
fn a_relay_of_no_pods_is_as_described_and_answers_nobody() {
    let before = ThreatRelayStatus::default();
    let none = Workload { replicas: 0, ready: 0, wanted: 0, ..workload() };
    let status = compute(&Facts { workload: Some(none), ..facts(&before) }, at(1));
    assert_eq!(words(&status, READY), Some(pair("True", Reason::Reconciled)));
    assert_eq!(words(&status, AVAILABLE), Some(pair("False", Reason::DeploymentUnavailable)));
}

#[test]
fn what_cannot_be_read_is_told_for_its_generation() {
    let status = unreadable(&[], Some(7), "no such field", at(1));
    assert_eq!(status.observed_generation, Some(7));
    assert_eq!(words(&status, READY), Some(pair("False", Reason::InvalidSpec)));
    assert_eq!(words(&status, STALLED), Some(pair("True", Reason::InvalidSpec)));
}

#[test]
fn a_first_look_at_otx_is_worth_a_write_and_no_look_is_not() {
    let never = ThreatRelayStatus::default();
    let looked = ThreatRelayStatus { last_check: Some(Time(at(100))), ..ThreatRelayStatus::default() };
    assert!(differs(&never, &looked) && differs(&looked, &never) && !differs(&never, &never));
}
