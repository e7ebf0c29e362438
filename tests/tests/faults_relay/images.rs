//! Images that a node runs instead of the relay's: the real relay with something wrong around it, and what is no relay.
//! Each is a tag of the relay's own repository, which every resource may name.

use std::fs;
use std::path::Path;

use tests::binaries;
use tests::cluster::Image;

/// The real relay is told to stop as soon as it listens, and takes minutes to: it lives, and says that it is not ready.
const NEVER_READY: &str = r#"#!/bin/sh
listens() {
    while read -r line; do case "$line" in *:2383\ *) return 0 ;; esac; done < /proc/net/tcp
    return 1
}
export THREATRELAY_SHUTDOWN_LAME_DUCK=5m
(until listens; do sleep 0.01; done; kill -TERM 1) &
exec /threatrelay "$@"
"#;

/// The real relay is to listen where it cannot, and ends.
const CRASHING: &str = r#"#!/bin/sh
export THREATRELAY_LISTEN=192.0.2.1:9090
exec /threatrelay "$@"
"#;

/// The real relay begins only after longer than a live relay may be silent. The shell ends when it is told to, as no first
/// process of a container does by itself.
const SLOW: &str = r#"#!/bin/sh
trap 'exit 143' TERM
sleep 40 &
wait
trap - TERM
exec /threatrelay "$@"
"#;

/// All of them.
pub(crate) fn all(folder: &Path) -> Vec<Image> {
    let scripts = [("never-ready", NEVER_READY), ("crashing", CRASHING), ("slow", SLOW)];
    let ailing = scripts.map(|(tag, script)| {
        let path = folder.join(tag);
        fs::write(&path, script).unwrap();
        let relay = binaries::image("threatrelay").unwrap();
        let with_shell = relay.with_program("/bin/sh", "/bin/sh").unwrap().with_program("/bin/sleep", "/bin/sleep");
        with_shell.unwrap().with_file(path, "/start").starting_with("/start").called(name(tag))
    });
    ailing.into_iter().chain([binaries::fake_otx().unwrap().called(name("no-relay"))]).collect()
}

fn name(tag: &str) -> String {
    format!("docker.io/library/threatrelay:{tag}")
}
