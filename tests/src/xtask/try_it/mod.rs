//! `cargo xtask try`: from nothing to an installation that answers. The programs are built, a cluster is started with a
//! fake OTX in it, then `install.sh` types what a user would: `helm install`, a `ThreatRelay`, and a request through the
//! Ingress. The cluster stays until `cargo xtask cluster down`; typed again, it installs anew.

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use serde_json::json;
use threatrelay::demo::issuer::Issuer;

use super::cluster::Extent;
use super::cluster::{environment, hold};
use super::suites::Variables;
use super::test::{build_programs, shipped};
use crate::binaries::BINARIES;
use crate::cluster::running;
use crate::fake_otx::KEY;

/// Origin of the relay, the audience of its tokens.
const ORIGIN: &str = "https://otx.soc.example";

pub(super) fn run() -> Result<ExitCode, Box<dyn Error>> {
    build_programs()?;
    let variables = if env::var_os(BINARIES).is_some() { Variables::new() } else { shipped()? };
    hold::up(&Extent::for_installation(), &variables)?;
    let folder = running::find().ok_or("the cluster has ended already")?;
    let files = folder.join("try");
    fs::create_dir_all(&files)?;
    write(&files)?;
    let done = Command::new("sh")
        .args(["-c", include_str!("install.sh"), "try"])
        .arg(&files)
        .envs(environment::of(&folder))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .status()?;
    if !done.success() {
        return Err("a step failed; `cargo xtask cluster kubectl get pods -A` shows what runs, \
                    `cargo xtask cluster down` removes it all"
            .into());
    }
    println!(
        "\nGo on with it:\n  eval \"$(cargo xtask cluster env)\"\n  kubectl --namespace soc get threatrelay otx\n\
         or with another kubectl: export KUBECONFIG={}\nRemove it: cargo xtask cluster down",
        folder.join("kubeconfig").display()
    );
    Ok(ExitCode::SUCCESS)
}

/// What the script applies, and a token for its question.
fn write(files: &Path) -> Result<(), Box<dyn Error>> {
    let issuer = Issuer::generate("try")?;
    let claims = json!({"aud": ORIGIN, "jwks_host": "visibility.amp.cisco.com"});
    fs::write(files.join("authorization"), format!("authorization: Bearer {}\n", issuer.token(&claims)?))?;
    fs::write(files.join("otx-key"), KEY)?;
    fs::write(files.join("fake-otx.yaml"), include_str!("fake-otx.yaml"))?;
    let relay = include_str!("relay.yaml").replace("JWKS", &serde_json::to_string(&issuer.jwks())?);
    fs::write(files.join("relay.yaml"), relay)?;
    Ok(())
}
