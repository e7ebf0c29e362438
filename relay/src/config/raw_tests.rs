use super::*;

/// The settings of a YAML text and the problems, one text each; the file is called `relay.yaml` in them.
fn yaml(text: &str) -> (Given, Vec<String>) {
    let mut problems = Vec::new();
    let mut walk = Walk { file: Path::new("relay.yaml"), given: Given::new(), problems: &mut problems };
    walk.document(text);
    let given = walk.given;
    (given, problems.iter().map(ToString::to_string).collect())
}

fn environment(variables: &[(&str, &str)]) -> (Given, Vec<String>) {
    let mut problems = Vec::new();
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let (given, _) = from_environment(variables, &mut problems);
    (given, problems.iter().map(ToString::to_string).collect())
}

fn one(text: &str, line: u64) -> (Text, Origin) {
    (Text::One(text.to_owned()), Origin::File { path: "relay.yaml".into(), line })
}

#[test]
fn nested_settings_are_found_with_their_lines() {
    let (given, problems) = yaml(
        "listen: 127.0.0.1:1\notx:\n  pageSize: 10000\n  hedgeAfter: 300ms\ncache:\n  enabled: false\n  shared:\n    url: \"redis://cache.example\"\n",
    );
    assert_eq!(problems, [""; 0]);
    assert_eq!(given["listen"], one("127.0.0.1:1", 1));
    assert_eq!(given["otx.pageSize"], one("10000", 3));
    assert_eq!(given["otx.hedgeAfter"], one("300ms", 4));
    assert_eq!(given["cache.enabled"], one("false", 6));
    assert_eq!(given["cache.shared.url"], one("redis://cache.example", 8));
}

#[test]
fn a_list_may_be_a_yaml_list_or_one_text() {
    let (given, problems) =
        yaml("auth:\n  audiences: [https://a.example, https://b.example]\n  jwksHosts: a.example,b.example\n");
    assert_eq!(problems, [""; 0]);
    assert_eq!(given["auth.audiences"].0, Text::Many(vec!["https://a.example".into(), "https://b.example".into()]));
    assert_eq!(given["auth.jwksHosts"].0, Text::One("a.example,b.example".into()));
}

#[test]
fn a_text_that_looks_like_another_type_keeps_its_letters() {
    for text in ["off", "on", "yes", "0.0.0.0:9090", "2026-11-24", "60s", "1.5s", "10000", "true"] {
        let (given, problems) = yaml(&format!("listen: {text}\n"));
        assert_eq!(problems, [""; 0]);
        assert_eq!(given["listen"].0.to_string(), text);
    }
}

#[test]
fn what_says_nothing_is_not_given() {
    for text in
        ["", "# only a comment\n", "---\n", "otx:\n", "otx:\n  proxy:\nlisten: ''\nauth: {audiences: []}\n", "~\n"]
    {
        let (given, problems) = yaml(text);
        assert!(given.is_empty() && problems.is_empty(), "{text:?}: {given:?} {problems:?}");
    }
    let (given, problems) = environment(&[("THREATRELAY_OTX_PROXY", " ")]);
    assert!(given.is_empty() && problems.is_empty(), "{given:?} {problems:?}");
}

#[test]
fn every_unknown_name_is_refused_with_its_line_and_the_nearest_one() {
    let (_, problems) = yaml(
        "lissen: x\notx:\n  baseURL: https://otx.example\n  zebra: 1\naudiences: [a]\ncahce: {}\nauth.mode: jwks\ncache.shared: {}\nlog: {color: on}\n",
    );
    assert_eq!(
        problems,
        [
            "relay.yaml:1: there is no setting lissen; did you mean listen?",
            "relay.yaml:3: there is no setting otx.baseURL; did you mean otx.baseUrl?",
            "relay.yaml:4: there is no setting otx.zebra; docs/configuration.md lists all",
            "relay.yaml:5: there is no setting audiences; did you mean auth.audiences?",
            "relay.yaml:6: there is no setting cahce; did you mean cache?",
            "relay.yaml:7: there is no setting auth.mode; write the part after the dot on a line of its own, indented",
            "relay.yaml:8: there is no setting cache.shared; write the part after the dot on a line of its own, indented",
            "relay.yaml:9: there is no setting log.color; docs/configuration.md lists all",
        ]
    );
}

