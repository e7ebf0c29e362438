#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use serde_json::Value;

use super::*;

fn args(samples: Option<PathBuf>) -> Args {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Args { samples, listen: any, admin_listen: any, otlp: None, once: true }
}

async fn stage(args: &Args) -> Stage {
    let log = Log { level: "off".to_owned(), format: LogFormat::Json };
    let (_, log_level) = telemetry::subscriber(&log, false, io::sink);
    Stage::set(args, log_level).await.unwrap()
}

/// What the tour of a demo prints, and how many of its requests failed.
async fn walked(stage: &Stage) -> (String, usize) {
    let mut out = Vec::new();
    let failed = Tour::of(stage).walk(&mut out).await.unwrap();
    (String::from_utf8(out).unwrap(), failed)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_of_the_bundled_demo_is_answered_with_something_known() {
    let stage = stage(&args(None)).await;
    let (text, failed) = walked(&stage).await;
    assert_eq!(failed, 0, "{text}");
    assert_eq!(text.matches("\"sightings\"").count(), 5, "{text}");
    assert_eq!(text.matches("\ncurl -s").count(), 15, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_on_captured_answers_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let general = serde_json::json!({
        "indicator": "evil.example", "type": "domain", "type_title": "Domain",
        "base_indicator": {"id": 7, "indicator": "evil.example", "type": "domain"},
        "pulse_info": {"count": 1, "pulses": [{
            "id": "aa", "name": "Captured", "created": "2026-01-02T03:04:05.678000", "public": 1,
            "related_indicator_is_active": 1, "indicator_count": 20000, "indicator_type_counts": {"domain": 20000},
        }]},
    });
    std::fs::write(dir.path().join("general.json"), general.to_string()).unwrap();
    let stage = stage(&args(Some(dir.path().to_owned()))).await;
    let (text, failed) = walked(&stage).await;
    assert_eq!(failed, 0, "{text}");
    assert!(text.contains("\"start_time\": \"2026-01-02T03:04:05Z\""), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_fails_is_counted() {
    let mut stage = stage(&args(None)).await;
    stage.token.push('x');
    assert_eq!(
        walked(&stage).await.1,
        9,
        "five look-ups, the verdicts, the health check and the tiles need the token"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_lines_carry_all_that_they_need() {
    let stage = stage(&args(None)).await;
    let mut out = Vec::new();
    Tour::of(&stage).print(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("curl ")).collect();
    assert_eq!(lines.len(), 15);
    for line in lines.iter().filter(|line| line.contains("/observe/")) {
        assert!(
            line.contains(&stage.token) && line.ends_with(&format!("{}/observe/observables", stage.relay)),
            "{line}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_answer_is_shown_in_full() {
    let stage = stage(&args(None)).await;
    let mut out = Vec::new();
    Tour::of(&stage).show_one(&mut out).await.unwrap();
    let text = String::from_utf8(out).unwrap();
    let (title, answer) = text.split_once('\n').unwrap();
    assert!(title.contains("the URL http://evil.example/login.php?id=1"), "{title}");
    let answer: Value = serde_json::from_str(answer).unwrap();
    assert_eq!(answer["data"]["sightings"]["count"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_address_is_told_with_the_demos_own_options() {
    let first = stage(&args(None)).await;
    let taken: SocketAddr = first.relay.strip_prefix("http://").unwrap().parse().unwrap();
    let log = Log { level: "off".to_owned(), format: LogFormat::Json };
    let (_, log_level) = telemetry::subscriber(&log, false, io::sink);
    let Err(error) = Stage::set(&Args { listen: taken, ..args(None) }, log_level).await else { unreachable!() };
    assert!(error.to_string().contains("--listen"), "{error}");
}
