//! The certificates and keys of one cluster: made at each start, valid nowhere else, written where its programs look
//! for them.

use std::fs;
use std::io;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use super::sandbox::NODE_ADDRESS;

/// Why the certificates could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A file could not be written.
    #[error("cannot write certificates: {0}")]
    Write(#[from] io::Error),
}

/// Names the API server's certificate is valid for; 10.201.0.1 is the first Service address.
const API_SERVER_NAMES: [&str; 8] = [
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
    "127.0.0.1",
    "10.201.0.1",
    NODE_ADDRESS,
];

/// Writes all certificates and keys into `folder` and returns the PEM of the authority that clients trust.
///
/// # Errors
/// When a file cannot be written.
pub fn write(folder: &Path) -> Result<String, PkiError> {
    fs::create_dir_all(folder)?;
    let ca = Authority::new("threatrelay-test-ca")?;
    let server = ExtendedKeyUsagePurpose::ServerAuth;
    let client = ExtendedKeyUsagePurpose::ClientAuth;
    ca.issue(folder, "apiserver", &API_SERVER_NAMES, ("kube-apiserver", None), server.clone())?;
    ca.issue(
        folder,
        "kubelet-server",
        &["node1", NODE_ADDRESS],
        ("system:node:node1", Some("system:nodes")),
        server,
    )?;
    ca.issue(
        folder,
        "kubelet-client",
        &[],
        ("kube-apiserver-kubelet-client", Some("system:masters")),
        client.clone(),
    )?;
    fs::write(folder.join("ca.crt"), &ca.pem)?;
    let front = Authority::new("threatrelay-test-front-ca")?;
    front.issue(folder, "front-proxy", &[], ("front-proxy-client", None), client)?;
    fs::write(folder.join("front-ca.crt"), &front.pem)?;
    let accounts = KeyPair::generate()?;
    fs::write(folder.join("sa.key"), accounts.serialize_pem())?;
    fs::write(folder.join("sa.pub"), accounts.public_key_pem())?;
    Ok(ca.pem)
}

/// A certificate authority made for a test: of a cluster, or of a server in front of one.
pub struct Authority {
    /// Its certificate.
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new self-signed authority.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(name: &str) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { pem, issuer: Issuer::new(params, key) })
    }

    /// A certificate for `names` (DNS names or addresses) and its key, both PEM.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn certificate(
        &self,
        names: &[&str],
        (user, group): (&str, Option<&str>),
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<(String, String), rcgen::Error> {
        let mut params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, user);
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &self.issuer)?.pem(), key.serialize_pem()))
    }

    fn issue(
        &self,
        folder: &Path,
        file: &str,
        names: &[&str],
        subject: (&str, Option<&str>),
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<(), PkiError> {
        let (certificate, key) = self.certificate(names, subject, usage)?;
        fs::write(folder.join(format!("{file}.crt")), certificate)?;
        fs::write(folder.join(format!("{file}.key")), key)?;
        Ok(())
    }
}
