//! Relays for unit tests: every address is loopback, every limit the documented default.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use url::Url;

use super::App;
use crate::config::{Answers, Auth, AuthMode, Cache, Config, Limits, Log, LogFormat, Otx, Shutdown};
use crate::telemetry;

/// A relay with these settings that logs nowhere.
pub(crate) fn relay(config: Config) -> Arc<App> {
    let (_, log_level) = telemetry::subscriber(&config.log, false, std::io::sink);
    App::new(config, log_level)
}

/// Settings to start from.
pub(crate) fn config() -> Config {
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Config {
        listen: any_port,
        admin_listen: any_port,
        answers: Answers::Parity,
        otx: otx(),
        auth: Auth {
            mode: AuthMode::Hs256 { secret_file: "absent".into() },
            require_exp: false,
            leeway: Duration::ZERO,
        },
        extra_ca_file: None,
        cache: Cache {
            enabled: false,
            max_bytes: 0,
            general_ttl: Duration::ZERO,
            negative_ttl: Duration::ZERO,
            listing_ttl: Duration::ZERO,
            max_stale: Duration::ZERO,
            shared: None,
        },
        limits: limits(),
        shutdown: Shutdown { lame_duck: Duration::ZERO, drain: Duration::from_secs(10) },
        log: Log { level: "info".to_owned(), format: LogFormat::Json },
    }
}

/// The documented limits.
pub(crate) fn limits() -> Limits {
    Limits {
        body_bytes: 1 << 20,
        uri_bytes: 8192,
        header_bytes: 32_768,
        header_count: 100,
        observables: 1000,
        connections: 1024,
        concurrent_requests: 256,
        header_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(15),
    }
}

fn otx() -> Otx {
    let url = Url::parse("https://otx.example").expect("a URL");
    Otx {
        base_url: url.clone(),
        web_url: url,
        keys_dir: None,
        user_agent: HeaderValue::from_static("test"),
        proxy: None,
        connect_timeout: Duration::from_secs(1),
        call_timeout: Duration::from_secs(1),
        deadline: Duration::from_secs(1),
        hourly_budget: 1,
        max_concurrent_calls: 1,
        max_concurrent_calls_per_key: 1,
        max_attempts: 1,
        hedge_after: None,
        page_size: 1,
        max_answer_bytes: 1,
        max_page_bytes: 1,
    }
}
