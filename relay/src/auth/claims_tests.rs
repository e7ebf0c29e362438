#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use serde_json::json;

use super::*;

const NOW: u64 = 1_700_000_000;
const LEEWAY: Duration = Duration::from_mins(1);

fn claims(value: &Value) -> Claims {
    Claims::parse(value.to_string().as_bytes()).unwrap()
}

#[test]
fn times_are_checked_when_they_are_there() {
    let now = NOW;
    let cases = [
        (json!({}), Ok(())),
        (json!({"exp": now + 1, "nbf": now - 1, "iat": now - 1}), Ok(())),
        (json!({"exp": now - 59}), Ok(())),
        (json!({"exp": now - 60}), Err(Refused::Expired)),
        (json!({"exp": 0}), Err(Refused::Expired)),
        (json!({"exp": -1}), Err(Refused::Expired)),
        (json!({"exp": i64::MIN}), Err(Refused::Expired)),
        (json!({"exp": u64::MAX}), Ok(())),
        (json!({"exp": (now + 1).to_string()}), Err(Refused::Structure)),
        (json!({"exp": 1e10}), Err(Refused::Structure)),
        (json!({"exp": 1.5}), Err(Refused::Structure)),
        (json!({"exp": null}), Err(Refused::Structure)),
        (json!({"exp": true}), Err(Refused::Structure)),
        (json!({"exp": [now]}), Err(Refused::Structure)),
        (json!({"nbf": now + 60}), Ok(())),
        (json!({"nbf": now + 61}), Err(Refused::NotYetValid)),
        (json!({"nbf": u64::MAX}), Err(Refused::NotYetValid)),
        (json!({"nbf": "0"}), Err(Refused::Structure)),
        (json!({"iat": now + 60}), Ok(())),
        (json!({"iat": now + 61}), Err(Refused::NotYetValid)),
        (json!({"iat": "0"}), Err(Refused::Structure)),
        (json!({"exp": 0, "nbf": now + 61}), Err(Refused::NotYetValid)),
    ];
    for (payload, verdict) in cases {
        assert_eq!(claims(&payload).check_times(NOW, LEEWAY, false), verdict, "{payload}");
    }
}

#[test]
fn exp_can_be_required() {
    assert_eq!(claims(&json!({})).check_times(NOW, LEEWAY, true), Err(Refused::ExpMissing));
    assert_eq!(claims(&json!({"exp": NOW + 1})).check_times(NOW, LEEWAY, true), Ok(()));
}

#[test]
fn one_audience_must_be_ours_and_all_must_be_texts() {
    let accepted = ["https://relay.example.com".to_owned(), "https://other.example".to_owned()];
    for aud in [
        json!("https://relay.example.com"),
        json!("https://other.example"),
        json!(["https://relay.example.com"]),
        json!(["https://elsewhere.example", "https://relay.example.com"]),
    ] {
        assert_eq!(claims(&json!({"aud": aud})).check_audience(&accepted), Ok(()), "{aud}");
    }
    for aud in [
        json!(null),
        json!(""),
        json!([]),
        json!(123),
        json!(true),
        json!({}),
        json!([1]),
        json!(["https://relay.example.com", 1]),
        json!([["https://relay.example.com"]]),
        json!({"https://relay.example.com": 1}),
        json!("https://relay.example.com/"),
        json!("https://relay.example.co"),
        json!("https://relay.example.com.evil.example"),
        json!("https://Relay.example.com"),
        json!("http://relay.example.com"),
        json!("https://relay.example.com,https://other.example"),
        json!("https://elsewhere.example"),
        json!(["https://elsewhere.example"]),
    ] {
        assert_eq!(claims(&json!({"aud": aud})).check_audience(&accepted), Err(Refused::Audience), "{aud}");
    }
    assert_eq!(claims(&json!({})).check_audience(&accepted), Err(Refused::Audience));
}

