//! Classes 1 to 7: the `Authorization` header and the form of the token.

use serde_json::json;
use tests::refusals::{NO_HEADER, STRUCTURE, WRONG_TYPE};

use crate::stage::{Attempt, Class, Headers, Outcome, Stage, bearer};

pub fn classes() -> Vec<Class> {
    let wrong = |value: String| Attempt::new(vec![("authorization", value)], WRONG_TYPE);
    vec![
        Class::new(1, "no header", |_| vec![Attempt::new(Headers::new(), NO_HEADER)]),
        Class::new(2, "an empty header", move |_| vec![wrong(String::new())]),
        Class::new(3, "another scheme", move |stage| {
            let schemes = ["Basic", "Token", "JWT", "Bearer:", "Bearer,", "\u{a0}Bearer", "Digest", "Negotiate"];
            schemes.iter().map(|scheme| wrong(format!("{scheme} {}", stage.good()))).collect()
        }),
        Class::new(4, "Bearer alone or with three words", move |stage| {
            let good = stage.good();
            let values = ["Bearer".to_owned(), good.clone(), format!("Bearer {good} x"), format!("Bearer x {good}")];
            values.into_iter().map(wrong).collect()
        }),
        Class::new(5, "two headers", |stage| {
            let (good, bad) = (format!("Bearer {}", stage.good()), "Bearer a.b.c".to_owned());
            [(&good, &good), (&good, &bad), (&bad, &good)]
                .map(|(first, second)| {
                    let headers = vec![("authorization", first.clone()), ("authorization", second.clone())];
                    Attempt::new(headers, WRONG_TYPE)
                })
                .into()
        }),
        Class::new(6, "the scheme in any case is accepted", |stage| {
            let value = |scheme: &str| vec![("authorization", format!("{scheme} {}", stage.good()))];
            let schemes = ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer  "];
            schemes.map(|scheme| Attempt { headers: value(scheme), outcome: Outcome::Accepted }).into()
        }),
        Class::new(7, "a token of another form", |stage| {
            forms(stage).iter().map(|token| Attempt { headers: bearer(token), outcome: reason(token) }).collect()
        }),
    ]
}

fn reason(token: &str) -> Outcome {
    Outcome::Refused(if token.contains([' ', '\t']) { WRONG_TYPE } else { STRUCTURE })
}

fn forms(stage: &Stage) -> Vec<String> {
    let good = stage.good();
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else { unreachable!() };
    vec![
        "garbage".to_owned(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        "AA.AA.AA".to_owned(),
        "!!.!!.!!".to_owned(),
        format!("{header}.{payload}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}.{signature}"),
        format!("{good}="),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}==.{signature}"),
        format!("{header}.{payload} .{signature}"),
        format!("{header}.\t{payload}.{signature}"),
        format!("{header}.{payload}\u{a0}.{signature}"),
        format!("{header}+.{payload}.{signature}"),
        json!({"protected": header, "payload": payload, "signature": signature}).to_string(),
        json!({"payload": payload, "signatures": [{"protected": header, "signature": signature}]}).to_string(),
    ]
}
