//! `lookup` and `refer`: what a person sees of some observables, from a fake OTX. The relay itself is the judge of what
//! the commands preview.
#![expect(clippy::expect_used, reason = "a failed step is a failed test")]

use serde_json::Value;
use tempfile::TempDir;
use tests::command::{Command, threatrelay};
use tests::fake_otx::{FakeOtx, Fault, KEY, Route, Rule};
use tests::golden;
use tests::picture::terminal;
use tests::relay::{Builder, TestRelay, WEB, payload};
use tests::world::{dataset, domain, pulse};

/// A directory of keys for a command: `default` is accepted, `wrong` is not.
fn keys() -> TempDir {
    let keys = tempfile::tempdir().expect("a directory");
    for (name, key) in [("default", KEY), ("wrong", "a-key-that-is-not-known")] {
        std::fs::write(keys.path().join(name), format!("{key}\n")).expect("a key file");
    }
    keys
}

/// A command before `fake` that has a key, with answers as the original gave them.
fn before(fake: &FakeOtx, keys: &TempDir, arguments: &[&str]) -> Command {
    threatrelay(arguments)
        .env("THREATRELAY_OTX_BASE_URL", &fake.url())
        .env("THREATRELAY_OTX_WEB_URL", WEB)
        .env("THREATRELAY_OTX_KEYS_DIR", &keys.path().display().to_string())
        .env("THREATRELAY_ANSWERS", "parity")
}

async fn fake() -> (FakeOtx, TempDir) {
    (FakeOtx::start().await.expect("a fake OTX"), keys())
}

const ALL_SORTS: [&str; 7] = [
    "lookup",
    "hxxp://evil[.]example/login.php?id=1",
    "203[.]0[.]113[.]7",
    "2001:db8::66",
    "unknown.example",
    "rose[@]evil[.]example",
    "192.168.0.1",
];

#[tokio::test]
async fn every_form_of_output_is_the_one_that_is_checked_in() {
    let (fake, keys) = fake().await;
    for form in ["table", "json", "links", "ctim"] {
        let mut arguments = ALL_SORTS.to_vec();
        arguments.extend(["-o", form]);
        let said = before(&fake, &keys, &arguments).run().await.ends_with(0);
        said.is_golden(&format!("lookup-{form}"), &[]);
    }
}

#[tokio::test]
async fn the_picture_in_the_readme_shows_what_a_terminal_shows() {
    let (fake, keys) = fake().await;
    let observables = ["evil[.]example", "203.0.113.7", "unknown.example"];
    let arguments = [&["--color", "always", "lookup"], &observables[..]].concat();
    let said = before(&fake, &keys, &arguments).env("COLUMNS", "120").run().await.ends_with(0).stdout;
    assert!(said.contains("\u{1b}["), "no colours in {said}");
    let drawn = terminal(&format!("threatrelay lookup {}", observables.join(" ")), &said);
    golden::matches("../docs/images/lookup.svg", &drawn);
    let readme = tests::readme::text();
    assert!(readme.contains("](docs/images/lookup.svg)"), "the README does not show it");
    assert!(readme.contains(&format!("threatrelay lookup {}", observables.join(" "))), "nor the command of it");
}

#[tokio::test]
async fn the_ctim_form_is_the_answer_of_the_relay_byte_for_byte() {
    let (fake, keys) = fake().await;
    for answers in ["parity", "rich"] {
        let relay = Builder::new(&fake.url()).set("THREATRELAY_ANSWERS", answers).start().await;
        let body = payload(&[("domain", "evil.example"), ("ip", "203.0.113.7")]);
        let answered = relay.post("/observe/observables", body).await.text();
        let arguments = ["lookup", "-o", "ctim", "evil[.]example", "203.0.113.7"];
        let command = before(&fake, &keys, &arguments).env("THREATRELAY_ANSWERS", answers);
        assert_eq!(command.run().await.ends_with(0).stdout, answered, "{answers}");
    }
}

