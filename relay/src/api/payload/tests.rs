#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::PathBuf;

use super::*;

/// The JSON object inside the message that a body is refused with.
fn refusal(body: &[u8]) -> String {
    let entry = read(body, 100).unwrap_err();
    assert_eq!(entry.code, "invalid payload received");
    assert_eq!(entry.severity, crate::error::Severity::Fatal);
    let reason = entry.message.strip_prefix("Invalid JSON payload received. ").unwrap();
    reason.strip_suffix('.').unwrap().to_owned()
}

fn observed(kind: &str, value: &str) -> RawObservable {
    RawObservable { kind: kind.to_owned(), value: value.to_owned() }
}

const NOT_A_LIST: &str = r#"{"_schema": ["Invalid input type."]}"#;

/// What marshmallow 3.19 answers, but for the order of keys, which it leaves to chance.
const REFUSALS: &[(&str, &str)] = &[
    ("", NOT_A_LIST),
    ("nonsense", NOT_A_LIST),
    ("null", NOT_A_LIST),
    ("1", NOT_A_LIST),
    ("\"ab\"", NOT_A_LIST),
    (r#"{"type":"ip","value":"192.0.2.1"}"#, NOT_A_LIST),
    ("[1,]", NOT_A_LIST),
    ("[1] 2", NOT_A_LIST),
    ("[]\0", NOT_A_LIST),
    ("[{\"a\":01}]", NOT_A_LIST),
    ("[{\"a\":1.}]", NOT_A_LIST),
    ("[{\"a\":-NaN}]", NOT_A_LIST),
    ("[{\"a\n\":1}]", NOT_A_LIST),
    (r#"[{"a":"\x"}]"#, NOT_A_LIST),
    (r#"[{"a":"\u12g4"}]"#, NOT_A_LIST),
    (r#"[{"type":"ip","value":"\ud800"}]"#, NOT_A_LIST),
    (r#"[{"type":"ip","value":"\ud800\u0041"}]"#, NOT_A_LIST),
    (r#"[{"\udc00\ud800":1}]"#, NOT_A_LIST),
    (
        r#"[1,"a",null,[],NaN]"#,
        concat!(
            r#"{"0": {"_schema": ["Invalid input type."]}, "1": {"_schema": ["Invalid input type."]}, "#,
            r#""2": {"_schema": ["Invalid input type."]}, "3": {"_schema": ["Invalid input type."]}, "#,
            r#""4": {"_schema": ["Invalid input type."]}}"#
        ),
    ),
    (
        "[{}]",
        r#"{"0": {"type": ["Missing data for required field."], "value": ["Missing data for required field."]}}"#,
    ),
    (
        r#"[{"value":"192.0.2.1","type":""}]"#, //
        r#"{"0": {"type": ["Field may not be blank."]}}"#,
    ),
    (
        r#"[{"value":null,"type":"ip"}]"#, //
        r#"{"0": {"value": ["Field may not be null."]}}"#,
    ),
    (
        r#"[{"type":{"a":1},"value":[]}]"#,
        r#"{"0": {"type": ["Not a valid string."], "value": ["Not a valid string."]}}"#,
    ),
    (
        r#"[{"type":NaN,"value":-Infinity}]"#,
        r#"{"0": {"type": ["Not a valid string."], "value": ["Not a valid string."]}}"#,
    ),
    (
        r#"[{"type":true,"value":-1.5e+3}]"#,
        r#"{"0": {"type": ["Not a valid string."], "value": ["Not a valid string."]}}"#,
    ),
    (
        r#"[{"y":1,"x":{"type":1},"y":2,"value":null,"type":5}]"#,
        concat!(
            r#"{"0": {"type": ["Not a valid string."], "value": ["Field may not be null."], "#,
            r#""y": ["Unknown field."], "x": ["Unknown field."]}}"#
        ),
    ),
    (
        r#"[{"type":"ip","value":"192.0.2.1","value":null}]"#, //
        r#"{"0": {"value": ["Field may not be null."]}}"#,
    ),
    (
        "[{\"type\":\"ip\",\"value\":\"192.0.2.1\",\"é\u{7f}\u{1f600}\\\"\":1}]",
        r#"{"0": {"\u00e9\u007f\ud83d\ude00\"": ["Unknown field."]}}"#,
    ),
];

#[test]
fn bad_payloads_are_refused_in_the_originals_words() {
    for (body, reason) in REFUSALS {
        assert_eq!(refusal(body.as_bytes()), *reason, "{body}");
    }
}

#[test]
fn problems_stand_in_the_order_of_the_elements() {
    let body = format!("[{}1]", "{\"type\":\"ip\",\"value\":\"192.0.2.1\"},1,".repeat(6));
    let reason = refusal(body.as_bytes());
    let indices: Vec<usize> = reason.match_indices("\": {").map(|(at, _)| at).collect();
    assert_eq!(indices.len(), 7, "{reason}");
    assert!(reason.find("\"9\":").unwrap() < reason.find("\"11\":").unwrap(), "{reason}");
}

#[test]
fn observables_are_read_as_they_stand() {
    let body = concat!(
        "\t[ {\"type\" : \"ip\",\"value\":\"192.0.2.1\"},\r\n",
        r#"{"value":"old","type":"URL \/","value":" \ud83d\ude00\u0041é\n"}, {"type":" ","value":" "} ] "#
    );
    let expected = [observed("ip", "192.0.2.1"), observed("URL /", " \u{1f600}Aé\n"), observed(" ", " ")];
    assert_eq!(read(body.as_bytes(), 100).unwrap(), expected);
    assert_eq!(read(b"[]", 100).unwrap(), []);
}

#[test]
fn utf_16_bodies_are_read() {
    let body: Vec<u8> =
        "[{\"type\":\"domain\",\"value\":\"é.example\"}]".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(read(&body, 100).unwrap(), [observed("domain", "é.example")]);
}

#[test]
fn more_elements_than_the_limit_are_refused_whatever_they_are() {
    assert_eq!(read(b"[{\"type\":\"ip\",\"value\":\"192.0.2.1\"}]", 1).unwrap().len(), 1);
    let message = read(b"[{},2]", 1).unwrap_err().message;
    assert_eq!(
        message,
        "Invalid JSON payload received. \
         {\"_schema\": [\"2 observables were sent, at most 1 are taken in one request.\"]}."
    );
}

#[test]
fn nesting_is_read_to_depth_128() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(refusal(nested(128).as_bytes()), r#"{"0": {"_schema": ["Invalid input type."]}}"#);
    assert_eq!(refusal(nested(129).as_bytes()), NOT_A_LIST);
    assert_eq!(refusal("[".repeat(100_000).as_bytes()), NOT_A_LIST);
    assert_eq!(refusal("[{\"a\":".repeat(100_000).as_bytes()), NOT_A_LIST);
}

#[test]
fn generated_junk_is_answered() {
    let words: [&[u8]; 24] = [
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b":",
        b"\"",
        b"\\",
        b"\\u",
        b"d83d",
        b"\\ude00",
        b"type",
        b"\"type\":",
        b"\"value\":",
        b"null",
        b"NaN",
        b"-Infinity",
        b"1e",
        b"0",
        b" ",
        b"\0",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xc3\xa9",
    ];
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    for _ in 0..20_000 {
        let mut body: Vec<u8> = Vec::new();
        for _ in 0..random(24) {
            body.extend(words[random(words.len())]);
        }
        if let Err(entry) = read(&body, 3) {
            assert!(entry.message.is_ascii(), "{}", entry.message);
        }
    }
}

/// Files named `y_` are JSON, those named `n_` are not, the others are left to the parser.
#[test]
fn the_json_parsing_suite_is_told_apart() {
    let shared = std::env::var_os("THREATRELAY_TEST_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")), PathBuf::from);
    let Ok(files) = std::fs::read_dir(shared.join("data/json-parsing/test_parsing")) else {
        eprintln!("skipped: the_json_parsing_suite_is_told_apart (no test data)");
        return;
    };
    // Python reads these three as numbers.
    let python_reads = ["n_number_NaN.json", "n_number_infinity.json", "n_number_minus_infinity.json"];
    let mut told = 0;
    for file in files {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let body = std::fs::read(&path).unwrap();
        let wrapped = [b"[{\"document\":", &body[..], b"}]"].concat();
        let reads = encoding::decode(&wrapped).is_some_and(|text| scan::elements(&text, 1).is_some());
        if name.starts_with("y_") || python_reads.contains(&name.as_str()) {
            assert!(reads, "{name} was refused");
            told += 1;
        } else if name.starts_with("n_") {
            assert!(!reads, "{name} was read");
            told += 1;
        }
    }
    assert!(told > 250, "only {told} documents");
}
