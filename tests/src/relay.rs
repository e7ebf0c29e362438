//! A relay to test: the real one on free loopback ports against a fake OTX, in this process or as one of its own.
//!
//! Its settings are those of the environment; tests change them by name. It trusts tokens of an issuer of its own. It
//! ends, with all its connections, when dropped.
#![expect(
    clippy::expect_used,
    reason = "a relay that cannot be started or asked ends the test, with the step's name"
)]

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;
use threatrelay::auth::outside::Outside;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::task::JoinHandle;

use crate::fake_otx::{FakeOtx, KEY};
use crate::issuer::{AUDIENCE, Issuer, claims};
use crate::jwks_server::JwksServer;
use crate::process::{self, Process};
use crate::reply::RelayAnswer;
use crate::schema;
use crate::tls::Authority;

/// The allowed JWKS host that tokens name; never asked, because the keys come from a file.
pub const JWKS_HOST: &str = "visibility.amp.cisco.com";
/// The origin of links for people.
pub const WEB: &str = "https://otx.example";

/// A relay to be started.
pub struct Builder {
    settings: BTreeMap<&'static str, String>,
    files: TempDir,
    issuer: Arc<Issuer>,
    outside: Outside,
}

/// A running relay.
#[derive(Debug)]
pub struct TestRelay {
    address: SocketAddr,
    admin: SocketAddr,
    issuer: Arc<Issuer>,
    client: Client,
    running: Running,
    _files: TempDir,
}

/// What runs a relay.
#[derive(Debug)]
enum Running {
    Task(JoinHandle<()>),
    Process(Box<Process>),
}

impl Builder {
    /// Settings for a relay that asks OTX at `otx` and answers as the original did.
    ///
    /// # Panics
    /// When no key can be made or no file be written.
    #[must_use]
    pub fn new(otx: &str) -> Self {
        let issuer = Arc::new(Issuer::generate("test-key").expect("a signing key"));
        let files = tempfile::tempdir().expect("a directory for files");
        let jwks = files.path().join("jwks.json");
        let document = serde_json::to_vec(&issuer.jwks()).expect("a JWKS is JSON");
        std::fs::write(&jwks, document).expect("the JWKS file");
        let settings = [
            ("THREATRELAY_LISTEN", "127.0.0.1:0"),
            ("THREATRELAY_ADMIN_LISTEN", "127.0.0.1:0"),
            ("THREATRELAY_OTX_BASE_URL", otx),
            ("THREATRELAY_ANSWERS", "parity"),
            ("THREATRELAY_OTX_WEB_URL", WEB),
            ("THREATRELAY_AUTH_AUDIENCES", AUDIENCE),
            ("THREATRELAY_AUTH_JWKS_FILE", &jwks.display().to_string()),
            ("THREATRELAY_SHUTDOWN_LAME_DUCK", "0s"),
        ];
        let settings = settings.map(|(name, value)| (name, value.to_owned())).into();
        Self { settings, files, issuer, outside: Outside::default() }
    }

    /// Lets it answer with all that it knows.
    #[must_use]
    pub fn rich(self) -> Self {
        self.set("THREATRELAY_ANSWERS", "rich")
    }

    /// Changes a setting.
    #[must_use]
    pub fn set(mut self, name: &'static str, value: &str) -> Self {
        self.settings.insert(name, value.to_owned());
        self
    }

    /// Leaves a setting at its default.
    #[must_use]
    pub fn unset(mut self, name: &'static str) -> Self {
        self.settings.remove(name);
        self
    }

    /// Sets a setting to a file with this content.
    ///
    /// # Panics
    /// When the file cannot be written.
    #[must_use]
    pub fn set_file(mut self, name: &'static str, content: &str) -> Self {
        let path = self.files.path().join(name.to_lowercase());
        let written = std::fs::File::create(&path).and_then(|mut file| file.write_all(content.as_bytes()));
        written.expect("a file of the relay");
        self.settings.insert(name, path.display().to_string());
        self
    }

    /// Fetches the keys of tokens from `host`, which alone is allowed, instead of reading them from a file.
    ///
    /// # Panics
    /// When the certificate of its authority cannot be written.
    #[must_use]
    pub fn fetching_keys(self, host: &JwksServer, authority: &Authority) -> Self {
        self.unset("THREATRELAY_AUTH_JWKS_FILE")
            .set("THREATRELAY_AUTH_JWKS_HOSTS", &host.host())
            .set("THREATRELAY_AUTH_ALLOW_PRIVATE_JWKS", "true")
            .set_file("THREATRELAY_EXTRA_CA_FILE", authority.pem())
    }

    /// Lets a relay in this process find JWKS hosts in `outside`.
    #[must_use]
    pub fn reaching(mut self, outside: &Outside) -> Self {
        self.outside = outside.clone();
        self
    }

    /// Starts the relay in this process.
    ///
    /// # Panics
    /// When the settings are not valid or the relay cannot start.
    pub async fn start(mut self) -> TestRelay {
        let (address, admin, task) = in_process(&self.outside.clone(), self.environment()).await;
        self.relay(address, admin, Running::Task(task))
    }

    /// Starts the relay's binary and waits until it is ready.
    ///
    /// # Panics
    /// When it cannot be built or does not start in time.
    pub async fn spawn(mut self) -> TestRelay {
        let process = Process::serve(self.environment()).await;
        self.relay(process.address(), process.admin(), Running::Process(Box::new(process)))
    }

