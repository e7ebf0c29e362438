//! Classes 29 to 36: the name of the key.

use serde_json::{Value, json};
use tests::refusals::KID;

use crate::stage::{Attempt, Class, Outcome, bearer, changed, header};

/// Names of keys.
type Kids = fn() -> Vec<Value>;

pub fn classes() -> Vec<Class> {
    let mut classes = vec![Class::new(29, "no kid or one that is no name", |stage| {
        let mut bare = header(&json!({}));
        bare.as_object_mut().map(|header| header.remove("kid"));
        let key = stage.signer.signing_key();
        let claims = changed(&json!({})).to_string();
        let bare = tests::issuer::forge(&bare.to_string(), &claims, jsonwebtoken::Algorithm::RS256, key);
        let kids = [
            json!(null),
            json!(5),
            json!(true),
            json!([]),
            json!(["test-key"]),
            json!({}),
            json!(""),
            json!("k".repeat(10 << 10)),
        ];
        let mut attempts: Vec<Attempt> = vec![Attempt::token(&bare, KID)];
        attempts.extend(kids.iter().map(|kid| Attempt::token(&stage.headed(&json!({ "kid": kid })), KID)));
        let huge = stage.headed(&json!({"kid": "k".repeat(1 << 20)}));
        attempts.push(Attempt { headers: bearer(&huge), outcome: Outcome::Http(431) });
        attempts
    })];
    let kids: [(u16, &str, Kids); 7] = [
        (30, "an unknown kid", || {
            vec![json!("other"), json!("TEST-KEY"), json!("test-key "), json!("test-ke"), json!("t\u{435}st-key")]
        }),
        (31, "a kid that climbs", || vec![json!("../../../../etc/passwd"), json!("../test-key")]),
        (32, "a kid that climbs in disguise", || vec![json!("..%2f..%2ftest-key"), json!("....//test-key")]),
        (33, "a kid that is a path or URL", || {
            vec![json!("/dev/null"), json!("https://attacker.example/k"), json!("C:\\k")]
        }),
        (34, "a kid with a command", || vec![json!("test-key|sleep 10"), json!("$(sleep 10)"), json!("`sleep 10`")]),
        (35, "a kid with a query", || vec![json!("' OR '1'='1"), json!("x' UNION SELECT 'k' --"), json!("*")]),
        (36, "a kid with a null byte", || vec![json!("test-key\u{0}"), json!("\u{0}"), json!("test-key\r\n")]),
    ];
    for (number, name, kids) in kids {
        classes.push(Class::tokens(number, name, KID, move |stage| {
            kids().iter().map(|kid| stage.headed(&json!({ "kid": kid }))).collect()
        }));
    }
    classes
}