#[tokio::test]
async fn the_references_are_the_answer_of_the_relay_byte_for_byte() {
    let (fake, keys) = fake().await;
    let relay = TestRelay::before(&fake).await;
    let body = payload(&[("domain", "evil.example"), ("email", "rose@evil.example")]);
    let answered = relay.post("/refer/observables", body).await.text();
    let arguments = ["refer", "-o", "json", "evil[.]example", "rose[@]evil[.]example"];
    assert_eq!(before(&fake, &keys, &arguments).run().await.ends_with(0).stdout, answered);
    let links = before(&fake, &keys, &["refer", "evil[.]example"]).run().await.ends_with(0);
    assert_eq!(links.stdout, "https://otx.example/indicator/domain/evil.example\n");
    assert!(fake.calls().is_empty());
}

#[tokio::test]
async fn values_come_from_standard_input_too_and_each_is_asked_once() {
    let (fake, keys) = fake().await;
    let input = "# a report\n\nevil[.]example\r\n  203.0.113.7\nevil.example\n";
    let said = before(&fake, &keys, &["lookup", "-o", "json", "-"]).input(input).run().await.ends_with(0);
    let entries: Value = serde_json::from_str(&said.stdout).expect("JSON");
    let values: Vec<&str> = entries.as_array().into_iter().flatten().filter_map(|e| e["value"].as_str()).collect();
    assert_eq!(values, ["evil.example", "203.0.113.7"]);
    assert_eq!(said.stderr.lines().filter(|line| !line.starts_with("warning:")).count(), 0, "{}", said.stderr);
}

#[tokio::test]
async fn what_is_no_observable_is_told_and_the_rest_is_looked_up() {
    let (fake, keys) = fake().await;
    let said = before(&fake, &keys, &["lookup", "evil.example/path", "evil.example"]).run().await.ends_with(1);
    assert!(said.stdout.starts_with("evil.example (domain): in "), "{}", said.stdout);
    assert!(said.stderr.contains("write http:// or https:// before it"), "{}", said.stderr);
}

#[tokio::test]
async fn a_refused_key_ends_with_4_and_the_next_step() {
    let (fake, keys) = fake().await;
    let wrong = keys.path().join("wrong").display().to_string();
    let said = before(&fake, &keys, &["lookup", "--key-file", &wrong, "evil.example"]).run().await;
    said.ends_with(4).is_golden("lookup-key-refused", &[]);
}

#[tokio::test]
async fn an_otx_that_cannot_be_reached_ends_with_5() {
    let (_, keys) = fake().await;
    let said = threatrelay(&["lookup", "evil.example"])
        .env("THREATRELAY_OTX_BASE_URL", "http://127.0.0.1:9")
        .env("THREATRELAY_OTX_KEYS_DIR", &keys.path().display().to_string());
    said.run().await.ends_with(5).is_golden("lookup-unreachable", &[]);
}

#[tokio::test]
async fn an_answer_that_lacks_something_ends_with_1_and_shows_what_is_known() {
    let fake = FakeOtx::with(dataset(vec![
        pulse("p1", vec![domain("evil.example", "2026-01-01T00:00:00")]),
        pulse("p2", vec![domain("evil.example", "2026-01-02T00:00:00")]),
    ]));
    let (fake, keys) = (fake.await.expect("a fake OTX"), keys());
    for route in [Route::Listing, Route::Detail] {
        fake.add(Rule::on(route, Fault::status(418)).containing("/pulses/p2"));
    }
    let said = before(&fake, &keys, &["lookup", "evil.example"]).run().await.ends_with(1);
    assert!(said.stdout.contains("in 1 pulse, added on 2026-01-01"), "{}", said.stdout);
    assert!(said.stderr.contains("418 I'm a Teapot. (pulse \"p2\" of domain \"evil.example\")"), "{}", said.stderr);
}

#[tokio::test]
async fn nothing_known_ends_with_6_only_if_asked_to() {
    let (fake, keys) = fake().await;
    for (arguments, code) in [
        (&["lookup", "unknown.example"][..], 0),
        (&["lookup", "--exit-code", "unknown.example"], 6),
        (&["lookup", "--exit-code", "unknown.example", "evil.example"], 0),
    ] {
        let _ = before(&fake, &keys, arguments).run().await.ends_with(code);
    }
}

