//! From the words of an error tile to the log line and the span of the call that failed, by the commands of the runbook as
//! they stand, of a real relay and a real Collector. `kubectl logs` gives what both have printed.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::path::Path;
use std::process::Output;

use serde_json::json;
use tests::eventually::Eventually;
use tests::fake_otx::{FakeOtx, Fault, Route, Rule};
use tests::otlp::RealCollector;
use tests::readme::{Desk, script_of};
use tests::relay::Builder;
use tests::reply::errors;

/// What a user's `kubectl` would print, from files of the folder it runs in.
const KUBECTL: &str = r#"case "$*" in
'--namespace soc logs --selector app.kubernetes.io/instance=otx --tail=-1') exec cat relay.log ;;
'--namespace soc logs deploy/otel-collector --tail=-1') exec cat collector.log ;;
*) echo "nobody answers kubectl $*" >&2; exit 1 ;;
esac
"#;

#[tokio::test]
async fn the_trace_id_of_a_tile_leads_to_its_log_line_and_to_the_call_that_failed() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/runbooks/README.md")).unwrap();
    let script = script_of(&page, "trace");
    let fake = FakeOtx::start().await.unwrap();
    let collector = RealCollector::start("debug", json!({"verbosity": "detailed"})).await;
    let mut relay =
        Builder::new(&fake.url()).set("THREATRELAY_TELEMETRY_OTLP_ENDPOINT", collector.url()).spawn().await;
    let good = relay.send("POST", "/version", &[], "").await;
    fake.add(Rule::on(Route::General, Fault::status(502)));
    let tile = errors(&relay.observe(&[("domain", "evil.example")]).await)[0].2.clone();

    let desk = Desk::new(Path::new(env!("CARGO_BIN_EXE_xtask")));
    desk.program("kubectl", KUBECTL);
    desk.put("tile.txt", &tile);
    let steps = async || {
        desk.put("relay.log", &relay.process().unwrap().log());
        desk.put("collector.log", &std::fs::read_to_string(collector.log()).unwrap());
        let Output { status, stdout, stderr } =
            desk.shell(&script).env("NS", "soc").env("NAME", "otx").output().unwrap();
        let said = String::from_utf8_lossy(&stdout).into_owned();
        // The server's span ends last.
        let is_whole = status.success() && said.contains(": POST /observe/observables");
        if is_whole { Ok(said) } else { Err(format!("{said}{}", String::from_utf8_lossy(&stderr))) }
    };
    let said = Eventually::new("log line and spans are found").ok(steps).await.unwrap();
    let (line, spans) = said.split_once('\n').unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let trace = line["trace_id"].as_str().unwrap();
    assert!(tile.contains(&format!("trace {trace}")), "{line} is not of {tile}");
    assert!(line.to_string().contains("/observe/observables"), "{line}");
    for words in [": GET /api/v1/indicators/{type}/{value}/{section}", "error.type: Str(status)", "Int(502)"] {
        assert!(spans.contains(words), "no {words} in {spans}");
    }
    let other = good.headers["x-trace-id"].to_str().unwrap();
    assert!(!said.contains(other), "{other} is another request's");
}
