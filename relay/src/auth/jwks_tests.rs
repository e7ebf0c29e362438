#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use std::future::Future;
use std::io::Write;
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, crypto};
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::auth::fetch;
use crate::auth::fixtures::{SIGNER, Signer};
use crate::auth::outside::Outside;

const PATIENCE: Duration = Duration::from_secs(10);
const TIMES: Times =
    Times { ttl: Duration::from_mins(10), max_stale: Duration::from_hours(1), cooldown: Duration::from_mins(1) };

/// The one certificate of this file's servers, and the file that makes a client trust it.
static CERTIFICATE: LazyLock<(rcgen::CertifiedKey<rcgen::KeyPair>, tempfile::NamedTempFile)> = LazyLock::new(|| {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(certified.cert.pem().as_bytes()).unwrap();
    (certified, file)
});

/// A JWKS host on loopback: counts its connections and gives the answer of the moment to each.
struct JwksHost {
    name: String,
    connections: Arc<AtomicUsize>,
    answer: Arc<Mutex<Vec<u8>>>,
    _server: AbortOnDropHandle<()>,
}

impl JwksHost {
    async fn start(answer: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = format!("localhost:{}", listener.local_addr().unwrap().port());
        let connections = Arc::new(AtomicUsize::new(0));
        let answer = Arc::new(Mutex::new(answer));
        let key = PrivateKeyDer::try_from(CERTIFICATE.0.signing_key.serialize_der()).unwrap();
        let tls = ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![CERTIFICATE.0.cert.der().clone()], key)
            .unwrap();
        let tls = TlsAcceptor::from(Arc::new(tls));
        let (count, current) = (Arc::clone(&connections), Arc::clone(&answer));
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let (tls, answer) = (tls.clone(), current.lock().unwrap().clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = tls.accept(stream).await else { return };
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        request.push(stream.read_u8().await.unwrap());
                    }
                    assert!(request.starts_with(b"GET /.well-known/jwks HTTP/1.1\r\n"));
                    if answer.is_empty() {
                        std::future::pending::<()>().await;
                    }
                    // A client that has read enough hangs up.
                    let _ = stream.write_all(&answer).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { name, connections, answer, _server: AbortOnDropHandle::new(server) }
    }

    fn set(&self, answer: Vec<u8>) {
        *self.answer.lock().unwrap() = answer;
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn jwks(&self, times: Times) -> Jwks {
        let client = client(Duration::from_secs(5), true, Some(CERTIFICATE.1.path()));
        Jwks::new(std::slice::from_ref(&self.name), &client, times, &Metrics::default())
    }

    /// What asking for this `kid` comes to.
    async fn ask(&self, jwks: &Jwks, kid: &str) -> Result<(), Refused> {
        within(jwks.key(&self.name, Some(kid))).await.map(drop)
    }
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("no verdict within 10 s")
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn keys_of(signers: &[&Signer]) -> Vec<u8> {
    let keys: Vec<_> = signers.iter().map(|signer| signer.jwk()).collect();
    answer("200 OK", "", json!({"keys": keys}).to_string().as_bytes())
}

fn client(timeout: Duration, allow_private: bool, extra_ca: Option<&Path>) -> Client {
    fetch::client(timeout, allow_private, extra_ca, &Outside::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_at_once_share_one_fetch() {
    let host = JwksHost::start(keys_of(&[&SIGNER])).await;
    let jwks = host.jwks(TIMES);
    let verdicts = join_all((0..50).map(|_| host.ask(&jwks, "key-1"))).await;
    assert!(verdicts.iter().all(Result::is_ok));
    assert_eq!(host.ask(&jwks, "key-1").await, Ok(()));
    assert_eq!(host.connections(), 1);
}

#[tokio::test]
async fn a_fetch_goes_on_when_its_first_caller_hangs_up() {
    let host = JwksHost::start(keys_of(&[&SIGNER])).await;
    let jwks = host.jwks(TIMES);
    assert!(tokio::time::timeout(Duration::ZERO, jwks.key(&host.name, Some("key-1"))).await.is_err());
    assert_eq!(host.ask(&jwks, "key-1").await, Ok(()));
    assert_eq!(host.connections(), 1);
}

#[tokio::test]
async fn a_thousand_unknown_kids_cause_one_fetch() {
    let host = JwksHost::start(keys_of(&[&SIGNER])).await;
    let jwks = host.jwks(TIMES);
    for i in 0..1000 {
        assert_eq!(host.ask(&jwks, &format!("random-{i}")).await, Err(Refused::UnknownKid));
    }
    assert_eq!(host.connections(), 1);
}

#[tokio::test]
async fn a_new_key_is_found_by_one_more_fetch_that_all_requests_share() {
    let host = JwksHost::start(keys_of(&[&SIGNER])).await;
    let jwks = host.jwks(TIMES);
    assert_eq!(host.ask(&jwks, "key-1").await, Ok(()));
    host.set(keys_of(&[&SIGNER, &Signer::new("key-2")]));
    let verdicts = join_all((0..50).map(|_| host.ask(&jwks, "key-2"))).await;
    assert!(verdicts.iter().all(Result::is_ok), "{verdicts:?}");
    assert_eq!(host.connections(), 2);
}

#[tokio::test]
async fn a_withdrawn_key_is_refused_after_the_ttl() {
    let host = JwksHost::start(keys_of(&[&SIGNER])).await;
    let jwks = host.jwks(Times { ttl: Duration::ZERO, ..TIMES });
    assert_eq!(host.ask(&jwks, "key-1").await, Ok(()));
    host.set(keys_of(&[]));
    assert_eq!(host.ask(&jwks, "key-1").await, Err(Refused::UnknownKid));
}

#[tokio::test]
async fn a_missing_kid_is_an_unknown_one_and_asks_nobody_again() {
    let host = JwksHost::start(keys_of(&[&SIGNER])).await;
    let jwks = host.jwks(TIMES);
    assert_eq!(host.ask(&jwks, "key-1").await, Ok(()));
    assert_eq!(jwks.key(&host.name, None).await.map(drop), Err(Refused::UnknownKid));
    assert_eq!(host.connections(), 1);
}

#[tokio::test]
async fn answers_without_keys_are_refused_and_last_keys_serve_on() {
    let elsewhere = JwksHost::start(keys_of(&[&SIGNER])).await;
    let redirect = format!("location: https://{}/.well-known/jwks\r\n", elsewhere.name);
    let good = SIGNER.jwks();
    let huge = format!("{}{good}", " ".repeat(1 << 20));
    let unavailable = Err(Refused::JwksUnavailable);
    let cases = [
        ("redirect", answer("302 Found", &redirect, good.as_bytes()), unavailable.clone()),
        ("error", answer("500 Internal Server Error", "", good.as_bytes()), unavailable.clone()),
        ("no content", answer("204 No Content", "", b""), unavailable.clone()),
        ("not JSON", answer("200 OK", "", b"<html></html>"), unavailable.clone()),
        ("too large", answer("200 OK", "", huge.as_bytes()), unavailable.clone()),
        ("compressed", answer("200 OK", "content-encoding: gzip\r\n", &[0x1f, 0x8b, 8, 0]), unavailable.clone()),
        ("cut short", answer("200 OK", "", good.as_bytes())[..200].to_vec(), unavailable),
        ("no keys", answer("200 OK", "", b"{}"), Err(Refused::PayloadStructure)),
        ("a list", answer("200 OK", "", b"[]"), Err(Refused::UnknownKid)),
    ];
    for (name, bad, verdict) in cases {
        let host = JwksHost::start(bad.clone()).await;
        let cold = host.jwks(TIMES);
        assert_eq!(host.ask(&cold, "key-1").await, verdict, "{name}");
        assert_eq!(host.ask(&cold, "key-1").await, verdict, "{name}");
        assert_eq!(host.connections(), 1, "{name}: a failure is remembered for some seconds");

        host.set(keys_of(&[&SIGNER]));
        let warm = host.jwks(Times { ttl: Duration::ZERO, ..TIMES });
        assert_eq!(host.ask(&warm, "key-1").await, Ok(()), "{name}");
        host.set(bad);
        assert_eq!(host.ask(&warm, "key-1").await, Ok(()), "{name}");
        assert_eq!(host.connections(), 3, "{name}: it was asked again");
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_silent_host_costs_the_timeout_once() {
    let host = JwksHost::start(Vec::new()).await;
    let client = client(Duration::from_millis(200), true, Some(CERTIFICATE.1.path()));
    let jwks = Jwks::new(std::slice::from_ref(&host.name), &client, TIMES, &Metrics::default());
    assert_eq!(host.ask(&jwks, "key-1").await, Err(Refused::JwksUnavailable));
    let again = Instant::now();
    assert_eq!(host.ask(&jwks, "key-1").await, Err(Refused::JwksUnavailable));
    assert!(again.elapsed() < Duration::from_millis(150), "the failure was not remembered");
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let host = JwksHost::start(keys_of(&[&SIGNER])).await;
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(other.cert.pem().as_bytes()).unwrap();
    let jwks = Jwks::new(
        std::slice::from_ref(&host.name),
        &client(PATIENCE, true, Some(file.path())),
        TIMES,
        &Metrics::default(),
    );
    assert_eq!(host.ask(&jwks, "key-1").await, Err(Refused::JwksUnavailable));
}

#[tokio::test]
async fn an_allowed_name_with_a_private_address_is_not_connected_to() {
    let host = JwksHost::start(keys_of(&[&SIGNER])).await;
    let client = client(PATIENCE, false, Some(CERTIFICATE.1.path()));
    let jwks = Jwks::new(std::slice::from_ref(&host.name), &client, TIMES, &Metrics::default());
    assert_eq!(host.ask(&jwks, "key-1").await, Err(Refused::JwksUnavailable));
    assert_eq!(host.connections(), 0);
}

#[tokio::test]
async fn a_host_that_is_not_allowed_is_refused_without_a_connection() {
    let host = JwksHost::start(keys_of(&[&SIGNER])).await;
    let jwks = host.jwks(TIMES);
    let name = &host.name;
    let port = name.trim_start_matches("localhost:");
    for spelling in [
        "localhost".to_owned(),
        format!("LOCALHOST:{port}"),
        format!("{name}/"),
        format!("{name}/x/?"),
        format!("{name}?"),
        format!("{name}#"),
        format!("{name}\\"),
        format!("{name} "),
        format!(" {name}"),
        format!("{name}\r\n"),
        format!("{name}\0"),
        format!("x@{name}"),
        format!("{name}@evil.example"),
        format!("{name}.evil.example"),
        format!("evil.example/{name}"),
        format!("localhost.:{port}"),
        format!("127.0.0.1:{port}"),
        format!("[::1]:{port}"),
        format!("0x7f000001:{port}"),
        format!("2130706433:{port}"),
        format!("ⅼocalhost:{port}"),
        "169.254.169.254".to_owned(),
        "kubernetes.default.svc".to_owned(),
        String::new(),
        "a".repeat(300),
    ] {
        assert_eq!(
            jwks.key(&spelling, Some("key-1")).await.map(drop),
            Err(Refused::JwksHostNotAllowed),
            "{spelling}"
        );
    }
    assert_eq!(host.connections(), 0);
}
