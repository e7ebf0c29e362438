//! `cargo xtask`: the commands a developer types. Everything behind them is in [`tests::xtask`].

use std::process::ExitCode;

fn main() -> ExitCode {
    tests::xtask::main()
}