#[tokio::test]
async fn without_a_key_nothing_is_asked_and_the_next_step_is_told() {
    let (fake, _) = fake().await;
    let said = threatrelay(&["lookup", "evil.example"]).env("THREATRELAY_OTX_BASE_URL", &fake.url()).run().await;
    said.ends_with(3).is_golden("lookup-no-key", &[]);
    assert!(fake.calls().is_empty());
}

#[tokio::test]
async fn the_key_is_in_no_output() {
    let (fake, keys) = fake().await;
    for form in ["table", "json", "links", "ctim"] {
        let said = before(&fake, &keys, &["lookup", "-o", form, "evil.example"]).run().await;
        assert!(!format!("{said:?}").contains(KEY), "{form}");
    }
}

#[tokio::test]
async fn captured_answers_need_no_key() {
    let dir = tempfile::tempdir().expect("a directory");
    let general = serde_json::json!({
        "indicator": "evil.example", "type": "domain", "type_title": "Domain",
        "base_indicator": {"id": 7, "indicator": "evil.example", "type": "domain"},
        "pulse_info": {"count": 1, "pulses": [{
            "id": "aa", "name": "Captured", "created": "2026-01-02T03:04:05.678000", "public": 1,
            "related_indicator_is_active": 1, "indicator_count": 20000, "indicator_type_counts": {"domain": 20000},
        }]},
    });
    std::fs::write(dir.path().join("general.json"), general.to_string()).expect("a sample");
    let dir = dir.path().display().to_string();
    let said = threatrelay(&["lookup", "--samples", &dir, "evil.example"]).run().await.ends_with(0);
    assert!(said.stdout.contains("2026-01-02  -    -       Captured"), "{}", said.stdout);
}

#[tokio::test]
async fn what_others_wrote_cannot_steer_the_terminal() {
    let mut hostile = pulse("p1", vec![domain("evil.example", "2026-01-01T00:00:00")]);
    hostile.name = "\u{1b}]0;owned\u{7}\u{1b}[2Jtitle\u{202e}\nforged".to_owned();
    let fake = FakeOtx::with(dataset(vec![hostile])).await.expect("a fake OTX");
    let keys = keys();
    let said = before(&fake, &keys, &["--color", "always", "lookup", "evil.example"]).run().await.ends_with(0);
    for steering in ["\u{1b}]", "\u{1b}[2J", "\u{7}", "\u{202e}", "\nforged"] {
        assert!(!said.stdout.contains(steering), "{:?}", said.stdout);
    }
}

#[tokio::test]
async fn colours_are_for_terminals_unless_told_otherwise() {
    let (fake, keys) = fake().await;
    for (arguments, variable, is_coloured) in [
        (&["lookup", "evil.example"][..], ("A", "1"), false),
        (&["lookup", "evil.example"], ("CLICOLOR_FORCE", "1"), true),
        (&["lookup", "--color", "always", "evil.example"], ("NO_COLOR", "1"), true),
        (&["lookup", "--color", "never", "evil.example"], ("CLICOLOR_FORCE", "1"), false),
    ] {
        let said = before(&fake, &keys, arguments).env(variable.0, variable.1).run().await.ends_with(0);
        assert_eq!(said.stdout.contains('\u{1b}'), is_coloured, "{arguments:?} {variable:?}");
    }
}

#[tokio::test]
async fn a_narrow_terminal_cuts_titles_and_nothing_else() {
    let mut long = pulse("p1", vec![domain("evil.example", "2026-01-01T00:00:00")]);
    long.name = "A title that no narrow terminal has the room for, however one turns it".to_owned();
    let (fake, keys) = (FakeOtx::with(dataset(vec![long])).await.expect("a fake OTX"), keys());
    let narrow = before(&fake, &keys, &["lookup", "evil.example"]).env("COLUMNS", "80").run().await.ends_with(0);
    let row = narrow.stdout.lines().last().unwrap_or_default();
    assert!(row.chars().count() <= 80 && row.contains('…') && row.ends_with("/pulse/p1"), "{row}");
}

#[tokio::test]
async fn a_reader_who_leaves_early_is_no_failure() {
    let binary = tests::process::binary();
    let pipe = format!("{} completions bash | head -1; echo ${{PIPESTATUS[0]}}", binary.display());
    let output = std::process::Command::new("bash").args(["-c", &pipe]).output().expect("bash");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().last(), Some("0"));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
