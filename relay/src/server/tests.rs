#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::future::{Future, pending};
use std::io;

use bytes::Bytes;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::*;
use crate::app::fixture;

const DEADLINE: Duration = Duration::from_secs(10);
const VERSION: &str = "POST /version HTTP/1.1\r\nHost: relay.example\r\n\r\n";

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| unreachable!("{what}: not within {DEADLINE:?}"))
}

/// A relay that runs until told to stop.
struct Running {
    relay: SocketAddr,
    admin: SocketAddr,
    app: Arc<App>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn run(change: impl FnOnce(&mut crate::config::Config)) -> Running {
    let mut config = fixture::config();
    change(&mut config);
    let server = Server::bind(config.listen, config.admin_listen).await.unwrap();
    let (relay, admin, app) = (server.relay_address(), server.admin_address(), fixture::relay(config));
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(server.run(app.clone(), async { stopped.await.unwrap() }));
    Running { relay, admin, app, stop, task }
}

async fn connect(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// Everything until the relay closes the connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    if let Err(error) = within("the end of the connection", stream.read_to_end(&mut bytes)).await {
        // An end too: the relay did not read all that was sent.
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    String::from_utf8(bytes).unwrap()
}

/// One answer of a connection that stays open.
async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"}\n") {
        let read = within("an answer", stream.read_buf(&mut bytes)).await.unwrap();
        assert_ne!(read, 0, "closed after {:?}", String::from_utf8_lossy(&bytes));
    }
    String::from_utf8(bytes).unwrap()
}

async fn ask(address: SocketAddr, method_and_path: &str) -> String {
    let request = format!("{method_and_path} HTTP/1.1\r\nHost: relay.example\r\nConnection: close\r\n\r\n");
    rest(connect(address, &request).await).await
}

fn status(answer: &str) -> u16 {
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| unreachable!("no status in {answer:?}"))
}

#[tokio::test]
async fn both_listeners_answer_and_a_stop_ends_the_run() {
    let running = run(|_| ()).await;
    assert_eq!(status(&ask(running.relay, "POST /version").await), 200);
    assert_eq!(status(&ask(running.admin, "GET /livez").await), 200);
    assert_eq!(status(&ask(running.relay, "GET /livez").await), 404);
    running.stop.send(()).unwrap();
    within("the end of the run", running.task).await.unwrap();
    for address in [running.relay, running.admin] {
        assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}

#[tokio::test]
async fn an_address_in_use_names_the_setting_to_change() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, free) = (taken.local_addr().unwrap(), "127.0.0.1:0".parse().unwrap());
    assert_eq!(
        Server::bind(address, free).await.unwrap_err().to_string(),
        format!(
            "{address} is in use already; stop the process that listens there or set `listen` (THREATRELAY_LISTEN) \
             to a free address"
        )
    );
    let error = Server::bind(free, address).await.unwrap_err().to_string();
    assert!(error.contains("`adminListen` (THREATRELAY_ADMIN_LISTEN)"), "{error}");
}

#[tokio::test]
async fn callers_may_connect_before_the_relay_runs() {
    let config = fixture::config();
    let server = Server::bind(config.listen, config.admin_listen).await.unwrap();
    let early = connect(server.relay_address(), &VERSION.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).await;
    let task = tokio::spawn(server.run(fixture::relay(config), pending()));
    assert_eq!(status(&rest(early).await), 200);
    task.abort();
}

#[tokio::test]
async fn headers_that_do_not_arrive_in_time_end_the_connection() {
    let running = run(|config| config.limits.header_timeout = Duration::from_millis(50)).await;
    assert_eq!(rest(connect(running.relay, "POST /version HTTP/1.1\r\nHost:").await).await, "");
    let mut kept = connect(running.relay, VERSION).await;
    assert_eq!(status(&answer(&mut kept).await), 200);
    kept.write_all(b"P").await.unwrap();
    assert_eq!(rest(kept).await, "");
}

