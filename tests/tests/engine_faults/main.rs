//! The fault table: everything that OTX, or the way to it, is known or must be expected to do wrong, for every kind of
//! observable, with and without an older answer at hand. Each case is a test of its own.
//!
//! A case fails when a failure is silent, misnamed or spoils more than its own observable, when calls are made that
//! cannot help, when the answer is not valid CTIM, or when it takes longer than the request may.

mod answers;
mod case;
mod listings;
mod transport;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};

use self::case::{KINDS, Memory};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Cases wait more than they work.
    arguments.test_threads.get_or_insert(16);
    let mut trials = Vec::new();
    for fault in answers::table().into_iter().map(Arc::new) {
        for kind in KINDS {
            for memory in [Memory::Cold, Memory::Warm] {
                let name = format!("answer/{}/{}/{memory:?}", fault.name, kind.name);
                let fault = Arc::clone(&fault);
                trials.push(Trial::test(name, move || case::answer(&fault, kind, memory)));
            }
        }
    }
    for fault in listings::table().into_iter().map(Arc::new) {
        for kind in KINDS {
            let name = format!("listing/{}/{}", fault.name, kind.name);
            let fault = Arc::clone(&fault);
            trials.push(Trial::test(name, move || case::listing(&fault, kind)));
        }
    }
    for way in transport::WAYS {
        for kind in KINDS {
            trials.push(Trial::test(format!("way/{}/{}", way.name, kind.name), || transport::run(way, kind)));
        }
    }
    let absent = !tests::shared::folder("data/json-parsing").is_dir();
    let parsing_suite = Trial::test("bodies/every file of the JSON parsing suite", case::parsing_suite);
    trials.push(parsing_suite.with_ignored_flag(absent));
    libtest_mimic::run(&arguments, trials).exit_code()
}
