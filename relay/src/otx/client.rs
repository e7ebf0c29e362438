//! One call to OTX: through the gate, over a warm HTTP/1.1 pool, with a time limit for every try, the body counted
//! after decompression while it streams. Tries again only what a second try can mend. Redirects are never followed: the
//! key goes to OTX alone.

use std::error::Error as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use reqwest::Certificate;
use reqwest::redirect::Policy;
use url::Url;

use super::Ask;
use super::endpoint::Endpoint;
use super::failure::Failure;
use super::gate::{Gate, KeyState};
use super::metrics::{Call, CallOutcome, Metrics};
use crate::broken::{self, Defect};
use crate::config;
use crate::trace::span::{self, Span};

/// Where a body goes while it arrives. Made anew for every try.
pub(super) trait Sink {
    /// What a complete body becomes.
    type Output;

    /// Takes the next bytes.
    fn push(&mut self, chunk: &[u8]) -> Result<(), Failure>;

    /// The body is complete.
    fn finish(self) -> Result<Self::Output, Failure>;
}

/// A body held whole, in pieces until it is complete: a hostile one costs no more than its limit, where one growing
/// vector would cost several times that.
#[derive(Default)]
pub(super) struct Whole(Vec<Vec<u8>>);

/// Bytes of a piece.
const PIECE: usize = 64 << 10;

impl Sink for Whole {
    type Output = Bytes;