#[tokio::test]
async fn a_kept_connection_outlives_the_header_time() {
    let running = run(|config| config.limits.header_timeout = Duration::from_millis(50)).await;
    let (mut kept, mut fresh) = (connect(running.relay, VERSION).await, connect(running.relay, "").await);
    assert_eq!(status(&answer(&mut kept).await), 200);
    // This one's end shows that the header time has passed for the others too.
    assert_eq!(rest(connect(running.relay, "POST").await).await, "");
    for stream in [&mut kept, &mut fresh] {
        stream.write_all(VERSION.as_bytes()).await.unwrap();
        assert_eq!(status(&answer(stream).await), 200);
    }
}

#[tokio::test]
async fn a_connection_that_is_silent_for_the_idle_time_is_closed() {
    let running = run(|config| config.limits.idle_timeout = Duration::from_millis(50)).await;
    let mut kept = connect(running.relay, VERSION).await;
    assert_eq!(status(&answer(&mut kept).await), 200);
    assert_eq!(rest(kept).await, "");
    assert_eq!(rest(connect(running.relay, "").await).await, "");
}

#[tokio::test]
async fn the_head_alone_is_sent_when_it_is_asked_for() {
    let running = run(|_| ()).await;
    let answer = ask(running.relay, "HEAD /watchdog").await;
    assert_eq!(status(&answer), 200);
    assert!(answer.contains("content-length: 92\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn a_slow_body_is_408_and_ends_the_connection() {
    let running = run(|config| config.limits.body_timeout = Duration::from_millis(50)).await;
    let head = "POST /refer/observables HTTP/1.1\r\nHost: relay.example\r\nContent-Length: 10\r\n\r\n[";
    assert_eq!(status(&rest(connect(running.relay, head).await).await), 408);
}

#[tokio::test]
async fn an_oversize_body_is_413_before_it_is_sent() {
    let running = run(|_| ()).await;
    let head = "POST /refer/observables HTTP/1.1\r\nHost: relay.example\r\nContent-Length: 1048577\r\n\
                Expect: 100-continue\r\n\r\n";
    assert_eq!(status(&rest(connect(running.relay, head).await).await), 413);
}

#[tokio::test]
async fn the_answer_to_a_refused_body_can_be_read_by_a_caller_who_sends_all_of_it_first() {
    let running = run(|_| ()).await;
    let body = "[".repeat(8 << 20);
    let request = format!(
        "POST /refer/observables HTTP/1.1\r\nHost: relay.example\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(status(&rest(connect(running.relay, &request).await).await), 413);
}

#[tokio::test]
async fn a_body_that_is_not_framed_as_declared_is_400() {
    let running = run(|_| ()).await;
    let bad_chunk =
        "POST /refer/observables HTTP/1.1\r\nHost: relay.example\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n";
    assert_eq!(status(&rest(connect(running.relay, bad_chunk).await).await), 400);
}

#[tokio::test]
async fn heads_beyond_the_limits_are_refused_with_a_status() {
    let running = run(|_| ()).await;
    let with = |path: &str, headers: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: relay.example\r\nConnection: close\r\n{headers}\r\n")
    };
    let long_path = format!("/{}", "a".repeat(8192));
    let large = format!("a: {}\r\n", "b".repeat(32_768));
    for (request, expected) in [
        (with(&long_path, ""), 414),
        (with("/version", &large), 431),
        (with("/version", &large.repeat(4)), 431),
        (with("/version", &"a: b\r\n".repeat(99)), 431),
        (with("/version", "Host: other.example\r\n"), 400),
        (with("/version", "a\0: b\r\n"), 400),
    ] {
        let answer = rest(connect(running.relay, &request).await).await;
        assert_eq!(status(&answer), expected, "{} bytes: {answer}", request.len());
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let running = run(|config| config.limits.connections = 1).await;
    let mut first = connect(running.relay, VERSION).await;
    assert_eq!(status(&answer(&mut first).await), 200);
    let mut second = connect(running.relay, VERSION).await;
    first.write_all(VERSION.as_bytes()).await.unwrap();
    assert_eq!(status(&answer(&mut first).await), 200);
    let mut nothing = [0];
    let early = second.try_read(&mut nothing);
    assert_eq!(early.unwrap_err().kind(), io::ErrorKind::WouldBlock, "answered without a place");
    drop(first);
    assert_eq!(status(&answer(&mut second).await), 200);
}

#[tokio::test]
async fn during_the_lame_duck_time_new_and_old_connections_are_served_and_ended() {
    let running = run(|config| config.shutdown.lame_duck = DEADLINE).await;
    let mut kept = connect(running.relay, VERSION).await;
    assert!(!answer(&mut kept).await.contains("connection: close"));
    assert_eq!(status(&ask(running.admin, "GET /readyz").await), 200);

    running.stop.send(()).unwrap();
    within("the drain to begin", async {
        while running.app.phase() != Phase::Draining {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(status(&ask(running.admin, "GET /readyz").await), 503);
    kept.write_all(VERSION.as_bytes()).await.unwrap();
    for stream in [kept, connect(running.relay, VERSION).await] {
        let answer = rest(stream).await;
        assert!(answer.contains("connection: close"), "{answer}");
        assert_eq!(status(&answer), 200);
    }
    running.task.abort();
}

/// A listener with one route that answers only when told to.
async fn slow() -> (SocketAddr, Listening, Arc<Notify>, Arc<Notify>) {
    let (begun, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let answer = {
        let (begun, may_end) = (begun.clone(), may_end.clone());
        move |_: Request<Incoming>| {
            let (begun, may_end) = (begun.clone(), may_end.clone());
            async move {
                begun.notify_one();
                may_end.notified().await;
                http::Response::new(Full::new(Bytes::from_static(b"{}\n")))
            }
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let listening = Listening::start(listener, answer, &fixture::config().limits);
    (address, listening, begun, may_end)
}

#[tokio::test]
async fn a_drain_lets_requests_under_way_end_and_closes_idle_connections() {
    let (address, listening, begun, may_end) = slow().await;
    let mut idle = connect(address, "GET /slow HTTP/1.1\r\nHost: relay.example\r\n\r\n").await;
    within("the first request", begun.notified()).await;
    may_end.notify_one();
    answer(&mut idle).await;
    let busy = connect(address, "GET /slow HTTP/1.1\r\nHost: relay.example\r\n\r\n").await;
    within("the second request", begun.notified()).await;

    let silent = connect(address, "").await;
    let ending = tokio::spawn(listening.end(DEADLINE * 2));
    assert_eq!(rest(idle).await, "");
    assert_eq!(rest(silent).await, "");
    assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    assert!(!ending.is_finished());
    may_end.notify_one();
    assert_eq!(status(&rest(busy).await), 200);
    within("the end of the drain", ending).await.unwrap();
}

#[tokio::test]
async fn a_drain_cuts_requests_that_take_too_long() {
    let (address, listening, begun, _may_end) = slow().await;
    let busy = connect(address, "GET /slow HTTP/1.1\r\nHost: relay.example\r\n\r\n").await;
    within("the request", begun.notified()).await;
    within("the end of the drain", listening.end(Duration::from_millis(20))).await;
    assert_eq!(rest(busy).await, "");
}

#[test]
fn an_address_for_all_is_reached_by_loopback() {
    for (address, reached) in [
        ("0.0.0.0:9090", "http://127.0.0.1:9090"),
        ("[::]:9090", "http://[::1]:9090"),
        ("192.0.2.1:80", "http://192.0.2.1:80"),
    ] {
        assert_eq!(origin(address.parse().unwrap()), reached);
    }
}
