//! The stage of an attack: a relay that trusts the keys of one host, an OTX that must not be asked, and an attacker whom
//! every other name leads to and who would publish a fitting key. Afterwards it is said who was asked what.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::StreamExt;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use tests::fake_otx::{FakeOtx, KEY};
use tests::issuer::{Issuer, claims, forge};
use tests::jwks_server::{Document, JwksServer};
use tests::names::Names;
use tests::relay::{Builder, JWKS_HOST, TestRelay, payload};
use tests::reply::{RelayAnswer, docs};
use tests::tls::{Authority, Certificate};
use threatrelay::auth::outside::Outside;

/// The name of the signer's key, and of the attacker's.
pub const KID: &str = "test-key";
pub const PATHS: [&str; 2] = ["/health", "/observe/observables"];
/// Attempts under way at once.
const AT_ONCE: usize = 8;

pub type Headers = Vec<(&'static str, String)>;

/// One thing an attacker sends.
pub struct Attempt {
    pub headers: Headers,
    pub outcome: Outcome,
}

/// How the relay must answer.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// HTTP 200 and this reason, to the letter.
    Refused(&'static str),
    /// HTTP 200 and one of these reasons: chance decides which part of the token broke.
    RefusedForOneOf(&'static [&'static str]),
    /// This HTTP status, or a connection that ends while the request is still being sent.
    Http(u16),
    /// As a good token.
    Accepted,
}

impl Attempt {
    pub fn new(headers: Headers, reason: &'static str) -> Self {
        Self { headers, outcome: Outcome::Refused(reason) }
    }

    pub fn token(token: &str, reason: &'static str) -> Self {
        Self::new(bearer(token), reason)
    }
}

pub fn bearer(token: &str) -> Headers {
    vec![("authorization", format!("Bearer {token}"))]
}

type Attempts = Box<dyn Fn(&Stage) -> Vec<Attempt> + Send + Sync>;

/// A class of attacks.
pub struct Class {
    pub number: u16,
    pub name: &'static str,
    pub attempts: Attempts,
}

impl Class {
    pub fn new(
        number: u16,
        name: &'static str,
        attempts: impl Fn(&Stage) -> Vec<Attempt> + Send + Sync + 'static,
    ) -> Self {
        Self { number, name, attempts: Box::new(attempts) }
    }

    /// Tokens that are all refused for one reason.
    pub fn tokens(
        number: u16,
        name: &'static str,
        reason: &'static str,
        tokens: impl Fn(&Stage) -> Vec<String> + Send + Sync + 'static,
    ) -> Self {
        Self::new(number, name, move |stage| {
            tokens(stage).iter().map(|token| Attempt::token(token, reason)).collect()
        })
    }

    /// Makes every attempt on both endpoints; then a good token shows that the stage could have been taken.
    pub async fn hold(&self, stage: &Stage) {
        let attempts = (self.attempts)(stage);
        assert!(!attempts.is_empty());
        let accepted = attempts.iter().any(|attempt| matches!(attempt.outcome, Outcome::Accepted));
        let each = attempts.iter().flat_map(|attempt| PATHS.map(|path| stage.make(attempt, path)));
        Box::pin(futures_util::stream::iter(each).buffer_unordered(AT_ONCE).collect::<()>()).await;
        println!("class {:03}: {} tokens, 2 endpoints", self.number, attempts.len());
        if !accepted {
            assert_eq!(stage.fake.connections(), 0, "OTX was contacted");
        }
        stage.is_unmoved().await;
    }
}

pub struct Stage {
    pub fake: FakeOtx,
    pub relay: TestRelay,
    pub signer: Issuer,
    pub attacker: Issuer,
    pub trusted: JwksServer,
    hostile: JwksServer,
    names: Arc<Names>,
    outside: Outside,
}

impl Stage {
    pub async fn set() -> Self {
        Self::with(|builder| builder).await
    }

    pub async fn with(change: impl FnOnce(Builder) -> Builder) -> Self {
        let fake = FakeOtx::start().await.expect("a fake OTX");
        let authority = Authority::new();
        let signer = Issuer::generate(KID).expect("a key");
        let attacker = Issuer::generate(KID).expect("a key");
        let trusted = JwksServer::start(&authority, Certificate::For(JWKS_HOST), Document::of(&[&signer])).await;
        let trusted = trusted.expect("a JWKS host");
        let certificate = Certificate::For("attacker.example");
        let hostile = JwksServer::start(&authority, certificate, Document::of(&[&attacker])).await;
        let hostile = hostile.expect("the attacker's host");
        let names = Arc::new(Names::all_at(hostile.address()).with(JWKS_HOST, &[trusted.address()]));
        let outside = Outside::named_by(names.clone());
        let builder = Builder::new(&fake.url())
            .reaching(&outside)
            .unset("THREATRELAY_AUTH_JWKS_FILE")
            .set("THREATRELAY_AUTH_ALLOW_PRIVATE_JWKS", "true")
            .set_file("THREATRELAY_EXTRA_CA_FILE", authority.pem());
        let relay = change(builder).start().await;
        Self { fake, relay, signer, attacker, trusted, hostile, names, outside }
    }

    /// A token that is accepted.
    pub fn good(&self) -> String {
        self.claiming(&json!({}))
    }

