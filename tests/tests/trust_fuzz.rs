//! The fuzz targets without a fuzzer: every seed, and for each target thousands of deterministic mutations of its seeds.
//! libFuzzer, which looks for what is new, runs the same functions by `cargo xtask fuzz`.
#![expect(clippy::expect_used, reason = "a failed step is a failed test")]

#[path = "../fuzz/targets.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use tests::trial::run;

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 6] = [
    ("body", targets::body),
    ("token", targets::token),
    ("jwks", targets::jwks),
    ("answer", targets::answer),
    ("url", targets::url),
    ("config", targets::config),
];

/// Mutations of a target, fewer only where they take longer than [`LONGEST`].
const MUTATIONS: usize = 50_000;
const LONGEST: Duration = Duration::from_secs(10);
/// Fewer than these would be no test.
const FEWEST: usize = 500;

fn main() -> ExitCode {
    run(TARGETS.map(|(name, target)| Trial::test(format!("fuzz_{name}"), move || replay(name, target))).into())
}

fn replay(name: &str, target: Target) -> Result<(), Failed> {
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
    let (mut chance, begun, mut done) = (Chance(0x5eed), Instant::now(), 0);
    while done < MUTATIONS && begun.elapsed() < LONGEST {
        hold(&mutated(&seeds, &mut chance))?;
        done += 1;
    }
    println!("{name}: {} seeds, {done} mutations in {:?}", seeds.len(), begun.elapsed());
    assert!(done >= FEWEST, "{done} mutations in {LONGEST:?}");
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
