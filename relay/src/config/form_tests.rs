#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use super::*;

const URL: Form = Form::Url(&["https", "http"]);
const SPAN: Form = Form::Duration { zero: false, max: 60 };

fn why(form: Form, text: &str) -> String {
    match form.parse_text(text) {
        Ok(value) => format!("accepted as {value:?}"),
        Err(why) => why,
    }
}

#[test]
fn texts_of_an_allowed_form_are_read() {
    let cases: &[(Form, &str, &str)] = &[
        (Form::Address, "0.0.0.0:9090", "Address(0.0.0.0:9090)"),
        (Form::Address, "[::]:9090", "Address([::]:9090)"),
        (Form::OneOf(&["auto", "json"]), " json ", "Word(\"json\")"),
        (SPAN, "25s", "Duration(25s)"),
        (SPAN, "1m", "Duration(60s)"),
        (SPAN, "50ms", "Duration(50ms)"),
        (SPAN, "1.5s", "Duration(1.5s)"),
        (Form::Duration { zero: true, max: 60 }, "0s", "Duration(0ns)"),
        (Form::Count { min: 1, max: 10 }, "10", "Count(10)"),
        (Form::Switch, "true", "Switch(true)"),
        (Form::List, "a, b", "List([\"a\", \"b\"])"),
        (Form::Hosts, "jwks.example:8443,[::1]:1", "List([\"jwks.example:8443\", \"[::1]:1\"])"),
        (Form::Filter, "info,hyper=warn", "Filter(\"info,hyper=warn\")"),
        (Form::Header, "agent <me@example.com>", "Header(\"agent <me@example.com>\")"),
    ];
    for (form, text, expected) in cases {
        assert_eq!(format!("{:?}", form.parse_text(text).unwrap()), *expected, "{text}");
    }
}

#[test]
fn texts_of_another_form_are_refused_with_the_reason() {
    let cases: &[(Form, &str, &str)] = &[
        (Form::Address, "9090", "\"9090\" is no address"),
        (Form::Address, "localhost:9090", "\"localhost:9090\" is no address"),
        (Form::OneOf(&["auto", "json"]), "JSON", "\"JSON\" is none of the allowed words"),
        (SPAN, "10", "\"10\" is no duration"),
        (SPAN, "-5s", "\"-5s\" is no duration"),
        (SPAN, "soon", "\"soon\" is no duration"),
        (SPAN, "0s", "is zero"),
        (SPAN, "61s", "\"61s\" is too long"),
        (SPAN, "1 month", "\"1 month\" is no duration"),
        (Form::Count { min: 1, max: 10 }, "0", "0 is out of range"),
        (Form::Count { min: 1, max: 10 }, "1e1", "\"1e1\" is no whole number in range"),
        (Form::Switch, "yes", "\"yes\" is no switch"),
        (Form::List, "a,,b", "has an empty entry"),
        (Form::Header, "a\nb", "has characters that cannot be sent in a header"),
    ];
    for (form, text, expected) in cases {
        assert_eq!(why(*form, text), *expected);
    }
}

#[test]
fn a_host_is_taken_only_in_its_one_spelling() {
    for host in ["visibility.amp.cisco.com", "localhost", "jwks.example:8443", "192.0.2.1", "[2001:db8::1]:8443"] {
        assert!(Form::Hosts.parse_text(host).is_ok(), "{host}");
    }
    for host in [
        "Visibility.amp.cisco.com",
        "https://jwks.example",
        "jwks.example/",
        "jwks.example/x",
        "jwks.example?x",
        "jwks.example#x",
        "jwks.example:",
        "jwks.example:0",
        "jwks.example:08443",
        "jwks.example:99999",
        "2130706433",
        "0x7f000001",
        "[0:0::1]",
        "jwks example",
        "bücher.example",
    ] {
        assert!(Form::Hosts.parse_text(host).is_err(), "{host}");
    }
    assert_eq!(why(Form::Hosts, "me:hunter2@jwks.example"), "has an entry with user information");
}

#[test]
fn a_url_that_is_refused_is_not_repeated() {
    let cases = [
        ("ftp://canary.example", "has another scheme"),
        ("https:canary.example", "has another scheme"),
        ("https:\\\\canary.example", "has spaces, control characters or backslashes"),
        ("https://user:canary@otx.example", "holds credentials, which would end up in logs"),
        ("https://canary@otx.example", "holds credentials, which would end up in logs"),
        ("https://@canary.example", "holds credentials, which would end up in logs"),
        ("https://otx.example/?key=canary", "has a query or a fragment"),
        ("https://otx.example/#canary", "has a query or a fragment"),
        ("https://", "is no URL"),
        ("canary", "is no URL"),
        ("https://otx.example/ canary", "has spaces, control characters or backslashes"),
    ];
    for (text, expected) in cases {
        assert_eq!(why(URL, text), expected, "{text}");
    }
}

#[test]
fn a_url_loses_the_slash_at_its_end() {
    let url = |text| match URL.parse_text(text).unwrap() {
        Value::Url(url) => url.to_string(),
        other => format!("{other:?}"),
    };
    assert_eq!(url("https://otx.example/proxy/"), "https://otx.example/proxy");
    assert_eq!(url("http://192.0.2.1:8080"), "http://192.0.2.1:8080/");
}

#[test]
fn a_path_must_lead_to_something_readable_that_is_not_empty() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let there = dir.path().to_str().unwrap();

    assert!(Form::Directory.parse_text(there).is_ok());
    assert!(Form::File.parse_text(&file("full", "x")).is_ok());
    assert!(why(Form::File, &file("blank", " \n")).ends_with("/blank\" is empty"));
    assert!(why(Form::File, &format!("{there}/absent")).contains("/absent\" cannot be read: No such file"));
    assert!(why(Form::File, there).contains("cannot be read"));
    assert!(why(Form::Directory, &file("plain", "x")).contains("cannot be listed"));
    assert!(why(Form::Certificates, &file("text", "no certificate")).contains("holds no PEM certificate"));
}

#[test]
fn a_secret_written_where_its_path_belongs_is_not_repeated() {
    let said = why(Form::File, "0123456789abcdef-canary");
    assert!(said.starts_with("the path (not shown") && !said.contains("canary"), "{said}");
}

#[test]
fn certificates_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    std::fs::write(&path, rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap().cert.pem()).unwrap();
    assert!(Form::Certificates.parse_text(path.to_str().unwrap()).is_ok());
}
