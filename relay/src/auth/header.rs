//! From the request's headers to the text of its token. Only `Authorization` is looked at; `Host` and `X-Forwarded-*`
//! are the caller's to choose and have no say in who the caller is.

use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST};

use super::refused::Refused;

/// The token of `Authorization: Bearer <token>`, the scheme in any case.
///
/// # Errors
/// [`Refused::HeaderMissing`]; [`Refused::NotBearer`] for any other form and for two headers.
pub fn bearer_token(headers: &HeaderMap) -> Result<&str, Refused> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Refused::HeaderMissing)?;
    if values.next().is_some() {
        return Err(Refused::NotBearer);
    }
    let mut words = value.as_bytes().split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    match (words.next(), words.next(), words.next()) {
        (Some(scheme), Some(token), None) if scheme.eq_ignore_ascii_case(b"bearer") => {
            str::from_utf8(token).map_err(|_| Refused::Structure)
        }
        _ => Err(Refused::NotBearer),
    }
}

/// The origin that the caller says it called, which nobody should trust; for `Defect::AudienceFromHost`.
pub(super) fn origin(headers: &HeaderMap) -> Vec<String> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    vec![format!("https://{host}")]
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use http::HeaderValue;

    use super::*;

    fn read(values: &[&[u8]]) -> Result<String, Refused> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        bearer_token(&headers).map(str::to_owned)
    }

    #[test]
    fn the_token_is_the_second_of_two_words() {
        for value in ["Bearer a.b.c", "bearer a.b.c", "BEARER \t a.b.c", " bEaReR a.b.c "] {
            assert_eq!(read(&[value.as_bytes()]), Ok("a.b.c".to_owned()), "{value}");
        }
    }

    #[test]
    fn any_other_form_is_the_wrong_type() {
        let cases: &[&[&[u8]]] = &[
            &[b""],
            &[b"Bearer"],
            &[b"Bearer "],
            &[b"a.b.c"],
            &[b"Basic a.b.c"],
            &[b"Bearer a b"],
            &[b"Bearer\xa0a.b.c"],
            &[b"Bearer, a.b.c"],
            &[b"Bearer a.b.c", b"Bearer a.b.c"],
        ];
        for values in cases {
            assert_eq!(read(values), Err(Refused::NotBearer), "{values:?}");
        }
    }

    #[test]
    fn no_header_is_a_reason_of_its_own() {
        assert_eq!(read(&[]), Err(Refused::HeaderMissing));
    }

    #[test]
    fn bytes_that_are_no_text_are_no_token() {
        assert_eq!(read(&[b"Bearer a.\xff.c"]), Err(Refused::Structure));
    }
}