    fn push(&mut self, mut chunk: &[u8]) -> Result<(), Failure> {
        while !chunk.is_empty() {
            // Most answers are one small piece; later ones get their room at once.
            let full = self.0.last().is_none_or(|piece| piece.len() >= PIECE);
            if full {
                let room = if self.0.is_empty() { chunk.len().min(PIECE) } else { PIECE };
                self.0.push(Vec::with_capacity(room));
            }
            if let Some(piece) = self.0.last_mut() {
                let (now, later) = chunk.split_at(chunk.len().min(PIECE - piece.len()));
                piece.extend_from_slice(now);
                chunk = later;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Bytes, Failure> {
        Ok(if self.0.len() > 1 { self.0.concat() } else { self.0.pop().unwrap_or_default() }.into())
    }
}

pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    user_agent: http::HeaderValue,
    call_timeout: Duration,
    max_attempts: u32,
    hedge_after: Option<Duration>,
    pub(super) gate: Gate,
    pub(super) metrics: Metrics,
}

impl Client {
    pub(super) fn new(
        config: &config::Otx,
        extra_ca: Vec<Certificate>,
        metrics: Metrics,
    ) -> Result<Self, reqwest::Error> {
        let mut builder = reqwest::Client::builder()
            .redirect(if broken::is(Defect::RedirectsFollowed) { Policy::default() } else { Policy::none() })
            .retry(reqwest::retry::never())
            .http1_only()
            .no_proxy()
            .connect_timeout(config.connect_timeout)
            .pool_max_idle_per_host(config.max_concurrent_calls)
            .tls_certs_merge(extra_ca);
        if let Some(proxy) = &config.proxy {
            builder = builder.proxy(reqwest::Proxy::all(proxy.clone())?);
        }
        Ok(Self {
            http: builder.build()?,
            base: config.base_url.clone(),
            user_agent: config.user_agent.clone(),
            call_timeout: config.call_timeout,
            max_attempts: config.max_attempts,
            hedge_after: config.hedge_after,
            gate: Gate::new(config),
            metrics,
        })
    }

    /// Calls `endpoint` and hands its body to sinks made by `sink`, at most `limit` bytes.
    ///
    /// # Errors
    /// Whatever kept it from a complete 200 answer; 400 and 404 are [`Failure::Status`] here.
    pub(super) async fn call<S: Sink>(
        &self,
        ask: &Ask,
        endpoint: Endpoint<'_>,
        limit: usize,
        sink: impl Fn() -> S,
    ) -> Result<S::Output, Failure> {
        let key = self.gate.key(ask.key.scope());
        let mut attempt = 1;
        loop {
            let outcome = self.hedged(ask, &key, (endpoint, attempt - 1), limit, &sink).await;
            let Err(failure) = &outcome else {
                self.gate.earn_retries();
                return outcome;
            };
            let pause = backoff(attempt);
            let hopeless = !failure.is_transient()
                || attempt >= self.max_attempts
                || Instant::now() + pause >= ask.deadline
                || !self.gate.may_retry();
            if hopeless {
                return outcome;
            }
            self.metrics.retries.inc();
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    /// Asks for OTX's front page without a key. Any answer will do; gives what its `Date` says, if anything.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn reach(&self) -> Result<Option<Timestamp>, Failure> {
        let request =
            self.http.head(self.base.clone()).header(header::USER_AGENT, &self.user_agent).timeout(self.call_timeout);
        let answer = request.send().await.map_err(|error| transport(&error, self.call_timeout))?;
        Ok(answer.headers().get(header::DATE).and_then(|date| http_date(date.to_str().ok()?)))
    }

    /// One try; beside a slow one a second is started if so configured, and the first answer counts.
    async fn hedged<S: Sink>(
        &self,
        ask: &Ask,
        key: &KeyState,
        call: (Endpoint<'_>, u32),
        limit: usize,
        sink: &impl Fn() -> S,
    ) -> Result<S::Output, Failure> {
        let first = self.attempt(ask, key, call, limit, sink());
        let Some(after) = self.hedge_after else { return first.await };
        tokio::pin!(first);
        tokio::select! {
            outcome = &mut first => return outcome,
            () = tokio::time::sleep(after) => {}
        }
        if !self.gate.may_retry() {
            return first.await;
        }
        let second = self.attempt(ask, key, (call.0, call.1 + 1), limit, sink());
        tokio::pin!(second);
        tokio::select! {
            outcome = &mut first => if outcome.is_ok() { outcome } else { second.await },
            outcome = &mut second => if outcome.is_ok() { outcome } else { first.await },
        }
    }

    /// One try of a call that was made `resends` times before.
    async fn attempt<S: Sink>(
        &self,
        ask: &Ask,
        key: &KeyState,
        (endpoint, resends): (Endpoint<'_>, u32),
        limit: usize,
        sink: S,
    ) -> Result<S::Output, Failure> {
        let permit = self.gate.enter(ask, key).await?;
        let started = Instant::now();
        let _under_way = UnderWay::new(&self.metrics);
        let (until, late) = if ask.deadline < started + self.call_timeout {
            (ask.deadline, Failure::Deadline(ask.patience))
        } else {
            (started + self.call_timeout, Failure::Timeout(self.call_timeout))
        };
        let span =
            Span::get(endpoint.name(), endpoint.template(), |tells| endpoint.shown_url(&self.base, tells), resends);
        let exchange = span.around(self.exchange(ask, endpoint, limit, sink));
        let outcome = tokio::time::timeout_at(until.into(), exchange).await.unwrap_or(Err(late));
        // OTX calls what it does not know not found, which is an answer.
        if let Some(failure) = outcome.as_ref().err().filter(|failure| !failure.is_not_found()) {
            span.fail(failure.label());
        }
        permit.report(&outcome);
        self.count(endpoint, started, outcome.as_ref().err());
        outcome
    }

    async fn exchange<S: Sink>(
        &self,
        ask: &Ask,
        endpoint: Endpoint<'_>,
        limit: usize,
        mut sink: S,
    ) -> Result<S::Output, Failure> {
        let request = self
            .http
            .get(endpoint.url(&self.base))
            .header(header::USER_AGENT, &self.user_agent)
            .header(header::ACCEPT, "application/json")
            .header("x-otx-api-key", ask.key.header());
        let mut response = request.send().await.map_err(|error| transport(&error, self.call_timeout))?;
        span::record("http.response.status_code", i64::from(response.status().as_u16()));
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(Failure::KeyRefused),
            StatusCode::TOO_MANY_REQUESTS => {
                return Err(Failure::Throttled { wait: retry_after(response.headers()) });
            }
            status => return Err(Failure::Status(status.as_u16())),
        }
        if response.content_length().is_some_and(|length| length > limit as u64) {
            return Err(Failure::TooLarge { limit });
        }
        let mut taken = 0_usize;
        while let Some(chunk) = response.chunk().await.map_err(|error| transport(&error, self.call_timeout))? {
            taken = if broken::is(Defect::DecompressedNotCounted) { 0 } else { taken.saturating_add(chunk.len()) };
            if taken > limit {
                return Err(Failure::TooLarge { limit });
            }
            sink.push(&chunk)?;
        }
        sink.finish()
    }

    fn count(&self, endpoint: Endpoint<'_>, started: Instant, failure: Option<&Failure>) {
        let section = endpoint.label();
        let outcome = failure.map_or("ok", Failure::label);
        self.metrics.calls.get_or_create(&CallOutcome { section, outcome }).inc();
        let call = Call {
            server_address: self.base.host_str().unwrap_or_default().to_owned(),
            http_request_method: "GET",
            http_response_status_code: failure.map_or(Some(200), Failure::status),
            error_type: failure.filter(|failure| !failure.is_not_found()).map(Failure::label),
            url_template: endpoint.template(),
        };
        self.metrics.observe_call(&call, started.elapsed());
    }
}

/// Counts a call as under way while it lives.
struct UnderWay<'a>(&'a Metrics);

impl<'a> UnderWay<'a> {
    fn new(metrics: &'a Metrics) -> Self {
        metrics.inflight.inc();
        Self(metrics)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.inflight.dec();
    }
}

/// 50 ms, doubled with each try, with a jitter of half.
fn backoff(attempt: u32) -> Duration {
    let jitter = f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX);
    Duration::from_millis(50 << attempt.min(6)).mul_f64(0.5 + jitter / 2.0)
}

/// `Retry-After` as seconds or as a date (RFC 9110, 10.2.3); anything else is as if absent.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = http_date(text)?;
    Some(Duration::try_from(date.duration_since(Timestamp::now())).unwrap_or_default())
}

fn http_date(text: &str) -> Option<Timestamp> {
    Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp())
}

