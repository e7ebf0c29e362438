#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::Path;

use super::*;
use crate::config::{Loaded, load};

/// Loads a YAML text (in a real file) and variables.
fn load_from(yaml: &str, variables: &[(&str, &str)]) -> Result<Loaded, Vec<String>> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("relay.yaml");
    std::fs::write(&file, yaml).unwrap();
    let env = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let place = format!("{}/", dir.path().display());
    load(Some(&file), env)
        .map_err(|errors| errors.to_string().replace(&place, "").lines().map(str::to_owned).collect())
}

const MINIMAL: &str = "auth: {audiences: [https://relay.example.com]}\n";

fn jwks(config: &Config) -> &Jwks {
    match &config.auth.mode {
        AuthMode::Jwks(jwks) => jwks,
        AuthMode::Hs256 { .. } => unreachable!("the mode is jwks"),
    }
}

#[test]
fn an_audience_is_all_that_must_be_set() {
    let Loaded { config, warnings, .. } = load_from(MINIMAL, &[]).unwrap();
    assert_eq!(warnings, [""; 0]);
    assert_eq!(config.listen.to_string(), "0.0.0.0:9090");
    assert_eq!(config.answers, Answers::Rich);
    assert_eq!(config.verdict.trusted_authors, ["AlienVault"]);
    assert_eq!(config.otx.base_url.as_str(), "https://otx.alienvault.com/");
    assert_eq!(config.otx.web_url, config.otx.base_url);
    assert_eq!(config.otx.user_agent, "SecureX Threat Response Integrations <tr-integrations-support@cisco.com>");
    assert_eq!(config.otx.deadline, Duration::from_secs(25));
    assert_eq!(config.otx.hedge_after, None);
    assert_eq!(jwks(&config).audiences, ["https://relay.example.com"]);
    assert_eq!(jwks(&config).hosts.len(), 3);
    assert!(!jwks(&config).allow_private && !config.auth.require_exp);
    assert!(config.cache.enabled && config.cache.shared.is_none());
    assert_eq!(config.limits.header_bytes, 32_768);
    assert_eq!(config.log.format, LogFormat::Auto);
}

#[test]
fn the_environment_beats_the_file_and_the_file_beats_the_default() {
    let yaml = format!("{MINIMAL}otx:\n  deadline: 20s\n  callTimeout: 5s\n");
    let loaded = load_from(&yaml, &[("THREATRELAY_OTX_DEADLINE", "15s")]).unwrap();
    let effective = |path: &str| {
        let setting = loaded.settings.iter().find(|setting| setting.path == path).unwrap();
        (setting.value.clone().unwrap_or_default(), setting.source.clone())
    };
    assert_eq!(loaded.config.otx.deadline, Duration::from_secs(15));
    assert_eq!(effective("otx.deadline"), ("15s".to_owned(), Origin::Environment));
    assert_eq!(effective("otx.callTimeout").0, "5s");
    assert!(matches!(effective("otx.callTimeout").1, Origin::File { line: 4, .. }));
    assert_eq!(effective("otx.connectTimeout"), ("2s".to_owned(), Origin::Default));
    assert_eq!(effective("otx.webUrl"), ("https://otx.alienvault.com".to_owned(), Origin::Default));
    assert_eq!(effective("otx.proxy"), (String::new(), Origin::Default));
    assert_eq!(loaded.settings.len(), SETTINGS.len());
}

#[test]
fn the_file_may_be_named_by_a_variable() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("relay.yaml");
    std::fs::write(&file, format!("{MINIMAL}answers: parity\n")).unwrap();
    let env = [("THREATRELAY_CONFIG".to_owned(), file.to_str().unwrap().to_owned())];
    assert_eq!(load(None, env.into_iter()).unwrap().config.answers, Answers::Parity);
    let absent = [("THREATRELAY_CONFIG".to_owned(), "/nowhere".to_owned())];
    assert_eq!(load(Some(Path::new(&file)), absent.into_iter()).unwrap().config.answers, Answers::Parity);
}

