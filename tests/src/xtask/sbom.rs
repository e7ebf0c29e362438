//! `cargo xtask sbom`: what each shipped binary is made of, as a `CycloneDX` document and as a list of licences, in
//! `target/sbom`, beside the list that the static binary carries inside. A package of the resolved tree that is missing
//! anywhere is an error.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use super::install;
use crate::binaries;
use crate::materials::{BINARIES, carried, described, document, licences, resolved};

pub(super) fn run() -> Result<ExitCode, Box<dyn Error>> {
    install::tools()?;
    let executable = std::env::current_exe()?;
    let folder = executable.parent().and_then(Path::parent).ok_or("the folder of built programs is unknown")?;
    let (folder, target) = (folder.join("sbom"), binaries::target());
    std::fs::create_dir_all(&folder)?;
    let documents = document(&folder, &target)?;
    let built = binaries::build()?;
    let mut complete = true;
    for ((binary, _), document) in BINARIES.into_iter().zip(documents) {
        std::fs::write(folder.join(format!("{binary}.licences.txt")), licences(binary, &target)?)?;
        let expected = resolved(binary, &target)?;
        let described = described(&serde_json::from_slice(&std::fs::read(&document)?)?);
        for (place, found) in [("the document", described), ("the binary itself", carried(&built.join(binary))?)] {
            let missing: Vec<_> = expected.difference(&found).collect();
            println!("{binary}: {} packages resolved, {} in {place}", expected.len(), found.len());
            complete &= missing.is_empty();
            for package in missing {
                eprintln!("  missing: {package}");
            }
        }
    }
    println!("wrote {}", folder.display());
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
