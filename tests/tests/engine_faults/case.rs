//! One case: a fake with two pulses, a fault on what concerns one of two observables, a look-up of both, and what must
//! hold of its answer.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use libtest_mimic::Failed;
use serde_json::json;
use tests::engine::{Answer, EngineUnderTest, OWNER, Settings, content, observable, pulse, row};
use tests::fake_otx::scale::Scale;
use tests::fake_otx::{FakeOtx, Fault, Key, Route, Rule};
use tests::schema;
use threatrelay::demo::upstream::{Dataset, IndicatorType};
use threatrelay::error::Severity;
use threatrelay::json::to_canonical;
use threatrelay::mapping::{self, Answers, Telling};
use threatrelay::observable::{Observable, ObservableType};
use threatrelay::otx::Failure;

/// A kind of observable, with one that OTX knows.
#[derive(Debug)]
pub struct Kind {
    pub name: &'static str,
    pub asked_as: ObservableType,
    pub value: &'static str,
    /// How OTX spells it, and calls its type.
    row: (IndicatorType, &'static str),
    /// What only its `/general` calls have in their target.
    path: &'static str,
}

const fn kind(
    name: &'static str,
    asked_as: ObservableType,
    value: &'static str,
    row: (IndicatorType, &'static str),
    path: &'static str,
) -> Kind {
    Kind { name, asked_as, value, row, path }
}

const MD5: &str = "0cc175b9c0f1b6a831c399e269772661";
const SHA1: &str = "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8";
const SHA256: &str = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";

pub static KINDS: &[Kind] = &[
    kind("ip", ObservableType::Ip, "192.0.2.66", (IndicatorType::Ipv4, "192.0.2.66"), "/IPv4/192.0.2.66/"),
    kind(
        "ipv6",
        ObservableType::Ipv6,
        "2001:db8::66",
        (IndicatorType::Ipv6, "2001:db8:0:0:0:0:0:66"),
        "/IPv6/2001:db8::66/",
    ),
    kind("domain", ObservableType::Domain, "evil.example", (IndicatorType::Domain, "evil.example"), "/evil.example/"),
    kind(
        "url",
        ObservableType::Url,
        "http://evil.example/path",
        (IndicatorType::Url, "http://evil.example/path"),
        "/url/http:%2F%2Fevil.example%2Fpath/",
    ),
    kind("md5", ObservableType::Md5, MD5, (IndicatorType::Md5, MD5), MD5),
    kind("sha1", ObservableType::Sha1, SHA1, (IndicatorType::Sha1, SHA1), SHA1),
    kind("sha256", ObservableType::Sha256, SHA256, (IndicatorType::Sha256, SHA256), SHA256),
];

impl Kind {
    pub fn observable(&self) -> Observable {
        observable(self.asked_as, self.value)
    }

    /// How entries name it.
    pub fn subject(&self) -> String {
        format!("{} {:?}", self.asked_as, self.value)
    }
}

/// Whether OTX was asked before it went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    Cold,
    Warm,
}

/// A line of the table.
#[derive(Debug)]
pub struct FaultCase {
    pub name: &'static str,
    pub fault: Fault,
    pub delay: Duration,
    pub expect: Expect,
    /// Calls that the faulty thing is worth.
    pub calls: usize,
}

/// What the analyst must see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The same as without the fault.
    Honest,
    /// OTX said that it knows nothing.
    Unknown,
    /// Nothing, and a warning of this code.
    Warned(&'static str),
    /// An entry of this code with these words; an older answer stands in if there is one.
    Failed(&'static str, &'static str),
    /// The key is refused as a whole.
    KeyRefused,
    /// An entry of this code with these words; other observables of the key may share its fate.
    KeyRests(&'static str, &'static str),
}

impl FaultCase {
    pub const fn new(name: &'static str, fault: Fault, expect: Expect, calls: usize) -> Self {
        Self { name, fault, delay: Duration::ZERO, expect, calls }
    }

    fn call_timeout(&self) -> Duration {
        match self.expect {
            Expect::Failed(_, words) if words.contains("did not answer within") => CALL,
            _ => UNHURRIED,
        }
    }

    pub const fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// Time for one call, where its end is expected and where it must not come on a busy machine; and for a request.
const CALL: Duration = Duration::from_millis(1500);
const UNHURRIED: Duration = Duration::from_secs(10);
const REQUEST: Duration = Duration::from_secs(20);
const OTHER: &str = "203.0.113.7";

pub fn is(holds: bool, what: &str, seen: &dyn Debug) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(format!("{what}: {seen:#?}").into()) }
}

pub fn block_on(case: impl Future<Output = Result<(), Failed>>) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(case)
}

