//! What every command says of itself: help, manual, completions, wrong usage. Texts are compared whole.
#![expect(clippy::expect_used, reason = "a failed step is a failed test")]

use tests::command::threatrelay;

const COMMANDS: [&str; 17] = [
    "",
    "serve",
    "demo",
    "lookup",
    "refer",
    "check",
    "config",
    "config print",
    "config validate",
    "token",
    "token mint",
    "token jwks",
    "token explain",
    "module-type",
    "openapi",
    "completions",
    "man",
];

#[tokio::test]
async fn every_command_has_the_help_that_is_checked_in() {
    for command in COMMANDS {
        let mut arguments: Vec<&str> = command.split_whitespace().collect();
        arguments.push("--help");
        let said = threatrelay(&arguments).env("COLUMNS", "100").run().await.ends_with(0);
        let name = format!("help {command}");
        said.is_golden(&name.trim().replace(' ', "-"), &[]);
    }
}

#[tokio::test]
async fn the_list_of_commands_is_whole() {
    let help = threatrelay(&["--help"]).run().await.ends_with(0).stdout;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let listed: Vec<&str> = listed.filter_map(|line| line.split_whitespace().next()).collect();
    let known = COMMANDS.iter().filter(|command| !command.is_empty() && !command.contains(' '));
    let known: Vec<&str> = known.copied().chain(["version", "help"]).collect();
    assert_eq!(listed, known);
}

#[tokio::test]
async fn wrong_usage_is_told_on_standard_error_and_ends_with_2() {
    for arguments in [
        &[][..],
        &["look"],
        &["lookup"],
        &["lookup", "--key", "secret", "192.0.2.1"],
        &["lookup", "--type", "IP", "--limit", "0", "192.0.2.1"],
        &["check", "--token-file", "token"],
        &["token", "mint"],
        &["module-type"],
        &["module-type", "--url", "http://relay.example"],
        &["module-type", "--url", "https://relay.example/?a=b"],
        &["completions", "cmd"],
        &["man", "nothing"],
        &["refer", "no-observable"],
        &["--color", "sometimes", "version"],
    ] {
        let said = threatrelay(arguments).run().await;
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{arguments:?}: {}", said.stderr);
        assert!(!said.stderr.is_empty(), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_manual_page_tells_what_help_tells() {
    let page = threatrelay(&["man", "lookup"]).run().await.ends_with(0).stdout;
    assert!(page.contains(".TH threatrelay-lookup 1"), "{page}");
    assert!(page.contains("\\-\\-key\\-file") && page.contains("lookup \\-\\-key\\-file FILE"), "{page}");
}

#[tokio::test]
async fn every_shell_gets_completions_that_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = threatrelay(&["completions", shell]).run().await.ends_with(0).stdout;
        assert!(script.contains("module-type") && script.contains("key-file"), "{shell}");
    }
}

#[tokio::test]
async fn bash_can_read_its_completions() {
    let script = threatrelay(&["completions", "bash"]).run().await.ends_with(0).stdout;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), script).expect("the script");
    let status = std::process::Command::new("bash").arg("-n").arg(file.path()).status().expect("bash");
    assert!(status.success());
}
