//! The way of a newcomer through the README, on a cluster of this machine: `cargo xtask try`, and the lines from
//! `helm install` to an answer through the Ingress, typed as they stand.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::Path;
use std::process::Command;

use tests::fake_otx::KEY;
use tests::readme::{Desk, blocks, script};

/// The desk with a cluster, which ends with it.
struct Newcomer {
    desk: Desk,
}

impl Newcomer {
    fn new() -> Self {
        let desk = Desk::new(Path::new(env!("CARGO_BIN_EXE_xtask")));
        desk.put("otx-key", KEY);
        Self { desk }
    }

    /// Types the lines; temporary files, and so the cluster, are on the desk.
    fn types(&self, script: &str) -> (bool, String) {
        let mut shell: Command = self.desk.shell(script);
        let output = shell.env("TMPDIR", self.desk.path()).output().unwrap();
        let printed = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&printed).into_owned())
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        let (_, said) = self.types("cargo xtask cluster down");
        println!("{said}");
    }
}

#[test]
fn one_command_installs_all_and_shows_an_answer() {
    let newcomer = Newcomer::new();
    let (ok, said) = newcomer.types(&script("try"));
    assert!(ok && said.contains("\"observables\":[{\"type\":\"ip\",\"value\":\"203.0.113.31\"}]"), "{said}");
    let next = "eval \"$(cargo xtask cluster env)\"";
    assert!(said.contains(next), "{said}");
    let (ok, said) = newcomer.types(&format!("{next}\nkubectl --namespace soc get threatrelay otx --output=wide"));
    assert!(ok && said.contains("https://otx.soc.example"), "{said}");
}

#[test]
fn the_lines_lead_from_helm_install_to_an_answer() {
    let newcomer = Newcomer::new();
    let yaml = blocks().into_iter().find(|block| block.runner == "node" && block.language == "yaml").unwrap();
    newcomer.desk.put("relay.yaml", &yaml.text);
    let (ok, said) = newcomer.types(&script("node"));
    assert!(ok && said.contains(r#""version":"#), "{said}");
    assert!(said.contains("threatrelay.threatrelay.dev/otx condition met"), "{said}");
}
