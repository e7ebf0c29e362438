//! The fuzz targets without a fuzzer: every seed, and for each target thousands of deterministic mutations of its seeds.
//! libFuzzer, which looks for what is new, runs the same functions by `cargo xtask fuzz`.
#![expect(clippy::expect_used, reason = "a failed step is a failed test")]

#[path = "../fuzz/targets.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use libtest_mimic::{Failed, Trial};
use tests::trial::run;

type Target = fn(&[u8]);

/// Targets, each with how many mutations it is given: fewer where one takes milliseconds.
const TARGETS: [(&str, Target, usize); 6] = [
    ("body", targets::body, 30_000),
    ("token", targets::token, 30_000),
    ("jwks", targets::jwks, 30_000),
    ("answer", targets::answer, 30_000),
    ("url", targets::url, 30_000),
    ("config", targets::config, 1_000),
];

fn main() -> ExitCode {
    let trial =
        |(name, target, mutations)| Trial::test(format!("fuzz_{name}"), move || replay(name, target, mutations));
    run(TARGETS.map(trial).into())
}

fn replay(name: &str, target: Target, mutations: usize) -> Result<(), Failed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut seeds: Vec<Vec<u8>> = std::fs::read_dir(folder)?
        .map(|entry| std::fs::read(entry.expect("an entry").path()).expect("a seed"))
        .collect();
    seeds.sort();
    assert!(seeds.len() > 1, "{name} has no seeds");
    let hold = |input: &[u8]| {
        let held = catch_unwind(AssertUnwindSafe(|| target(input)));
        held.map_err(|_| Failed::from(format!("{name} breaks on {:?}", String::from_utf8_lossy(input))))
    };
    for seed in &seeds {
        hold(seed)?;
    }
    let (mut chance, begun) = (Chance(0x5eed), Instant::now());
    for _ in 0..mutations {
        hold(&mutated(&seeds, &mut chance))?;
    }
    println!("{name}: {} seeds, {mutations} mutations in {:?}", seeds.len(), begun.elapsed());
    Ok(())
}

/// A seed with up to eight changes.
fn mutated(seeds: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    const TELLING: [&[u8]; 16] = [
        b"\"",
        b"\\",
        b"\\ud800",
        b"{",
        b"[[[[",
        b"]",
        b":",
        b"null",
        b"NaN",
        b"1e999",
        b"..",
        b"%2e",
        b"\0",
        b"\xff\xfe",
        b"=",
        b"\n",
    ];
    let mut bytes = seeds[chance.below(seeds.len())].clone();
    for _ in 0..=chance.below(8) {
        let at = chance.below(bytes.len() + 1);
        let end = (at + 1 + chance.below(16)).min(bytes.len());
        match chance.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
            1 => drop(bytes.drain(at.min(end)..end)),
            2 => bytes.truncate(at),
            3 => {
                let part = bytes[at.min(end)..end].to_vec();
                bytes.splice(at..at, part);
            }
            4 => {
                let other = &seeds[chance.below(seeds.len())];
                let from = chance.below(other.len() + 1);
                bytes.splice(at.., other[from..].iter().copied());
            }
            _ => drop(bytes.splice(at..at, TELLING[chance.below(TELLING.len())].iter().copied())),
        }
    }
    bytes
}

/// Xorshift: the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end.max(1)).unwrap_or(1)).unwrap_or(0)
    }
}