#[test]
fn every_setting_can_be_given_by_either_source() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str, content: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let certificate = rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap().cert.pem();
    let (file, ca) = (path("file", "content"), path("ca.pem", &certificate));
    let there = dir.path().to_str().unwrap().to_owned();
    let text = |setting: &Setting| match (setting.path, setting.default) {
        ("auth.audiences", _) => "https://relay.example.com".to_owned(),
        ("cache.shared.url", _) => "redis://cache.example".to_owned(),
        ("otx.keysDir", _) => there.clone(),
        ("extraCaFile", _) => ca.clone(),
        ("filter.maxAgeDays", _) => "30".to_owned(),
        ("filter.tlp", _) => "amber".to_owned(),
        (name, _) if name.ends_with("File") => file.clone(),
        (name, None) if name.ends_with("Url") || name.ends_with("proxy") || name.ends_with("endpoint") => {
            "https://otx.example".to_owned()
        }
        (_, None) => "1s".to_owned(),
        (_, Some(default)) => default.to_owned(),
    };
    let given = |origin: &Origin| -> Given {
        SETTINGS.iter().map(|setting| (setting.path, (Text::One(text(setting)), origin.clone()))).collect()
    };
    for origin in [Origin::Environment, Origin::File { path: "relay.yaml".into(), line: 1 }] {
        let loaded = resolve(&given(&origin), Vec::new()).unwrap();
        assert!(loaded.settings.iter().all(|setting| setting.source == origin && setting.value.is_some()));
    }
}

#[test]
fn all_problems_come_at_once_one_line_each() {
    let problems = load_from(
        "otx:\n  callTimeout: 10\n  pagesize: 5\nanswers: some\n",
        &[("THREATRELAY_LIMITS_OBSERVABLES", "none"), ("THREATRELAY_LIMIT_BODY_BYTES", "1")],
    )
    .unwrap_err();
    assert_eq!(
        problems,
        [
            "environment: there is no setting THREATRELAY_LIMIT_BODY_BYTES; did you mean THREATRELAY_LIMITS_BODY_BYTES?",
            "relay.yaml:3: there is no setting otx.pagesize; did you mean otx.pageSize?",
            "answers (THREATRELAY_ANSWERS), from relay.yaml:4: \"some\" is none of the allowed words; allowed: parity, rich",
            "otx.callTimeout (THREATRELAY_OTX_CALL_TIMEOUT), from relay.yaml:2: \"10\" is no duration; allowed: a positive duration of at most 5m, such as 50ms, 25s, 5m or 1h",
            "limits.observables (THREATRELAY_LIMITS_OBSERVABLES), from environment: \"none\" is no whole number in range; allowed: a whole number from 1 to 100000",
            "auth.audiences (THREATRELAY_AUTH_AUDIENCES), not set: without it a token made for another relay would be accepted here; for example https://relay.example.com, the origin that module_type.json names",
        ]
    );
}

#[test]
fn filters_apply_to_rich_answers_and_are_said_to_be_idle_beside_parity() {
    let yaml =
        format!("{MINIMAL}filter: {{ignoredAuthors: [noise], maxAgeDays: 30, tlp: green, subscribedOnly: true}}\n");
    let Loaded { config: Config { filter, .. }, warnings, .. } = load_from(&yaml, &[]).unwrap();
    assert_eq!(warnings, [""; 0]);
    assert_eq!((filter.ignored_authors, filter.max_age_days), (vec!["noise".to_owned()], Some(30)));
    assert!(filter.tlp == Some(crate::ctim::Tlp::Green) && filter.subscribed_only);
    let parity = load_from(&format!("{yaml}answers: parity\n"), &[]).unwrap();
    assert!(parity.config.filter.ignored_authors.is_empty() && !parity.config.filter.subscribed_only);
    assert_eq!(parity.warnings.len(), 4, "{:?}", parity.warnings);
    assert!(parity.warnings.iter().all(|warning| warning.ends_with("has no effect while answers is parity")));
}

#[test]
fn hs256_mode_needs_a_secret_and_nothing_else() {
    let mode = ("THREATRELAY_AUTH_MODE", "hs256");
    let problems = load_from("", &[mode]).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("auth.hs256SecretFile (THREATRELAY_AUTH_HS256_SECRET_FILE), not set: "));

    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "short\n").unwrap();
    let file = ("THREATRELAY_AUTH_HS256_SECRET_FILE", secret.path().to_str().unwrap());
    let loaded = load_from(MINIMAL, &[mode, file]).unwrap();
    assert!(matches!(loaded.config.auth.mode, AuthMode::Hs256 { .. }));
    assert!(loaded.warnings[0].ends_with("(THREATRELAY_AUTH_AUDIENCES): has no effect in hs256 mode"));
    assert!(loaded.warnings[1].contains("holds fewer than 32 bytes"));
}