struct World {
    fake: FakeOtx,
    engine: EngineUnderTest,
    asked: [Observable; 2],
}

impl World {
    async fn new(kind: &Kind, call: Duration) -> Result<Self, Failed> {
        let pulses = vec![
            pulse(0, vec![row(kind.row.0, kind.row.1), row(IndicatorType::Hostname, "beside.it.example")]),
            pulse(1, vec![row(IndicatorType::Ipv4, OTHER)]),
        ];
        let fake = FakeOtx::with(Dataset::new(content(pulses))).await?;
        let engine = Settings::asking(&fake)
            .set("cache.generalTtl", "1ms")
            .set("otx.maxPageBytes", 1 << 20)
            .set("otx.callTimeout", format!("{}ms", call.as_millis()))
            .set("otx.deadline", format!("{}s", REQUEST.as_secs()))
            .start();
        Ok(Self { fake, engine, asked: [kind.observable(), observable(ObservableType::Ip, OTHER)] })
    }

    async fn ask(&self) -> Result<Answer, Failure> {
        self.engine.lookup(&self.asked).await
    }

    /// Asks once while all is well, and lets the answers get too old to be used unasked.
    async fn warm_up(&self) -> Result<(), Failed> {
        let before = self.ask().await?;
        is(before.hits().len() == 2 && before.entries().is_empty(), "before the fault", &before)?;
        tokio::time::sleep(Duration::from_millis(3)).await;
        self.fake.forget_calls();
        Ok(())
    }

    fn calls_of(&self, route: Route, words: &str) -> usize {
        self.fake.calls().iter().filter(|call| call.route == route && call.target.contains(words)).count()
    }

    /// What holds whatever went wrong.
    fn check_always(&self, answer: &Answer) -> Result<(), Failed> {
        is(answer.took < REQUEST + Duration::from_secs(1), "took too long", &answer.took)?;
        let own = Key::Of(OWNER.to_owned());
        is(self.fake.calls().iter().all(|call| call.key == own), "another key was sent", &self.fake.calls())?;
        valid(answer)
    }
}

/// The answer as it would be sent is valid, and its entries name what they are about.
pub fn valid(answer: &Answer) -> Result<(), Failed> {
    let entries = answer.entries();
    let web = "https://otx.example/".parse()?;
    let telling = Telling { limit: 100, web: &web, answers: Answers::Parity };
    let mut body = json!({"data": serde_json::to_value(mapping::bundle(&answer.lookups, &telling))?});
    if !entries.is_empty() {
        body["errors"] = serde_json::to_value(&entries)?;
    }
    schema::check(schema::Answer::Observe, &to_canonical(&body)).map_err(|problems| problems.join("\n"))?;
    let trace = answer.trace.as_str();
    is(entries.iter().all(|entry| entry.message.contains(trace)), "an entry without the trace", &entries)
}

/// A fault of `/general` of one observable.
pub fn answer(case: &FaultCase, kind: &Kind, memory: Memory) -> Result<(), Failed> {
    block_on(async {
        let world = World::new(kind, case.call_timeout()).await?;
        if memory == Memory::Warm {
            world.warm_up().await?;
        }
        world.fake.add(Rule::on(Route::General, case.fault.clone()).containing(kind.path).delay(case.delay));
        let answer = match (world.ask().await, case.expect) {
            (Err(Failure::KeyRefused), Expect::KeyRefused) => {
                return is(world.calls_of(Route::General, kind.path) == 1, "asked again", &world.fake.calls());
            }
            (outcome, Expect::KeyRefused) => return is(false, "the key is not refused", &outcome),
            (outcome, _) => outcome?,
        };
        world.check_always(&answer)?;
        let empty_first = matches!(case.expect, Expect::Unknown | Expect::Warned(_));
        let sections = if empty_first && kind.asked_as == ObservableType::Domain { 2 } else { 1 };
        let calls = world.calls_of(Route::General, kind.path);
        is(calls == case.calls * sections, "calls of /general", &calls)?;
        let (hits, entries) = (answer.pulses_of(kind.value).len(), answer.entries());
        let rests = matches!(case.expect, Expect::KeyRests(..));
        is(rests || answer.pulses_of(OTHER).len() == 1, "the other observable's data", &answer)?;
        is(rests || entries.len() <= 1, "more than one entry", &entries)?;
        let about = entries.iter().find(|entry| entry.message.contains(&kind.subject()));
        is(about.is_some() || entries.is_empty(), "no entry names the observable", &entries)?;
        let told = about.map(|entry| (entry.code, entry.severity, entry.message.as_str()));
        match (case.expect, memory) {
            (Expect::Honest, _) => is(hits == 1 && told.is_none(), "unlike the honest answer", &answer),
            (Expect::Unknown, _) => is(hits == 0 && told.is_none(), "something is known, or told", &answer),
            (Expect::Warned(expected), _) => {
                let warned =
                    told.is_some_and(|(code, severity, _)| (code, severity) == (expected, Severity::Warning));
                is(hits == 0 && warned, "the warning", &entries)
            }
            (Expect::Failed(expected, words) | Expect::KeyRests(expected, words), Memory::Cold) => {
                let right = told.is_some_and(|(code, severity, message)| {
                    (code, severity) == (expected, Severity::Fatal) && message.contains(words)
                });
                is(hits == 0 && right, "the entry", &entries)
            }
            (Expect::Failed(_, words) | Expect::KeyRests(_, words), Memory::Warm) => {
                let right = told.is_some_and(|(code, severity, message)| {
                    (code, severity) == ("stale answer", Severity::Warning)
                        && message.contains(words.trim_start_matches("Reason: ").trim_end_matches('.'))
                        && (0..10).any(|age| message.contains(&format!("its answer of {age} s ago")))
                });
                is(hits == 1 && right, "the older answer and its warning", &answer)
            }
            (Expect::KeyRefused, _) => Ok(()),
        }
    })
}

