//! Ways to OTX that lead nowhere, or to somebody who is not OTX. Nothing can be known then: every observable has its own
//! entry, and whoever answered has seen nothing of the key.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use libtest_mimic::Failed;
use tests::engine::{Settings, content, observable};
use tests::fake_otx::{FakeOtx, KEY};
use tests::tls::{Authority, Certificate};
use tests::wire::{Reply, Server, Step, head};
use threatrelay::demo::upstream::Dataset;
use threatrelay::error::Severity;
use threatrelay::observable::ObservableType;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use super::case::{Kind, block_on, is, valid};

/// A way to OTX.
#[derive(Debug)]
pub struct Way {
    pub name: &'static str,
    leads_to: LeadsTo,
    code: &'static str,
    words: &'static str,
}

#[derive(Clone, Copy, Debug)]
enum LeadsTo {
    ClosedPort,
    NoName,
    BlackHole,
    /// TLS with this certificate; whether the relay trusts its authority.
    Tls(Certificate, bool),
    /// Somebody who answers a TLS greeting with these bytes.
    Answering(&'static [u8]),
    /// Twenty times more than is taken, without compression.
    Flood,
}

const SSL: &str = "ssl certificate verification failed";
const NO_CONNECTION: &str = "Reason: no connection to AlienVault OTX could be made.";

pub static WAYS: &[Way] = &[
    way("nobody listens", LeadsTo::ClosedPort, "oops", NO_CONNECTION),
    way("a name that does not exist", LeadsTo::NoName, "oops", NO_CONNECTION),
    way("a black hole", LeadsTo::BlackHole, "oops", NO_CONNECTION),
    way("a flood", LeadsTo::Flood, "oops", "answered with more than 8388608 bytes"),
    way(
        "expired",
        LeadsTo::Tls(Certificate::Expired, true),
        SSL,
        "Unable to verify SSL certificate: Certificate has expired.",
    ),
    way(
        "another name",
        LeadsTo::Tls(Certificate::WrongName, true),
        SSL,
        "Hostname mismatch, certificate is not valid for it.",
    ),
    way("self-signed", LeadsTo::Tls(Certificate::SelfSigned, true), SSL, "Unable to verify SSL certificate: "),
    way("unknown authority", LeadsTo::Tls(Certificate::Good, false), SSL, "Unable to get local issuer certificate."),
    way("TLS 1.0", LeadsTo::Answering(TLS_1_0), SSL, "No TLS version and cipher in common with the server."),
    way("no common version", LeadsTo::Answering(ALERT), SSL, "No TLS version and cipher in common with the server."),
    way("no TLS at all", LeadsTo::Answering(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "oops", "AlienVault OTX"),
];

const fn way(name: &'static str, leads_to: LeadsTo, code: &'static str, words: &'static str) -> Way {
    Way { name, leads_to, code, words }
}

/// A `ServerHello` of TLS 1.0: version 3.1, 32 bytes of random, no session, `TLS_RSA_WITH_AES_128_CBC_SHA`.
const TLS_1_0: &[u8] = &[
    22, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 0, 0, 0x2f, 0,
];
/// A fatal `protocol_version` alert.
const ALERT: &[u8] = &[21, 3, 1, 0, 2, 2, 70];

const OTHER: &str = "203.0.113.7";

pub fn run(way: &Way, kind: &Kind) -> Result<(), Failed> {
    block_on(async {
        let end = End::of(way.leads_to).await?;
        let folder = tempfile::tempdir()?;
        let mut settings = Settings::of(&end.origin()).set("otx.connectTimeout", "300ms").set("otx.deadline", "8s");
        if let End::Tls(_, Some(pem)) = &end {
            let path = folder.path().join("ca.pem");
            std::fs::write(&path, pem)?;
            settings = settings.set("extraCaFile", path.display());
        }
        let engine = settings.start();
        let answer = engine.lookup(&[kind.observable(), observable(ObservableType::Ip, OTHER)]).await?;
        is(answer.took < Duration::from_secs(6), "took too long", &answer.took)?;
        valid(&answer)?;
        let entries = answer.entries();
        is(answer.hits().is_empty() && entries.len() == 2, "one entry for each observable", &answer)?;
        for subject in [kind.subject(), format!("ip {OTHER:?}")] {
            let right = entries.iter().any(|entry| {
                (entry.code, entry.severity) == (way.code, Severity::Fatal)
                    && entry.message.contains(way.words)
                    && entry.message.contains(&subject)
            });
            is(right, &subject, &entries)?;
        }
        end.check_unread()
    })
}

/// Where a way ends; it is there as long as this lives.
enum End {
    Origin(String),
    BlackHole(SocketAddr, #[expect(dead_code, reason = "held open")] Vec<TcpStream>),
    Tls(FakeOtx, Option<String>),
    Answering(SocketAddr, Arc<Mutex<Vec<u8>>>, JoinHandle<()>),
    Flood(Server),
}

impl End {
    async fn of(leads_to: LeadsTo) -> Result<Self, Failed> {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        Ok(match leads_to {
            LeadsTo::ClosedPort => {
                let port = TcpListener::bind(free).await?.local_addr()?.port();
                Self::Origin(format!("http://127.0.0.1:{port}"))
            }
            // Too long for a label, so that no resolver need be asked.
            LeadsTo::NoName => Self::Origin(format!("http://{}.example", "x".repeat(64))),
            LeadsTo::BlackHole => {
                let socket = TcpSocket::new_v4()?;
                socket.bind(free)?;
                let listener = socket.listen(1)?.into_std()?;
                let (address, mut waiting) = (listener.local_addr()?, vec![]);
                // With its queue full, the system answers no more greetings. The listener must live on.
                std::mem::forget(listener);
                while let Ok(connected) =
                    tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(address)).await
                {
                    waiting.push(connected?);
                }
                Self::BlackHole(address, waiting)
            }
            LeadsTo::Tls(certificate, trusted) => {
                let authority = Authority::new();
                let tls = Some(authority.server(certificate));
                let fake = FakeOtx::serve(Dataset::new(content(vec![])), free, tls).await?;
                Self::Tls(fake, trusted.then(|| authority.pem().to_owned()))
            }
            LeadsTo::Answering(bytes) => {
                let listener = TcpListener::bind(free).await?;
                let (address, heard) = (listener.local_addr()?, Arc::default());
                let serving = tokio::spawn(answer_with(listener, bytes, Arc::clone(&heard)));
                Self::Answering(address, heard, serving)
            }
            LeadsTo::Flood => {
                let mebibyte = Bytes::from(vec![b' '; 1 << 20]);
                let head = head(200, &[("content-type".to_owned(), "application/json".to_owned())], 200 << 20);
                let reply = Reply(vec![Step::Send(head.freeze()), Step::Repeat(mebibyte, 200), Step::Close]);
                Self::Flood(Server::start(free, None, move |_| std::future::ready(reply.clone())).await?)
            }
        })
    }

    fn origin(&self) -> String {
        match self {
            Self::Origin(origin) => origin.clone(),
            Self::BlackHole(address, _) => format!("http://{address}"),
            Self::Tls(fake, _) => fake.url(),
            Self::Answering(address, ..) => format!("https://{address}"),
            Self::Flood(server) => format!("http://{}", server.address()),
        }
    }

    /// Whoever was there has seen no request, let alone the key.
    fn check_unread(self) -> Result<(), Failed> {
        match self {
            Self::Tls(fake, _) => {
                let seen = (fake.connections() > 0, fake.total());
                is(seen == (true, 0), "connections, calls", &seen)
            }
            Self::Answering(_, heard, serving) => {
                serving.abort();
                let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                let has_key = heard.windows(KEY.len()).any(|window| window == KEY.as_bytes());
                is(!heard.is_empty() && !has_key, "what was heard", &heard.len())
            }
            Self::Origin(_) | Self::BlackHole(..) | Self::Flood(_) => Ok(()),
        }
    }
}

/// Answers whatever comes with `bytes`, and keeps what it heard.
async fn answer_with(listener: TcpListener, bytes: &'static [u8], heard: Arc<Mutex<Vec<u8>>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let heard = Arc::clone(&heard);
        tokio::spawn(async move {
            let mut buffer = vec![0; 64 << 10];
            loop {
                let read = stream.read(&mut buffer).await?;
                if read == 0 {
                    return Ok::<(), io::Error>(());
                }
                heard.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..read]);
                stream.write_all(bytes).await?;
            }
        });
    }
}
