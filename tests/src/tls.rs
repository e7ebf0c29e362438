//! A certificate authority for loopback servers, and the certificates they should not be trusted with.
//!
//! Clients trust [`Authority::pem`]; servers get a configuration by [`Certificate`]. All of it is made anew at each start.
#![expect(clippy::expect_used, reason = "a certificate that cannot be made ends the test, with the step's name")]

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Signs certificates of loopback servers.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// What a server shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// Signed, current, for `localhost`, `127.0.0.1` and `::1`.
    Good,
    /// The same, but it ended long ago.
    Expired,
    /// Signed and current, for this name alone.
    For(&'static str),
    /// Signed and current, but for another name.
    WrongName,
    /// Current and for the right names, but signed by itself.
    SelfSigned,
}

impl Authority {
    /// Makes an authority.
    ///
    /// # Panics
    /// When the crypto library makes no key.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters without names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Test Authority");
        let key = KeyPair::generate().expect("the authority's key");
        let pem = params.self_signed(&key).expect("the authority's certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its own certificate: what `extraCaFile` must hold.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A server's configuration with such a certificate; HTTP/1.1 without ALPN, as OTX.
    ///
    /// # Panics
    /// When the crypto library makes no key.
    #[must_use]
    pub fn server(&self, certificate: Certificate) -> Arc<ServerConfig> {
        let names: &[&str] = match &certificate {
            Certificate::For(name) => &[name],
            Certificate::WrongName => &["elsewhere.example"],
            _ => &["localhost", "127.0.0.1", "::1"],
        };
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("parameters with names");
        if certificate == Certificate::Expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().expect("the server's key");
        let signed = match certificate {
            Certificate::SelfSigned => params.self_signed(&key),
            _ => params.signed_by(&key, &self.issuer),
        };
        let chain: Vec<CertificateDer<'static>> = vec![signed.expect("the server's certificate").der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("the server's key as DER");
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("the server's certificate and key");
        Arc::new(config)
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