    /// The signer's token with other claims over the good ones.
    pub fn claiming(&self, changes: &Value) -> String {
        self.signer.token(&changed(changes)).expect("a token")
    }

    /// The signer's token without a claim.
    pub fn without(&self, claim: &str) -> String {
        let mut claims = changed(&json!({}));
        claims.as_object_mut().map(|claims| claims.remove(claim));
        self.signer.token(&claims).expect("a token")
    }

    /// The signer's token with a payload that need not be JSON.
    pub fn saying(&self, payload: &str) -> String {
        forge(&header(&json!({})).to_string(), payload, Algorithm::RS256, self.signer.signing_key())
    }

    /// The signer's token with other members in its header; `null` stays a member.
    pub fn headed(&self, changes: &Value) -> String {
        headed(changes, &self.signer)
    }

    /// The attacker's host and port.
    pub fn hostile_address(&self) -> SocketAddr {
        self.hostile.address()
    }

    /// Sends to one endpoint what OTX would know something of.
    pub async fn ask(&self, path: &str, headers: &Headers) -> RelayAnswer {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.relay.send("POST", path, &headers, payload(&[("domain", "evil.example")])).await
    }

    async fn make(&self, attempt: &Attempt, path: &str) {
        if attempt.is_sendable() {
            let answer = self.ask(path, &attempt.headers).await;
            attempt.outcome.is(answer.status, &answer.text());
        } else {
            let (status, body) = self.ask_raw(path, &attempt.headers).await;
            attempt.outcome.is(status, &body);
        }
    }

    /// The same byte by byte, for what no HTTP client would send. Status 0 where the connection ended without one.
    async fn ask_raw(&self, path: &str, headers: &Headers) -> (u16, String) {
        let mut request = format!("POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 2\r\n");
        for (name, value) in headers {
            request.extend([name, ": ", value, "\r\n"]);
        }
        request.push_str("\r\n[]");
        let bytes: Vec<u8> = request.chars().map(|c| u8::try_from(c).expect("Latin-1")).collect();
        let answer = self.relay.raw(&bytes).await;
        let status = answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }

    /// Nobody but the trusted host was ever looked for or reached, and the relay takes a good token.
    pub async fn is_unmoved(&self) {
        self.was_lured_nowhere();
        self.accepts(&self.good()).await;
    }

    pub fn was_lured_nowhere(&self) {
        assert_eq!(self.hostile.connections(), 0, "the attacker was reached");
        let others: Vec<String> = self.names.asked().into_iter().filter(|name| name != JWKS_HOST).collect();
        assert!(others.is_empty(), "names that are not allowed were looked up: {others:?}");
        assert_eq!(self.outside.connections(), self.trusted.connections(), "a connection to nobody knows whom");
    }

    pub async fn accepts(&self, token: &str) {
        for path in PATHS {
            let answer = self.ask(path, &bearer(token)).await;
            Outcome::Accepted.is(answer.status, &answer.text());
        }
    }

    pub async fn refuses(&self, token: &str, reason: &'static str) {
        for path in PATHS {
            let answer = self.ask(path, &bearer(token)).await;
            Outcome::Refused(reason).is(answer.status, &answer.text());
        }
    }
}

impl Attempt {
    /// Whether an HTTP client would send it, and it is not meant to be cut off.
    fn is_sendable(&self) -> bool {
        !matches!(self.outcome, Outcome::Http(_))
            && self.headers.iter().all(|(_, value)| value.chars().all(|c| c == '\t' || (c >= ' ' && c != '\u{7f}')))
    }
}

impl Outcome {
    pub fn is(&self, status: u16, body: &str) {
        let refusal = |reason: &str| {
            let message = format!("Authorization failed: {reason}");
            let entry = json!({"code": "authorization error", "message": message, "type": "fatal"});
            json!({"errors": [entry]})
        };
        let got: Value = serde_json::from_str(body).unwrap_or_default();
        match self {
            Self::Refused(reason) => assert_eq!((status, got), (200, refusal(reason)), "{body}"),
            Self::RefusedForOneOf(reasons) => {
                let known = status == 200 && reasons.iter().any(|reason| got == refusal(reason));
                // hyper itself refuses control characters.
                assert!(known || status == 400, "{status} {body}");
            }
            Self::Http(expected) => assert!(status == *expected || status == 0, "{status} {body}"),
            Self::Accepted => {
                let ok = got["data"]["status"] == "ok" || !docs(&got, "sightings").is_empty();
                assert!(status == 200 && ok && got.get("errors").is_none(), "{status} {body}");
            }
        }
    }
}

/// The good claims with others over them.
pub fn changed(changes: &Value) -> Value {
    over(claims(KEY, JWKS_HOST), changes)
}

/// A good header with other members over it.
pub fn header(changes: &Value) -> Value {
    over(json!({"alg": "RS256", "kid": KID, "typ": "JWT"}), changes)
}

/// A token with a changed header, signed RS256 whatever it says.
pub fn headed(changes: &Value, issuer: &Issuer) -> String {
    let claims = changed(&json!({})).to_string();
    forge(&header(changes).to_string(), &claims, Algorithm::RS256, issuer.signing_key())
}

fn over(mut base: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().into_iter().flatten() {
        base[name] = value.clone();
    }
    base
}