fn transport(error: &reqwest::Error, call_timeout: Duration) -> Failure {
    if let Some(reason) = certificate_fault(error) {
        return Failure::Certificate(reason);
    }
    if error.is_connect() {
        Failure::Unreachable
    } else if error.is_timeout() {
        Failure::Timeout(call_timeout)
    } else {
        Failure::Reset
    }
}

/// The fault that rustls found in a certificate, in `OpenSSL`'s words, which the original passed on; or that there was
/// no agreeing with the server at all.
fn certificate_fault(error: &reqwest::Error) -> Option<String> {
    use rustls::{AlertDescription as Alert, CertificateError as Fault};
    let mut next = error.source();
    while let Some(cause) = next {
        let tls = cause.downcast_ref::<rustls::Error>();
        if let Some(
            rustls::Error::PeerIncompatible(_)
            | rustls::Error::AlertReceived(
                Alert::ProtocolVersion | Alert::HandshakeFailure | Alert::InsufficientSecurity,
            ),
        ) = tls
        {
            return Some("No TLS version and cipher in common with the server".to_owned());
        }
        if let Some(rustls::Error::InvalidCertificate(fault)) = tls {
            return Some(match fault {
                Fault::Expired | Fault::ExpiredContext { .. } => "Certificate has expired".to_owned(),
                Fault::NotValidYet | Fault::NotValidYetContext { .. } => "Certificate is not yet valid".to_owned(),
                Fault::UnknownIssuer => "Unable to get local issuer certificate".to_owned(),
                Fault::NotValidForName | Fault::NotValidForNameContext { .. } => {
                    "Hostname mismatch, certificate is not valid for it".to_owned()
                }
                Fault::Revoked => "Certificate revoked".to_owned(),
                Fault::BadSignature => "Certificate signature failure".to_owned(),
                Fault::InvalidPurpose | Fault::InvalidPurposeContext { .. } => {
                    "Unsupported certificate purpose".to_owned()
                }
                other => format!("{other:?}").split(['(', '{']).next().unwrap_or("Unknown fault").trim().to_owned(),
            });
        }
        next = match cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            // An I/O error passes over what it wraps when it is asked for its source.
            Some(wrapped) => Some(wrapped),
            None => cause.source(),
        };
    }
    None
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::*;

    #[test]
    fn a_body_in_pieces_is_the_body() {
        let body: Vec<u8> = (0..PIECE * 3 + 7).map(|index| u8::try_from(index % 251).unwrap()).collect();
        for size in [1000, PIECE - 1, PIECE, PIECE + 1, body.len()] {
            let mut whole = Whole::default();
            for chunk in body.chunks(size) {
                whole.push(chunk).unwrap();
            }
            assert!(whole.0.iter().all(|piece| piece.len() <= PIECE), "{size}");
            assert!(whole.finish().unwrap() == body, "{size}");
        }
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_a_date() {
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, value.parse().unwrap());
            retry_after(&headers)
        };
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        assert_eq!(read("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert!(read("Fri, 21 Oct 2089 07:28:00 GMT").is_some_and(|wait| wait > Duration::from_hours(1)));
        assert_eq!(read("soon"), None);
    }

    #[test]
    fn pauses_grow_and_differ() {
        for attempt in 1..4 {
            let longest = Duration::from_millis(50 << attempt);
            let pauses: Vec<_> = (0..20).map(|_| backoff(attempt)).collect();
            assert!(pauses.iter().all(|pause| (longest / 2..=longest).contains(pause)), "{pauses:?}");
            assert!(pauses.iter().any(|pause| pause != &pauses[0]));
        }
    }
}
