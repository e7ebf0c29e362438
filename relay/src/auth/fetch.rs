//! One fetch of a JWKS document: over verified TLS, from an allowed name, to a public address, without redirects,
//! proxies or compression, within a time and a size. Anything else is an error.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, StatusCode};
use url::Url;

use super::jwk::{KeySet, NotAKeySet};
use super::outside::Outside;
use crate::broken::{self, Defect};
use crate::trace::span::{self, Span};

/// Largest document that is read, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// A JWKS document was not got.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No connection, no verified certificate, no complete answer in time.
    #[error("it cannot be asked")]
    Http(#[from] reqwest::Error),
    /// An answer that is not 200.
    #[error("it answered {0}")]
    Status(StatusCode),
    /// A document over the limit.
    #[error("it answered more than {MAX_BYTES} bytes")]
    TooLarge,
    /// A document of another kind.
    #[error("it answered no JWKS")]
    NotAKeySet(#[from] NotAKeySet),
}

impl FetchError {
    /// A word of a closed set.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Http(error) if error.is_timeout() => "timeout",
            Self::Http(_) => "unreachable",
            Self::Status(_) => "status",
            Self::TooLarge => "too_large",
            Self::NotAKeySet(_) => "not_a_key_set",
        }
    }
}

/// The client for JWKS could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// `extraCaFile` could not be read.
    #[error("extraCaFile: {} cannot be read: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: std::io::Error,
    },
    /// The trusted certificates, those of the system or those of `extraCaFile`, cannot be used.
    #[error("the certificates of the system and of extraCaFile cannot be used to verify JWKS hosts: {0}")]
    Tls(String),
}

impl From<reqwest::Error> for ClientError {
    fn from(error: reqwest::Error) -> Self {
        Self::Tls(chain(&error))
    }
}

/// A client that can do nothing but fetch JWKS documents as this module promises.
///
/// # Errors
/// [`ClientError`].
pub fn client(
    timeout: Duration,
    allow_private: bool,
    extra_ca: Option<&Path>,
    outside: &Outside,
) -> Result<Client, ClientError> {
    let mut extra = Vec::new();
    if let Some(path) = extra_ca {
        let pem = std::fs::read(path).map_err(|why| ClientError::Unreadable { path: path.to_owned(), why })?;
        extra = Certificate::from_pem_bundle(&pem)?;
    }
    let client = Client::builder()
        .https_only(true)
        .redirect(Policy::none())
        .no_proxy()
        .no_gzip()
        .timeout(timeout)
        .connect_timeout(timeout)
        .tls_certs_merge(extra)
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        // Fetches are minutes apart; a connection kept meanwhile would only go stale.
        .pool_max_idle_per_host(0);
    Ok(outside.open_to(client, allow_private).build()?)
}

/// Fetches the keys of one host.
///
/// # Errors
/// [`FetchError`].
pub async fn fetch(client: &Client, url: Url) -> Result<KeySet, FetchError> {
    let span = Span::get("GET /.well-known/jwks", "/.well-known/jwks", |_| url.clone(), 0);
    let fetched = span.around(exchange(client, url.clone())).await;
    fetched.inspect_err(|error| span.fail(error.label()))
}

async fn exchange(client: &Client, url: Url) -> Result<KeySet, FetchError> {
    let mut answer = client.get(url).send().await?;
    span::record("http.response.status_code", i64::from(answer.status().as_u16()));
    if answer.status() != StatusCode::OK {
        return Err(FetchError::Status(answer.status()));
    }
    let mut document = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if document.len() + chunk.len() > MAX_BYTES && !broken::is(Defect::EndlessJwks) {
            return Err(FetchError::TooLarge);
        }
        document.extend_from_slice(&chunk);
    }
    Ok(KeySet::parse(&document)?)
}

/// An error with all its causes on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