#[test]
fn a_setting_that_is_wrong_is_not_reported_as_missing_too() {
    let problems = load_from("auth:\n  audiences: ['a', '']\n", &[]).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("has an empty entry"));
}

#[test]
fn a_file_that_cannot_be_read_is_the_only_problem() {
    let problems = load_from("auth: [\n", &[]).unwrap_err();
    assert!(problems.len() == 1 && problems[0].starts_with("relay.yaml:1: not a valid YAML"), "{problems:?}");
    let errors = load(Some(Path::new("/nowhere/relay.yaml")), std::iter::empty()).unwrap_err();
    assert_eq!(errors.0.len(), 1, "{errors}");
}

#[test]
fn plain_http_to_otx_is_allowed_with_a_warning() {
    let loaded = load_from(MINIMAL, &[("THREATRELAY_OTX_BASE_URL", "http://192.0.2.1:8080")]).unwrap();
    assert_eq!(loaded.warnings.len(), 1);
    assert!(loaded.warnings[0].starts_with("otx.baseUrl (THREATRELAY_OTX_BASE_URL): is plain http"));
}

#[test]
fn settings_without_effect_are_warned_about() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "x".repeat(64)).unwrap();
    let file = secret.path().to_str().unwrap();
    for (variable, why) in [
        ("THREATRELAY_AUTH_HS256_SECRET_FILE", "has no effect in jwks mode"),
        ("THREATRELAY_CACHE_SHARED_PASSWORD_FILE", "has no effect without cache.shared.url"),
    ] {
        let warnings = load_from(MINIMAL, &[(variable, file)]).unwrap().warnings;
        assert!(warnings.len() == 1 && warnings[0].ends_with(why), "{warnings:?}");
    }
}

#[test]
fn a_private_jwks_address_must_be_allowed() {
    for host in ["127.0.0.1:8443", "[::1]", "10.0.0.1", "169.254.169.254"] {
        let hosts = ("THREATRELAY_AUTH_JWKS_HOSTS", host);
        let problems = load_from(MINIMAL, &[hosts]).unwrap_err();
        assert!(
            problems.len() == 1 && problems[0].contains(" is not public; set auth.allowPrivateJwks"),
            "{problems:?}"
        );
        assert!(load_from(MINIMAL, &[hosts, ("THREATRELAY_AUTH_ALLOW_PRIVATE_JWKS", "true")]).is_ok());
    }
    assert!(load_from(MINIMAL, &[("THREATRELAY_AUTH_JWKS_HOSTS", "8.8.8.8:8443")]).is_ok());
}

#[test]
fn the_two_listeners_need_two_ports() {
    let cases = [
        ("127.0.0.1:1", "127.0.0.1:1", false),
        ("0.0.0.0:1", "127.0.0.1:1", false),
        ("127.0.0.1:1", "127.0.0.2:1", true),
        ("127.0.0.1:0", "127.0.0.1:0", true),
        ("127.0.0.1:1", "127.0.0.1:2", true),
    ];
    for (listen, admin, allowed) in cases {
        let env = [("THREATRELAY_LISTEN", listen), ("THREATRELAY_ADMIN_LISTEN", admin)];
        let loaded = load_from(MINIMAL, &env);
        assert_eq!(loaded.is_ok(), allowed, "{listen} {admin}");
        if let Err(problems) = loaded {
            assert!(problems[0].contains("take the same port"), "{problems:?}");
        }
    }
}

#[test]
fn a_credential_in_a_url_is_refused_and_never_repeated() {
    for path in ["otx.baseUrl", "otx.webUrl", "otx.proxy", "cache.shared.url"] {
        let variable = find(path).unwrap().variable();
        let scheme = if path == "cache.shared.url" { "redis" } else { "https" };
        let text = format!("{scheme}://user:canary@host.example");
        let problems = load_from(MINIMAL, &[(&variable, &text)]).unwrap_err();
        assert!(problems.len() == 1 && problems[0].contains("holds credentials"), "{problems:?}");
        assert!(!problems[0].contains("canary") && !problems[0].contains("user:"), "{problems:?}");
    }
}