/// A fault of the listing of one observable's pulse.
pub fn listing(case: &FaultCase, kind: &Kind) -> Result<(), Failed> {
    block_on(async {
        let world = World::new(kind, case.call_timeout()).await?;
        let pulse = Scale::pulse_id(0);
        world.fake.add(Rule::on(Route::Listing, case.fault.clone()).containing(&pulse).delay(case.delay));
        let answer = match (world.ask().await, case.expect) {
            (Err(Failure::KeyRefused), Expect::KeyRefused) => {
                return is(world.calls_of(Route::Listing, &pulse) == 1, "asked again", &world.fake.calls());
            }
            (outcome, Expect::KeyRefused) => return is(false, "the key is not refused", &outcome),
            (outcome, _) => outcome?,
        };
        world.check_always(&answer)?;
        let calls = world.calls_of(Route::Listing, &pulse);
        is(calls == case.calls, "calls of the listing", &calls)?;
        let (hits, entries) = (answer.pulses_of(kind.value).len(), answer.entries());
        let rests = matches!(case.expect, Expect::KeyRests(..));
        is(rests || answer.pulses_of(OTHER).len() == 1, "the other observable's data", &answer)?;
        // A hash may stand in a pulse under another hash, so that OTX's word on the pulse is enough for a match.
        let is_file = matches!(kind.asked_as, ObservableType::Md5 | ObservableType::Sha1 | ObservableType::Sha256);
        match case.expect {
            Expect::Honest => is(hits == 1 && entries.is_empty(), "unlike the honest answer", &answer),
            Expect::Unknown => is(hits == usize::from(is_file) && entries.is_empty(), "no row", &answer),
            Expect::Failed(code, words) | Expect::KeyRests(code, words) => {
                let subject = format!("(pulse {pulse:?} of {}; trace ", kind.subject());
                let about = entries.iter().filter(|entry| entry.message.contains(&subject));
                let right = about.filter(|entry| {
                    (entry.code, entry.severity) == (code, Severity::Error) && entry.message.contains(words)
                });
                is(hits == 0 && right.count() == 1, "the entry", &entries)?;
                is(rests || entries.len() == 1, "more than one entry", &entries)
            }
            Expect::Warned(_) | Expect::KeyRefused => Err("no listing is expected to do that".into()),
        }
    })
}

/// Every file of a public suite of odd JSON, as `/general` and as a page: never a panic, a match or a hang.
pub fn parsing_suite() -> Result<(), Failed> {
    let mut bodies = Vec::new();
    let mut folders = vec![tests::shared::folder("data/json-parsing")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "json") {
                bodies.push((path.clone(), Bytes::from(std::fs::read(path)?)));
            }
        }
    }
    is(bodies.len() > 300, "files in the suite", &bodies.len())?;
    block_on(async {
        for route in [Route::General, Route::Listing] {
            let world = World::new(&KINDS[0], UNHURRIED).await?;
            for (path, body) in &bodies {
                world.fake.recover();
                world.fake.add(Rule::on(route, Fault::body(body.clone())));
                let engine = Settings::asking(&world.fake).start();
                let answer = engine.lookup(&world.asked).await?;
                is(answer.hits().is_empty() && answer.lookups.len() == 2, "a match out of nothing", path)?;
                valid(&answer).map_err(|problem| format!("{}: {problem:?}", path.display()))?;
            }
        }
        Ok(())
    })
}
