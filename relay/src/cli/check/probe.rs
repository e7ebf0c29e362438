//! `check --probe`: one request to the admin listener, one line, 0 or 1. It stands in for an HTTP probe where only
//! commands can be run.

use std::time::Duration;

use reqwest::Client;
use url::Url;

use super::Probe;
use crate::cli::ConfigFile;
use crate::cli::config::refusal;
use crate::cli::outcome::{FAILURE, Outcome, SETTINGS};
use crate::cli::text::harmless;
use crate::server;

/// Longest time for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn ask(probe: Probe, admin: Option<&Url>, file: &ConfigFile) -> Outcome {
    let origin = match admin {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None => match file.load() {
            Ok(loaded) => server::origin(loaded.config.admin_listen),
            Err(errors) => return refusal(&errors, SETTINGS),
        },
    };
    let path = match probe {
        Probe::Live => "/livez",
        Probe::Ready => "/readyz",
    };
    let url = format!("{origin}{path}");
    match get(&url).await {
        Ok((200, text)) => Outcome::done(format!("{}\n", harmless(text.trim()))),
        Ok((status, text)) => Outcome::failed(format!("{url} answers {status}: {}", harmless(text.trim())), FAILURE),
        Err(error) => Outcome::failed(format!("{url}: {error}"), FAILURE),
    }
}

/// Status and text that a URL answers, or why it does not.
pub(super) async fn get(url: &str) -> Result<(u16, String), String> {
    let said = |error: reqwest::Error| crate::auth::fetch::chain(&error.without_url());
    let client = Client::builder().no_proxy().timeout(PATIENCE).build().map_err(said)?;
    let answer = client.get(url).send().await.map_err(said)?;
    let status = answer.status().as_u16();
    Ok((status, answer.text().await.map_err(said)?))
}
