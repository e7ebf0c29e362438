//! Relays for unit tests: on loopback, with the default limits, without a lame-duck time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use super::App;
use crate::config::{Config, load};
use crate::telemetry;

/// A relay with these settings that logs nowhere.
pub(crate) fn relay(config: Config) -> Arc<App> {
    let (_, log_level) = telemetry::subscriber(&config.log, false, std::io::sink);
    App::new(config, log_level).unwrap()
}

/// Settings to start from.
pub(crate) fn config() -> Config {
    let environment = [
        ("THREATRELAY_LISTEN", "127.0.0.1:0"),
        ("THREATRELAY_ADMIN_LISTEN", "127.0.0.1:0"),
        ("THREATRELAY_AUTH_AUDIENCES", "https://relay.example"),
        ("THREATRELAY_OTX_WEB_URL", "https://otx.example"),
        ("THREATRELAY_SHUTDOWN_LAME_DUCK", "0s"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    load(None, environment.into_iter()).unwrap().config
}
