//! `POST /tiles`, `/tiles/tile` and `/tiles/tile-data` over HTTP, in the forms of Cisco's own relays.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use serde_json::{Value, json};
use tests::canonical::canonical_json;
use tests::fake_otx::{FakeOtx, SECOND_KEY};
use tests::relay::{Builder, TestRelay};

const KNOWN: [(&str, &str); 3] = [("domain", "evil.example"), ("domain", "nobody.example"), ("ip", "203.0.113.7")];

async fn bundled() -> (FakeOtx, TestRelay) {
    let fake = FakeOtx::start().await.unwrap();
    let relay = Builder::new(&fake.url()).rich().start().await;
    (fake, relay)
}

async fn ask(relay: &TestRelay, path: &str, body: &Value) -> Value {
    let answer = relay.post(path, body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    canonical_json(&answer.body).unwrap()
}

async fn data(relay: &TestRelay, tile: &str, period: &str) -> Value {
    ask(relay, "/tiles/tile-data", &json!({"tile_id": tile, "period": period})).await["data"].clone()
}

#[tokio::test]
async fn every_tile_that_is_listed_is_told_alone_and_has_data_for_each_of_its_periods() {
    let (fake, relay) = bundled().await;
    let list = ask(&relay, "/tiles", &Value::Null).await["data"].clone();
    let tiles = list.as_array().unwrap();
    assert_eq!(tiles.len(), 4);
    for tile in tiles {
        assert_eq!(&ask(&relay, "/tiles/tile", &json!({"tile_id": tile["id"]})).await["data"], tile);
        let kind = tile["type"].as_str().unwrap();
        assert!(["metric_group", "vertical_bar_chart", "horizontal_bar_chart", "markdown"].contains(&kind), "{kind}");
        let periods = tile["periods"].as_array().unwrap();
        assert!(periods.contains(&tile["default_period"]));
        for period in periods {
            let shown = data(&relay, tile["id"].as_str().unwrap(), period.as_str().unwrap()).await;
            assert_eq!((&shown["tile_id"], &shown["period"]), (&tile["id"], period));
            let time = |span: &str, end: &str| shown[span][end].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
            for span in ["observed_time", "valid_time"] {
                assert!(time(span, "start_time") < time(span, "end_time"), "{shown}");
            }
            assert_eq!(shown["cache_scope"], "none");
            assert_eq!(shown["keys"].is_array(), kind.ends_with("chart"), "{shown}");
        }
    }
    assert_eq!(fake.total(), 0, "tiles ask OTX nothing");
}

#[tokio::test]
async fn tiles_show_what_was_looked_up_with_the_callers_key_alone() {
    let (_fake, relay) = bundled().await;
    let _ = relay.observe(&KNOWN).await;
    let bars = data(&relay, "otx-lookups", "last_hour").await["data"].clone();
    assert_eq!(
        bars,
        json!([
            {"key": "domain", "label": "domain", "value": 2, "values": [
                {"key": "known", "value": 1}, {"key": "unknown", "value": 1}, {"key": "failed", "value": 0}]},
            {"key": "ip", "label": "ip", "value": 1, "values": [
                {"key": "known", "value": 1}, {"key": "unknown", "value": 0}, {"key": "failed", "value": 0}]},
        ])
    );
    let lines = data(&relay, "otx-recent-pulses", "last_24_hours").await["data"].to_string();
    assert!(lines.contains("https://otx.example/pulse/68c6771840f3aa5be2d90c12"), "{lines}");
    let malware = data(&relay, "otx-top-malware", "last_7_days").await["data"].clone();
    let names: Vec<&str> = malware.as_array().unwrap().iter().filter_map(|bar| bar["key"].as_str()).collect();
    assert_eq!(names, ["Lantern", "Win32:Slate"]);

    let other = relay.token_with(&json!({"key": SECOND_KEY}));
    let body = json!({"tile_id": "otx-lookups", "period": "last_hour"}).to_string();
    let answer = relay.post_with("/tiles/tile-data", &other, body).await;
    assert_eq!(canonical_json(&answer.body).unwrap()["data"]["data"], json!([]));
}

#[tokio::test]
async fn a_replica_shows_its_own_and_says_so() {
    let (fake, one) = bundled().await;
    let other = Builder::new(&fake.url()).rich().start().await;
    let _ = one.observe(&KNOWN).await;
    assert_eq!(data(&other, "otx-lookups", "last_hour").await["data"], json!([]));
    for tile in ask(&other, "/tiles", &Value::Null).await["data"].as_array().unwrap() {
        assert!(tile["title"].as_str().unwrap().ends_with(" (this replica)"), "{tile}");
        assert!(tile["description"].as_str().unwrap().ends_with(" Each replica counts for itself."), "{tile}");
    }
}

#[tokio::test]
async fn the_quota_is_that_of_the_key() {
    let (fake, relay) = bundled().await;
    let _ = relay.observe(&KNOWN).await;
    let metrics = data(&relay, "otx-quota", "last_hour").await["data"].clone();
    let values: Vec<u64> = metrics.as_array().unwrap().iter().filter_map(|metric| metric["value"].as_u64()).collect();
    let used = u64::try_from(fake.total()).unwrap();
    assert_eq!(values, [used, 10_000 - used, 10_000]);
}

#[tokio::test]
async fn what_is_no_question_about_a_tile_is_refused_payload_first() {
    let (_fake, relay) = bundled().await;
    let ids = "otx-quota, otx-lookups, otx-recent-pulses, otx-top-malware";
    for (path, body, problems) in [
        ("/tiles/tile", json!([]), r#"{"_schema": ["Invalid input type."]}"#.to_owned()),
        ("/tiles/tile", json!({}), r#"{"tile_id": ["Missing data for required field."]}"#.to_owned()),
        ("/tiles/tile", json!({"tile_id": "x"}), format!(r#"{{"tile_id": ["Must be one of: {ids}."]}}"#)),
        ("/tiles/tile", json!({"tile_id": "otx-quota", "y": 1}), r#"{"y": ["Unknown field."]}"#.to_owned()),
        (
            "/tiles/tile-data",
            json!({"tile_id": "otx-quota", "period": "last_7_days"}),
            r#"{"period": ["Must be one of: last_hour."]}"#.to_owned(),
        ),
    ] {
        let answer = relay.send("POST", path, &[], body.to_string()).await;
        answer.refuses("invalid payload received", &format!("Invalid JSON payload received. {problems}."));
    }
    for (path, body) in [
        ("/tiles", String::new()),
        ("/tiles/tile", json!({"tile_id": "otx-quota"}).to_string()),
        ("/tiles/tile-data", json!({"tile_id": "otx-quota", "period": "last_hour"}).to_string()),
    ] {
        let answer = relay.send("POST", path, &[], body).await;
        answer.refuses("authorization error", "Authorization failed: Authorization header is missing");
    }
}
