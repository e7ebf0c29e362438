//! Classes 37 to 60: whose keys the token asks the relay to fetch. All tokens are signed by the attacker's key, which is
//! what the relay would find there.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::{Value, json};
use tests::fake_otx::FakeOtx;
use tests::names::Names;
use tests::refusals::{HOST, NO_HOST};
use tests::relay::{Builder, JWKS_HOST};
use tests::trial::trial;
use tests::wire::{Reply, Server};
use threatrelay::auth::outside::Outside;

use crate::stage::{Class, PATHS, Stage, changed};

/// The number of [`private_addresses`].
pub const PRIVATE: u16 = 60;

/// Spellings, by class; `{host}` is the allowed host, `{port}` the attacker's port.
const SPELLINGS: [(u16, &str, &[&str]); 20] = [
    (38, "another domain", &["attacker.example", "attacker.example:{port}"]),
    (
        39,
        "a suffix or prefix",
        &["{host}.attacker.example", "attacker-{host}", "attacker.{host}", "isibility.amp.cisco.com"],
    ),
    (
        40,
        "a user",
        &["{host}@attacker.example", "attacker@{host}", "{host}:x@attacker.example", "{host}%40attacker.example"],
    ),
    (41, "a port", &["{host}:{port}", "{host}:443", "{host}:", "{host}:0", "{host}:99999"]),
    (42, "a path", &["{host}/x", "{host}/../..", "attacker.example/{host}", "{host}/"]),
    (43, "a query", &["{host}?", "attacker.example?{host}", "attacker.example/x/?.{host}"]),
    (44, "a fragment", &["{host}#", "attacker.example#{host}", "attacker.example#@{host}"]),
    (45, "a backslash", &["{host}\\", "attacker.example\\{host}", "attacker.example\\@{host}"]),
    (46, "loopback", &["127.0.0.1:{port}", "127.0.0.1", "127.1:{port}", "0.0.0.0:{port}"]),
    (47, "metadata", &["169.254.169.254", "[fd00:ec2::254]", "metadata.google.internal"]),
    (48, "IPv6 loopback", &["[::1]:{port}", "[::1]", "[::ffff:127.0.0.1]:{port}"]),
    (49, "a hex address", &["0x7f000001:{port}", "0x7f.0.0.1:{port}"]),
    (50, "a decimal or octal address", &["2130706433:{port}", "0177.0.0.1:{port}"]),
    (51, "localhost", &["localhost:{port}", "localhost", "localhost.localdomain"]),
    (52, "the cluster", &["kubernetes.default.svc", "kubernetes.default.svc.cluster.local:443", "redis:6379"]),
    (53, "a trailing dot", &["{host}.", ".{host}", "{host}.."]),
    (
        54,
        "a lookalike",
        &[
            "visib\u{456}lity.amp.cisco.com",
            "visibility.amp.c\u{131}sco.com",
            "visibility\u{3002}amp.cisco.com",
            "VISIBILITY.amp.cisco.com",
        ],
    ),
    (55, "CRLF", &["{host}\r\nX-Injected: 1", "{host}\r\n\r\nGET / HTTP/1.1", "{host}%0d%0a", "{host}\u{0}"]),
    (56, "a space", &["{host} ", " {host}", "{host}\tattacker.example", "visibility. amp.cisco.com"]),
    (57, "nothing", &["", " ", ".", "/", "https://", "https://{host}"]),
];

pub fn classes() -> Vec<Class> {
    let mut classes = vec![Class::tokens(37, "no jwks host", NO_HOST, |stage| {
        vec![stage.without("jwks_host"), stage.claiming(&json!({"jwks_host": null}))]
    })];
    for (number, name, spellings) in SPELLINGS {
        classes.push(Class::tokens(number, name, HOST, move |stage| {
            let port = stage.hostile_address().port().to_string();
            let spelled =
                |host: &&str| lure(stage, &json!(host.replace("{host}", JWKS_HOST).replace("{port}", &port)));
            spellings.iter().map(spelled).collect()
        }));
    }
    classes.push(Class::tokens(58, "a jwks host that is no text", HOST, |stage| {
        let values = [json!(5), json!(true), json!([JWKS_HOST]), json!({"host": JWKS_HOST}), json!([])];
        values.map(|host| lure(stage, &host)).into()
    }));
    classes.push(Class::tokens(59, "a jwks host of 300 letters", HOST, |stage| {
        let long =
            ["a".repeat(300), format!("{}.example", "a".repeat(300)), format!("{JWKS_HOST}{}", "/x".repeat(2000))];
        long.map(|host| lure(stage, &json!(host))).into()
    }));
    classes
}

fn lure(stage: &Stage, host: &Value) -> String {
    stage.attacker.token(&changed(&json!({ "jwks_host": host }))).expect("a token")
}

/// Addresses that an allowed name must not lead to.
const INSIDE: [&str; 26] = [
    "127.0.0.1",
    "127.8.9.10",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.127.255.254",
    "192.0.0.8",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.255",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "ff02::1",
];

/// Class 60, with the default that no private address is allowed.
pub fn private_addresses() -> Vec<Trial> {
    vec![trial("class_060_an_allowed_name_at_a_private_address", || async {
        let fake = FakeOtx::start().await.expect("a fake OTX");
        // Whatever the relay would reach on this machine, by any of its addresses.
        let everywhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let inside = Server::start(everywhere, None, |_| async { Reply::default() }).await.expect("a port");
        for address in INSIDE {
            let address = SocketAddr::new(address.parse::<IpAddr>().expect("an address"), inside.address().port());
            let names = Arc::new(Names::all_at(address));
            let outside = Outside::named_by(names.clone());
            let builder = Builder::new(&fake.url()).reaching(&outside).unset("THREATRELAY_AUTH_JWKS_FILE");
            let relay = builder.start().await;
            for path in PATHS {
                let answer = relay.post(path, "[]").await;
                answer.refuses("authorization error", &format!("Authorization failed: {HOST}"));
            }
            assert_eq!(names.asked(), [JWKS_HOST], "{address}");
        }
        assert_eq!((inside.connections(), fake.connections()), (0, 0));
    })]
}
