//! A small client of the Kubernetes API for tests: JSON in, JSON out, one TLS client per identity.
//!
//! It exists so that a test can look at the cluster without the code under test. Paths are given as the API spells
//! them (`/api/v1/namespaces/default/pods`); any answer that is not a success is an [`ApiError`] with the server's
//! own message.

use std::fmt;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

/// How to reach an API server: what a kubeconfig holds.
#[derive(Clone)]
pub struct Access {
    /// `https://127.0.0.1:PORT`, reachable from this process.
    pub server: String,
    /// PEM of the authority of the server's certificate.
    pub ca: String,
    /// Bearer token.
    pub token: String,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Access {
    /// The kubeconfig text for it. It is JSON, which every reader of YAML takes.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        use base64::Engine;
        let ca = base64::engine::general_purpose::STANDARD.encode(&self.ca);
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": self.server, "certificate-authority-data": ca}}],
            "users": [{"name": "test", "user": {"token": self.token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        });
        format!("{config:#}\n")
    }

    /// The same server for another bearer of tokens.
    #[must_use]
    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self { token: token.into(), ..self.clone() }
    }
}

/// A request that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The server refused.
    #[error("{method} {path}: {status} {message}")]
    Refused {
        /// Verb of HTTP.
        method: Method,
        /// Path and query.
        path: String,
        /// Status code.
        status: u16,
        /// The `message` of the answer's `Status`, or its text.
        message: String,
        /// The `reason` of the answer's `Status`.
        reason: String,
    },
    /// There was no answer.
    #[error("{path}: {source}")]
    Broken {
        /// Path and query.
        path: String,
        /// What happened.
        source: reqwest::Error,
    },
    /// The answer was not JSON.
    #[error("{path}: not JSON: {source}")]
    NotJson {
        /// Path and query.
        path: String,
        /// Where it went wrong.
        source: serde_json::Error,
    },
}

impl ApiError {
    /// The status code of a refusal.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// A client of one API server with one identity.
#[derive(Debug, Clone)]
pub struct Api {
    http: reqwest::Client,
    access: Access,
}

impl Api {
    /// A client for `access`. Requests have no time limit of their own except for connecting: tests set deadlines.
    ///
    /// # Errors
    /// When the authority's PEM cannot be read.
    pub fn new(access: Access) -> Result<Self, reqwest::Error> {
        let ca = reqwest::Certificate::from_pem(access.ca.as_bytes())?;
        let http = reqwest::Client::builder()
            .tls_certs_only([ca])
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            // A connection kept from one test would belong to that test's runtime and die with it.
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self { http, access })
    }

    /// How it reaches the server.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// GET.
    ///
    /// # Errors
    /// As for [`Api::send`].
    pub async fn get(&self, path: &str) -> Result<Value, ApiError> {
        self.send(Method::GET, path, None).await
    }

    /// POST of a new object.
    ///
    /// # Errors
    /// As for [`Api::send`].
    pub async fn create(&self, path: &str, object: &Value) -> Result<Value, ApiError> {
        self.send(Method::POST, path, Some(("application/json", object))).await
    }

    /// PUT of a whole object.
    ///
    /// # Errors
    /// As for [`Api::send`].
    pub async fn replace(&self, path: &str, object: &Value) -> Result<Value, ApiError> {
        self.send(Method::PUT, path, Some(("application/json", object))).await
    }

    /// JSON merge patch.
    ///
    /// # Errors
    /// As for [`Api::send`].
    pub async fn merge(&self, path: &str, changes: &Value) -> Result<Value, ApiError> {
        self.send(Method::PATCH, path, Some(("application/merge-patch+json", changes))).await
    }

    /// Server-side apply by the field manager `tests`.
    ///
    /// # Errors
    /// As for [`Api::send`].
    pub async fn apply(&self, path: &str, object: &Value) -> Result<Value, ApiError> {
        let path = format!("{path}?fieldManager=tests&force=true");
        self.send(Method::PATCH, &path, Some(("application/apply-patch+yaml", object))).await
    }

    /// DELETE.
    ///
    /// # Errors
    /// As for [`Api::send`].
    pub async fn delete(&self, path: &str) -> Result<Value, ApiError> {
        self.send(Method::DELETE, path, None).await
    }

    /// Makes a namespace whose name begins with `prefix`, and returns the name: a test's own corner of a shared cluster.
    ///
    /// # Errors
    /// Those of the API.
    pub async fn namespace(&self, prefix: &str) -> Result<String, ApiError> {
        let object =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": format!("{prefix}-")}});
        let made = self.create("/api/v1/namespaces", &object).await?;
        Ok(made.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    /// The value at an RFC 6901 `pointer` of an object, or what is there instead, for use with
    /// [`Eventually`](crate::eventually::Eventually).
    ///
    /// # Errors
    /// As for [`Api::send`].
    pub async fn field(&self, path: &str, pointer: &str) -> Result<Value, ApiError> {
        Ok(self.get(path).await?.pointer(pointer).cloned().unwrap_or(Value::Null))
    }

    /// One request with a JSON answer.
    ///
    /// # Errors
    /// [`ApiError::Refused`] for every status of 300 and more; [`ApiError::Broken`] and [`ApiError::NotJson`].
    pub async fn send(&self, method: Method, path: &str, body: Option<(&str, &Value)>) -> Result<Value, ApiError> {
        let bytes = self.text(method, path, body).await?;
        serde_json::from_str(&bytes).map_err(|source| ApiError::NotJson { path: path.into(), source })
    }

    /// One request whose answer is text (a log, `/readyz`).
    ///
    /// # Errors
    /// [`ApiError::Refused`] and [`ApiError::Broken`].
    pub async fn text(&self, method: Method, path: &str, body: Option<(&str, &Value)>) -> Result<String, ApiError> {
        let broken = |source| ApiError::Broken { path: path.into(), source };
        let response = self.open(method.clone(), path, body).await?;
        let status = response.status().as_u16();
        let text = response.text().await.map_err(broken)?;
        if status < 300 {
            return Ok(text);
        }
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        let said = |name| answer.get(name).and_then(Value::as_str).map(str::to_owned);
        Err(ApiError::Refused {
            method,
            path: path.into(),
            status,
            message: said("message").unwrap_or(text),
            reason: said("reason").unwrap_or_default(),
        })
    }

    /// One request whose answer is read by the caller, whatever its status: a watch, for instance.
    ///
    /// # Errors
    /// [`ApiError::Broken`].
    pub async fn open(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<reqwest::Response, ApiError> {
        let url = format!("{}{path}", self.access.server);
        let mut request = self.http.request(method, url).bearer_auth(&self.access.token);
        if let Some((kind, body)) = body {
            request = request.header("content-type", kind).body(body.to_string());
        }
        request.send().await.map_err(|source| ApiError::Broken { path: path.into(), source })
    }
}
