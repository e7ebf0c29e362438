//! The README's blocks that need no cluster, run as they stand; and that no block is without somebody who runs it.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use tests::fake_otx::{FakeOtx, KEY};
use tests::issuer::{AUDIENCE, Issuer};
use tests::jwks_server::{Document, JwksServer};
use tests::readme::{Desk, RUNNERS, blocks, script, text};
use tests::tls::{Authority, Certificate};

fn desk() -> Desk {
    Desk::new(Path::new(env!("CARGO_BIN_EXE_xtask")))
}

/// A shell without the variables of tests: the relay refuses those that begin like its own.
fn shell(desk: &Desk, script: &str) -> Command {
    let mut shell = desk.shell(script);
    shell.env_remove("THREATRELAY_BINARIES").env_remove("THREATRELAY_BINARY");
    shell
}

/// Runs it to its end and returns what it printed on standard output.
fn run(mut shell: Command) -> String {
    let output = shell.output().unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{said}\n{complained}", output.status);
    said.into_owned()
}

#[test]
fn every_block_names_who_runs_it_and_nobody_waits_for_one() {
    let named: BTreeSet<_> = blocks().into_iter().map(|block| block.runner).collect();
    assert_eq!(named, RUNNERS.iter().map(|(runner, _)| (*runner).to_owned()).collect());
    for (runner, suite) in RUNNERS {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(format!("{suite}.rs"));
        let source = std::fs::read_to_string(source).unwrap();
        assert!(source.contains(&format!("script(\"{runner}\")")), "{suite} does not run {runner}");
    }
}

#[test]
fn the_page_is_short() {
    let lines = text().lines().count();
    assert!(lines <= 250, "{lines} lines");
}

#[test]
fn the_demo_answers_and_shows_how_to_ask() {
    let desk = desk();
    let mut demo = shell(&desk, &format!("exec {}", script("demo").trim()));
    let mut demo = demo.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(demo.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut seen = String::new();
    for line in lines {
        seen.push_str(&line);
        seen.push('\n');
        if seen.contains("curl ") && seen.contains("\"sightings\"") {
            break;
        }
    }
    demo.kill().unwrap();
    demo.wait().unwrap();
    assert!(seen.contains("curl ") && seen.contains("\"sightings\""), "{seen}");
}

#[test]
fn the_settings_are_valid_and_shown() {
    let desk = desk();
    assert!(run(shell(&desk, &script("settings"))).contains("https://relay.soc.example"));
}

#[tokio::test]
async fn the_command_line_looks_up_checks_and_explains() {
    let (authority, issuer) = (Authority::new(), Issuer::generate("k1").unwrap());
    let jwks = JwksServer::start(&authority, Certificate::Good, Document::of(&[&issuer])).await.unwrap();
    let fake = FakeOtx::start().await.unwrap();
    let desk = desk();
    std::fs::create_dir(desk.path().join("keys")).unwrap();
    desk.put("keys/default", KEY);
    desk.put("ca.pem", authority.pem());
    let claims = json!({"aud": AUDIENCE, "jwks_host": jwks.host()});
    desk.put("token", &issuer.token(&claims).unwrap());
    let mut shell = shell(&desk, &script("command-line"));
    shell
        .env("THREATRELAY_OTX_BASE_URL", fake.url())
        .env("THREATRELAY_OTX_KEYS_DIR", "keys")
        .env("THREATRELAY_LISTEN", "127.0.0.1:0")
        .env("THREATRELAY_ADMIN_LISTEN", "127.0.0.1:0")
        .env("THREATRELAY_AUTH_AUDIENCES", AUDIENCE)
        .env("THREATRELAY_AUTH_JWKS_HOSTS", jwks.host())
        .env("THREATRELAY_AUTH_ALLOW_PRIVATE_JWKS", "true")
        .env("THREATRELAY_EXTRA_CA_FILE", "ca.pem");
    let said = tokio::task::spawn_blocking(move || run(shell)).await.unwrap();
    for word in ["evil.example", "203.0.113.7", "jwks", AUDIENCE] {
        assert!(said.contains(word), "no {word} in {said}");
    }
}

#[test]
fn everything_is_what_the_check_of_every_push_runs() {
    // It runs this suite, so this suite does not run it.
    let line = script("everything");
    let check = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../.ci/run")).unwrap();
    assert!(check.contains(&format!("exec {line}")), "{line} is not in {check}");
}