    /// The command that [`Builder::spawn`] would run, or another of the binary in the same environment. The files of
    /// the settings are there as long as the builder.
    #[must_use]
    pub fn command(&self, arguments: &str) -> Command {
        let settings = self.settings.clone().into_iter().map(|(name, value)| (name.to_owned(), value));
        process::command(arguments, settings)
    }

    fn environment(&mut self) -> impl Iterator<Item = (String, String)> + use<> {
        std::mem::take(&mut self.settings).into_iter().map(|(name, value)| (name.to_owned(), value))
    }

    fn relay(self, address: SocketAddr, admin: SocketAddr, running: Running) -> TestRelay {
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("an HTTP client");
        TestRelay { address, admin, issuer: self.issuer, client, running, _files: self.files }
    }
}

impl TestRelay {
    /// A relay before `fake`, all other settings at their defaults.
    ///
    /// # Panics
    /// When it cannot start.
    pub async fn before(fake: &FakeOtx) -> Self {
        Builder::new(&fake.url()).start().await
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its metrics and probes are.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The relay's process, if it has one of its own.
    pub fn process(&mut self) -> Option<&mut Process> {
        match &mut self.running {
            Running::Task(_) => None,
            Running::Process(process) => Some(process),
        }
    }

    /// Its metrics, as text.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn metrics(&self) -> String {
        let scraped = self.client.get(format!("http://{}/metrics", self.admin)).send().await.expect("metrics");
        scraped.text().await.expect("metrics as text")
    }

    /// Who signs the tokens it trusts.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// A token it accepts, with the key of the bundled data set.
    ///
    /// # Panics
    /// When it cannot be signed.
    #[must_use]
    pub fn token(&self) -> String {
        self.token_with(&json!({}))
    }

    /// The same with other claims over it; `null` stays a claim.
    ///
    /// # Panics
    /// When it cannot be signed.
    #[must_use]
    pub fn token_with(&self, changes: &Value) -> String {
        let mut claims = claims(KEY, JWKS_HOST);
        for (name, value) in changes.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        self.issuer.token(&claims).expect("a token")
    }

    /// Sends a request with these headers.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> RelayAnswer {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self.client.request(method, format!("http://{}{path}", self.address)).body(body.into());
        for (name, value) in headers {
            let value = value.chars().map(|c| u8::try_from(c).expect("Latin-1")).collect::<Vec<u8>>();
            request = request.header(*name, value);
        }
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        RelayAnswer { status, headers, body: response.bytes().await.expect("a whole answer") }
    }

    /// Posts with a token.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn post_with(&self, path: &str, token: &str, body: impl Into<Bytes>) -> RelayAnswer {
        self.send("POST", path, &[("authorization", &format!("Bearer {token}"))], body).await
    }

    /// Posts with a token that is accepted.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> RelayAnswer {
        self.post_with(path, &self.token(), body).await
    }

    /// What is known of these observables (type and value); the answer is checked whatever it says.
    ///
    /// # Panics
    /// When there is no answer or it is not right.
    pub async fn observe(&self, observables: &[(&str, &str)]) -> Value {
        self.observe_with(&json!({}), observables).await
    }

    /// The same with other claims in the token.
    ///
    /// # Panics
    /// When there is no answer or it is not right.
    pub async fn observe_with(&self, changes: &Value, observables: &[(&str, &str)]) -> Value {
        let answer = self.post_with("/observe/observables", &self.token_with(changes), payload(observables)).await;
        answer.checked(schema::Answer::Observe)
    }

    /// Asks `/health`; the answer is checked.
    ///
    /// # Panics
    /// When there is no answer or it is not right.
    pub async fn health(&self) -> Value {
        self.post("/health", "").await.checked(schema::Answer::Health)
    }

    /// Sends these bytes on a connection of its own and gives what comes back until it ends or falls silent for 2 s.
    ///
    /// # Panics
    /// When there is no connection.
    pub async fn raw(&self, request: &[u8]) -> String {
        let mut stream = tokio::net::TcpStream::connect(self.address).await.expect("a connection");
        // The relay may end the connection while the request is still being sent.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let mut chunk = [0; 4096];
        while let Ok(Ok(length)) = tokio::time::timeout(Duration::from_secs(2), stream.read(&mut chunk)).await {
            if length == 0 {
                break;
            }
            answer.extend_from_slice(&chunk[..length]);
        }
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for TestRelay {
    fn drop(&mut self) {
        if let Running::Task(task) = &self.running {
            task.abort();
        }
    }
}

/// A request body that names these observables.
#[must_use]
pub fn payload(observables: &[(&str, &str)]) -> String {
    let items: Vec<Value> = observables.iter().map(|(kind, value)| json!({"type": kind, "value": value})).collect();
    Value::from(items).to_string()
}

/// Starts a relay from its environment; gives both addresses and the task that runs it.
async fn in_process(
    outside: &Outside,
    environment: impl Iterator<Item = (String, String)>,
) -> (SocketAddr, SocketAddr, JoinHandle<()>) {
    let loaded = threatrelay::config::load(None, environment).expect("valid settings");
    let config = loaded.config;
    let (_, log_level) = threatrelay::telemetry::subscriber(&config.log, false, std::io::sink);
    let server = threatrelay::server::Server::bind(config.listen, config.admin_listen).await.expect("free ports");
    let (address, admin) = (server.relay_address(), server.admin_address());
    let app = threatrelay::app::App::reaching(outside, config, log_level).expect("a relay of these settings");
    (address, admin, tokio::spawn(server.run(app, std::future::pending())))
}