#[test]
fn a_jwks_host_is_a_text() {
    assert_eq!(claims(&json!({"jwks_host": "jwks.example"})).jwks_host(), Ok("jwks.example"));
    for missing in [json!({}), json!({"jwks_host": null})] {
        assert_eq!(claims(&missing).jwks_host(), Err(Refused::JwksHostMissing));
    }
    for host in [json!(1), json!(false), json!(["jwks.example"]), json!({})] {
        assert_eq!(claims(&json!({"jwks_host": host})).jwks_host(), Err(Refused::JwksHostNotAllowed));
    }
}

#[test]
fn keys_that_can_be_sent_are_taken_and_others_refused() {
    for key in [json!(""), json!("K "), json!("a b"), json!("é"), json!("0".repeat(64))] {
        assert!(claims(&json!({"key": key})).otx_key().is_ok(), "{key}");
    }
    let cases = [
        (json!({}), Refused::PayloadStructure),
        (json!({"key": null}), Refused::KeyIsNull),
        (json!({"key": " K"}), Refused::KeyUnsendable),
        (json!({"key": "ключ"}), Refused::KeyUnsendable),
        (json!({"key": "€"}), Refused::KeyUnsendable),
        (json!({"key": "K\r\nX: y"}), Refused::KeyUnsendable),
        (json!({"key": "K\n"}), Refused::KeyUnsendable),
        (json!({"key": 5}), Refused::KeyUnsendable),
        (json!({"key": ["K"]}), Refused::KeyUnsendable),
        (json!({"key": true}), Refused::KeyUnsendable),
        (json!({"key": {}}), Refused::KeyUnsendable),
        (json!({"key": "0".repeat(MAX_KEY_BYTES + 1)}), Refused::KeyUnsendable),
    ];
    for (payload, refused) in cases {
        assert_eq!(claims(&payload).otx_key().map(drop), Err(refused), "{payload:.80}");
    }
}

#[test]
fn numbers_that_are_none_have_the_wrong_type_for_every_claim() {
    for number in ["NaN", "Infinity", "-Infinity", "1e400", "-1e400"] {
        let claims = |name: &str| Claims::parse(format!("{{\"{name}\": {number}}}").as_bytes()).unwrap();
        assert_eq!(claims("CTR_ENTITIES_LIMIT").entities_limit(), 100, "{number}");
        assert_eq!(claims("exp").check_times(NOW, LEEWAY, false), Err(Refused::Structure), "{number}");
        assert_eq!(claims("aud").check_audience(&["[]".to_owned()]), Err(Refused::Audience), "{number}");
        assert_eq!(claims("key").otx_key().map(drop), Err(Refused::KeyUnsendable), "{number}");
        assert_eq!(claims("jwks_host").jwks_host(), Err(Refused::JwksHostNotAllowed), "{number}");
    }
}

#[test]
fn texts_beside_such_numbers_stay_as_they_are() {
    let text = r#"{"a": "NaN \" 1e400", "b": [NaN, 1.5e3, -2], "ü": "é", "c": 1e400}"#;
    assert_eq!(without_non_numbers(text), r#"{"a": "NaN \" 1e400", "b": [[], 1.5e3, -2], "ü": "é", "c": []}"#);
}

#[test]
fn what_is_no_json_object_is_the_wrong_structure() {
    for text in [
        "",
        "null",
        "[]",
        "1",
        "NaN",
        "\"a\"",
        "{",
        "{\"a\":}",
        "{NaN:1}",
        "{\"a\":NaNNaN}",
        "{\"a\":01}",
        "{\"a\":\"\\ud800\"}",
        "\u{feff}{}",
    ] {
        assert_eq!(Claims::parse(text.as_bytes()).map(drop), Err(Refused::Structure), "{text}");
    }
    assert_eq!(Claims::parse(b"{\"a\":\"\xff\"}").map(drop), Err(Refused::Structure));
}

#[test]
fn of_a_repeated_claim_the_last_one_counts() {
    let claims = Claims::parse(br#"{"jwks_host": "a.example", "jwks_host": "b.example"}"#).unwrap();
    assert_eq!(claims.jwks_host(), Ok("b.example"));
}