#[test]
fn values_of_the_wrong_shape_are_refused() {
    let (_, problems) = yaml("otx: https://otx.example\nlisten: {port: 1}\nauth:\n  audiences: [{a: b}]\n");
    assert_eq!(
        problems[0],
        "relay.yaml:1: not a valid YAML configuration: otx is a section; write its settings below it, indented"
    );
    assert!(
        problems[1]
            .starts_with("listen (THREATRELAY_LISTEN), from relay.yaml:2: is a section where a value is expected")
    );
    assert!(
        problems[2].starts_with(
            "auth.audiences (THREATRELAY_AUTH_AUDIENCES), from relay.yaml:4: has an entry that is no text"
        )
    );
}

#[test]
fn a_text_that_is_no_mapping_is_refused_at_its_line() {
    for (text, line) in
        [("just words\n", 1), ("- a\n- b\n", 1), ("listen: a\nlisten: b\n", 2), ("otx:\n  a: [1\nb: 2\n", 3)]
    {
        let (_, problems) = yaml(text);
        let start = format!("relay.yaml:{line}: not a valid YAML configuration: ");
        assert!(problems.len() == 1 && problems[0].starts_with(&start), "{text:?}: {problems:?}");
    }
}

#[test]
fn the_values_of_a_broken_file_are_not_repeated() {
    for text in
        ["answers: \"canary\n", "answers: [canary\n", "answers: b: canary\n", "answers: &x canary\nlisten: *y\n"]
    {
        let (_, problems) = yaml(text);
        assert!(problems.len() == 1 && !problems[0].contains("canary"), "{text:?}: {problems:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let mut problems = Vec::new();
    from_file(Path::new("/nowhere/relay.yaml"), &mut problems);
    let said = problems[0].to_string();
    assert!(said.starts_with("/nowhere/relay.yaml: the configuration file cannot be read: No such file"), "{said}");
}

#[test]
fn variables_are_found_by_their_names() {
    let (given, problems) = environment(&[
        ("THREATRELAY_OTX_BASE_URL", "https://otx.example"),
        ("THREATRELAY_CONFIG", "/etc/threatrelay/relay.yaml"),
        ("THREATRELAYS", "x"),
        ("PATH", "/bin"),
    ]);
    assert_eq!(problems, [""; 0]);
    assert_eq!(given.len(), 1);
    assert_eq!(given["otx.baseUrl"], (Text::One("https://otx.example".into()), Origin::Environment));
}

#[test]
fn unknown_variables_are_refused_without_their_values() {
    let (_, problems) =
        environment(&[("THREATRELAY_OTX_BASEURL", "canary"), ("THREATRELAY_OTX_KEY_OF_MINE", "canary")]);
    assert_eq!(
        problems,
        [
            "environment: there is no setting THREATRELAY_OTX_BASEURL; did you mean THREATRELAY_OTX_BASE_URL?",
            "environment: there is no setting THREATRELAY_OTX_KEY_OF_MINE; docs/configuration.md lists all",
        ]
    );
}

#[test]
fn variables_that_kubernetes_makes_for_services_are_not_settings() {
    let (given, problems) = environment(&[
        ("THREATRELAY_SERVICE_HOST", "10.0.0.1"),
        ("THREATRELAY_SERVICE_PORT", "9090"),
        ("THREATRELAY_SERVICE_PORT_HTTP", "9090"),
        ("THREATRELAY_SERVICE_PORT_HTTP_METRICS", "9091"),
        ("THREATRELAY_PORT", "tcp://10.0.0.1:9090"),
        ("THREATRELAY_PORT_9090_TCP", "tcp://10.0.0.1:9090"),
        ("THREATRELAY_PORT_9090_TCP_PROTO", "tcp"),
        ("THREATRELAY_PORT_9090_TCP_PORT", "9090"),
        ("THREATRELAY_PORT_9090_TCP_ADDR", "10.0.0.1"),
        ("THREATRELAY_ADMIN_SERVICE_HOST", "10.0.0.2"),
        ("THREATRELAY_ADMIN_PORT", "tcp://10.0.0.2:9091"),
        ("THREATRELAY_ADMIN_PORT_9091_TCP_ADDR", "10.0.0.2"),
    ]);
    assert!(given.is_empty() && problems.is_empty(), "{given:?} {problems:?}");
}

#[test]
fn a_port_setting_that_nobody_has_is_still_refused() {
    let (_, problems) = environment(&[("THREATRELAY_LISTEN_PORT", "9090"), ("THREATRELAY_PORT_HTTP", "9090")]);
    assert_eq!(problems.len(), 2, "{problems:?}");
}

#[test]
fn distance_counts_edits() {
    for (a, b, edits) in
        [("", "", 0), ("abc", "abc", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("flaw", "lawn", 2)]
    {
        assert_eq!(distance(a, b), edits, "{a} {b}");
    }
}
