//! `cluster build`: one line a program, with what was done and how long it took.

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use crate::cluster::build::{Built, build};
use crate::cluster::debian;
use crate::cluster::programs::{PROGRAMS, Program};

pub(super) fn run(names: &[String], install: bool) -> Result<ExitCode, Box<dyn Error>> {
    system_parts(install)?;
    let chosen: Vec<&Program> = if names.is_empty() {
        PROGRAMS.iter().collect()
    } else {
        names.iter().map(|name| Program::named(name)).collect::<Result<_, _>>()?
    };
    for program in chosen {
        let said = match build(program)? {
            Built::Overridden => "from the override".into(),
            Built::Cached => "already built".into(),
            Built::Now(time) => format!("built in {time:.1?}"),
        };
        println!("{:<16} {said}", program.name);
    }
    Ok(ExitCode::SUCCESS)
}

fn system_parts(install: bool) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    let said = if install {
        let packages = debian::install()?;
        let said = if packages.is_empty() { "nothing is missing".into() } else { packages.join(", ") };
        format!("{said} ({:.1?})", begun.elapsed())
    } else {
        let mut packages = debian::missing(debian::BASE);
        packages.extend(debian::missing(debian::NODE));
        if packages.is_empty() {
            return Ok(());
        }
        format!("missing: {} (--install)", packages.join(", "))
    };
    println!("{:<16} {said}", "system");
    Ok(())
}
