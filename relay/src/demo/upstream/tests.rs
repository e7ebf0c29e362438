#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::io::Read;

use axum::body::{Body, to_bytes};
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use flate2::read::GzDecoder;
use serde_json::Value;
use tower::ServiceExt;

use super::*;

const KEY: &str = "demo-key-for-the-bundled-upstream";
const LOADER_MD5: &str = "5162fd5d109bc811b90e8dfc2d59e6cc";
const LANTERN: &str = "68c6771840f3aa5be2d90c12";
const HONEYPOT: &str = "68f4a2c19b7d3e0011a4c501";

async fn raw(path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    router(Arc::new(Dataset::bundled().unwrap())).oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn ask(path: &str, key: &str) -> (u16, Value) {
    let response = raw(path, &[(KEY_HEADER, key), ("host", "otx.example")]).await;
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn general(slug: &str, value: &str, key: &str) -> Value {
    let (status, body) = ask(&format!("/api/v1/indicators/{slug}/{value}/general"), key).await;
    assert_eq!(status, 200, "{slug} {value}: {body}");
    body
}

fn ids(general: &Value) -> Vec<&str> {
    general["pulse_info"]["pulses"].as_array().unwrap().iter().map(|pulse| pulse["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_related_pulse_has_the_39_keys_and_no_revision() {
    let body = general("domain", "evil.example", "any").await;
    let pulse = body["pulse_info"]["pulses"][0].as_object().unwrap();
    assert_eq!(pulse.len(), 39);
    assert!(!pulse.contains_key("revision"));
    assert_eq!(pulse["tags"].as_array().unwrap().len(), 150);
}

#[tokio::test]
async fn a_listed_row_has_12_keys_and_the_base_id_of_its_indicator() {
    let body = general("domain", "evil.example", KEY).await;
    let (_, listing) = ask(&format!("/api/v1/pulses/{LANTERN}/indicators"), KEY).await;
    let row = &listing["results"][0];
    assert_eq!(row.as_object().unwrap().len(), 12);
    assert_eq!(row["id"], body["base_indicator"]["id"]);
}

#[tokio::test]
async fn a_whole_pulse_has_21_keys_and_a_row_9() {
    let (_, pulse) = ask(&format!("/api/v1/pulses/{LANTERN}"), "").await;
    assert_eq!(pulse.as_object().unwrap().len(), 21);
    assert_eq!(pulse["indicators"][0].as_object().unwrap().len(), 9);
    assert_eq!(pulse["malware_families"][1], "Win32:Slate");
}

#[tokio::test]
async fn a_search_result_has_20_keys() {
    let (_, found) = ask("/api/v1/search/pulses?q=lantern", KEY).await;
    assert_eq!(found["exact_match"], "");
    assert_eq!(found["results"][0].as_object().unwrap().len(), 20);
}

#[tokio::test]
async fn a_private_pulse_is_seen_by_its_owner_alone() {
    let owner = general("domain", "evil.example", KEY).await;
    let other = general("domain", "evil.example", "second-key-for-the-bundled-upstream").await;
    assert_eq!(ids(&owner).len(), 3);
    assert_eq!(ids(&other).len(), 2);
    assert_eq!(owner["pulse_info"]["pulses"][0]["public"], 0);
}

#[tokio::test]
async fn a_file_is_found_by_any_of_its_hashes_and_answered_with_its_base() {
    let body = general("file", LOADER_MD5, "").await;
    assert_eq!((&body["type"], &body["type_title"]), (&"md5".into(), &"FileHash-MD5".into()));
    assert_eq!(body["base_indicator"]["type"], "FileHash-SHA1");
    assert_eq!(body["pulse_info"]["pulses"][0]["related_indicator_type"], "FileHash-SHA256");
}

#[tokio::test]
async fn ipv6_is_found_in_any_spelling_and_answered_expanded() {
    let body = general("IPv6", "2001:DB8::66", "").await;
    assert_eq!(body["indicator"], "2001:db8:0:0:0:0:0:66");
    assert_eq!(ids(&body).len(), 2);
}

#[tokio::test]
async fn a_hostname_asked_as_a_domain_is_answered_with_nothing() {
    let body = general("domain", "login.evil.example", "").await;
    assert_eq!(body["base_indicator"], serde_json::json!({}));
    assert_eq!(general("hostname", "login.evil.example", "").await["pulse_info"]["count"], 1);
}

#[tokio::test]
async fn an_encoded_url_is_found_and_a_plain_one_is_no_path() {
    let body = general("url", "http:%2F%2Fevil.example%2Flogin.php%3Fid%3D1", "").await;
    assert_eq!(ids(&body).len(), 2);
    assert_eq!(ask("/api/v1/indicators/url/http://evil.example/general", "").await.0, 404);
}

#[tokio::test]
async fn an_inactive_indicator_is_related_but_neither_counted_nor_listed() {
    let body = general("IPv4", "203.0.113.99", "").await;
    let pulse = &body["pulse_info"]["pulses"][0];
    assert_eq!(pulse["related_indicator_is_active"], 0);
    assert_eq!(pulse["indicator_count"], 20);
    assert_eq!(ask(&format!("/api/v1/pulses/{HONEYPOT}/indicators"), KEY).await.1["count"], 20);
    assert_eq!(ask(&format!("/api/v1/pulses/{HONEYPOT}/indicators?include_inactive=1"), KEY).await.1["count"], 24);
}

#[tokio::test]
async fn an_unknown_name_is_an_empty_page_and_an_unknown_hash_is_404() {
    let body = general("domain", "nothing.example", "").await;
    assert_eq!((&body["base_indicator"], &body["pulse_info"]["count"]), (&serde_json::json!({}), &0.into()));
    let (status, body) = ask(&format!("/api/v1/indicators/file/{}/general", "0".repeat(64)), "").await;
    assert_eq!((status, body["detail"].is_string()), (404, true));
}

#[tokio::test]
async fn pages_link_to_each_other_with_the_whole_query() {
    let first = format!("/api/v1/pulses/{HONEYPOT}/indicators?sort=-created&limit=8&page=1");
    let (_, page) = ask(&first, KEY).await;
    let next = page["next"].as_str().unwrap();
    assert_eq!(next, format!("http://otx.example/api/v1/pulses/{HONEYPOT}/indicators?sort=-created&limit=8&page=2"));
    let (_, page) = ask(&next.replace("http://otx.example", "").replace("page=2", "page=3"), KEY).await;
    assert_eq!((page["results"].as_array().unwrap().len(), &page["next"]), (4, &Value::Null));
    let (status, page) = ask(&first.replace("page=1", "page=9"), KEY).await;
    assert_eq!((status, page["results"].as_array().unwrap().len()), (200, 0));
}

#[tokio::test]
async fn rows_are_sorted_newest_first_when_asked() {
    let (_, page) = ask(&format!("/api/v1/pulses/{HONEYPOT}/indicators?sort=-created"), KEY).await;
    let created: Vec<&str> =
        page["results"].as_array().unwrap().iter().map(|row| row["created"].as_str().unwrap()).collect();
    assert!(created.is_sorted_by(|a, b| a >= b), "{created:?}");
}

#[tokio::test]
async fn a_wrong_key_shows_on_listings_searches_and_me_alone() {
    for path in [
        "/api/v1/user/me".to_owned(),
        "/api/v1/users/me".to_owned(),
        format!("/api/v1/pulses/{LANTERN}/indicators"),
        "/api/v1/search/pulses?q=x".to_owned(),
    ] {
        let (status, body) = ask(&path, "wrong").await;
        assert_eq!((status, &body["detail"]), (403, &"Authentication required".into()), "{path}");
    }
    assert_eq!(ask("/api/v1/indicators/IPv4/203.0.113.7/general", "wrong").await.0, 200);
    assert_eq!(ask(&format!("/api/v1/pulses/{LANTERN}"), "wrong").await.0, 200);
}

#[tokio::test]
async fn no_answer_says_more_than_50_pulses() {
    let mut content = Dataset::bundled().unwrap().content().clone();
    let pulse = content.pulses[1].clone();
    content.pulses.extend((0..60).map(|i| Pulse { id: format!("{i:024x}"), ..pulse.clone() }));
    let dataset = Dataset::new(content);
    let asked = Asked::read("domain", "evil.example").unwrap();
    let body = serde_json::to_value(General::about(&asked, &dataset, None).unwrap()).unwrap();
    assert_eq!(body["pulse_info"]["count"], 50);
    assert_eq!(ids(&body).len(), 50);
}

#[tokio::test]
async fn answers_are_gzipped_for_who_accepts_it_and_carry_otx_headers() {
    let response = raw("/api/v1/user/me", &[(KEY_HEADER, KEY), (ACCEPT_ENCODING.as_str(), "gzip, br")]).await;
    assert_eq!(response.headers()[CONTENT_ENCODING], "gzip");
    assert_eq!(response.headers()["x-remote-user-name"], "relay-demo");
    assert_eq!(response.headers()["server"], "gunicorn");
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let mut text = String::new();
    GzDecoder::new(&*body).read_to_string(&mut text).unwrap();
    assert!(text.contains("relay-demo"));
}
