//! What a request to the Kubernetes API is about: verb, resource, object, field manager. Read from method, address and
//! body, as the API server itself does it; nothing is looked up.

use bytes::Bytes;
use http::Method;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use serde::{Deserialize, Serialize};

/// What the request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// One object.
    Get,
    /// Many objects.
    List,
    /// A stream of changes.
    Watch,
    /// POST.
    Create,
    /// PUT.
    Update,
    /// A patch of any kind except server-side apply.
    Patch,
    /// Server-side apply.
    Apply,
    /// One object.
    Delete,
    /// Many objects.
    DeleteCollection,
    /// None of the above.
    Other,
}

/// What kind of effect a request has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Get and list, and everything that is no write nor watch (dry runs too).
    Read,
    /// Changes the store when it succeeds.
    Write,
    /// A stream of changes.
    Watch,
}

/// A classified request. Parts that it lacks are empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// What it does.
    pub verb: Verb,
    /// API group, empty for the core group and for paths that are no resource.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural resource, empty for other paths.
    pub resource: String,
    /// Namespace.
    pub namespace: String,
    /// Object; of a create, the name in its body.
    pub name: String,
    /// `status`, `scale`, …
    pub subresource: String,
    /// Field manager that the request names.
    pub manager: String,
    /// Nothing is stored.
    pub dry_run: bool,
}

impl Call {
    /// Classifies a request.
    #[must_use]
    pub fn of(parts: &Parts, body: &Bytes) -> Self {
        let query = |name: &str| {
            let pairs = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
            pairs.filter(|(key, _)| key == name).map(|(_, value)| value.into_owned()).next().unwrap_or_default()
        };
        let mut call = Self::of_path(parts.uri.path());
        call.manager = query("fieldManager");
        call.dry_run = !query("dryRun").is_empty();
        let kind = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        call.verb = match parts.method {
            _ if call.resource.is_empty() => Verb::Other,
            Method::GET if matches!(query("watch").as_str(), "1" | "true") => Verb::Watch,
            Method::GET if call.name.is_empty() => Verb::List,
            Method::GET => Verb::Get,
            Method::POST => Verb::Create,
            Method::PUT => Verb::Update,
            Method::PATCH if kind.starts_with("application/apply-patch") => Verb::Apply,
            Method::PATCH => Verb::Patch,
            Method::DELETE if call.name.is_empty() => Verb::DeleteCollection,
            Method::DELETE => Verb::Delete,
            _ => Verb::Other,
        };
        if call.verb == Verb::Create && call.name.is_empty() {
            let object: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
            object
                .pointer("/metadata/name")
                .and_then(|name| name.as_str())
                .unwrap_or_default()
                .clone_into(&mut call.name);
        }
        call
    }

    /// Read, write or watch.
    #[must_use]
    pub fn class(&self) -> Class {
        match self.verb {
            Verb::Watch => Class::Watch,
            Verb::Get | Verb::List | Verb::Other => Class::Read,
            _ if self.dry_run => Class::Read,
            _ => Class::Write,
        }
    }

    fn of_path(path: &str) -> Self {
        let mut call = Self {
            verb: Verb::Other,
            group: String::new(),
            version: String::new(),
            resource: String::new(),
            namespace: String::new(),
            name: String::new(),
            subresource: String::new(),
            manager: String::new(),
            dry_run: false,
        };
        let mut segments = path.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned);
        let mut next = || segments.next().unwrap_or_default();
        match next().as_str() {
            "api" => {}
            "apis" => call.group = next(),
            _ => return call,
        }
        call.version = next();
        let first = next();
        let (second, third) = (next(), next());
        // `namespaces/NAME`, with or without one of its own subresources, is the namespace itself.
        if first == "namespaces" && !matches!(third.as_str(), "" | "status" | "finalize") {
            call.namespace = second;
            call.resource = third;
            call.name = next();
            call.subresource = next();
        } else {
            call.resource = first;
            call.name = second;
            call.subresource = third;
        }
        call
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    fn call(method: &str, uri: &str, kind: &str, body: &'static str) -> Call {
        let request = http::Request::builder().method(method).uri(uri).header("content-type", kind).body(()).unwrap();
        Call::of(&request.into_parts().0, &Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn requests_are_classified_as_the_api_server_does() {
        let cases = [
            ("GET", "/api/v1/namespaces/a/pods", "list core/v1 pods a//"),
            ("GET", "/api/v1/pods?watch=true&resourceVersion=1", "watch core/v1 pods //"),
            ("GET", "/api/v1/namespaces/a", "get core/v1 namespaces /a/"),
            ("PUT", "/api/v1/namespaces/a/finalize", "update core/v1 namespaces /a/finalize"),
            ("GET", "/apis/apps/v1/namespaces/a/deployments/d/scale", "get apps/v1 deployments a/d/scale"),
            ("PATCH", "/apis/apps/v1/namespaces/a/deployments/d/status", "patch apps/v1 deployments a/d/status"),
            ("DELETE", "/api/v1/namespaces/a/secrets", "deletecollection core/v1 secrets a//"),
            ("DELETE", "/api/v1/nodes/n", "delete core/v1 nodes /n/"),
            ("GET", "/version", "other core/  //"),
            ("GET", "/apis/apps/v1", "other apps/v1  //"),
        ];
        for (method, uri, expected) in cases {
            let call = call(method, uri, "application/json", "");
            let verb = format!("{:?}", call.verb).to_lowercase();
            let group = if call.group.is_empty() { "core" } else { &call.group };
            let (version, resource, namespace) = (&call.version, &call.resource, &call.namespace);
            let seen = format!("{verb} {group}/{version} {resource} {namespace}/{}/{}", call.name, call.subresource);
            assert_eq!(seen, expected, "{method} {uri}");
        }
    }

    #[test]
    fn apply_is_told_from_other_patches_and_names_its_manager() {
        let call =
            call("PATCH", "/api/v1/namespaces/a/configmaps/m?fieldManager=op", "application/apply-patch+yaml", "");
        assert_eq!((call.verb, call.manager.as_str(), call.class()), (Verb::Apply, "op", Class::Write));
    }

    #[test]
    fn a_create_takes_its_name_from_the_body_and_a_dry_run_is_no_write() {
        let body = r#"{"metadata": {"name": "m"}}"#;
        let call = call("POST", "/api/v1/namespaces/a/configmaps?dryRun=All", "application/json", body);
        assert_eq!((call.name.as_str(), call.class()), ("m", Class::Read));
    }
}
