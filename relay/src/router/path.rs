//! Paths with doubled or trailing slashes mean the same as without, as they did for the original behind its server.

use std::borrow::Cow;

use axum::extract::Request;
use http::Uri;

/// Rewrites the path of a request to the form that routes have.
pub(super) async fn tidy(mut request: Request) -> Request {
    if let Cow::Owned(path) = tidied(request.uri().path()) {
        let target = match request.uri().query() {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        if let Ok(uri) = target.parse::<Uri>() {
            *request.uri_mut() = uri;
        }
    }
    request
}

fn tidied(path: &str) -> Cow<'_, str> {
    if path.len() < 2 || !(path.ends_with('/') || path.contains("//")) {
        return Cow::Borrowed(path);
    }
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    Cow::Owned(format!("/{}", segments.join("/")))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;

    #[test]
    fn doubled_and_trailing_slashes_go() {
        for path in ["/a/b", "//a/b", "/a///b/", "/a/b//"] {
            assert_eq!(tidied(path), "/a/b", "{path}");
        }
        for path in ["/", "//", "///"] {
            assert_eq!(tidied(path), "/", "{path}");
        }
        assert_eq!(tidied("*"), "*");
    }

    #[tokio::test]
    async fn the_query_stays() {
        let request = Request::builder().uri("//version/?a=//").body(axum::body::Body::empty());
        let tidy = tidy(request.unwrap()).await;
        assert_eq!(tidy.uri(), "/version?a=//");
    }
}
