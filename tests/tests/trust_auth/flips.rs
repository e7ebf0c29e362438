//! Classes 100 and 101: a good token with each of its bits flipped in turn, and tokens out of all proportion.

use serde_json::json;
use tests::refusals::{HOST, KID, NO_HOST, SIGNATURE, STRUCTURE, WRONG_TYPE};

use crate::stage::{Attempt, Class, Outcome, Stage, bearer};

const REASONS: &[&str] = &[SIGNATURE, STRUCTURE, KID, HOST, NO_HOST, WRONG_TYPE];
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

pub fn classes() -> Vec<Class> {
    vec![
        Class::new(100, "every bit of a good token flipped", |stage| {
            let mut tokens = flipped(&stage.good());
            tokens.extend(with_trailing_bits(&stage.good()));
            let attempt =
                |token: &String| Attempt { headers: bearer(token), outcome: Outcome::RefusedForOneOf(REASONS) };
            tokens.iter().map(attempt).collect()
        }),
        Class::new(101, "a token out of proportion", out_of_proportion),
    ]
}

fn flipped(good: &str) -> Vec<String> {
    let mut tokens = Vec::with_capacity(good.len() * 8);
    for position in 0..good.len() {
        for bit in 0..8 {
            let token = good.bytes().enumerate();
            tokens.push(
                token.map(|(at, byte)| char::from(if at == position { byte ^ (1 << bit) } else { byte })).collect(),
            );
        }
    }
    tokens
}

/// Other last characters of each part whose used bits are the same: lenient readers take them for the same bytes.
fn with_trailing_bits(good: &str) -> Vec<String> {
    let parts: Vec<&str> = good.split('.').collect();
    let mut tokens = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let unused = match part.len() % 4 {
            2 => 16,
            3 => 4,
            _ => continue,
        };
        let (start, last) = part.split_at(part.len() - 1);
        let value = ALPHABET.iter().position(|letter| last.as_bytes() == [*letter]).expect("a letter of base64url");
        for other in (value / unused * unused..).take(unused).filter(|other| *other != value) {
            let mut parts: Vec<String> = parts.iter().map(|&part| part.to_owned()).collect();
            parts[index] = format!("{start}{}", char::from(ALPHABET[other]));
            tokens.push(parts.join("."));
        }
    }
    tokens
}

fn out_of_proportion(stage: &Stage) -> Vec<Attempt> {
    let padded = |length: usize| stage.claiming(&json!({"padding": "x".repeat(length)}));
    let huge = |token: String| Attempt { headers: bearer(&token), outcome: Outcome::Http(431) };
    let mut claims = serde_json::Map::new();
    claims.extend((0..100_000).map(|index| (format!("c{index}"), json!(1))));
    let depth = format!("{{\"aud\":{}1{}}}", "[".repeat(9_000), "]".repeat(9_000));
    vec![
        // 8 KiB is large and lawful.
        Attempt { headers: bearer(&padded(5_000)), outcome: Outcome::Accepted },
        Attempt::token(&"a".repeat(32_000), STRUCTURE),
        Attempt::token(&stage.saying(&depth), STRUCTURE),
        huge(padded(64 << 10)),
        huge(padded(1 << 20)),
        huge(stage.claiming(&claims.into())),
    ]
}
