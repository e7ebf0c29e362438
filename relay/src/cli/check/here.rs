//! `check` without `--server`: the settings, the way to OTX and its clock, the key, the JWKS hosts, the addresses to
//! listen on. Asks OTX twice and every JWKS host once.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::TcpListener;
use url::Url;

use super::probe::get;
use super::report::Report;
use crate::auth::fetch::{chain, client, fetch};
use crate::auth::metrics::Metrics;
use crate::auth::outside::Outside;
use crate::auth::{Authenticator, parse_jwks_file};
use crate::cli::ConfigFile;
use crate::cli::key::{KeySource, NoKey};
use crate::cli::lookup::{engine, is_unreachable};
use crate::cli::outcome::{FAILURE, SETTINGS, UNAUTHORIZED, UNREACHABLE};
use crate::cli::text::counted;
use crate::config::{AuthMode, Config, Jwks, Origin};
use crate::otx::Failure;
use crate::server::origin;

/// Clock difference that tokens with times in them may not survive.
const SKEW: Duration = Duration::from_secs(30);

pub(super) async fn check(file: &ConfigFile, key: &KeySource) -> Report {
    let mut report = Report::default();
    report.group("Settings");
    let loaded = match file.load() {
        Ok(loaded) => loaded,
        Err(errors) => {
            for line in errors.to_string().lines() {
                report.fail(SETTINGS, line, "");
            }
            report.skip("the rest needs valid settings");
            return report;
        }
    };
    let set = loaded.settings.iter().filter(|setting| setting.source != Origin::Default && setting.value.is_some());
    report.pass(format!("valid, {} given", counted(set.count(), "setting")));
    for warning in loaded.warnings {
        report.warn(warning, "");
    }
    let config = loaded.config;
    report.group("AlienVault OTX");
    otx(&mut report, &config, key).await;
    report.group("Tokens");
    tokens(&mut report, &config).await;
    report.group("Addresses");
    for (name, address) in [("listen", config.listen), ("adminListen", config.admin_listen)] {
        listener(&mut report, name, address, &origin(config.admin_listen)).await;
    }
    report
}

async fn otx(report: &mut Report, config: &Config, key: &KeySource) {
    let base = &config.otx.base_url;
    let engine = match engine(config) {
        Ok(engine) => engine,
        Err(error) => return report.fail(SETTINGS, chain(&error), "correct the setting"),
    };
    let now = Timestamp::now();
    match engine.reach().await {
        Err(failure) => return unreachable(report, base, &failure),
        Ok(date) => {
            let how = if base.scheme() == "https" { ", its certificate is verified" } else { "" };
            report.pass(format!("{base} answers{how}"));
            clock(report, date, now);
        }
    }
    let key = match key.read(config) {
        Ok(key) => key,
        Err(NoKey::NotNamed) => {
            return report.skip("no key to check: tokens bring theirs; --key-file checks one");
        }
        Err(error) => return report.fail(SETTINGS, error.to_string(), "put the OTX key into that file"),
    };
    match engine.health(&key).await {
        Ok(_) => report.pass("the key is accepted"),
        Err(Failure::KeyRefused) => report.fail(
            UNAUTHORIZED,
            "OTX refused the key",
            format!("see your key at {}/api and write it into the file", web(config)),
        ),
        Err(failure) if is_unreachable(&failure) => unreachable(report, base, &failure),
        Err(failure) => {
            report.fail(FAILURE, format!("OTX did not say whether it accepts the key: {failure}"), "try again later");
        }
    }
}

fn web(config: &Config) -> &str {
    config.otx.web_url.as_str().trim_end_matches('/')
}

fn unreachable(report: &mut Report, base: &Url, failure: &Failure) {
    let next = match failure {
        Failure::Certificate(_) => {
            "if a proxy on the way has a certificate of its own, name its authority by extraCaFile"
        }
        _ => "see whether name resolution, firewall and otx.proxy let this machine connect there",
    };
    report.fail(UNREACHABLE, format!("{base}: {failure}"), next);
}

fn clock(report: &mut Report, date: Option<Timestamp>, now: Timestamp) {
    let Some(date) = date else { return report.skip("OTX does not tell its time, so the clock is not compared") };
    let skew = now.duration_since(date).unsigned_abs();
    // A date is cut to seconds.
    let seconds = skew.as_secs().saturating_sub(1);
    if skew > SKEW {
        let way = if now > date { "ahead of" } else { "behind" };
        report.warn(
            format!("this machine's clock is {seconds} s {way} OTX's"),
            "set the clock (NTP): tokens with exp, nbf or iat are judged by it",
        );
    } else {
        report.pass("this machine's clock agrees with OTX's");
    }
}

async fn tokens(report: &mut Report, config: &Config) {
    if let Err(error) = Authenticator::new(config, &Outside::default(), &Metrics::default()) {
        return report.fail(SETTINGS, error.to_string(), "correct the file or the setting");
    }
    match &config.auth.mode {
        AuthMode::Hs256 { secret_file } => {
            report.pass(format!("HS256 with the secret in {}", secret_file.display()));
        }
        AuthMode::Jwks(Jwks { file: Some(file), .. }) => match parse_jwks_file(file) {
            Ok(keys) => report.pass(format!("RS256 with {} in {}", counted(keys.len(), "key"), file.display())),
            Err(error) => report.fail(SETTINGS, error.to_string(), "correct the file"),
        },
        AuthMode::Jwks(jwks) => hosts(report, config, jwks).await,
    }
}

async fn hosts(report: &mut Report, config: &Config, jwks: &Jwks) {
    let extra_ca = config.extra_ca_file.as_deref();
    let client = match client(jwks.timeout, jwks.allow_private, extra_ca, &Outside::default()) {
        Ok(client) => client,
        Err(error) => return report.fail(SETTINGS, error.to_string(), "correct extraCaFile"),
    };
    let fetches = jwks.hosts.iter().map(|host| {
        let client = &client;
        async move {
            match Url::parse(&format!("https://{host}/.well-known/jwks")) {
                Ok(url) => fetch(client, url).await.map_err(|error| root(&error)),
                Err(error) => Err(error.to_string()),
            }
        }
    });
    for (host, fetched) in jwks.hosts.iter().zip(futures_util::future::join_all(fetches).await) {
        match fetched {
            Ok(keys) if keys.is_empty() => report.fail(
                FAILURE,
                format!("{host} publishes no key for RS256"),
                "see whether this host signs tokens; if not, take it out of auth.jwksHosts",
            ),
            Ok(keys) => report.pass(format!("{host} publishes {}", counted(keys.len(), "key"))),
            Err(why) => report.fail(
                FAILURE,
                format!("{host}: {why}"),
                "let this machine connect there; take hosts of other regions out of auth.jwksHosts",
            ),
        }
    }
}

/// The innermost cause: what wraps it says no more than that something failed.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

async fn listener(report: &mut Report, name: &str, address: SocketAddr, admin: &str) {
    match TcpListener::bind(address).await {
        Ok(_) => report.pass(format!("{name} {address} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let is_relay = get(&format!("{admin}/livez")).await.is_ok_and(|(_, text)| text == "ok\n");
            if is_relay {
                report.pass(format!("{name} {address} is in use, and a relay runs here"));
            } else {
                let next = format!("stop the process that listens there, or give {name} another port");
                report.fail(FAILURE, format!("{name} {address} is in use"), next);
            }
        }
        Err(error) => report.fail(
            FAILURE,
            format!("{name} {address}: {error}"),
            format!("set {name} to an address of this machine that you may use"),
        ),
    }
}
